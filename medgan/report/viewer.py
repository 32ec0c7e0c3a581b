"""Volumes as a page carries them: coarser, quantised, compressed."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medgan.io.values import synthetic_mark
from medgan.report.images import CaseImages
from medgan.report.niivue import NiiVue
from medgan.report.windows import CT_WINDOWS_HU, error_limit, mr_window
from medgan.volumes.geometry import Grid, grid_with_spacing, is_sheared, reorient
from medgan.volumes.resampling import resample
from medgan.volumes.volume import Volume

SPACING_MM = 2.0
"""Finer voxels are made this large: a head in four images is then 2 to 9 MB of text."""

VOXELS = 2_000_000
"""More than these are made larger still, so that a whole chest does not swell the page."""

MR_STEPS = 1000
"""Steps an MR's window is cut into; beyond the window they go on. CT is rounded to 1 HU."""

_DATA_OFFSET = 352
_SCANNER = 1
_LEVEL = 6
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True)
class Layer:
    """One volume.

    Attributes:
        kind: ``source``, ``result``, ``reference`` or ``attention``.
        modality: "CT" or "MR"; of an attention map, that of the result.
        unit: of the values.
        window: values shown darkest and brightest at first.
        data: base64 of the gzip of a NIfTI file.
    """

    kind: str
    modality: str
    unit: str
    window: tuple[float, float]
    data: str


@dataclass(frozen=True)
class ViewerCase:
    """The volumes of one case, on one grid whose axes run along R, A and S.

    Attributes:
        label: what the list of cases calls it.
        layers: see ``Layer``.
        spacing_mm: of these voxels.
        scanned_mm: voxel size of the images they were made from.
        extent_mm: size along R, A and S.
        error_limit: error shown in the strongest colour, in the unit of the result; None without a
            reference.
    """

    label: str
    layers: Sequence[Layer]
    spacing_mm: tuple[float, float, float]
    scanned_mm: tuple[float, float, float]
    extent_mm: tuple[float, float, float]
    error_limit: float | None

    @property
    def panels(self) -> dict[str, str]:
        """Headings of what is shown side by side, by kind."""
        titles = {layer.kind: f"{layer.kind.capitalize()} ({layer.modality})"
                  for layer in self.layers if layer.kind != "attention"}  # fmt: skip
        if self.error_limit is not None:
            titles["error"] = "Error (result minus reference)"
        return titles

    def facts(self) -> dict[str, Any]:
        """What the page's script needs to know besides the volumes."""
        return {
            "extent_mm": self.extent_mm,
            "error_limit": self.error_limit,
            "layers": {
                layer.kind: {
                    "modality": layer.modality,
                    "unit": layer.unit,
                    "window": layer.window,
                }
                for layer in self.layers
            },
        }


@dataclass(frozen=True)
class Viewer:
    """Cases to look through, and the program that shows them.

    Attributes:
        cases: at least one; the first is shown at first.
        program: NiiVue.
    """

    cases: Sequence[ViewerCase]
    program: NiiVue

    @property
    def panels(self) -> dict[str, str]:
        """Headings of every panel that one of the cases needs, by kind."""
        found: dict[str, str] = {}
        for case in self.cases:
            found |= case.panels
        order = ("source", "result", "reference", "error")
        return {kind: found[kind] for kind in order if kind in found}

    @property
    def resolutions(self) -> dict[tuple[Sequence[float], Sequence[float]], list[str]]:
        """Labels of the cases by voxel size shown and voxel size of the images, in mm."""
        found: dict[tuple[Sequence[float], Sequence[float]], list[str]] = {}
        for case in self.cases:
            found.setdefault((case.spacing_mm, case.scanned_mm), []).append(case.label)
        return found

    @property
    def kinds(self) -> set[str]:
        """Kinds of layers that occur."""
        return {layer.kind for case in self.cases for layer in case.layers}

    @property
    def ct_windows(self) -> Mapping[str, tuple[float, float]]:
        """Windows to choose from, by name; none where there is no CT."""
        modalities = {layer.modality for case in self.cases for layer in case.layers}
        return CT_WINDOWS_HU if "CT" in modalities else {}


def viewer_case(images: CaseImages, label: str) -> ViewerCase:
    """Prepare a case for the page.

    Args:
        images: cropped to what is to be shown.
        label: what the list of cases calls it.

    Returns:
        Voxels of at least 2 mm; CT in steps of 1 HU, MR of a thousandth of its window.
    """
    grid = viewer_grid(reorient(images.result, "RAS"))
    scale = images.reference or images.result
    layers = [
        _layer(kind, volume, volume if kind == "source" else scale, grid)
        for kind, volume in (
            ("source", images.source),
            ("result", images.result),
            ("reference", images.reference),
        )
        if volume is not None
    ]
    if images.attention is not None:
        layers.append(_attention(images.attention, grid))
    spacing = grid.spacing_mm
    x, y, z = (float(size * step) for size, step in zip(grid.shape, spacing, strict=True))
    return ViewerCase(
        label=label,
        layers=layers,
        spacing_mm=spacing,
        scanned_mm=reorient(images.result, "RAS").spacing_mm,
        extent_mm=(x, y, z),
        error_limit=None if images.reference is None else error_limit(images.reference),
    )


def viewer_grid(volume: Volume) -> Grid:
    """Where a volume is sampled for the page: voxels of 2 mm or more, two million at most."""
    grid = Grid.of(volume)
    x, y, z = (max(SPACING_MM, size) for size in volume.spacing_mm)
    coarse = grid_with_spacing(grid, (x, y, z))
    while np.prod(coarse.shape) > VOXELS:
        x, y, z = (size * 1.05 for size in (x, y, z))
        coarse = grid_with_spacing(grid, (x, y, z))
    return coarse


def _layer(kind: str, volume: Volume, scale: Volume, grid: Grid) -> Layer:
    if volume.modality == "CT":
        window, step = next(iter(CT_WINDOWS_HU.values())), 1.0
    else:
        window = mr_window(scale)
        step = (window[1] - window[0]) / MR_STEPS
    sampled = resample(volume, grid)
    stored = np.clip(np.rint(sampled.array / step), _INT16.min, _INT16.max).astype(np.int16)
    unit = "a.u." if volume.unit == "arbitrary" else volume.unit
    return Layer(kind, volume.modality, unit, window, _embedded(stored, step, sampled))


def _attention(attention: Volume, grid: Grid) -> Layer:
    share = resample(attention, grid).array
    stored = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    place = Volume(stored, grid.affine, "MR")
    data = _embedded(stored, 1 / 255, place)
    return Layer("attention", attention.modality, "share copied", (0.0, 1.0), data)


def _embedded(stored: NDArray[Any], step: float, volume: Volume) -> str:
    """Base64 of a compressed NIfTI-1 file whose values are ``stored * step``."""
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    header.set_sform(volume.affine, _SCANNER)
    header.set_qform(volume.affine, 0 if is_sheared(volume.affine) else _SCANNER)
    header.set_xyzt_units("mm")
    header.set_slope_inter(step, 0)
    header["descrip"] = synthetic_mark(volume).encode()
    header["vox_offset"] = _DATA_OFFSET
    # Four zeros between header and voxels: no extensions follow.
    content = header.binaryblock + bytes(4) + stored.tobytes(order="F")
    return base64.b64encode(gzip.compress(content, _LEVEL, mtime=0)).decode("ascii")
