"""Configurations: everything wrong in one message, overrides, and back to YAML unchanged."""

import pytest
import yaml
from pydantic import ValidationError

from medgan.config import LossConfig, NetworkConfig, dump_config, load_config, parse_config
from medgan.errors import ConfigError


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


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"source": "CT"}, "different modalities"),
        ({"training": {"steps": 5, "warmup_steps": 6}, "losses": {"phantom": 1}}, "exceeds"),
        ({"training": {"warmup_steps": 6}}, "needs losses.phantom"),
        ({"preparation": {"matrix": [128, 126]}}, "preparation: matrix must be multiples of 4"),
        ({"preparation": {"matrix": [128, 28]}}, "at least 32"),
        ({"preparation": {"window_hu": [100, 100]}}, "low < high"),
        ({"preparation": {"spacing_mm": [1, 0, 1]}}, "must be positive"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(document, reason):
    with pytest.raises(ConfigError, match=reason):
        parse_config({"name": "x", **document})


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
