"""Many files at once: planned, named, made in workers, recorded, resumed."""
