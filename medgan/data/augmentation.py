"""Random views of real slices: few patients must stand for many."""

from dataclasses import replace

import numpy as np
import torch
from monai.transforms import Compose, Rand2DElasticd, RandAdjustContrastd, RandFlipd

from medgan.config import PreparationConfig
from medgan.data.samples import Sample
from medgan.data.slices import fit_matrix


class SliceAugmentation:
    """Mirror, rotate, scale, shift and bend a slice; vary the contrast of MR.

    Ranges: mirrored left to right half of the time, 10 degrees, 10 %, 10 mm, an elastic grid of
    32 mm bent by up to 2 mm, gamma 0.8 to 1.25 (MR only, since Hounsfield units mean something).
    """

    def __init__(self, preparation: PreparationConfig, modality: str) -> None:
        self.matrix = preparation.matrix
        pixel_mm = preparation.spacing_mm[0]
        shift = 10.0 / pixel_mm
        both = ("image", "body")
        transforms = [
            RandFlipd(both, prob=0.5, spatial_axis=0),
            Rand2DElasticd(
                both,
                spacing=(32.0 / pixel_mm, 32.0 / pixel_mm),
                magnitude_range=(0.0, 2.0 / pixel_mm),
                prob=1.0,
                rotate_range=np.deg2rad(10.0),
                scale_range=(0.1, 0.1),
                translate_range=(shift, shift),
                mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
        ]
        if modality == "MR":
            transforms.append(RandAdjustContrastd("image", prob=0.5, gamma=(0.8, 1.25)))
        self.transforms = Compose(transforms)

    def __call__(self, slice_: Sample, rng: np.random.Generator) -> Sample:
        """Draw one view of a slice, on the matrix; neighbours are seen like the slice itself.

        Args:
            slice_: images (C, X, Y).
            rng: determines the view completely.
        """
        self.transforms.set_random_state(seed=int(rng.integers(2**31)))
        images = [slice_.image] if slice_.neighbours is None else [slice_.image, slice_.neighbours]
        seen = self.transforms(
            {
                "image": torch.from_numpy(fit_matrix(np.concatenate(images), self.matrix, -1.0)),
                "body": torch.from_numpy(
                    fit_matrix(slice_.body.astype(np.float32), self.matrix, 0.0)
                ),
            }
        )
        image = torch.as_tensor(seen["image"]).clamp(-1.0, 1.0).numpy()
        channels = len(slice_.image)
        return replace(
            slice_,
            image=image[:channels],
            body=torch.as_tensor(seen["body"]).numpy() > 0.5,
            neighbours=None if slice_.neighbours is None else image[channels:],
        )
