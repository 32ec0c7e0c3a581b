"""What a training learns from, and what is done to it first."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from medgan.config.base import Frozen, Pair, Triple

Plane = Literal["axial", "sagittal", "coronal"]
Contrast = Literal["t1", "t2", "any"]

CHEST_CHANNELS = 8
"""Channels of a map of a chest: a plain drawing of it, and seven tissues."""


class PreparationConfig(Frozen):
    """What is done to a volume before a network sees it. Travels in the model file."""

    spacing_mm: Triple = Field((2.0, 2.0, 2.0), description="Voxel size of the model's grid, RAS.")
    matrix: tuple[int, int] = Field(
        (128, 128),
        description="Slices are padded with air to at least this size, in voxels: "
        "multiples of 4 of at least 32.",
    )
    window_hu: Pair = Field((-1000.0, 2000.0), description="HU mapped to -1 and to +1.")
    mr_percentile: float = Field(
        99.5, gt=50, le=100, description="Percentile inside the body that is mapped to +1; 0 to -1."
    )
    planes: tuple[Plane, ...] = Field(
        ("axial",),
        min_length=1,
        description="Planes of the slices; a volume's result is the mean over them.",
    )
    patch: tuple[int, int, int] = Field(
        (64, 64, 64),
        description="Patches of 3-D networks, in voxels: multiples of 4 of at least 16. "
        "Slices know nothing of it.",
    )
    n4: bool = Field(False, description="Correct the MR bias field (N4) before scaling.")
    mask_margin_mm: float = Field(
        4.0, ge=0, description="What lies farther than this outside the body mask becomes air."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if min(self.spacing_mm) <= 0:
            raise ValueError("spacing_mm must be positive")
        if self.spacing_mm[0] != self.spacing_mm[1]:
            raise ValueError("spacing_mm must be equal along R and A: pixels are square")
        if self.planes != ("axial",) and self.spacing_mm[0] != self.spacing_mm[2]:
            raise ValueError("spacing_mm must be equal along all axes for slices in other planes")
        if len(set(self.planes)) < len(self.planes):
            raise ValueError("planes must not name a plane twice")
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError("window_hu must be (low, high) with low < high")
        if min(self.matrix) < 32 or any(size % 4 for size in self.matrix):
            raise ValueError("matrix must be multiples of 4 of at least 32")
        if min(self.patch) < 16 or any(size % 4 for size in self.patch):
            raise ValueError("patch must be multiples of 4 of at least 16")
        return self


class PhantomConfig(Frozen):
    """The phantoms that anchor a training."""

    heads: int = Field(48, ge=1, description="Number of different anatomies to train on.")
    validation_heads: int = Field(6, ge=1, description="Anatomies kept for validation.")
    slices: int = Field(32, ge=1, description="Slices taken from each anatomy.")
    batch: int | None = Field(
        None, ge=1, description="Phantoms a step; null: as many as training.batch."
    )
    scanned_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of samples whose anatomy is that of a real CT of the training.",
    )
    contrasts: tuple[Contrast, ...] = Field(
        ("t1",),
        min_length=1,
        description="Contrast that is randomised around, one for every MR channel; any: t1 half "
        "of the time, else a signal of its own for every tissue.",
    )


class ScanConfig(Frozen):
    """One scan of one patient, a file or DICOM folder; a bare path is short for ``{path: ...}``."""

    path: Path = Field(description="The file or folder; relative to data.root.")
    series: str | None = Field(
        None,
        description="Picks one series of a DICOM folder, e.g. modality=MR,contrast=T1; null: it "
        "holds one only.",
    )
    hu_offset: float = Field(0.0, description="Added to the file's values, e.g. -1024.")
    also: tuple[Path, ...] = Field(
        (),
        description="Further contrasts of this scan, in register with it: one more channel each.",
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value


class ImagesConfig(Frozen):
    """Pictures in the folders trainA, trainB, testA and testB of ``root``; PNG or JPEG."""

    root: Path = Field(description="Folder of the four.")
    load_size: int = Field(
        286, ge=32, description="Pictures are resized to this square, then cropped to the matrix."
    )
    mirror: bool = Field(True, description="Mirror half of them left to right.")


class NodulesConfig(Frozen):
    """LUNA16 scans that healthy lung and nodules are cut from."""

    roots: tuple[Path, ...] = Field(min_length=1, description="Folders in the form of LUNA16.")
    subsets: tuple[int, ...] | None = Field(
        None, description="Folds to train on; null: all. Those a detector is tested on never."
    )
    healthy: int = Field(20, ge=1, description="Places of healthy lung cut from each scan.")


class ChestSlicesConfig(Frozen):
    """LUNA16 scans whose axial slices, and the maps of their tissues, are learned from."""

    roots: tuple[Path, ...] = Field(min_length=1, description="Folders in the form of LUNA16.")
    subsets: tuple[int, ...] | None = Field(
        None, description="Folds to train on; null: all. Those a detector is tested on never."
    )
    slices: int = Field(
        24, ge=1, description="Slices of each scan: through its nodules first, then over the lungs."
    )


class DataConfig(Frozen):
    """The scans of a training; paths are relative to ``root``, one scan a patient."""

    root: Path | None = Field(
        None, description="Folder of the scans; null: the environment variable MEDGAN_DATA."
    )
    source: tuple[ScanConfig, ...] = Field((), description="Scans of the source domain.")
    target: tuple[ScanConfig, ...] = Field((), description="Of the target domain, unpaired.")
    validation_share: float = Field(
        0.0, ge=0, lt=1, description="Share of each domain's patients that only validate."
    )
    match_position: bool = Field(
        True, description="Draw target slices at the source slice's distance below the vertex."
    )
    phantoms: PhantomConfig = PhantomConfig()
    images: ImagesConfig | None = Field(None, description="Pictures, instead of scans.")
    nodules: NodulesConfig | None = Field(
        None, description="Lung without and with nodules, instead of scans: source and target CT."
    )
    chest_slices: ChestSlicesConfig | None = Field(
        None, description="Maps of tissues and axial slices of chests: source LABEL, target CT."
    )


class PairConfig(Frozen):
    """A registered pair for evaluation; never trained on, never used to choose anything."""

    name: str = Field(description="How reports call the pair.")
    source: ScanConfig
    target: ScanConfig
    register_by: Literal["none", "rigid", "deformable"] = Field(
        "none", description="Move the CT onto the MR first, by mutual information of the two."
    )
