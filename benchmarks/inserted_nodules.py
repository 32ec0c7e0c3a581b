"""Nodules put into real scans, beside real nodules: figures and a contact sheet to look at.

Ten nodules of the given sizes go into every scan. Each is measured in the finished scan as a
reader would measure it, without the mask it was made from: its CT number in the core, the slope of
its border, and its volume above the CT number half way between core and lung. Real nodules of
LUNA16 are measured in the same way. So are perfect ones of the same shapes at the same places,
which tell what the scan's slices and the measurement make of a nodule.

    python benchmarks/inserted_nodules.py MODEL SCAN... --out sheet.png
    python benchmarks/inserted_nodules.py runs/luna16_nodules \
        $MEDGAN_DATA/lidc_idri_0314_luna16/*.mhd $MEDGAN_DATA/elastix_lung_ct/3DCT_lung.mha \
        --chunks $MEDGAN_DATA/luna16_nodule_chunks --out sheet.png --json sheet.json
"""

import argparse
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from medgan.data.luna16_scan import Nodule
from medgan.data.nodule_material import read_chunks
from medgan.data.nodule_patches import cut, patch_grid
from medgan.data.nodule_shapes import DENSITIES, Density
from medgan.data.nodule_sites import SiteFinder
from medgan.inference.nodule_plan import planned_shape
from medgan.inference.nodules import MARGIN_MM, NoduleInserter
from medgan.io import read_volume
from medgan.networks import Context
from medgan.networks.attention_generator import Translation
from medgan.report.figures import Tile, panel
from medgan.volumes import Volume
from medgan.volumes.intensity import WindowScale
from medgan.volumes.lungs import lung_mask
from medgan.volumes.sharpness import edge_sigma_mm

LUNG_WINDOW = (-1000.0, 400.0)
STEP_MM = 0.7
"""Of the cubes in which nodules are measured and shown: about LUNA16's pixels."""

SIZE = 64

CORE_HU: dict[Density, tuple[float, float]] = {
    "solid": (-100.0, 200.0),
    "part-solid": (-600.0, 0.0),
    "ground-glass": (-750.0, -365.0),
}
"""Range of the mean CT number of a nodule's core.

Source: solid, the soft-tissue range of Choi et al., J Thorac Dis 2019; ground glass, below the -365
HU that part invasive from minimally invasive ones in Qi et al., PMC6986053, and above lung; a
part-solid nodule lies between ground glass and soft tissue.
"""

PERFECT_HU: dict[Density, float] = {"solid": 40.0, "part-solid": 40.0, "ground-glass": -600.0}
"""CT number of perfect nodules; of part-solid ones, of the core, about which is ground glass."""

VOLUME_RATIO = (0.73, 1.27)
"""Volume over that of a perfect nodule.

Source: repeated volumetry of solid nodules differs by up to 27 % (Marchiano et al., Radiology 251,
2009); the British Thoracic Society takes 25 % as the limit.
"""


@dataclass(frozen=True)
class Measured:
    """One nodule as it is found in an image.

    Attributes:
        core_hu: mean CT number of the inner half of its radius.
        slope_hu_per_mm: the median over its border of the steepest slope along the way out.
        diameter_mm: of the sphere of its volume above the middle between core and lung; of a
            part-solid one, between ground glass and lung.
    """

    core_hu: float
    slope_hu_per_mm: float
    diameter_mm: float


@dataclass(frozen=True)
class Made:
    """A nodule that was put in.

    Attributes:
        scan: number of the scan on the command line, from 0.
        density: as wanted.
        wanted_mm: diameter as it lies in the lung.
        found: measured in the finished scan.
        perfect: measured of a perfect nodule in its place.
    """

    scan: int
    density: Density
    wanted_mm: float
    found: Measured
    perfect: Measured

    @property
    def volume_ratio(self) -> float:
        """Over that of the perfect nodule."""
        return (self.found.diameter_mm / self.perfect.diameter_mm) ** 3

    @property
    def within(self) -> bool:
        """Whether CT number and volume lie in the published ranges.

        What thick slices take from a perfect nodule's CT number is not held against this one. Of
        part-solid ones it is not known: half of the radius holds glass, too.
        """
        low, high = CORE_HU[self.density]
        if self.density != "part-solid":
            low += min(0.0, self.perfect.core_hu - PERFECT_HU[self.density])
        return (
            low <= self.found.core_hu <= high
            and VOLUME_RATIO[0] <= self.volume_ratio <= VOLUME_RATIO[1]
        )


