"""What the networks are made of, for two and for three spatial dimensions."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medgan.errors import ConfigError


class PaddedConv3d(nn.Conv3d):
    """``nn.Conv3d`` that lays the zeros around a shallow input on before it convolves.

    oneDNN 3.12 (torch 2.13, CPU) does not write all of the bf16 weight gradient of a padded
    convolution over inputs shallower than its kernel: what remains is whatever the memory held,
    up to infinity. Zeros that are part of the input give the same result and a whole gradient.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, X, Y, Z) -> (B, C', X', Y', Z')."""
        if input.shape[2] >= self.kernel_size[0] or not any(self.padding):
            return super().forward(input)
        assert not isinstance(self.padding, str)
        around = [size for size in reversed(self.padding) for _ in range(2)]
        return F.conv3d(F.pad(input, around), self.weight, self.bias, self.stride)


class ReflectionPad(nn.Module):
    """``nn.ReflectionPad2d`` and ``nn.ReflectionPad3d``, in the precision of the input.

    On CPUs autocast would have every value rounded to fp32 and back for it, forward and backward.
    """

    def __init__(self, spatial_dims: int, size: int) -> None:
        super().__init__()
        self.around = (size,) * (2 * spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *(S + 2 * size))."""
        if x.dtype is torch.float32:
            return F.pad(x, self.around, "reflect")
        with torch.autocast(x.device.type, enabled=False):
            return F.pad(x, self.around, "reflect")


class ReLU(nn.Module):
    """``nn.LeakyReLU``, or with a slope of 0 ``nn.ReLU``; in place where no gradient is wanted.

    What an instance norm returns is a view: after a change in place, autograd copies its gradient.

    Args:
        slope: below 0.
    """

    def __init__(self, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> the same."""
        inplace = not torch.is_grad_enabled()
        if self.slope:
            return F.leaky_relu(x, self.slope, inplace)
        return F.relu(x, inplace)


CONV = {2: nn.Conv2d, 3: PaddedConv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}

Norm = Literal["instance", "batch"]
Upsampling = Literal["transposed", "resize"]

_NORM = {
    ("instance", 2): nn.InstanceNorm2d,
    ("instance", 3): nn.InstanceNorm3d,
    ("batch", 2): nn.BatchNorm2d,
    ("batch", 3): nn.BatchNorm3d,
}


def norm_layer(norm: Norm, spatial_dims: int, width: int) -> nn.Module:
    """Normalisation as published: instance norm without, batch norm with scale and shift."""
    return _NORM[norm, spatial_dims](width)


class ResidualBlock(nn.Module):
    """Two reflect-padded 3-convolutions, each normalised; nothing after the sum."""

    def __init__(self, spatial_dims: int, width: int, norm: Norm = "instance") -> None:
        super().__init__()
        conv = CONV[spatial_dims]
        self.layers = nn.Sequential(
            ReflectionPad(spatial_dims, 1),
            conv(width, width, 3), norm_layer(norm, spatial_dims, width),
            ReLU(),
            ReflectionPad(spatial_dims, 1),
            conv(width, width, 3), norm_layer(norm, spatial_dims, width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, *S) -> (B, width, *S)."""
        return x + self.layers(x)


def encoder(spatial_dims: int, channels: int, width: int, norm: Norm = "instance") -> nn.Sequential:
    """A 7-convolution and two that halve: (B, channels, *S) -> (B, 4 * width, *S / 4)."""
    conv = CONV[spatial_dims]
    layers: list[nn.Module] = [ReflectionPad(spatial_dims, 3), conv(channels, width, 7)]
    layers += [norm_layer(norm, spatial_dims, width), ReLU()]
    for before in (width, 2 * width):
        layers += [
            conv(before, 2 * before, 3, 2, 1),
            norm_layer(norm, spatial_dims, 2 * before),
            ReLU(),
        ]
    return nn.Sequential(*layers)


def upsampling_layers(
    spatial_dims: int, width: int, upsampling: Upsampling = "transposed", norm: Norm = "instance"
) -> list[nn.Module]:
    """Two steps that double: (B, 4 * width, *S / 4) -> (B, width, *S).

    Args:
        spatial_dims: 2 or 3.
        width: feature maps after the second step.
        upsampling: "transposed" as published, or "resize": nearest neighbour, then a convolution,
            which cannot draw checkerboards (Odena et al., Distill 2016).
        norm: after each step.
    """
    layers: list[nn.Module] = []
    for before, after in ((4 * width, 2 * width), (2 * width, width)):
        if upsampling == "transposed":
            layers.append(TRANSPOSED[spatial_dims](before, after, 3, 2, 1, output_padding=1))
        else:
            layers += [nn.Upsample(scale_factor=2), CONV[spatial_dims](before, after, 3, 1, 1)]
        layers += [norm_layer(norm, spatial_dims, after), ReLU()]
    return layers


def copied(image: Tensor, channels: int) -> Tensor:
    """The image as it is copied into an output of so many channels.

    Args:
        image: (B, C, *S).
        channels: of the output.

    Returns:
        (B, channels, *S); where the image has fewer channels, its last one is repeated.
    """
    available = image.shape[1]
    if available == channels:
        return image
    return image[:, [min(channel, available - 1) for channel in range(channels)]]


def layer_outputs(parts: Iterable[nn.Sequential], x: Tensor, layers: Sequence[int]) -> list[Tensor]:
    """What some layers of a chain return.

    Args:
        parts: sequences of modules, one after the other.
        x: (B, C, *S), what the first is given.
        layers: numbers in the chain, counted from 0, ascending.

    Returns:
        (B, C', *S') a layer.

    Raises:
        ConfigError: numbers that do not ascend, or past the last layer.
    """
    found = []
    for number, layer in enumerate(_chain(parts, layers)[: layers[-1] + 1]):
        x = layer(x)
        if number in layers:
            # a copy, because the ReLU after a norm works in place
            found.append(x.clone())
    return found


def layer_channels(
    parts: Iterable[nn.Sequential], channels: int, layers: Sequence[int]
) -> tuple[int, ...]:
    """Channels of each of ``layer_outputs``, found without an input.

    Args:
        parts: as in ``layer_outputs``.
        channels: of the input.
        layers: as in ``layer_outputs``.

    Raises:
        ConfigError: as ``layer_outputs``.
    """
    found = []
    for layer in _chain(parts, layers):
        # what is no convolution keeps their number
        channels = int(getattr(layer, "out_channels", channels))
        found.append(channels)
    return tuple(found[number] for number in layers)


def _chain(parts: Iterable[nn.Sequential], layers: Sequence[int]) -> list[nn.Module]:
    chain = [layer for part in parts for layer in part]
    ascending = list(layers) == sorted(set(layers))
    if not layers or not ascending or layers[0] < 0 or layers[-1] >= len(chain):
        raise ConfigError(
            "layers are numbers of the generator's modules in ascending order",
            measured=list(layers),
            limit=f"0 to {len(chain) - 1}",
        )
    return chain


def one_content(content: Tensor, share: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Content and attention of a generator with a single content, as ``Translation`` has them.

    Args:
        content: (B, C, *S).
        share: (B, 1, *S) attention of the content, 0 to 1; None: 1, nothing is copied.

    Returns:
        (B, 1, C, *S) and (B, 2, 1, *S).
    """
    if share is None:
        share = torch.ones_like(content[:, :1])
    return content.unsqueeze(1), torch.stack((share, 1 - share), dim=1)
