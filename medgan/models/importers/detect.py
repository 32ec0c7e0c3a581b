"""Which published code a generator comes from, told by the names and shapes of its tensors."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from torch import Tensor

from medgan.errors import ConfigError, ModelError
from medgan.models.importers.aggan import is_aggan, read_aggan
from medgan.models.importers.attentiongan import heads, is_attentiongan, read_attentiongan
from medgan.models.importers.checkpoint import shown
from medgan.models.importers.cyclegan import read_cyclegan
from medgan.models.importers.maskgan import read_maskgan
from medgan.models.importers.published import PublishedGenerator
from medgan.models.importers.sequential import is_sequential, read_sequential

Family = Literal["geo", "maskgan"]
_GEO_MAPS = 10

_OTHERS = {
    r".*\.filt": "a generator that blurs as it halves, as CUT's",
    r"conv_tower\..*|model\.(0|11)\.(weight|bias)": "a discriminator",
    r"model\.model\..*": "a U-Net generator",
}


def read_generator(
    state: Mapping[str, Tensor], where: object, family: Family | None = None
) -> PublishedGenerator:
    """Import a published generator of any family.

    Args:
        state: under its authors' names.
        where: file, for messages.
        family: of a generator with as many contents as attentions, which "geo" all uses and
            "maskgan" all but the last. None: geo has ten, as published, any other is MaskGAN's.

    Raises:
        ConfigError: a family for a generator whose tensors leave no choice.
        ModelError: of no family, or one whose tensors differ; the message names them.
    """
    if is_attentiongan(state):
        return _read_attention(state, where, family)
    if family is not None:
        raise _no_choice(where)
    if is_sequential(state) and not any(name.endswith(".filt") for name in state):
        read = read_aggan if is_aggan(read_sequential(state, where)) else read_cyclegan
        return read(state, where)
    kinds = (
        kind
        for pattern, kind in _OTHERS.items()
        if any(re.fullmatch(pattern, name) for name in state)
    )
    kind = next(kinds, "of no generator that is known here")
    raise ModelError(
        f"these tensors are {kind}",
        where=where,
        measured=shown(list(state)),
        limit="generators of AttentionGAN, MaskGAN, CycleGAN and pix2pix's ResNet",
    )


def _read_attention(
    state: Mapping[str, Tensor], where: object, family: Family | None
) -> PublishedGenerator:
    channels, contents, maps = heads(state, where)
    if contents != maps * channels:
        if family is not None:
            raise _no_choice(where)
        return read_attentiongan(state, where)
    if family == "maskgan" or (family is None and maps != _GEO_MAPS):
        return read_maskgan(state, where)
    generator = read_attentiongan(state, where)
    if family is None:
        note = f"taken for {generator.family} by its {maps} attentions; if it is not: --family"
        generator = replace(generator, notes=(*generator.notes, note))
    return generator


def _no_choice(where: object) -> ConfigError:
    return ConfigError(
        "the tensors say which family they are of",
        where=where,
        remedy="Leave --family out: it is for generators with as many contents as attentions",
    )