def measure(
    image: NDArray[np.float32],
    spacing_mm: Sequence[float],
    diameter_mm: float,
    density: Density = "solid",
) -> Measured:
    """Measure the nodule in the middle of a box.

    Args:
        image: (X, Y, Z) HU.
        spacing_mm: of its voxels.
        diameter_mm: about how large it is.
        density: of a part-solid one the whole is measured, not its core: what is above the middle
            between ground glass and lung.
    """
    middle = np.array(image.shape) // 2
    offset = (np.indices(image.shape).T - middle).T * np.reshape(spacing_mm, (3, 1, 1, 1))
    away = np.linalg.norm(offset, axis=0)
    radius = diameter_mm / 2
    core = float(image[away <= max(radius / 2, max(spacing_mm))].mean())
    around = image[(away > radius + 2) & (away < radius + 6)]
    lung = float(np.median(around[around < -600])) if (around < -600).any() else -850.0
    smooth = ndimage.gaussian_filter(image, 0.5)
    body = PERFECT_HU["ground-glass"] if density == "part-solid" else core
    above = (smooth > (body + lung) / 2) & (away <= 1.5 * radius + 1)
    labels, _ = ndimage.label(above)
    label = labels[tuple(middle)] or np.bincount(labels[labels > 0]).argmax()
    found = labels == label
    volume = float(found.sum()) * math.prod(spacing_mm)
    slope = np.sqrt(sum(part**2 for part in np.gradient(smooth, *spacing_mm)))
    border = ndimage.binary_dilation(found) & ~ndimage.binary_erosion(found)
    steepest = ndimage.maximum_filter(slope, size=3)[border]
    return Measured(core, float(np.median(steepest)), (6 * volume / math.pi) ** (1 / 3))


class PerfectNetwork(nn.Module):
    """In a generator's place: every voxel gets as much of the nodule as it holds of it."""

    def __init__(self, scale: WindowScale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor, context: Context) -> Translation:
        """(1, 1, X, Y, Z) in [-1, 1], as ``AttentionGenerator.forward``."""
        assert context.condition is not None
        share, solid = ((context.condition + 1) / 2).split(1, dim=1)
        glass, dense = (
            float(self.scale.forward(np.float32(PERFECT_HU[kind])))
            for kind in ("ground-glass", "solid")
        )
        made = (1 - share) * image + (share - solid) * glass + solid * dense
        return Translation(made, image[:, None], image[:, None])


def perfect(inserter: NoduleInserter) -> NoduleInserter:
    """An inserter of perfect nodules, with the patches of another."""
    model = replace(inserter.model, forward=PerfectNetwork(inserter.scale), backward=None)
    card = inserter.model.card.model_copy(update={"directions": ("forward",)})
    return NoduleInserter(replace(model, card=card))


def insert(
    inserter: NoduleInserter, scan: Volume, diameters_mm: Sequence[float], seed: int
) -> tuple[Volume, list[tuple[Density, Nodule]], float]:
    """Put nodules into a scan.

    Returns:
        The scan, what was put in, and the largest change of a CT number where nothing may change.
    """
    lungs = Volume(lung_mask(scan).astype(np.uint8), scan.affine, "LABEL")
    finder = SiteFinder(scan, lungs)
    edge_mm = edge_sigma_mm(scan, lungs)
    rng = np.random.default_rng(seed)
    made, placed = scan, []
    for number, diameter in enumerate(sorted(diameters_mm, reverse=True)):
        # Six of ten solid, two each of the others.
        density = DENSITIES[(0, 0, 0, 1, 2)[number % 5]]
        site = finder.find(diameter / 2, rng)
        shape = planned_shape(diameter, density, int(rng.integers(2**31)))
        insertion = inserter.insert(made, shape, site.position_mm, lungs=lungs, edge_mm=edge_mm)
        made = insertion.scan
        placed.append((density, insertion.nodule))
    return made, placed, _changed_elsewhere(scan, made, placed)


def _changed_elsewhere(
    before: Volume, after: Volume, placed: Sequence[tuple[Density, Nodule]]
) -> float:
    """Largest change farther from every nodule than spikes and margin reach."""
    x, y, z = np.indices(before.shape).reshape(3, -1)
    changed = np.flatnonzero(before.array != after.array)
    world = before.affine[:3, :3] @ np.stack([x[changed], y[changed], z[changed]])
    world = (world.T + before.affine[:3, 3]) * (-1, -1, 1)
    reach = MARGIN_MM + max(before.spacing_mm)
    free = np.ones(len(changed), bool)
    for _, nodule in placed:
        free &= np.linalg.norm(world - nodule.position_mm, axis=1) > nodule.diameter_mm + reach
    difference = np.abs(after.array.ravel()[changed] - before.array.ravel()[changed])[free]
    return float(difference.max()) if difference.size else 0.0


