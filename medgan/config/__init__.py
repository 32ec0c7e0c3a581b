"""Configuration: frozen models, YAML in, effective YAML out, dotted overrides.

A configuration is data. Unknown keys are errors, and every fault of a file is in one message.
"""

from medgan.config.base import Consistent, Domain, Frozen, Pair, Triple
from medgan.config.data import (
    CHEST_CHANNELS,
    ChestSlicesConfig,
    Contrast,
    DataConfig,
    ImagesConfig,
    NodulesConfig,
    PairConfig,
    PhantomConfig,
    Plane,
    PreparationConfig,
    ScanConfig,
)
from medgan.config.loading import (
    describe_faults,
    dump_config,
    load_as,
    load_config,
    parse_as,
    parse_config,
)
from medgan.config.method import LossConfig, NetworkConfig, RampConfig
from medgan.config.train import TrackingConfig, TrainConfig, TrainingConfig

__all__ = [
    "CHEST_CHANNELS",
    "ChestSlicesConfig",
    "Consistent",
    "Contrast",
    "DataConfig",
    "Domain",
    "Frozen",
    "ImagesConfig",
    "LossConfig",
    "NetworkConfig",
    "NodulesConfig",
    "Pair",
    "PairConfig",
    "PhantomConfig",
    "Plane",
    "PreparationConfig",
    "RampConfig",
    "ScanConfig",
    "TrackingConfig",
    "TrainConfig",
    "TrainingConfig",
    "Triple",
    "describe_faults",
    "dump_config",
    "load_as",
    "load_config",
    "parse_as",
    "parse_config",
]
