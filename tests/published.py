"""Checkpoints as others publish them, with random weights, and what they make of an image.

Written from the tables of the published networks, in plain functional calls and under the
published names; nothing of medgan is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Published:
    """A family: its random weights (channels, seed), and what they make of an image."""

    state: Callable[[int, int], State]
    forward: Callable[[State, Tensor], Tensor]
    family: str


def drawn(shapes: Shapes, seed: int, *, biases: bool = True) -> State:
    """Random weights for convolutions (4 numbers) and batch norms (1)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    state = {}
    for name, shape in shapes.items():
        transposed = name.endswith("T")
        name = name.removesuffix("T")
        if len(shape) == 1:
            state[f"{name}.weight"] = 1 + 0.1 * draw(*shape)
            state[f"{name}.bias"] = 0.1 * draw(*shape)
            state[f"{name}.running_mean"] = 0.1 * draw(*shape)
            state[f"{name}.running_var"] = 1 + draw(*shape).abs()
            state[f"{name}.num_batches_tracked"] = torch.tensor(7)
            continue
        # so that activations neither grow nor vanish where no norm follows
        inputs = prod(shape[1:]) if not transposed else 9 * shape[0] // 4
        state[f"{name}.weight"] = draw(*shape) / inputs**0.5
        if biases or name == list(shapes)[-1]:
            state[f"{name}.bias"] = 0.1 * draw(shape[1] if transposed else shape[0])
    return state


def conv(state: State, y: Tensor, name: str, stride=1, padding=0, reflect=0) -> Tensor:
    if reflect:
        y = F.pad(y, (reflect,) * 4, mode="reflect")
    return F.conv2d(y, state[f"{name}.weight"], state.get(f"{name}.bias"), stride, padding)


def doubled(state: State, y: Tensor, name: str) -> Tensor:
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    return F.conv_transpose2d(y, weight, bias, 2, 1, output_padding=1)


