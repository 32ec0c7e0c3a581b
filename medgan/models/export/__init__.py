"""Models for other people's software; each function writes one form of a model."""

from medgan.models.export.mlflow_model import to_mlflow
from medgan.models.export.monai_bundle import to_monai_bundle
from medgan.models.export.onnx_file import to_onnx

__all__ = ["to_mlflow", "to_monai_bundle", "to_onnx"]
