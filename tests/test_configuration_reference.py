from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from medgan.cli import configuration
from medgan.config import TrainConfig, dump_config
from medgan.config.loading import parse_as
from medgan.detection.config import DetectorConfig
from medgan.errors import ConfigError

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"


def tables(page: str) -> dict[str, dict[str, list[str]]]:
    """Heading -> key -> its cells, read from Markdown."""
    found: dict[str, dict[str, list[str]]] = {}
    heading = ""
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| `"):
            key, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            found.setdefault(heading, {})[key.strip("` ")] = cells
    return found


def leaves(document: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        place = f"{path}.{key}".lstrip(".")
        below = leaves(value, place) if isinstance(value, dict) and value else {place: value}
        found.update(below)
    return found


def test_the_configuration_reference_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == configuration.configuration(), "run `make docs`"


@pytest.mark.parametrize(
    ("name", "model", "least"),
    [("Training", TrainConfig, {"name": "a"}), ("Nodule detector", DetectorConfig, {})],
)
def test_the_defaults_are_those_of_a_file_that_sets_nothing(
    name: str, model: type[BaseModel], least: dict[str, Any]
) -> None:
    written = tables(PAGE.read_text(encoding="utf-8"))
    effective = leaves(yaml.safe_load(dump_config(parse_as(model, least, where="a"))))
    checked = 0
    for place, value in effective.items():
        if place in least:
            continue
        section, _, key = place.rpartition(".")
        cells = written[f"{name}: {section}" if section else name][key]
        assert yaml.safe_load(cells[1].strip("`")) == value, place
        checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    ("name", "model", "least"),
    [("Training", TrainConfig, {"name": "a"}), ("Nodule detector", DetectorConfig, {})],
)
def test_what_lies_beyond_a_lower_limit_is_refused(
    name: str, model: type[BaseModel], least: dict[str, Any]
) -> None:
    checked = 0
    for heading, keys in tables(PAGE.read_text(encoding="utf-8")).items():
        head, _, section = heading.partition(": ")
        # sections that are null or lists by default have required keys beside
        if head != name or "." in section or section in ("evaluation",):
            continue
        for key, (kind, _, allowed, _meaning) in keys.items():
            limit = next((rule for rule in allowed.split(", ") if rule.startswith(">")), None)
            if limit is None or not kind.startswith(("number", "whole")):
                continue
            bound = float(limit.split()[1])
            below = int(bound) - 1 if kind.startswith("whole") else bound - (limit[1] == "=") * 1e-6
            document = least | ({section: {key: below}} if section else {key: below})
            with pytest.raises(ConfigError, match=key):
                parse_as(model, document, where="a")
            checked += 1
    assert checked > 10


def test_every_key_of_every_configuration_has_a_meaning() -> None:
    written = tables(configuration.configuration())
    assert {heading.partition(":")[0] for heading in written} == set(configuration.configurations())
    for heading, keys in written.items():
        for key, cells in keys.items():
            assert len(cells) == 4, (heading, key)
            assert cells[3], f"{heading}: {key} has neither a description nor a line in Attributes"
