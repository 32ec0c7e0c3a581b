"""From volumes to training samples: preparation, cache, registration, slices, transforms."""
