"""Ways to spoil a file of any format, byte by byte."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hostile_seeds import Seed

Rng = np.random.Generator
Change = Callable[[Rng, Seed], Seed]

HOSTILE_TEXTS = ("../../x", "/etc/cron.d/x", "..", "a/../../b", "C:\\x", "x" * 5000, "a\0b", "$(x)")
NUMBERS = (
    "0", "-1", "1", "nan", "inf", "-inf", "1e308", "-1e308", "1e-308", "65535", "2147483647",
    "4294967296", "99999999999999999999", "0x10", "1 1", "1\\2\\3", "abc", "",
)  # fmt: skip


def with_content(seed: Seed, content: bytes) -> Seed:
    return replace(seed, files={**seed.files, seed.main: content})


def bytes_flipped(rng: Rng, seed: Seed, start: int, end: int) -> Seed:
    content = bytearray(seed.files[seed.main])
    for position in rng.integers(start, max(end, start + 1), rng.integers(1, 9)):
        if position < len(content):
            content[position] ^= int(rng.integers(1, 256))
    return with_content(seed, bytes(content))


def _voxel_file(seed: Seed) -> Seed:
    """The same image with the file that holds the voxels as the one to spoil."""
    return seed if seed.voxels else replace(seed, main=max(seed.files, key=_is_voxels))


def _is_voxels(name: str) -> bool:
    return name.endswith(("raw", "raw.gz"))


def voxels_flipped(rng: Rng, seed: Seed) -> Seed:
    there = _voxel_file(seed)
    flipped = bytes_flipped(rng, there, there.voxels, len(there.files[there.main]))
    return replace(flipped, main=seed.main)


def header_flipped(rng: Rng, seed: Seed) -> Seed:
    return bytes_flipped(rng, seed, 0, seed.voxels or len(seed.files[seed.main]))


def cut(rng: Rng, seed: Seed) -> Seed:
    there = _voxel_file(seed)
    content = there.files[there.main]
    shorter = with_content(there, content[: rng.integers(there.voxels if rng.random() < 0.7 else 0,
                                                  len(content))])  # fmt: skip
    return replace(shorter, main=seed.main)


def duplicated(rng: Rng, seed: Seed) -> Seed:
    content = seed.files[seed.main]
    start, size = int(rng.integers(len(content))), int(rng.integers(1, 400))
    block = content[start : start + size] * int(rng.integers(1, 4))
    return with_content(seed, content[: start + size] + block + content[start + size :])


def removed(rng: Rng, seed: Seed) -> Seed:
    content = seed.files[seed.main]
    start = int(rng.integers(len(content)))
    return with_content(seed, content[:start] + content[start + int(rng.integers(1, 64)) :])


def overwritten(rng: Rng, seed: Seed) -> Seed:
    """A run of zeros, ones or noise in the voxels."""
    there = _voxel_file(seed)
    content = bytearray(there.files[there.main])
    start = int(rng.integers(there.voxels, len(content) + 1))
    size = int(rng.integers(1, 200))
    block = [bytes(size), b"\xff" * size, rng.bytes(size)][rng.integers(3)]
    content[start : start + size] = block[: max(0, len(content) - start)]
    return replace(with_content(there, bytes(content)), main=seed.main)


ANYWHERE = (
    *(voxels_flipped, voxels_flipped, voxels_flipped, overwritten, overwritten),
    *(header_flipped, cut, duplicated, removed),
)
