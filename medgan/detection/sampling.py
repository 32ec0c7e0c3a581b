"""The patches of a training step: a pure function of seed, step and the hard negatives known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from medgan.data.batches import stacked
from medgan.data.patch_augmentation import PatchView
from medgan.detection.config import AugmentationConfig, DetectorConfig
from medgan.detection.prepared import scaled, window_of
from medgan.detection.scans import TrainingScan
from medgan.detection.targets import CellTargets, Findings, cell_targets
from medgan.metrics.luna16 import SIZE_EDGES_MM

SITES_STREAM, PATCH_STREAM = 1, 2

SITES = 4096
"""Places in each scan's region that patches are drawn from."""

INTERPOLATED_SHARE = 0.5
"""How often a patch is turned and scaled."""

REACH = 3 / 8
"""How far from the middle of a patch what it is drawn for may lie, as a share of its edge."""

Sites = NDArray[np.float64]
"""(n, 4): number of the scan, then the voxel."""


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches and targets; see ``CellTargets`` for the meaning of the last four.

    Attributes:
        image: (B, 1, X, Y, Z) float32 in [-1, 1].
        heatmap: (B, *cells).
        counts: (B, *cells).
        offset: (B, 3, *cells).
        log_diameter: (B, *cells).
    """

    image: Tensor
    heatmap: Tensor
    counts: Tensor
    offset: Tensor
    log_diameter: Tensor

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return type(self)(**{name: part.to(device) for name, part in vars(self).items()})


class PatchSampler:
    """Draws the patches of a step.

    Args:
        scans: at least one.
        config: of the detector.
    """

    def __init__(self, scans: Sequence[TrainingScan], config: DetectorConfig) -> None:
        self.scans, self.config = scans, config
        self.seed = config.training.seed
        nodules = [
            (scan, *centre, diameter)
            for scan, one in enumerate(scans)
            for centre, diameter in zip(one.nodules.centre, one.nodules.diameter_mm, strict=True)
        ]
        table = np.array(nodules, np.float64).reshape(-1, 5)
        group = np.digitize(table[:, 4], SIZE_EDGES_MM)
        self.nodules = [table[group == number, :4] for number in np.unique(group)]
        self.lungs = [self._sites_in_region(number) for number in range(len(scans))]

    def _sites_in_region(self, scan: int) -> NDArray[np.int32]:
        region = self.scans[scan].image.region
        rng = np.random.default_rng([self.seed, SITES_STREAM, scan])
        sites = rng.choice(np.flatnonzero(region), SITES)
        return np.stack(np.unravel_index(sites, region.shape), 1).astype(np.int32)

    def at(self, step: int, hard: Sites) -> PatchBatch:
        """The patches of a step, counted from 1; the same whatever was drawn before.

        Args:
            step: number of the step.
            hard: the false positives known.
        """
        size = self.config.training.batch
        drawn = [
            self._draw(np.random.default_rng([self.seed, PATCH_STREAM, number]), hard)
            for number in range((step - 1) * size, step * size)
        ]
        targets = [target for _, target in drawn]
        return PatchBatch(
            stacked(image for image, _ in drawn),
            stacked(target.heatmap for target in targets),
            stacked(target.counts for target in targets),
            stacked(target.offset for target in targets),
            stacked(target.log_diameter for target in targets),
        )

    def _draw(
        self, rng: np.random.Generator, hard: Sites
    ) -> tuple[NDArray[np.float32], CellTargets]:
        scan, *voxel = self._site(rng, hard)
        edge = self.config.sampling.patch
        shift = rng.uniform(-REACH, REACH, 3) * edge
        # voxels of the patch fall on those of the scan wherever nothing is turned or scaled
        centre = np.floor(np.array(voxel) + shift) + 0.5
        return self.view(self.scans[int(scan)], centre, rng)

    def _site(self, rng: np.random.Generator, hard: Sites) -> NDArray[np.float64]:
        settings, kind = self.config.sampling, rng.random()
        if kind < settings.positive and self.nodules:
            group = self.nodules[rng.integers(len(self.nodules))]
            return np.asarray(group[rng.integers(len(group))])
        if settings.positive <= kind < settings.positive + settings.hard and len(hard):
            return np.asarray(hard[rng.integers(len(hard))])
        scan = rng.integers(len(self.scans))
        return np.array([scan, *self.lungs[scan][rng.integers(SITES)]], np.float64)

    def view(
        self, scan: TrainingScan, centre: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], CellTargets]:
        """One patch, augmented as configured.

        Args:
            scan: to look at.
            centre: (3,) voxel that the patch's middle shows.
            rng: determines the augmentation completely.

        Returns:
            (1, X, Y, Z) float32 in [-1, 1], and its targets.
        """
        edge, preparation = self.config.sampling.patch, self.config.input
        augmentation = self.config.augmentation
        matrix, scaling = random_view(augmentation, rng)
        middle = np.full(3, (edge - 1) / 2)
        # one voxel more than the view's corners reach, for the interpolation
        reach = np.abs(matrix) @ middle + 1
        start = np.floor(centre - reach).astype(np.int64)
        box = window_of(scan.image.hu, start, np.ceil(2 * reach).astype(int) + 1)
        box += np.float32(rng.uniform(-1, 1) * augmentation.shift_hu)
        view = PatchView((edge,) * 3, matrix, centre - start)
        image = view.of_image(scaled(box, preparation)[None])
        to_patch = np.linalg.inv(matrix)

        def seen(findings: Findings) -> Findings:
            place = (findings.centre - centre) @ to_patch.T + middle
            return Findings(place, findings.diameter_mm / scaling)

        targets = cell_targets(
            edge,
            self.config.network.stride,
            preparation.spacing_mm,
            seen(scan.nodules),
            seen(scan.excluded),
        )
        return image, targets


def random_view(
    settings: AugmentationConfig, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """A (3, 3) matrix from voxels of a patch to voxels of a scan, and the scaling in it."""
    flips = np.diag(rng.choice([-1.0, 1.0], 3) if settings.flips else np.ones(3))
    strength = float(rng.random() < INTERPOLATED_SHARE)
    angle = strength * np.deg2rad(rng.uniform(-1, 1) * settings.rotation_degrees)
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    scaling = 1 + strength * rng.uniform(-1, 1) * settings.scaling
    return scaling * turn @ flips, scaling
