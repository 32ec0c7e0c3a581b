"""A detector of lung nodules: trained on LUNA16-style scans, run on whole chest CT.

Research use only: no result of it is fit to be acted upon in the care of a patient.
"""

from medgan.detection.config import DetectorConfig
from medgan.detection.detector import Detector
from medgan.detection.marks import Mark, write_marks
from medgan.detection.training import resume_detector, train_detector

__all__ = [
    "Detector",
    "DetectorConfig",
    "Mark",
    "resume_detector",
    "train_detector",
    "write_marks",
]
