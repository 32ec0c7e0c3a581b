"""CT images of a label map: Hounsfield units, texture of bone and noise."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from medgan.phantoms.tissues import BONE, column


def hounsfield(labels: ArrayLike) -> NDArray[np.float32]:
    """The mean CT number of every label.

    Args:
        labels: any shape, values of ``Tissue``.

    Returns:
        float32 HU of the labels' shape.
    """
    hu: NDArray[np.float32] = column("hu").astype(np.float32)[np.asarray(labels)]
    return hu


def subject_hounsfield(rng: np.random.Generator) -> NDArray[np.float32]:
    """One subject's CT number of every tissue: (N_LABELS,) float32 HU, air exactly -1000."""
    mean, spread = column("hu"), column("hu_std")
    return (mean + spread * np.clip(rng.normal(size=mean.shape), -2.5, 2.5)).astype(np.float32)


def correlated_noise(
    shape: tuple[int, ...], rng: np.random.Generator, sigma: float, width: float = 0.7
) -> NDArray[np.float32]:
    """Gaussian noise with the short-range correlation that a reconstruction kernel leaves.

    Args:
        shape: of the result.
        rng: draws the noise.
        sigma: its standard deviation.
        width: standard deviation of the Gaussian that correlates it, in samples.

    Returns:
        float32, zero mean.
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    smooth = gaussian_filter(white, width, mode="wrap")
    noise: NDArray[np.float32] = smooth * np.float32(sigma / max(float(smooth.std()), 1e-6))
    return noise


def bone_texture(
    labels: NDArray[np.uint8], rng: np.random.Generator, sigma_hu: float = 110.0
) -> NDArray[np.float32]:
    """What to add to the HU of a label map so that bone varies as trabeculae and density do.

    Args:
        labels: any shape.
        rng: draws the texture.
        sigma_hu: standard deviation within bone.

    Returns:
        float32 HU, zero outside ``tissues.BONE``.
    """
    texture = correlated_noise(labels.shape, rng, sigma_hu, width=1.2)
    texture[~np.isin(labels, BONE)] = 0
    return texture
