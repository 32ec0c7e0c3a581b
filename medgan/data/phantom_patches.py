"""Training samples from phantoms: 3-D patches of label volumes, imaged anew for every sample."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from medgan.config import NetworkConfig, PhantomConfig, PreparationConfig
from medgan.data.label_volumes import BOX_MM, LabelVolume, volume_library
from medgan.data.phantom_library import LOWEST_MM, training_seeds, validation_seeds
from medgan.data.phantom_scales import scaled_sample
from medgan.data.samples import PhantomSample
from medgan.phantoms.from_ct import ScannedAnatomy
from medgan.phantoms.rendered_patch import patch_visit, render_patch

LABELS_A_VOXEL = 1.5
"""Labels along an axis of the smallest voxel: finer ones cost more than they show."""

FINEST_MM = 1.0


class PhantomPatches:
    """Draws rendered samples from a library of label volumes.

    Args:
        heads: phantoms; where each ends below is drawn anew for every sample.
        contrasts: "t1", "t2" or "any", what every MR channel is randomised around.
        preparation: grid and scales of the samples.
        scanned: real heads to simulate MR on, besides.
        scanned_share: how often a sample is of one of those.
    """

    def __init__(
        self,
        heads: Sequence[LabelVolume],
        contrasts: Sequence[str],
        preparation: PreparationConfig,
        scanned: Sequence[LabelVolume] = (),
        scanned_share: float = 0.0,
    ) -> None:
        self.heads = heads
        self.contrasts = tuple(contrasts)
        self.preparation = preparation
        self.scanned = scanned
        self.scanned_share = scanned_share

    @classmethod
    def training(
        cls,
        settings: PhantomConfig,
        preparation: PreparationConfig,
        network: NetworkConfig,
        scanned: Sequence[ScannedAnatomy] = (),
    ) -> Self:
        """The library to train on, made once and kept in the cache, and volumes of real CT.

        Slices need ``network`` for their neighbours; patches hold theirs.
        """
        return cls(
            volume_library(training_seeds(settings.heads), label_step_mm(preparation)),
            settings.contrasts,
            preparation,
            [LabelVolume.of(anatomy) for anatomy in scanned],
            settings.scanned_share,
        )

    @classmethod
    def validation(
        cls, settings: PhantomConfig, preparation: PreparationConfig, network: NetworkConfig
    ) -> Self:
        """Anatomies that training never sees."""
        seeds = validation_seeds(settings.validation_heads)
        heads = volume_library(seeds, label_step_mm(preparation))
        return cls(heads, settings.contrasts, preparation)

    def draw(self, rng: np.random.Generator) -> PhantomSample:
        """Render one sample, fully determined by ``rng``."""
        shape, spacing_mm = self.preparation.patch, self.preparation.spacing_mm
        head = self._head(rng)
        visit = patch_visit(
            rng,
            self.contrasts,
            pose=lambda rng: head.random_pose(rng, shape, spacing_mm),
            shape=shape,
            spacing_mm=spacing_mm,
        )
        images = render_patch(visit, head.labels, rng, spacing_mm=spacing_mm, hu=head.hu)
        depth_mm = head.depth_mm(visit.pose, spacing_mm[2])
        return scaled_sample(images, self.preparation, rng, depth_mm)[0]

    def _head(self, rng: np.random.Generator) -> LabelVolume:
        if self.scanned and rng.random() < self.scanned_share:
            return self.scanned[int(rng.integers(len(self.scanned)))]
        head = self.heads[int(rng.integers(len(self.heads)))]
        return head.cut_below(round((rng.uniform(*LOWEST_MM) - BOX_MM[2][0]) / head.step_mm))


def label_step_mm(preparation: PreparationConfig) -> float:
    """Voxel size of the labels that patches of a model are made from."""
    return max(FINEST_MM, min(preparation.spacing_mm) / LABELS_A_VOXEL)
