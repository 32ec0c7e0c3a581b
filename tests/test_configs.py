"""The configurations that come with medgan: complete, explained, and accepted."""

from pathlib import Path

import pytest
import yaml

from medgan.config import TrainConfig, load_config

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def keys(document, prefix=""):
    """Dotted names of all values of nested mappings; lists count as values."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_key_stands_in_the_file_and_is_explained(path):
    text = path.read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert set(keys(document)) == set(keys(TrainConfig(name="x").model_dump(mode="json")))
    for line in text.splitlines():
        is_setting = line.lstrip().partition(":")[2].strip() and not line.lstrip().startswith(
            ("#", "- ", "source:", "target:", "path:", "name:")
        )
        assert not is_setting or "#" in line, f"no explanation: {line}"
    assert load_config(path).name == path.stem
