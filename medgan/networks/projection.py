"""Heads that bring features of several layers into one space, where patches are compared."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class Projection(nn.Module):
    """A two-layer perceptron for every layer of features.

    Args:
        channels: of the features of each layer.
        width: of the common space (256 as published).

    Source: Park et al., CUT, arXiv:2007.15651, section 3 and appendix C.1.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, width), nn.ReLU(), nn.Linear(width, width))
            for count in channels
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Project the features at chosen places.

        Args:
            features: (B, C, *S) each, one a head.
            positions: (N,) int64 each: indices into the flattened S, the last axis fastest.

        Returns:
            (B, N, width) each, of length 1 along the last axis.
        """
        return [
            functional.normalize(head(values.flatten(2)[:, :, chosen].transpose(1, 2)), dim=-1)
            for head, values, chosen in zip(self.heads, features, positions, strict=True)
        ]
