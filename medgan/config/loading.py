"""Configurations from YAML and back, every fault of a file in one message."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from medgan.config.train import TrainConfig
from medgan.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)


def load_config(path: Path, overrides: Iterable[str] = ()) -> TrainConfig:
    """Read the configuration of a training; see ``load_as``."""
    return load_as(TrainConfig, path, overrides)


def load_as(kind: type[Config], path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read a configuration of a given kind.

    Args:
        kind: its model.
        path: YAML file.
        overrides: ``dotted.key=value`` items, the value in YAML.

    Raises:
        ConfigError: no such file, not YAML, unknown keys or wrong values (all in one message).
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            "cannot read the configuration",
            where=path,
            measured=error.strerror,
            remedy="Name a YAML file, such as those in configs/",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("not valid YAML", where=path, measured=str(error)) from error
    if not isinstance(document, dict):
        raise ConfigError("a configuration is a mapping of keys", where=path)
    return parse_as(kind, document, overrides, where=path)


def parse_config(
    document: dict[str, Any], overrides: Iterable[str] = (), *, where: object = "configuration"
) -> TrainConfig:
    """Check the configuration of a training given as a mapping; see ``parse_as``."""
    return parse_as(TrainConfig, document, overrides, where=where)


def parse_as(
    kind: type[Config],
    document: dict[str, Any],
    overrides: Iterable[str] = (),
    *,
    where: object = "configuration",
) -> Config:
    """Check a configuration given as a mapping; see ``load_as``."""
    document = deepcopy(document)
    for item in overrides:
        _override(document, item)
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            describe_faults(error),
            where=where,
            remedy="The help of the verb names an example; configs/ explain every key",
        ) from None


def _override(document: dict[str, Any], item: str) -> None:
    key, equals, text = item.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(
            "an override reads key=value", measured=item, remedy="e.g. training.steps=100"
        )
    *parents, last = key.split(".")
    node = document
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError("an override goes below a value", where=key, measured=parent)
    try:
        node[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            "the value of an override is not YAML", where=key, measured=text
        ) from error


def describe_faults(error: ValidationError) -> str:
    """All faults of a configuration in one line."""
    count = error.error_count()
    return f"{count} fault{'s' if count > 1 else ''}: " + "; ".join(
        _describe(fault) for fault in error.errors()
    )


def _describe(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {reason}" if key else str(reason)


def dump_config(config: BaseModel) -> str:
    """The effective configuration as YAML, every default written out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
