"""Terms that keep edges where they are, whatever becomes of the contrast.

Result and source are different modalities: bone is dark in MR and bright in CT. So these terms
compare where an image changes and in which direction, and are blind to how much and to which side.
All of them are 0 for equal images, unchanged by ``a * image + b`` with any a other than 0, at most
1, and finite with finite gradients on constant images. ``S`` stands for the spatial axes.
"""

from collections.abc import Callable
from math import prod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Structure = Literal["gradient", "correlation", "mind"]

CORRELATION_WINDOW = 9
"""Edge of the window of the local correlation, in voxels."""

MIND_PATCH = 3
"""Edge of the patches that are compared with their neighbours, in voxels."""

NOISE_SHARE = 0.1
"""What counts as noise, as a share of the mean square of an image's gradients or deviations."""

FLOOR = 1e-8
"""Least noise, in squared units of [-1, 1]: rounding of constant images stays below it."""


def structure_loss(
    kind: Structure, result: Tensor, source: Tensor, body: Tensor | None = None
) -> Tensor:
    """How much of one image's structure is missing from, or has moved in, the other.

    Args:
        kind: ``"gradient"`` (direction of edges), ``"correlation"`` (windows of 9 voxels) or
            ``"mind"`` (similarity of each patch to the ones beside it).
        result: (B, C, *S) float in [-1, 1], two or three axes in S; its first channel counts.
        source: (B, C', *S) float in [-1, 1]; its first channel counts.
        body: (B, 1, *S) bool; where the mean is taken. None: everywhere.

    Returns:
        Scalar float32 in [0, 1].
    """
    first, second = result[:, :1].float(), source[:, :1].float()
    everywhere = torch.ones_like(second) if body is None else body.to(second)
    return _mean(_MAPS[kind](first, second, everywhere), everywhere).mean()


def _gradient_map(first: Tensor, second: Tensor, body: Tensor) -> Tensor:
    """1 - <n(first), n(second)>^2 of the normalised gradient fields.

    Source: Haber and Modersitzki 2007, doi:10.1160/ME9046; the noise is in the inner product too,
    so that flat regions agree and equal images have distance 0.
    """
    a, b = _gradients(first), _gradients(second)
    return _disagreement(
        (a * b).sum(1, keepdim=True), a.square().sum(1, keepdim=True),
        b.square().sum(1, keepdim=True), body,
    )  # fmt: skip


def _correlation_map(first: Tensor, second: Tensor, body: Tensor) -> Tensor:
    """1 - squared correlation in a window around each voxel, cut off at the image's border.

    Source: Cachier et al. 2003, doi:10.1016/S1077-3142(03)00002-X, squared.
    """
    a, b = first - _mean(first, body), second - _mean(second, body)
    products = torch.cat((a, b, a * b, a * a, b * b), dim=1)
    mean_a, mean_b, ab, aa, bb = _box_mean(products, CORRELATION_WINDOW).split(1, dim=1)
    return _disagreement(
        ab - mean_a * mean_b,
        (aa - mean_a.square()).clamp(min=0),
        (bb - mean_b.square()).clamp(min=0),
        body,
    )


def _disagreement(product: Tensor, first: Tensor, second: Tensor, body: Tensor) -> Tensor:
    """1 - cos^2 of two vectors given by inner product and squared lengths, each (B, 1, *S).

    Both are lengthened by their image's noise, which lies along a common axis: where neither rises
    above it they agree, where only one does they do not.
    """
    noise_a, noise_b = (NOISE_SHARE * _mean(squares, body) + FLOOR for squares in (first, second))
    common = product.abs() + (noise_a * noise_b).sqrt()
    # rounding can lift the cosine of equal images above 1
    return (1 - common.square() / ((first + noise_a) * (second + noise_b))).clamp(min=0)


def _mind_map(first: Tensor, second: Tensor, body: Tensor) -> Tensor:
    """Mean absolute difference of the modality independent neighbourhood descriptors.

    Source: Heinrich et al. 2012, doi:10.1016/j.media.2012.05.008.
    """
    a, b = (_descriptor(image, body) for image in (first, second))
    return (a - b).abs().mean(1, keepdim=True)


def _descriptor(image: Tensor, body: Tensor) -> Tensor:
    """(B, 1, *S) -> (B, 2 * dimensions, *S) in (0, 1], the largest entry of every voxel 1."""
    distances = _box_mean((image - _neighbours(image)).square(), MIND_PATCH)
    variance = distances.mean(1, keepdim=True)
    least = NOISE_SHARE * _mean(variance, body) + FLOOR
    nearest = distances.amin(1, keepdim=True)
    return torch.exp((nearest - distances) / torch.maximum(variance, least))


def _neighbours(image: Tensor) -> Tensor:
    """(B, 1, *S) -> (B, 2 * dimensions, *S): next voxel along each axis, then previous ones.

    The border voxel repeats beyond the border.
    """
    dimensions = image.ndim - 2
    padded = functional.pad(image, (1,) * (2 * dimensions), mode="replicate")
    shifted = []
    for axis in range(dimensions):
        inner = padded
        for other in set(range(dimensions)) - {axis}:
            inner = inner.narrow(2 + other, 1, image.shape[2 + other])
        length = image.shape[2 + axis]
        shifted += [inner.narrow(2 + axis, start, length) for start in (2, 0)]
    return torch.cat(shifted, dim=1)


def _gradients(image: Tensor) -> Tensor:
    """(B, 1, *S) -> (B, dimensions, *S): central differences, halved at the border, per voxel."""
    ahead, behind = _neighbours(image).unflatten(1, (-1, 2)).unbind(2)
    return (ahead - behind) / 2


def _box_mean(maps: Tensor, edge: int) -> Tensor:
    """Mean over the part of a cube of odd edge around each voxel that lies in the image."""
    shape = maps.shape
    for axis in range(2, maps.ndim):
        # one axis at a time, as the rows of a 2-D image; avg_pool3d refuses sizes below the edge
        rows = maps.reshape(1, -1, shape[axis], prod(shape[axis + 1 :]))
        maps = functional.avg_pool2d(
            rows, (edge, 1), 1, (edge // 2, 0), count_include_pad=False
        ).reshape(shape)
    return maps


def _mean(values: Tensor, body: Tensor) -> Tensor:
    """Mean of each image over the body: (B, 1, *S) -> (B, 1, *1); 0 where there is no body."""
    spatial = tuple(range(2, values.ndim))
    counted = body.sum(spatial, keepdim=True).clamp(min=1)
    return (values * body).sum(spatial, keepdim=True) / counted


_MAPS: dict[Structure, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "gradient": _gradient_map,
    "correlation": _correlation_map,
    "mind": _mind_map,
}
