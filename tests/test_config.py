"""Configurations: everything wrong in one message, overrides, and back to YAML unchanged."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from medgan.config import LossConfig, NetworkConfig, dump_config, load_config, parse_config
from medgan.errors import ConfigError
from medgan.recipes.comparison_plan import load_comparison, runs
from medgan.training.run_folder import RunFolder


def test_defaults_are_the_published_training():
    weights, network = LossConfig(), NetworkConfig()
    assert (weights.adversarial, weights.cycle, weights.identity) == (1, 10, 5)
    assert (network.width, network.blocks, network.contents) == (64, 9, 9)
    training = parse_config({"name": "x"}).training
    assert (training.learning_rate, training.pool, training.batch) == (2e-4, 50, 1)


def test_every_fault_of_a_file_is_in_the_one_message(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: bad name\nlosess: {}\ntraining: {stpes: 5, batch: 0}\nnetwork: {width: wide}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: 5 faults: ")
    for fault in ("name: ", "losess: unknown key", "training.stpes: unknown key",
                  "training.batch: ", "network.width: "):  # fmt: skip
        assert fault in message
    assert "\n" not in message


CONFIGS = Path(__file__).parents[1] / "configs"
PICTURES = {"source": "IMAGE", "target": "IMAGE", "data": {"images": {"root": "pictures"}}}
CONTRASTIVE = {"method": "contrastive", "losses": {"contrastive": 1, "cycle": 0, "identity": 0}}
ANCHORED = {"losses": {"phantom": 1}}
PAIR = {"name": "x", "source": "a.nii", "target": "b.nii"}
FAULTS = [
    # each: what is sound, what makes it a fault, and the fault
    ({}, {"source": "CT"}, "source and target must be different modalities"),
    (PICTURES, {"target": "CT"}, "pictures need source: IMAGE, target: IMAGE and data.images"),
    (PICTURES, {"data": {"images": None}}, "pictures need source: IMAGE"),
    ({}, {"data": PICTURES["data"]}, "data.images needs source: IMAGE and target: IMAGE"),
    (PICTURES, ANCHORED, "pictures have no phantoms, neighbours or position"),
    (PICTURES, {"network": {"position": True}}, "pictures have no phantoms"),
    (PICTURES, {"network": {"neighbours": 2}}, "pictures have no phantoms"),
    (PICTURES, {"network": {"spatial_dims": 3}}, "pictures have two dimensions"),
    (PICTURES, {"evaluation": [PAIR]}, "pictures have no evaluation pairs"),
    (
        {"network": {"discriminator": "image"}},
        {"preparation": {"matrix": [128, 92]}},
        "network.discriminator: image needs a preparation.matrix of at least 96",
    ),
    (ANCHORED, {"training": {"steps": 5, "warmup_steps": 6}}, "training.warmup_steps exceeds"),
    (
        {"training": {"warmup_steps": 6}, **ANCHORED},
        {"losses": {"phantom": 0}},
        "training.warmup_steps needs losses.phantom > 0",
    ),
    (
        {"losses": {"phantom": 1, "tissue": 1}},
        {"losses": {"phantom": 0}},
        "losses.tissue needs losses.phantom > 0",
    ),
    (
        {"losses": {"phantom": 1, "phantom_end": 0}},
        {"losses": {"phantom": 0}},
        "losses.phantom_end needs losses.phantom > 0",
    ),
    ({"network": {"generator": "resnet"}}, {"losses": {"background": 1}}, "need attention"),
    ({"losses": {"background": 1}}, {"network": {"copy_input": False}}, "need attention"),
    ({"network": {"copy_input": False}}, {"losses": {"total_variation": 1}}, "need attention"),
    (CONTRASTIVE, {"losses": {"contrastive": 0}}, "contrastive needs losses.contrastive > 0"),
    ({}, {"losses": {"contrastive": 1}}, "losses.contrastive needs method: contrastive"),
    (CONTRASTIVE, {"network": {"generator": "mask"}}, "needs network.generator: resnet or"),
    (CONTRASTIVE, {"losses": {"cycle": 1}}, "no cycle and no identity"),
    (CONTRASTIVE, {"losses": {"identity": 1}}, "no cycle and no identity"),
    (CONTRASTIVE, {"losses": {"pixel": 1}}, "no pixel, no total_variation and no ramp"),
    (CONTRASTIVE, {"losses": {"total_variation": 1}}, "no pixel, no total_variation and no ramp"),
    (CONTRASTIVE, {"losses": {"ramp": {}}}, "no pixel, no total_variation and no ramp"),
    (
        {"network": {"position": True}},
        {"preparation": {"planes": ["axial", "coronal"]}},
        "network.position is for axial slices",
    ),
    ({}, {"network": {"channels": [2, 1]}}, "one contrast for every channel of the MR"),
    (
        {"data": {"phantoms": {"contrasts": ["t1", "t2"]}}, "network": {"channels": [2, 1]}},
        {"source": "CT", "target": "MR"},
        "one contrast for every channel of the MR",
    ),
    ({}, {"network": {"channels": [1, 2]}}, "network.channels: the CT has one channel"),
    ({}, {"network": {"channels": [1, 0]}}, "network: channels must be positive"),
    ({}, {"network": {"neighbours": 3}}, "network: neighbours must be even"),
    (
        {"network": {"neighbours": 2}},
        {"network": {"spatial_dims": 3}},
        "neighbours are for slices: 3-D patches hold them already",
    ),
    (
        {"network": {"generator": "mask"}},
        {"network": {"spatial_dims": 3}},
        "the mask generator is for slices",
    ),
    (
        {"network": {"discriminator": "image"}},
        {"network": {"spatial_dims": 3}},
        "the image discriminator is for slices",
    ),
    (
        {"network": {"guided": "beside"}},
        {"network": {"generator": "resnet"}},
        "guided discriminators need attention",
    ),
    (
        {"network": {"guided": "instead"}},
        {"network": {"copy_input": False}},
        "guided discriminators need attention, and a copied input",
    ),
    ({}, {"preparation": {"matrix": [128, 126]}}, "preparation: matrix must be multiples of 4"),
    ({}, {"preparation": {"matrix": [128, 28]}}, "at least 32"),
    ({}, {"preparation": {"patch": [64, 64, 18]}}, "preparation: patch must be multiples of 4"),
    ({}, {"preparation": {"patch": [64, 64, 12]}}, "at least 16"),
    ({}, {"preparation": {"window_hu": [100, 100]}}, "low < high"),
    ({}, {"preparation": {"spacing_mm": [1, 0, 1]}}, "must be positive"),
    ({}, {"preparation": {"spacing_mm": [1, 2, 1]}}, "equal along R and A"),
    (
        {"preparation": {"planes": ["axial", "sagittal"]}},
        {"preparation": {"spacing_mm": [1, 1, 2]}},
        "equal along all axes for slices in other planes",
    ),
    ({}, {"preparation": {"planes": ["axial", "axial"]}}, "must not name a plane twice"),
]


def merged(sound, changes):
    """Mappings are merged, anything else is replaced."""
    both = {
        key: merged(sound.get(key), value)
        if isinstance(value, dict) and isinstance(sound.get(key), dict)
        else value
        for key, value in changes.items()
    }
    return sound | both


@pytest.mark.parametrize(("sound", "changes", "reason"), FAULTS)
def test_settings_that_contradict_each_other_are_refused(sound, changes, reason):
    parse_config({"name": "x", **sound})
    with pytest.raises(ConfigError, match=re.escape(reason)):
        parse_config({"name": "x", **merged(sound, changes)})


def test_all_contradictions_are_in_the_one_message():
    document = {"name": "x", "source": "CT", "losses": {"tissue": 1, "contrastive": 1}}
    with pytest.raises(ConfigError, match=r"different modalities; losses\.tissue.*; losses\.contr"):
        parse_config(document)


def test_one_number_of_channels_stands_for_both_domains(tmp_path):
    config = parse_config({"name": "x", "network": {"channels": 1}})
    assert config.network.channels == (1, 1)
    # a run folder from when there was no other way to say it
    (tmp_path / "config.yaml").write_text("name: x\nnetwork: {width: 8, channels: 1}\n")
    assert RunFolder(tmp_path).config().network.channels == (1, 1)
    assert "channels:\n  - 1\n  - 1\n" in dump_config(config)


def test_the_way_there_decides_which_domain_is_the_mr():
    two = {"name": "x", "data": {"phantoms": {"contrasts": ["t1", "t2"]}}}
    parse_config({**two, "network": {"channels": [2, 1]}})
    back = {"network": {"channels": [1, 2]}, "source": "CT", "target": "MR"}
    assert parse_config({**two, **back}).modalities == ("CT", "MR")


def test_an_override_is_read_as_yaml_and_may_create_its_section():
    config = parse_config(
        {"name": "x", "training": {"steps": 3}},
        ["training.steps=7", "preparation.window_hu=[-500, 500]", "tracking.uri=null"],
    )
    assert config.training.steps == 7
    assert config.preparation.window_hu == (-500, 500)
    assert config.tracking.uri is None


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("training.steps", "reads key=value"),
        ("training..steps=1", "reads key=value"),
        ("name.first=1", "goes below a value"),
        ("training.steps=[", "not YAML"),
        ("training.speed=1", "training.speed: unknown key"),
    ],
)
def test_an_override_that_fits_nowhere_is_refused(item, reason):
    with pytest.raises(ConfigError, match=reason):
        parse_config({"name": "x"}, [item])


def test_a_bare_path_is_short_for_a_scan():
    config = parse_config({"name": "x", "data": {"source": ["a.nii", {"path": "b.nii"}]}})
    first, second = config.data.source
    assert first == second.model_copy(update={"path": first.path})
    assert (first.path.name, second.path.name) == ("a.nii", "b.nii")


def test_the_effective_configuration_reads_back_as_itself(tmp_path, tiny_document):
    config = parse_config(tiny_document)
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert yaml.safe_load(path.read_text())["training"]["precision"] == "fp32"


def test_every_compared_training_reads_back_as_itself(tmp_path):
    comparison = load_comparison(CONFIGS / "compare_methods.yaml")
    planned = {run.config.name: run.config for run in runs(comparison, tmp_path)}
    assert len(planned) > 30
    for config in planned.values():
        assert parse_config(yaml.safe_load(dump_config(config))) == config


def test_a_configuration_cannot_be_changed(tiny_document):
    config = parse_config(tiny_document)
    with pytest.raises(ValidationError):
        config.training.steps = 1


@pytest.mark.parametrize("content", [b"- 1\n", b"a: [\n", b"\xff\xfe", b""])
def test_what_is_not_a_mapping_in_yaml_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.where == str(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "absent.yaml")