def box(scan: Volume, nodule: Nodule) -> NDArray[np.float32]:
    """The cube about a nodule."""
    return cut(scan, patch_grid(nodule.position_mm, (SIZE,) * 3, STEP_MM)).array


def tile(name: str, image: NDArray[np.float32]) -> Tile:
    """The axial slice through the middle; front on top."""
    return Tile(name, image[:, ::-1, image.shape[2] // 2].T, LUNG_WINDOW)


def real_nodules(scans: Sequence[Path], chunks: Path | None) -> list[tuple[Tile, Measured, float]]:
    """Annotated nodules of the scans, from the annotations.csv beside them, and of chunks."""
    found = []
    for path in scans:
        table = path.parent / "annotations.csv"
        if not table.exists():
            continue
        scan = read_volume(path, modality="CT")
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                place = float(row["coordX"]), float(row["coordY"]), float(row["coordZ"])
                image = box(scan, Nodule(place, float(row["diameter_mm"])))
                diameter = float(row["diameter_mm"])
                found.append((image, (STEP_MM,) * 3, diameter))
    # The voxel size of chunks is not recorded; LUNA16's are about these.
    found += [
        (chunk.image, (0.7, 0.7, 1.25), chunk.diameter_mm)
        for chunk in (read_chunks(chunks) if chunks else ())
        if chunk.is_nodule
    ]
    return [
        (tile(f"real {diameter:.0f} mm", image), measure(image, spacing, diameter), diameter)
        for image, spacing, diameter in found
    ]


def main() -> None:
    """Insert, measure, show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="run folder or model file of nodules")
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--chunks", type=Path, help="folder of published chunks of LUNA16")
    parser.add_argument("--diameters", type=float, nargs="+", default=[*range(5, 15)])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="PNG, the contact sheet")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    inserter = NoduleInserter.load(chosen.model)
    rows, made, elsewhere = [], [], []
    for number, path in enumerate(chosen.scans):
        scan = read_volume(path, modality="CT")
        result, placed, change = insert(inserter, scan, chosen.diameters, chosen.seed)
        ideal, _, _ = insert(perfect(inserter), scan, chosen.diameters, chosen.seed)
        elsewhere.append(change)
        before, after = [], []
        for density, nodule in placed:
            image = box(result, nodule)
            found, best = (
                measure(box(one, nodule), (STEP_MM,) * 3, nodule.diameter_mm, density)
                for one in (result, ideal)
            )
            made.append(Made(number, density, nodule.diameter_mm, found, best))
            before.append(tile("before", box(scan, nodule)))
            after.append(tile(f"{density} {nodule.diameter_mm:.0f} mm", image))
        rows += [before, after]
    real = real_nodules(chosen.scans, chosen.chunks)
    if real:
        blank = Tile("", np.full((2, 2), LUNG_WINDOW[1]), LUNG_WINDOW)
        tiles = [one for one, _, _ in real][: len(rows[0])]
        rows.append(tiles + [blank] * (len(rows[0]) - len(tiles)))
    chosen.out.write_bytes(panel(rows))
    document = {
        "made": [asdict(one) | {"volume_ratio": one.volume_ratio, "within": one.within}
                 for one in made],
        "real": [asdict(measured) | {"annotated_mm": mm} for _, measured, mm in real],
        "largest_change_elsewhere_hu": elsewhere,
    }  # fmt: skip
    for one in made:
        print(
            f"scan {one.scan} {one.density:12} {one.wanted_mm:5.1f} mm  core "
            f"{one.found.core_hu:6.0f} HU (perfect {one.perfect.core_hu:5.0f})  border "
            f"{one.found.slope_hu_per_mm:5.0f} HU/mm ({one.perfect.slope_hu_per_mm:4.0f})  "
            f"volume x {one.volume_ratio:.2f}  {'within' if one.within else 'OUTSIDE'}"
        )
    for _, measured, mm in real:
        print(
            f"real                {mm:5.1f} mm  core {measured.core_hu:6.0f} HU  border "
            f"{measured.slope_hu_per_mm:5.0f} HU/mm  measured {measured.diameter_mm:.1f} mm"
        )
    print(f"within the published ranges: {sum(one.within for one in made)} of {len(made)}")
    print(f"largest change elsewhere: {max(elsewhere):g} HU")
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
