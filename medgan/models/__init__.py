"""A trained network and all that is needed to use it."""
