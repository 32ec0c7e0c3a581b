"""Do slices jump, and do patches show? Trained models on one scan.

For every model the mean step from axial slice to slice over that within slices, divided by that of
the real scan of the target modality where one is given (1: as continuous as the real one); for
models of 3-D patches also the step across the borders of patches over that elsewhere, divided by
that of the same network on the whole volume in one pass (1: borders cannot be told).

    python benchmarks/continuity.py SCAN RUN... [--reference SCAN]
    python benchmarks/continuity.py $MEDGAN_DATA/mni_template_pair/mr_t1_ch2_colin_2mm.nii.gz \
        runs/slices runs/neighbours runs/patches
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from medgan.data.preparation import prepare
from medgan.inference.patch_runs import patch_borders
from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.metrics.continuity import seam_ratio, slice_discontinuity
from medgan.models.model_file import Model
from medgan.networks import SIZE_MULTIPLE
from medgan.report.html import Table
from medgan.report.text import text_table
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.resampling import resample


def in_one_pass(model: Model, shape: tuple[int, ...]) -> Model:
    """The same model with one patch that holds a whole volume."""
    patch = [size + -size % SIZE_MULTIPLE for size in shape]
    preparation = model.card.preparation.model_copy(update={"patch": tuple(patch)})
    return replace(model, card=model.card.model_copy(update={"preparation": preparation}))


def measured(run: Path, scan: Volume, reference: Volume | None) -> list[object]:
    """A row of the table."""
    translator = Translator.load(run)
    card = translator.model.card
    # on the model's own grid, where its patches lie
    given = prepare(scan, card.preparation)
    made = translator(given.volume).image
    truth = None if reference is None else resample(reference, Grid.of(made)).array
    steps = slice_discontinuity(made.array, given.mask, made.spacing_mm, reference=truth)
    if card.network.spatial_dims == 2:
        return [run.name, steps, None, None]
    whole = Translator(in_one_pass(translator.model, made.shape))(given.volume).image
    borders = patch_borders(made.shape, card.preparation.patch)
    seams = seam_ratio(made.array, borders, given.mask, reference=whole.array)
    return [run.name, steps, seams, float(np.abs(made.array - whole.array)[given.mask].mean())]


def main() -> None:
    """Measure the models named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scan", type=Path, help="of the modality that the models read")
    parser.add_argument("runs", type=Path, nargs="+", help="run folders or model files")
    parser.add_argument("--reference", type=Path, help="real scan of the other modality")
    arguments = parser.parse_args()
    scan = read_volume(arguments.scan)
    reference = read_volume(arguments.reference) if arguments.reference else None
    columns = ["model", "slice to slice", "seams", "patches - one pass (HU)"]
    rows = [measured(run, scan, reference) for run in arguments.runs]
    print(text_table(Table("steps inside the body, on the model's grid", columns, rows)))


if __name__ == "__main__":
    main()
