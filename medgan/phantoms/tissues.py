"""The tissues of the head phantom: their CT numbers and their MR relaxation."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Tissue(IntEnum):
    """Label of a tissue in a phantom's label map (uint8)."""

    AIR = 0
    INTERNAL_AIR = 1
    SKIN = 2
    FAT = 3
    MUSCLE = 4
    FIBROUS = 5
    CORTICAL_BONE = 6
    MARROW = 7
    TOOTH = 8
    CSF = 9
    GREY_MATTER = 10
    WHITE_MATTER = 11
    DEEP_GREY = 12
    VITREOUS = 13
    LENS = 14
    MUCOSA = 15
    CARTILAGE = 16
    CORD = 17
    BLOOD = 18
    GLAND = 19


@dataclass(frozen=True)
class TissueProperties:
    """What CT and MR measure of one tissue.

    Attributes:
        name: for people.
        hu: mean CT number, HU.
        hu_std: standard deviation of the mean between subjects, HU.
        t1_ms: longitudinal relaxation time at 1.5 T.
        t2_ms: transverse relaxation time at 1.5 T.
        t2star_ms: effective transverse relaxation time at 1.5 T.
        pd: proton density relative to CSF, 0..1.
        source: where T1 and T2 (first) and the CT values (second) come from; PD, T2* of tissues
            outside the brain and all spreads are of the order of, not measured.
    """

    name: str
    hu: float
    hu_std: float
    t1_ms: float
    t2_ms: float
    t2star_ms: float
    pd: float
    source: str


_BRAINWEB = "Kwan, Evans, Pike, IEEE TMI 1999;18:1085, 1.5 T"
_ICRU = "ICRU 44 composition and density, HU of the order of"
_SCHNEIDER = "Schneider, Bortfeld, Schlegel, PMB 2000;45:459"
_UTE = "of the order of published ultrashort-TE values: T2* of cortical bone below 1 ms"
_ORDER = "of the order of; compare the review of Bojorquez et al., Magn Reson Imaging 2017;35:69"
_STANISZ = "Stanisz et al., MRM 2005;54:507, 1.5 T"

TISSUES: dict[Tissue, TissueProperties] = {
    label: TissueProperties(*values)
    for label, values in {
        Tissue.AIR: ("air", -1000, 0, 1000, 1, 1, 0.0, "no signal; HU by definition"),
        Tissue.INTERNAL_AIR: ("internal air", -1000, 0, 1000, 1, 1, 0.0, "as air"),
        Tissue.SKIN: ("skin", 20, 15, 900, 47, 30, 0.80, f"{_BRAINWEB}; {_ICRU}"),
        Tissue.FAT: ("fat", -100, 8, 350, 70, 58, 1.0, f"{_BRAINWEB}; {_SCHNEIDER}"),
        Tissue.MUSCLE: ("muscle", 52, 6, 900, 47, 30, 1.0, f"{_BRAINWEB}; {_SCHNEIDER}"),
        Tissue.FIBROUS: ("fibrous", 70, 15, 600, 12, 6, 0.6, f"{_ORDER}; {_SCHNEIDER}"),
        Tissue.CORTICAL_BONE: (
            "cortical bone",
            1350,
            130,
            250,
            0.5,
            0.4,
            0.25,
            f"{_UTE}; {_SCHNEIDER}",
        ),
        Tissue.MARROW: ("marrow", 420, 110, 380, 55, 12, 0.75, f"{_ORDER}; {_SCHNEIDER}"),
        Tissue.TOOTH: ("tooth", 2000, 250, 250, 0.4, 0.3, 0.15, f"{_UTE}; {_ICRU}"),
        Tissue.CSF: ("CSF", 8, 3, 2569, 329, 58, 1.0, f"{_BRAINWEB}; {_ICRU}"),
        Tissue.GREY_MATTER: ("grey matter", 38, 2, 833, 83, 69, 0.86, f"{_BRAINWEB}; {_ICRU}"),
        Tissue.WHITE_MATTER: ("white matter", 29, 2, 500, 70, 61, 0.77, f"{_BRAINWEB}; {_ICRU}"),
        Tissue.DEEP_GREY: ("deep grey matter", 36, 2, 680, 76, 60, 0.83, f"{_ORDER}; {_ICRU}"),
        Tissue.VITREOUS: ("vitreous", 8, 4, 3200, 500, 200, 1.0, f"{_ORDER}; {_ICRU}"),
        Tissue.LENS: ("lens", 85, 15, 1000, 30, 20, 0.6, f"{_ORDER}; {_ICRU}"),
        Tissue.MUCOSA: ("mucosa", 35, 8, 1100, 90, 45, 0.9, f"{_ORDER}; {_ICRU}"),
        Tissue.CARTILAGE: ("cartilage", 90, 20, 1024, 30, 20, 0.75, f"{_STANISZ}; {_ICRU}"),
        Tissue.CORD: ("spinal cord and nerve", 34, 3, 745, 74, 55, 0.80, f"{_STANISZ}; {_ICRU}"),
        Tissue.BLOOD: ("blood", 50, 6, 1441, 290, 80, 0.90, f"{_STANISZ}; {_ICRU}"),
        Tissue.GLAND: ("gland", 15, 15, 650, 65, 45, 0.90, f"{_ORDER}; {_ICRU}"),
    }.items()
}
"""Every tissue's properties; the order is the label's."""

N_LABELS = len(Tissue)

NO_SIGNAL = (Tissue.AIR, Tissue.INTERNAL_AIR)
BONE = (Tissue.CORTICAL_BONE, Tissue.MARROW, Tissue.TOOTH)
BRAIN = (Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.DEEP_GREY)


def column(name: str) -> NDArray[np.float64]:
    """One property of every tissue.

    Args:
        name: a numeric attribute of ``TissueProperties``, for example ``"t1_ms"``.

    Returns:
        (N_LABELS,) float64, indexed by label.
    """
    return np.array([getattr(TISSUES[label], name) for label in Tissue], dtype=np.float64)
