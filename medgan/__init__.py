"""medgan: medical image translation with attention-guided GANs.

The four names that most scripts need are importable from here and loaded on first use, so that
``import medgan`` costs nothing::

    from medgan import read_volume, write_volume, Translator, evaluate_pair
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from medgan.inference.translator import Translator
    from medgan.io import read_volume, write_volume
    from medgan.metrics.pairs import evaluate_pair

_HOMES = {
    "read_volume": "medgan.io",
    "write_volume": "medgan.io",
    "Translator": "medgan.inference.translator",
    "evaluate_pair": "medgan.metrics.pairs",
}

__all__ = ["Translator", "__version__", "evaluate_pair", "read_volume", "write_volume"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'medgan' has no attribute {name!r}")
