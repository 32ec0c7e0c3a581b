"""Whether the values of a scan can be those of the modality that it is trained on as."""

import numpy as np

from medgan.errors import DataError
from medgan.io.values import CT_BELOW
from medgan.volumes import Volume

AIR_HU = (-1100.0, -700.0)
"""Air, and lung, which is mostly air."""

LEAST_AIR = 0.001
"""Share of a CT's voxels; of nine real ones the share is 0.30 to 0.65, and what shows no air at all
has no body that could be told from it."""

MOST_CT = 0.01
"""Share of an MR's voxels that may lie where only CT does; of seven real ones none does, of CT 0.34
to 0.66 of them."""

BONE_HU = 300.0
"""Exceeded by bone in every CT of nine, by 0.4 % to 12 % of the voxels."""


def implausible(volume: Volume, where: object) -> tuple[str, ...]:
    """What is odd about the values of a scan that a network is to learn from.

    Args:
        volume: CT or MR as its domain says, any offset added.
        where: file, for the message.

    Returns:
        Remarks on values that may be right; none in a usual scan.

    Raises:
        DataError: values that the modality cannot have.
    """
    if volume.modality == "CT":
        return _of_ct(volume, where)
    return _of_mr(volume, where)


def _of_ct(volume: Volume, where: object) -> tuple[str, ...]:
    values = volume.array
    low, high = AIR_HU
    air = float(((values > low) & (values < high)).mean())
    if air < LEAST_AIR:
        raise DataError(
            "this is trained on as CT, but its values cannot be HU: there is no air",
            where=where,
            measured=f"{air:.2%} of the voxels from {low:g} to {high:g}, "
            f"values {values.min():g} to {values.max():g}",
            limit=f"at least {LEAST_AIR:.1%}",
            remedy="Set hu_offset: -1024 for a file that stores HU + 1024; name an MR under the "
            "other domain",
        )
    if (top := float(values.max())) < BONE_HU:
        return (
            f"nothing lies above {BONE_HU:g} HU (measured {top:g}), as bone does: a CT cut to a "
            "window of soft tissue cannot teach bone",
        )
    return ()


def _of_mr(volume: Volume, where: object) -> tuple[str, ...]:
    below = volume.array < CT_BELOW
    share = float(below.mean())
    if share > MOST_CT:
        raise DataError(
            "this is trained on as MR, but its values are those of a CT",
            where=where,
            measured=f"{share:.0%} of the voxels below {CT_BELOW}",
            limit=f"{MOST_CT:.0%}",
            remedy="Name it under the other domain, or give the magnitude image of the MR",
        )
    if np.any(below):
        return (
            f"{below.sum()} voxels lie below {CT_BELOW}, as in no magnitude image of an MR: they "
            "become background",
        )
    return ()
