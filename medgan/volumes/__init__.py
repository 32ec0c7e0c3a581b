"""A 3-D image and its place in the patient. No files, no torch."""

from medgan.volumes.volume import BACKGROUND, Modality, Unit, Volume

__all__ = ["BACKGROUND", "Modality", "Unit", "Volume"]
