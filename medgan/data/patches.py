"""Unpaired 3-D training patches from prepared scans."""

from collections.abc import Sequence

import numpy as np

from medgan.config import PreparationConfig
from medgan.data.depth import draw_slices, vertex_of
from medgan.data.patch_augmentation import PatchView, vary_contrast
from medgan.data.samples import Sample
from medgan.data.slices import Scan, require_both


class PatchSource:
    """One scan to draw patches from.

    Args:
        scan: its contrasts on one grid, one a channel.
        patch: size of the patches in voxels.
    """

    def __init__(self, scan: Scan, patch: tuple[int, int, int]) -> None:
        volume = scan[0].volume
        self.images = np.stack([contrast.scaled() for contrast in scan])
        self.body = np.asarray(scan[0].mask)
        self.patch = patch
        self.spacing_mm = volume.spacing_mm
        self.is_mr = volume.modality == "MR"
        self.frame = vertex_of(self.body, volume.spacing_mm[2])

    def around(self, index: int, rng: np.random.Generator) -> Sample:
        """A random view of the patch about a voxel of the body in an axial slice.

        Args:
            index: of the slice.
            rng: determines voxel and view completely.

        Returns:
            Images (C, X, Y, Z) and body (1, X, Y, Z); air where the volume ends.
        """
        inside = np.argwhere(self.body[:, :, index])
        centre = np.array([*inside[rng.integers(len(inside))], index], dtype=np.float64)
        view = PatchView.draw(self.patch, centre, self.spacing_mm, rng)
        image = view.of_image(self.images)
        if self.is_mr:
            image = vary_contrast(image, rng)
        depth = self.frame.known_depth_mm(index)
        return Sample(image, view.of_mask(self.body), depth_mm=depth)


class UnpairedPatches:
    """Draws one patch from each domain, seen at random: mirrored, turned, scaled.

    The middle of a source patch is drawn evenly from the body. With ``match_position`` the middle
    of the target patch lies at the same distance below the vertex, give or take 10 mm; see
    ``draw_slices``.

    Args:
        source: scans of the source domain, each as its contrasts.
        target: scans of the target domain.
        preparation: names the size of the patches.
        match_position: as above.

    Raises:
        DataError: a domain without scans, or a scan without a body.
    """

    def __init__(
        self,
        source: Sequence[Scan],
        target: Sequence[Scan],
        preparation: PreparationConfig,
        *,
        match_position: bool,
    ) -> None:
        require_both(source, target)
        self.source = [PatchSource(scan, preparation.patch) for scan in source]
        self.target = [PatchSource(scan, preparation.patch) for scan in target]
        self.match_position = match_position

    def draw(self, rng: np.random.Generator) -> tuple[Sample, Sample]:
        """One source and one target patch, fully determined by ``rng``."""
        source = self.source[rng.integers(len(self.source))]
        target = self.target[rng.integers(len(self.target))]
        indices = draw_slices(source.frame, target.frame, rng, match_position=self.match_position)
        return source.around(indices[0], rng), target.around(indices[1], rng)