def norm(state: State, y: Tensor, name: str) -> Tensor:
    """Batch norm where there are weights of that name, else instance norm."""
    if f"{name}.weight" in state:
        mean, variance, scale, shift = (
            state[f"{name}.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / torch.sqrt(variance + 1e-5) * scale + shift
    mean = y.mean(dim=(2, 3), keepdim=True)
    variance = ((y - mean) ** 2).mean(dim=(2, 3), keepdim=True)
    return (y - mean) / torch.sqrt(variance + 1e-5)


def shuffled(y: Tensor) -> Tensor:
    """Channel 4 c + 2 i + j of a pixel becomes channel c of its subpixel (i, j)."""
    out = y.new_empty(y.shape[0], y.shape[1] // 4, 2 * y.shape[2], 2 * y.shape[3])
    for i in (0, 1):
        for j in (0, 1):
            out[:, :, i::2, j::2] = y[:, 2 * i + j :: 4]
    return out


def attention_state(
    channels: int, seed: int = 0, *, contents: int, maps: int, width: int = 8, blocks: int = 9
) -> State:
    """AttentionGAN's second scheme: heads of ``contents`` images and ``maps`` attentions."""
    shapes: Shapes = {
        "conv1": (width, channels, 7, 7),
        "conv2": (2 * width, width, 3, 3),
        "conv3": (4 * width, 2 * width, 3, 3),
    }
    for block in range(blocks):
        for number in (1, 2):
            shapes[f"resnet_blocks.{block}.conv{number}"] = (4 * width, 4 * width, 3, 3)
    for branch in ("content", "attention"):
        shapes[f"deconv1_{branch}T"] = (4 * width, 2 * width, 3, 3)
        shapes[f"deconv2_{branch}T"] = (2 * width, width, 3, 3)
    shapes["deconv3_content"] = (contents * channels, width, 7, 7)
    shapes["deconv3_attention"] = (maps, width, 1, 1)
    return drawn(shapes, seed)


def attention_forward(state: State, x: Tensor, *, copies: bool) -> Tensor:
    """The last attention lays on the input where it is copied, else the last content."""

    def step(y: Tensor) -> Tensor:
        return torch.relu(norm(state, y, ""))

    blocks = sum(name.endswith(".conv1.weight") for name in state)
    y = step(conv(state, x, "conv1", reflect=3))
    y = step(conv(state, y, "conv2", 2, 1))
    y = step(conv(state, y, "conv3", 2, 1))
    for block in range(blocks):
        z = step(conv(state, y, f"resnet_blocks.{block}.conv1", reflect=1))
        y = y + norm(state, conv(state, z, f"resnet_blocks.{block}.conv2", reflect=1), "")
    branches = {
        branch: step(
            doubled(state, step(doubled(state, y, f"deconv1_{branch}")), f"deconv2_{branch}")
        )
        for branch in ("content", "attention")
    }
    content = torch.tanh(conv(state, branches["content"], "deconv3_content", reflect=3))
    attention = torch.exp(conv(state, branches["attention"], "deconv3_attention"))
    attention = attention / attention.sum(1, keepdim=True)
    channels, maps = x.shape[1], attention.shape[1]
    out = torch.zeros_like(x)
    for k in range(maps):
        laid = content[:, k * channels : (k + 1) * channels]
        out = out + attention[:, k : k + 1] * (x if copies and k == maps - 1 else laid)
    return out


def resnet_state(
    channels: int, seed: int = 0, *, batch=False, dropout=False, out: int = 0, width=8, blocks=9
) -> State:
    """CycleGAN's and pix2pix's ResNet; with batch norm only its last convolution has a bias."""
    shapes: Shapes = {}

    def add(index: str, *shape: int, transposed: bool = False) -> None:
        shapes[f"model.{index}" + "T" * transposed] = shape
        if batch:
            parent, _, last = f"model.{index}".rpartition(".")
            shapes[f"{parent}.{int(last) + 1}"] = (shape[1 if transposed else 0],)

    add("1", width, channels, 7, 7)
    add("4", 2 * width, width, 3, 3)
    add("7", 4 * width, 2 * width, 3, 3)
    for block in range(10, 10 + blocks):
        add(f"{block}.conv_block.1", 4 * width, 4 * width, 3, 3)
        add(f"{block}.conv_block.{6 if dropout else 5}", 4 * width, 4 * width, 3, 3)
    add(f"{10 + blocks}", 4 * width, 2 * width, 3, 3, transposed=True)
    add(f"{13 + blocks}", 2 * width, width, 3, 3, transposed=True)
    shapes[f"model.{17 + blocks}"] = (out or channels, width, 7, 7)
    return drawn(shapes, seed, biases=not batch)


def resnet_forward(state: State, x: Tensor) -> Tensor:
    def step(y: Tensor, name: str) -> Tensor:
        return torch.relu(norm(state, y, name))

    second = 6 if "model.10.conv_block.6.weight" in state and (
        state["model.10.conv_block.6.weight"].ndim == 4
    ) else 5  # fmt: skip
    blocks = sum(name.endswith("conv_block.1.weight") for name in state)
    y = step(conv(state, x, "model.1", reflect=3), "model.2")
    y = step(conv(state, y, "model.4", 2, 1), "model.5")
    y = step(conv(state, y, "model.7", 2, 1), "model.8")
    for block in range(10, 10 + blocks):
        name = f"model.{block}.conv_block"
        z = step(conv(state, y, f"{name}.1", reflect=1), f"{name}.2")
        z = norm(state, conv(state, z, f"{name}.{second}", reflect=1), f"{name}.{second + 1}")
        y = y + z
    up = 10 + blocks
    y = step(doubled(state, y, f"model.{up}"), f"model.{up + 1}")
    y = step(doubled(state, y, f"model.{up + 3}"), f"model.{up + 4}")
    return torch.tanh(conv(state, y, f"model.{up + 7}", reflect=3))


def mask_state(channels: int, seed: int = 0, *, width: int = 8, blocks: int = 6) -> State:
    """AttentionGAN's first scheme: batch norm everywhere, and biases all the same."""
    shapes: Shapes = {}

    def add(conv_name: str, norm_name: str, *shape: int, normed: int = 0) -> None:
        shapes[f"model.{conv_name}"] = shape
        shapes[f"model.{norm_name}"] = (normed or shape[0],)

    add("1", "2", width, channels, 7, 7)
    add("4", "5", 2 * width, width, 3, 3)
    add("7", "8", 4 * width, 2 * width, 3, 3)
    for block in range(10, 10 + blocks):
        for number in (1, 5):
            names = (f"{block}.conv_block.{number}", f"{block}.conv_block.{number + 1}")
            add(*names, 4 * width, 4 * width, 3, 3)
    for up, wide in ((10 + blocks, 4 * width), (18 + blocks, 2 * width)):
        half = wide // 2
        add(f"{up + 1}", f"{up + 2}", half, wide, 3, 3)
        add(f"{up + 4}", f"{up + 6}", 4 * half, half, 1, 1, normed=half)
    shapes[f"model.{27 + blocks}"] = (1 + channels, width, 7, 7)
    return drawn(shapes, seed)


def mask_forward(state: State, x: Tensor) -> Tensor:
    def step(y: Tensor, name: str) -> Tensor:
        return torch.relu(norm(state, y, name))

    blocks = sum(name.endswith("conv_block.1.weight") for name in state)
    y = step(conv(state, x, "model.1", reflect=3), "model.2")
    y = step(conv(state, y, "model.4", 2, 1), "model.5")
    y = step(conv(state, y, "model.7", 2, 1), "model.8")
    for block in range(10, 10 + blocks):
        name = f"model.{block}.conv_block"
        z = step(conv(state, y, f"{name}.1", reflect=1), f"{name}.2")
        y = y + norm(state, conv(state, z, f"{name}.5", reflect=1), f"{name}.6")
    for up in (10 + blocks, 18 + blocks):
        y = step(conv(state, y, f"model.{up + 1}", reflect=1), f"model.{up + 2}")
        y = step(shuffled(conv(state, y, f"model.{up + 4}")), f"model.{up + 6}")
    y = conv(state, y, f"model.{27 + blocks}", reflect=3)
    mask = 1 / (1 + torch.exp(-y[:, :1]))
    return mask * y[:, 1:] + (1 - mask) * x


def aged(state: Mapping[str, Tensor]) -> State:
    """As saved in parallel by an early torch: prefixes, numbered blocks, norms' statistics."""
    old = {}
    for name, tensor in state.items():
        if name.startswith("resnet_blocks."):
            _, block, rest = name.split(".", 2)
            name = f"resnet_blocks{int(block) + 1}.{rest}"
        old[f"module.{name}"] = tensor
        if name.endswith("weight"):
            stem = f"module.{name.removesuffix('.weight')}_norm"
            old[f"{stem}.running_mean"] = torch.zeros(tensor.shape[0])
            old[f"{stem}.running_var"] = torch.ones(tensor.shape[0])
            old[f"{stem}.num_batches_tracked"] = torch.tensor(5)
    return old


FAMILIES = {
    "v2": Published(
        lambda c, seed: attention_state(c, seed, contents=9, maps=10),
        lambda state, x: attention_forward(state, x, copies=True),
        "AttentionGAN",
    ),
    "geo": Published(
        lambda c, seed: attention_state(c, seed, contents=10, maps=10),
        lambda state, x: attention_forward(state, x, copies=False),
        "AttentionGAN-geo",
    ),
    "maskgan": Published(
        lambda c, seed: attention_state(c, seed, contents=5, maps=5),
        lambda state, x: attention_forward(state, x, copies=True),
        "MaskGAN",
    ),
    "v1": Published(mask_state, mask_forward, "AttentionGAN-v1"),
    "cyclegan": Published(resnet_state, resnet_forward, "CycleGAN"),
    "cyclegan with dropout": Published(
        lambda c, seed: resnet_state(c, seed, dropout=True, blocks=6), resnet_forward, "CycleGAN"
    ),
    "pix2pix": Published(
        lambda c, seed: resnet_state(c, seed, batch=True), resnet_forward, "CycleGAN"
    ),
    "pix2pix with dropout": Published(
        lambda c, seed: resnet_state(c, seed, batch=True, dropout=True, blocks=6),
        resnet_forward,
        "CycleGAN",
    ),
}
