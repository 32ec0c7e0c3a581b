"""Numbers with a definition: paired image quality, its protocols and its trivial floors."""
