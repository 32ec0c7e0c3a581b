"""The configurations that come with medgan: complete, explained, and accepted."""

from pathlib import Path

import pytest
import yaml

from medgan.config import TrainConfig, load_config
from medgan.recipes.comparison_plan import load_comparison, runs

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
COMPARISONS = [path for path in CONFIGS if path.stem.startswith("compare")]
NODE = FOLDER / "listen.yaml"
TRAININGS = [
    path
    for path in CONFIGS
    if path not in (*COMPARISONS, NODE)
    and "arms" not in yaml.safe_load(path.read_text(encoding="utf-8"))
]
WHOLE = FOLDER / "mr_to_ct_head.yaml"
"""The one in which every key stands."""


def keys(document, prefix=""):
    """Dotted names of all values of nested mappings; lists count as values."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_key_stands_in_one_file():
    document = yaml.safe_load(WHOLE.read_text(encoding="utf-8"))
    assert set(keys(document)) == set(keys(TrainConfig(name="x").model_dump(mode="json")))


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.name)
def test_every_setting_of_a_training_is_explained(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        is_setting = line.lstrip().partition(":")[2].strip() and not line.lstrip().startswith(
            ("#", "- ", "source:", "target:", "path:", "name:")
        )
        assert not is_setting or "#" in line, f"no explanation: {line}"


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.name)
def test_a_training_is_named_after_its_file(path):
    assert load_config(path).name == path.stem


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.name)
def test_every_member_of_a_comparison_can_be_trained(path, tmp_path):
    comparison = load_comparison(path)
    assert comparison.name == path.stem
    planned = list(runs(comparison, tmp_path))
    assert len(planned) >= len(comparison.members) * len(comparison.seeds)
    assert len({run.folder for run in planned}) == len(planned)
