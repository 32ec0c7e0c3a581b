"""MR and CT images of label slices, and of the slices beside them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from medgan.phantoms.ct import correlated_noise
from medgan.phantoms.mr import add_rician_noise, smooth_field
from medgan.phantoms.tissues import Tissue
from medgan.phantoms.visit import (
    CT_NOISE_HU,
    HU_TEXTURE,
    SIGNAL_TEXTURE,
    Image,
    Look,
    PhantomImages,
    Pose,
    Texture,
    Visit,
)

TEXTURE_PIXELS = 1.6
"""Standard deviation of the Gaussian that makes the texture's detail from white noise."""


def slice_visit(
    rng: np.random.Generator,
    contrasts: Sequence[str],
    *,
    shape: tuple[int, int],
    pixel_mm: float,
    out_shape: tuple[int, int],
    out_pixel_mm: float,
) -> Visit:
    """A random visit whose images are slices, turned, stretched and shifted a little.

    Args:
        rng: draws everything.
        contrasts: of the MR: ``"t1"``, ``"t2"`` or ``"any"``.
        shape: (H, W) of the label slices.
        pixel_mm: their pixel size.
        out_shape: (H, W) of the images; their middle is near that of the label slices.
        out_pixel_mm: their pixel size.

    Raises:
        ConfigError: a contrast is unknown.
    """
    return Visit.draw(
        rng,
        contrasts,
        texture=lambda rng: _texture(shape, rng),
        pose=lambda rng: _random_pose(shape, rng, out_pixel_mm / pixel_mm, out_shape),
        least_blur_mm=0.4 * np.sqrt(max(out_pixel_mm**2 - pixel_mm**2, 0.0)),
    )


def render_slice(
    visit: Visit,
    labels: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    pixel_mm: float,
    hu: NDArray[np.int16] | None = None,
    ct_noise_hu: float | None = None,
) -> PhantomImages:
    """Image a label slice as MR and CT.

    Args:
        visit: everything but anatomy and noise; its texture has the shape of ``labels``.
        labels: (H, W) uint8, values of ``Tissue``.
        rng: draws the noise.
        pixel_mm: pixel size of ``labels``.
        hu: (H, W) int16 HU as measured by a scanner; None: drawn from the tissues.
        ct_noise_hu: standard deviation of the CT's noise; None: drawn.
    """
    pose, texture = visit.pose, visit.texture.values
    mr = np.stack([_mr(look, labels, texture, pose, pixel_mm, rng) for look in visit.looks])
    standard = np.stack(
        [
            _seen(look.standard[labels], pose, look.standard_blur_mm / pixel_mm, 0.0)
            for look in visit.looks
        ]
    )
    ct = visit.hu[labels] + HU_TEXTURE[labels] * texture if hu is None else hu.astype(np.float32)
    ct = _seen(ct, pose, visit.ct_blur_mm / pixel_mm, -1000.0)
    mask = picked(labels, pose) != Tissue.AIR
    level = rng.uniform(*CT_NOISE_HU) if ct_noise_hu is None else ct_noise_hu
    ct += mask * correlated_noise(pose.shape, rng, level)
    return PhantomImages(mr, standard, np.maximum(ct, np.float32(-1000)), level, mask)


def picked(labels: NDArray[np.uint8], pose: Pose) -> NDArray[np.uint8]:
    """The tissue at the centre of every pixel of the images, (H, W) uint8."""
    found: NDArray[np.uint8] = affine_transform(
        labels, pose.matrix, pose.offset, pose.shape, order=0, cval=0, prefilter=False
    )
    return found


def beside(visit: Visit, rng: np.random.Generator, away_pixels: float) -> Visit:
    """The same visit for a slice farther on, whose texture resembles that of the first.

    Args:
        visit: of a slice.
        rng: draws what is new in the texture.
        away_pixels: distance between the two slices, in pixels of the labels.
    """
    texture = visit.texture
    # the autocorrelation of white noise after a Gaussian filter of standard deviation s
    alike = np.float32(np.exp(-((away_pixels / (2 * TEXTURE_PIXELS)) ** 2)))
    new = _detail(texture.fine.shape, rng) * np.sqrt(1 - alike**2)
    return replace(visit, texture=Texture(alike * texture.fine + new, texture.slow))


def _mr(
    look: Look,
    labels: NDArray[np.uint8],
    texture: Image,
    pose: Pose,
    pixel_mm: float,
    rng: np.random.Generator,
) -> Image:
    image = look.signal[labels]
    image *= np.maximum(1 + look.texture * SIGNAL_TEXTURE[labels] * texture, 0)
    image = _seen(image, pose, look.blur_mm / pixel_mm, 0.0)
    image *= look.bias
    return add_rician_noise(image, rng, look.noise)


def _seen(image: Image, pose: Pose, blur_pixels: float, outside: float) -> Image:
    """Blurred on the labels' grid, then taken where the images lie."""
    gaussian_filter(image, blur_pixels, output=image, mode="nearest", truncate=3)
    moved: Image = affine_transform(
        image, pose.matrix, pose.offset, pose.shape, order=1, cval=outside, prefilter=False
    )
    return moved


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> Texture:
    return Texture(_detail(shape, rng), smooth_field(shape, rng, knots=12))


def _detail(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """Noise of unit order with detail of a few pixels, made on every second one for speed."""
    coarse = rng.standard_normal((shape[0] // 2 + 1, shape[1] // 2 + 1), dtype=np.float32)
    coarse = gaussian_filter(coarse, TEXTURE_PIXELS / 2, mode="wrap") * np.float32(2.2)
    return np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[: shape[0], : shape[1]]


def _random_pose(
    shape: tuple[int, int], rng: np.random.Generator, ratio: float, out_shape: tuple[int, int]
) -> Pose:
    angle = np.deg2rad(rng.uniform(-15, 15))
    scale = ratio / rng.uniform(0.88, 1.12, size=2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = rng.uniform(-0.03, 0.03, size=2) * np.array(shape)
    return Pose.about((np.array(shape) - 1) / 2 + shift, turn * scale, out_shape)
