"""Terms of the objectives that need no more than a line. ``S`` stands for the spatial axes."""

import torch
from torch import Tensor
from torch.nn import functional


def least_squares_gan(score: Tensor, *, real: bool) -> Tensor:
    """Mean squared distance of a discriminator's scores from 1 (real) or 0 (fake).

    Source: Mao et al., Least Squares GAN, ICCV 2017, equation 9 with a = 0, b = c = 1.
    """
    return (score.float() - float(real)).square().mean()


def l1(result: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference of two tensors of one shape."""
    return functional.l1_loss(result.float(), truth)


def balanced_l1(result: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Mean absolute difference inside a region and outside of it, both counted alike.

    A nodule is a hundredth of its patch: in a mean over the patch its CT number hardly counts.

    Args:
        result: (B, C, *S).
        truth: (B, C, *S).
        region: (B, 1, *S) bool, neither empty nor everything.

    Returns:
        Scalar float32: the mean of the two means, of each image by itself.
    """
    difference = (result.float() - truth).abs().mean(1, keepdim=True).flatten(1)
    inside = region.flatten(1).float()
    means = [(share * difference).sum(1) / share.sum(1) for share in (inside, 1 - inside)]
    return torch.stack(means).mean()


def total_variation(attention: Tensor) -> Tensor:
    """Mean absolute step between neighbours, summed over the spatial axes.

    The published code has 1e-6 times the sum of the steps over a mask repeated in three channels.
    For one square mask of n pixels a side that is 3e-6 * n * (n - 1) times this mean: weight 0.196
    for 256 pixels.

    Args:
        attention: (B, C, *S) float, at least two voxels along every axis in S.

    Returns:
        Scalar float32; it does not depend on the size of the image.

    Source: Tang et al., Attention-Guided GANs, IJCNN 2019, arXiv:1903.12296.
    """
    maps = attention.float()
    steps = [maps.diff(dim=axis).abs().mean() for axis in range(2, maps.ndim)]
    return torch.stack(steps).sum()


def background_loss(background: Tensor, body: Tensor) -> Tensor:
    """Mean absolute difference of the background attention from 1 outside the body, 0 inside.

    Args:
        background: (B, 1, *S) float in [0, 1], 1 where the input is copied.
        body: (B, 1, *S) bool.

    Returns:
        Scalar float32 in [0, 1].
    """
    return l1(background, (~body).float())
