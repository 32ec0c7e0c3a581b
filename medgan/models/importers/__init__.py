"""Weights that others have published, brought into medgan's networks."""

from medgan.models.importers.published_model import Imported, read_published
from medgan.models.importers.saving import save_imported

__all__ = ["Imported", "read_published", "save_imported"]
