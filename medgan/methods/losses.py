"""Terms of the objectives."""

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
