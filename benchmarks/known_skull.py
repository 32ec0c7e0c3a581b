"""Does a model draw the skull of a person? MR simulated on a real CT, which is the exact truth.

No public scan at hand has MR and CT of one person. So T1 images of random contrast, receive field
and noise are simulated on the tissues of a real CT, translated, and scored against that CT, beside
the floors, on voxels of ``--spacing``. The skull is real, the contrast is not; a fair test needs a
model that has not learned from this CT (``data.target``).

    python benchmarks/known_skull.py CT RUN... [--hu-offset HU] [--spacing MM]
    python benchmarks/known_skull.py $MEDGAN_DATA/invesalius_cranium_ct/cranium_ct_hu.nii.gz \
        runs/headsq_only
"""

import argparse
from pathlib import Path

import numpy as np

from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.phantoms.from_ct import ScannedAnatomy, anatomy_of
from medgan.phantoms.mr import add_rician_noise, bias_field
from medgan.phantoms.randomised import random_tissue_values
from medgan.phantoms.tissues import Tissue
from medgan.recipes.mr_ct import score_case
from medgan.report.html import Table
from medgan.report.text import text_table
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, grid_with_spacing
from medgan.volumes.resampling import resample

SCANS = 3
MEASURES = ("bone_dice", "correlation", "mae", "mae_air", "mae_soft", "mae_bone", "psnr", "ssim")


def simulated(anatomy: ScannedAnatomy, seed: int) -> Volume:
    """A T1 image of the head, as the phantoms' are made (`medgan.phantoms.scan.scan_head`)."""
    rng = np.random.default_rng(seed)
    signal = random_tissue_values(rng, "t1").signal
    image = signal[anatomy.labels.array]
    image *= bias_field(image.shape, rng, rng.uniform(0.05, 0.25))
    level = float(signal[[Tissue.WHITE_MATTER, Tissue.GREY_MATTER]].mean())
    image = add_rician_noise(image, rng, level / rng.uniform(25, 60))
    return Volume(image, anatomy.labels.affine, "MR", synthetic=True)


def main() -> None:
    """Score the models named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ct", type=Path, help="a real head")
    parser.add_argument("runs", type=Path, nargs="+", help="run folders or model files, MR to CT")
    parser.add_argument("--spacing", type=float, default=2.0, help="of both images, mm")
    parser.add_argument("--hu-offset", type=float, default=0.0, help="added to the file's values")
    arguments = parser.parse_args()
    ct = read_volume(arguments.ct, modality="CT")
    ct = ct.with_array(ct.array.astype(np.float32) + np.float32(arguments.hu_offset))
    anatomy = anatomy_of(ct, seed=0)
    grid = grid_with_spacing(Grid.of(anatomy.ct), (arguments.spacing,) * 3)
    truth = resample(anatomy.ct, grid)
    scans = [resample(simulated(anatomy, seed), grid) for seed in range(SCANS)]
    rows: dict[str, list[list[float]]] = {}
    for run in arguments.runs:
        translator = Translator.load(run)
        for scan in scans:
            case = score_case(run.name, scan, translator(scan).image, truth)
            for method, result in case.scores.items():
                name = run.name if method == "medgan" else f"floor: {method}"
                row = [result.values.get(measure, float("nan")) for measure in MEASURES]
                rows.setdefault(name, []).append(row)
    table = [[name, *np.mean(values, axis=0).tolist()] for name, values in rows.items()]
    caption = f"means over {SCANS} scans, {arguments.spacing:g} mm"
    print(text_table(Table(caption, ["model", *MEASURES], table)))


if __name__ == "__main__":
    main()
