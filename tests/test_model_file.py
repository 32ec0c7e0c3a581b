"""Tensor files and model files: round trips, and everything that does not fit is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file

from medgan.config import NetworkConfig, PreparationConfig
from medgan.errors import ModelError
from medgan.inference.translator import Translator
from medgan.models.model_file import Model, ModelCard, save_model
from medgan.models.tensor_file import load_tensors, load_weights, prefixed, save_tensors
from medgan.networks.build import build_generators

NETWORK = NetworkConfig(width=4, blocks=1, contents=2)


def card(network=NETWORK):
    return ModelCard(
        source="MR",
        target="CT",
        preparation=PreparationConfig(spacing_mm=(3, 3, 3), mr_percentile=98),
        network=network,
        provenance={"name": "test"},
    )


@pytest.fixture
def model_path(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_model(path, *build_generators(NETWORK), card())
    return path


def test_tensors_and_document_come_back_as_they_were(tmp_path):
    tensors = {
        "a.weight": torch.randn(3, 4),
        "a.half": torch.randn(5).bfloat16(),
        "ab.count": torch.tensor(7),
        "a.turned": torch.arange(6.0).reshape(2, 3).T,
    }
    document = {"step": 5, "text": "ö", "best": None}
    save_tensors(tmp_path / "t.safetensors", tensors, document)
    file = load_tensors(tmp_path / "t.safetensors")
    assert file.document == document
    assert file.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert file.tensors[name].dtype == tensor.dtype
        assert torch.equal(file.tensors[name], tensor)
    assert file.under("a").keys() == {"weight", "half", "turned"}


def test_tensors_that_share_memory_are_kept_apart(tmp_path):
    shared = torch.zeros(4)
    save_tensors(tmp_path / "t.safetensors", {"a": shared, "b": shared[:2]}, {})
    assert load_tensors(tmp_path / "t.safetensors").tensors["b"].shape == (2,)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_truncated_file_is_a_model_error(model_path, kept):
    model_path.write_bytes(model_path.read_bytes()[:kept])
    with pytest.raises(ModelError, match="damaged"):
        load_tensors(model_path)


def test_a_file_of_another_kind_is_a_model_error(tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_bytes(b"not tensors at all, but long enough to be a header of some kind")
    with pytest.raises(ModelError, match="damaged"):
        load_tensors(path)


def test_a_foreign_safetensors_file_is_a_model_error(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match="not one of medgan's"):
        Model.load(tmp_path / "foreign.safetensors")


def test_a_checkpoint_is_not_a_model(tmp_path):
    save_tensors(tmp_path / "state.safetensors", {"x": torch.zeros(1)}, {"step": 3})
    with pytest.raises(ModelError, match="not a model file"):
        Model.load(tmp_path / "state.safetensors")


def test_every_tensor_that_does_not_fit_is_named():
    module = torch.nn.Linear(2, 3)
    with pytest.raises(ModelError) as caught:
        load_weights(module, {"weight": torch.zeros(3, 4), "scale": torch.ones(1)}, where="file")
    message = str(caught.value)
    assert "3 tensors differ" in message
    for fault in (
        "bias is missing",
        "scale is not expected",
        "weight has shape (3, 4), not (3, 2)",
    ):
        assert fault in message


def test_a_model_of_another_architecture_names_its_tensors(tmp_path):
    path = tmp_path / "model.safetensors"
    other = card(NetworkConfig(width=8, blocks=1, contents=2))
    save_model(path, *build_generators(NETWORK), other)
    with pytest.raises(ModelError, match=r"another architecture.*attention\.0\.weight has shape"):
        Model.load(path)


def test_a_model_comes_back_with_its_card_and_the_same_results(model_path):
    torch.manual_seed(0)
    forward, backward = build_generators(NETWORK)
    model = Model.load(model_path)
    assert model.card == card()
    x = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model.generator("forward")(x).image, forward(x).image)
        torch.testing.assert_close(model.generator("backward")(x).image, backward(x).image)
    assert model.modalities("forward") == ("MR", "CT")
    assert model.modalities("backward") == ("CT", "MR")
    assert not any(p.requires_grad for p in model.forward.parameters())


KINDS = [
    {"generator": "attention", "copy_input": False, "upsampling": "resize"},
    {"generator": "attention", "channels": (2, 1), "neighbours": 2, "position": True},
    {"generator": "attention", "spatial_dims": 3},
    {"generator": "mask", "norm": "batch"},
    {"generator": "resnet"},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_generator_comes_back(tmp_path, kind):
    network = NetworkConfig(width=4, blocks=1, contents=2, **kind)
    forward, backward = build_generators(network)
    save_model(tmp_path / "m.safetensors", forward, backward, card(network))
    model = Model.load(tmp_path / "m.safetensors")
    size = (16,) * network.spatial_dims
    for direction, generator in (("forward", forward), ("backward", backward)):
        x = torch.rand(1, generator.channels[0], *size)
        with torch.no_grad():
            expected = generator.eval()(x)
            found = model.generator(direction)(x)
        torch.testing.assert_close(found.image, expected.image)


def one_way(direction):
    forward, backward = build_generators(NETWORK)
    given = (forward, None) if direction == "forward" else (None, backward)
    return *given, card().model_copy(update={"directions": (direction,)})


@pytest.mark.parametrize(("direction", "other"), [("forward", "backward"), ("backward", "forward")])
def test_a_model_of_one_direction_refuses_the_other(tmp_path, direction, other):
    path = tmp_path / "m.safetensors"
    save_model(path, *one_way(direction))
    model = Model.load(path)
    assert model.generator(direction) is not None
    with pytest.raises(ModelError, match=rf"one direction only .*{other}.*allowed {direction}"):
        model.generator(other)
    with pytest.raises(ModelError, match="one direction only"):
        Translator.load(path, other)


def test_a_card_must_name_the_directions_that_are_written(tmp_path):
    forward, _, one = one_way("forward")
    for pair in ((None, forward), (forward, forward), (None, None)):
        with pytest.raises(ModelError, match="other directions"):
            save_model(tmp_path / "m.safetensors", *pair, one)
    assert not list(tmp_path.iterdir())


def test_a_model_of_pictures_loads_but_translates_no_volumes(tmp_path):
    path = tmp_path / "m.safetensors"
    pictures = card().model_copy(update={"source": "IMAGE", "target": "IMAGE"})
    save_model(path, *build_generators(NETWORK), pictures)
    assert Model.load(path).modalities("backward") == ("IMAGE", "IMAGE")
    with pytest.raises(ModelError, match="for pictures"):
        Translator.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"directions": []},
        {"directions": ["up"]},
        {"format": 2},
        {"windows": 1},
        {"source": "PET"},
        {"preparation": {"spacing": 1}},
    ],
)
def test_a_card_with_what_this_version_does_not_know_is_refused(model_path, change):
    file = load_tensors(model_path)
    save_tensors(model_path, file.tensors, file.document | change)
    with pytest.raises(ModelError, match="another version of medgan"):
        Model.load(model_path)


def test_a_run_folder_gives_its_best_model_else_its_last(tmp_path, model_path):
    run = tmp_path / "run"
    for place in ("last", "best"):
        folder = run / "checkpoints" / place
        folder.mkdir(parents=True)
        generator, _ = build_generators(NETWORK)
        chosen = card().model_copy(update={"provenance": {"place": place}})
        save_model(folder / "model.safetensors", generator, generator, chosen)
        assert Model.load(run).card.provenance == {"place": place}


def test_a_folder_without_a_model_says_where_one_would_lie(tmp_path):
    with pytest.raises(ModelError, match=r"checkpoints/best/model\.safetensors"):
        Model.load(tmp_path)


def test_the_card_is_plain_json_in_the_file(model_path):
    header = model_path.read_bytes()
    length = int.from_bytes(header[:8], "little")
    metadata = json.loads(header[8 : 8 + length])["__metadata__"]
    document = json.loads(metadata["medgan"])
    assert document["intended_use"].startswith("Research use only")
    assert document["preparation"]["mr_percentile"] == 98


def test_a_prefix_is_undone_by_under(tmp_path):
    state = torch.nn.Linear(2, 2).state_dict()
    save_tensors(tmp_path / "t.safetensors", prefixed("part", state), {})
    layer = torch.nn.Linear(2, 2)
    load_weights(layer, load_tensors(tmp_path / "t.safetensors").under("part"), where="t")
    for name, value in layer.state_dict().items():
        assert torch.equal(value, state[name])
