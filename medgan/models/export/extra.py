"""Packages that only an export needs."""

import importlib
from typing import Any

from medgan.errors import ConfigError


def required(package: str) -> Any:
    """Import a package of the extra ``onnx``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"the package {package} is not installed",
            remedy="Install medgan with its extra: pip install 'medgan[onnx]'",
        ) from error
