"""The reference of all configurations, written from their models (``make docs``)."""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union

import yaml
from pydantic import BaseModel, IPvAnyAddress, IPvAnyNetwork
from pydantic.fields import FieldInfo

_HEAD = """\
# Configuration reference

Written by `make docs` from the models that check every file. A configuration is data: an unknown
key is an error, and all faults of a file are told in one message. `key=value` on the command line
sets a key by its dotted path, `training.steps=500`. The files in `configs/` explain theirs.

*Required* keys have no default. Beside the allowed range of each key stand rules on keys that must
go together; they are checked when the file is read, and the message names the keys.
"""

_WORDS: dict[Any, str] = {
    bool: "true, false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Any: "anything",
    IPvAnyAddress: "IP address",
    IPvAnyNetwork: "IP network",
    types.NoneType: "null",
}


@dataclass(frozen=True)
class _Section:
    """One model: a table.

    Attributes:
        path: its place in the file, e.g. "data.phantoms"; "" for the whole file.
        model: its class.
    """

    path: str
    model: type[BaseModel]


def configurations() -> dict[str, tuple[type[BaseModel], str]]:
    """Heading -> model of the whole file, and what reads it."""
    # not before: the detector's loads torch
    from medgan.config import TrainConfig
    from medgan.detection.config import DetectorConfig
    from medgan.node.config import ListenConfig
    from medgan.recipes.augmentation_config import AugmentationExperiment
    from medgan.recipes.comparison_config import ComparisonConfig

    return {
        "Training": (
            TrainConfig,
            "Of `medgan train CONFIG [KEY=VALUE]...`, `pipelines/mr_to_ct.py`, `ct_to_mr.py` and "
            "`horse2zebra.py`. Examples: `mr_to_ct_head.yaml`, `luna16_nodules.yaml`, "
            "`luna16_slices.yaml`, `horse2zebra.yaml`.",
        ),
        "Comparison of methods": (
            ComparisonConfig,
            "Of `pipelines/compare_methods.py`. Examples: `compare_methods.yaml`, "
            "`compare_methods_head.yaml`.",
        ),
        "Nodule detector": (
            DetectorConfig,
            "Of `medgan detect train SCANS [KEY=VALUE]...`, and of `detector` in an experiment.",
        ),
        "Augmentation experiment": (
            AugmentationExperiment,
            "Of `pipelines/luna16_augmentation.py`. Example: `luna16_phantom.yaml`.",
        ),
        "DICOM node": (ListenConfig, "Of `medgan listen CONFIG`. Example: `listen.yaml`."),
    }


def configuration() -> str:
    """All keys of all configurations, as Markdown."""
    parts = [_HEAD]
    for name, (model, use) in configurations().items():
        parts.append(f"## {name}\n\n{use}\n")
        sections = list(_sections(model))
        places: dict[type[BaseModel], list[str]] = {}
        for section in sections:
            places.setdefault(section.model, []).append(section.path)
        for part, paths in places.items():
            parts.append(_part(name, part, paths))
    return "\n".join(parts)


def _sections(model: type[BaseModel], path: str = "") -> Iterator[_Section]:
    yield _Section(path, model)
    for key, field in model.model_fields.items():
        for below in _models_in(field.annotation):
            yield from _sections(below, f"{path}.{key}".lstrip("."))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _part(name: str, model: type[BaseModel], paths: list[str]) -> str:
    """The table of a model, under the first of its places in the file."""
    lines = [f"### {name}: {paths[0]}\n"] if paths[0] else []
    if paths[1:]:
        lines.append(f"The same keys stand under {', '.join(f'`{path}`' for path in paths[1:])}.\n")
    lines += ["| key | type | default | allowed | meaning |", "|---|---|---|---|---|"]
    for key, field in model.model_fields.items():
        place = f"{paths[0]}.{key}".lstrip(".")
        cells = (
            f"`{key}`",
            _kind(field.annotation),
            _default(field, place),
            _allowed(field),
            meaning(model, key),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _kind(annotation: Any) -> str:
    """A type in words."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, within = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kind(within[0])
    if origin is Literal:
        return ", ".join(_shown(value) for value in within)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(part) for part in within)
    if origin is tuple:
        if within[-1] is Ellipsis:
            return f"list: {_kind(within[0])}"
        return f"{len(within)} of: {_kind(within[0])}"
    if origin is dict:
        return f"keys with values: {_kind(within[1])}"
    if issubclass(annotation, Enum):
        return ", ".join(_shown(each.value) for each in annotation)
    assert issubclass(annotation, BaseModel), annotation
    return "keys"


def _default(field: FieldInfo, place: str) -> str:
    if field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return f"see `{place}`"
    return _shown(value)


def _shown(value: Any) -> str:
    """A value as a configuration has it."""
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


_BOUNDS = {"ge": ">= {}", "gt": "> {}", "le": "<= {}", "lt": "< {}",
           "multiple_of": "multiple of {}", "min_length": "at least {} long",
           "pattern": "matches `{}`"}  # fmt: skip


def _allowed(field: FieldInfo) -> str:
    """The bounds of a key; those of several keys together are not among them."""
    found = []
    for rule in field.metadata:
        for name, words in _BOUNDS.items():
            limit = getattr(rule, name, None)
            if limit is not None:
                found.append(words.format(limit))
    return ", ".join(found)


def meaning(model: type[BaseModel], key: str) -> str:
    """What a key means: its own description, that of the class, or of the keys below it.

    Args:
        model: the class.
        key: one of its fields.

    Returns:
        "" where it is said nowhere.
    """
    field = model.model_fields[key]
    said = field.description or _attributes(model).get(key)
    for below in _models_in(field.annotation):
        said = said or inspect.cleandoc(below.__doc__ or "").partition("\n")[0]
    if said is None:
        return ""
    text = " ".join(said.replace("``", "`").split())
    return text[:1].upper() + text[1:] if not re.match(r"[\w-]+[:=]", text) else text


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """The section ``Attributes:`` of a class' docstring."""
    _, _, section = inspect.cleandoc(model.__doc__ or "").partition("\nAttributes:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return dict(entries)
