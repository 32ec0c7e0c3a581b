# %% [markdown]
# # 5. Nodules, and whether synthetic ones help
#
# You will learn
#
# * what a folder in the form of LUNA16 holds, and how to look at the nodules in it;
# * how a nodule is put into healthy lung, and how to see that nothing else has changed;
# * what a FROC curve and the CPM say, and how little they say without a confidence interval;
# * how an experiment on augmentation is built so that it can fail: with an **oracle** that must
#   help and **noise** that must not.
#
# All chests are phantoms, drawn here; nothing is downloaded. The networks are tiny. What the
# experiment gives in full is in [docs/results.md](../docs/results.md), how it is made in
# [docs/augmentation.md](../docs/augmentation.md).

# %% tags=["parameters"]
import os

SMOKE = os.environ.get("MEDGAN_SMOKE") == "1"  # small, for a test that only asks whether it runs
SPACING_MM = 3.0 if SMOKE else 1.5
SCANS = 2 if SMOKE else 4
STEPS = 2 if SMOKE else 240  # of the generator of nodules
DETECTOR_STEPS = 4 if SMOKE else 150  # of each detector
PEOPLE = (1, 1, 2) if SMOKE else (6, 3, 8)  # scans to train, to choose and to test with

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from drawing import Panel, draw_row

from medgan.config import parse_config
from medgan.data.luna16 import Luna16
from medgan.detection.marks import Mark, write_marks
from medgan.inference.nodule_plan import InsertionPlan, plan_nodules
from medgan.inference.nodules import NoduleInserter
from medgan.io.luna16 import Row, to_index, write_rows, write_uids
from medgan.metrics.luna16 import evaluate_detections
from medgan.phantoms.thorax_folder import write_luna16_phantoms
from medgan.recipes.augmentation import run_experiment
from medgan.recipes.augmentation_config import AugmentationExperiment
from medgan.recipes.training import train
from medgan.report.windows import LUNG_HU
from medgan.volumes import Volume
from medgan.volumes.geometry import crop, reorient

folder = Path(tempfile.mkdtemp(prefix="medgan_nodules_"))

# %% [markdown]
# ## A folder like LUNA16's
#
# Scans as MetaImage in `subset0`, `subset1`, ...; masks of the lungs; one table of nodules, and one
# of findings that are *no* nodules, which a detector may mark without being right or wrong. Here it
# is made of phantoms, so that every nodule is known exactly.

# %%
root = folder / "luna16"
write_luna16_phantoms(root, SCANS, seed=3, subsets=2, spacing_mm=(SPACING_MM,) * 3, nodules=3)
luna16 = Luna16.open(root)
pd.DataFrame(
    {
        "subset": scan.subset,
        "shape": scan.read().shape,
        "nodules": len(scan.nodules),
        "diameters, mm": [round(nodule.diameter_mm, 1) for nodule in scan.nodules],
        "excluded findings": len(scan.excluded),
    }
    for scan in luna16.scans
)

# %% [markdown]
# Positions are millimetres in **LPS**, as ITK has them: the x of a nodule in the patient's right
# lung is negative. `to_index` brings them to a voxel of a volume, whichever way its axes run.


# %%
def around(volume: Volume, position_lps: tuple[float, float, float], reach_mm: float) -> Volume:
    """The part of a volume around a place."""
    volume = reorient(volume, "RAS")
    middle = to_index(volume, position_lps)
    reach = reach_mm / np.asarray(volume.spacing_mm)
    low = np.clip(np.floor(middle - reach), 0, np.subtract(volume.shape, 1)).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, 1, volume.shape).astype(int)
    return crop(volume, tuple(slice(a, b) for a, b in zip(low, high, strict=True)))


scan = max(luna16.scans, key=lambda one: max(nodule.diameter_mm for nodule in one.nodules))
ct = scan.read()
largest = max(scan.nodules, key=lambda nodule: nodule.diameter_mm)
left, back, up = largest.position_mm
print(f"the largest nodule: {largest.diameter_mm:.1f} mm")
print(f"LPS ({left:.1f}, {back:.1f}, {up:.1f}) mm: the patient's {'left' if left > 0 else 'right'}")
figure = draw_row(
    Panel(ct, "axial, at the nodule", LUNG_HU, plane="axial", at_mm=up),
    Panel(ct, "coronal", LUNG_HU, plane="coronal", at_mm=-back),
    Panel(around(ct, largest.position_mm, 25), "close up", LUNG_HU, "HU", at_mm=up),
)
for axes, (across, high) in zip(figure.axes, ((-left, -back), (-left, up), (-left, -back)), strict=False):
    radius = largest.diameter_mm / 2 + 4
    axes.add_patch(plt.Circle((across, high), radius, fill=False, color="deepskyblue"))
plt.show()

# %% [markdown]
# ## A nodule into healthy lung
#
# A generator learns from pairs of phantoms (one place without and with a nodule) and, unpaired,
# from the scans: lung without a nodule, and lung with one. It is told where a nodule is wanted and
# how dense. The training below is a few minutes at most; `configs/luna16_nodules.yaml` explains
# every key and trains for longer.

# %%
document = {
    "name": "nodules",
    "source": "CT",
    "target": "CT",
    "data": {
        "nodules": {"roots": [str(root)], "healthy": 4},
        "phantoms": {"heads": 1 if SMOKE else 6, "slices": 4 if SMOKE else 12, "validation_heads": 1},
    },
    "preparation": {
        "spacing_mm": [SPACING_MM] * 3, "patch": [16 if SMOKE else 24] * 3,
        "window_hu": [-1000, 400],
    },
    "network": {
        "spatial_dims": 3, "width": 4 if SMOKE else 8, "blocks": 1 if SMOKE else 2, "contents": 2,
        "upsampling": "resize", "conditions": 2, "discriminator_width": 4 if SMOKE else 8,
    },
    "losses": {"adversarial": 1, "cycle": 20, "identity": 0, "phantom": 200, "background": 2},
    "training": {
        "steps": STEPS, "warmup_steps": STEPS * 5 // 6, "batch": 1,
        "warmup_learning_rate": 0.003, "learning_rate": 0.0005, "average_decay": 0.95,
        "validate_every": STEPS, "checkpoint_every": STEPS, "log_every": max(1, STEPS // 4),
    },
    "tracking": {"enabled": False},
}  # fmt: skip
run = train(parse_config(document), folder / "generator")
inserter = NoduleInserter.load(run.root)
print("the model takes nodules of up to", inserter.largest_mm, "mm")

# %% [markdown]
# Where should one go? Into the lung, away from other findings, not onto a vessel.
# `plan_nodules` draws shapes with the sizes of LUNA16's and finds places for them.

# %%
lungs = scan.lungs()
wanted = InsertionPlan(
    per_scan=1, diameters_mm=(10.0, inserter.largest_mm), density="solid", on_wall=0.0, seed=1
)
(planned,) = plan_nodules(
    wanted, ct, lungs, (*scan.nodules, *scan.excluded), np.random.default_rng(1)
)
made = inserter.insert(ct, planned.shape, planned.position_mm, lungs=lungs)
change = made.scan.array.astype(np.float32) - ct.array
changed = ct.with_array(change)

up = planned.position_mm[2]
draw_row(
    Panel(around(ct, planned.position_mm, 25), "healthy lung", LUNG_HU, at_mm=up),
    Panel(around(made.scan, planned.position_mm, 25), "with the nodule", LUNG_HU, "HU", at_mm=up),
    Panel(
        around(changed, planned.position_mm, 25), "what has changed", (-800, 800), "HU, difference",
        "RdBu_r", at_mm=up,
    ),
)  # fmt: skip
plt.show()

# %% [markdown]
# Look at the third picture first: outside the nodule and a narrow rim there is no change at all,
# not one CT number, so that the scan keeps its own noise and its own vessels. Then ask of the
# nodule itself whether it has the density of tissue. A short training makes it too dark, and the
# table says so.

# %%
print("voxels changed:", f"{np.count_nonzero(change) / change.size:.4%} of the scan")
print("marked as synthetic:", made.scan.synthetic, "; grid kept:", made.scan.shape == ct.shape)
middle = tuple(np.rint(to_index(made.scan, planned.position_mm)).astype(int))
real_middle = tuple(np.rint(to_index(ct, largest.position_mm)).astype(int))
print(f"asked for {planned.shape.diameter_mm:.1f} mm, lies in the lung as {made.nodule.diameter_mm:.1f} mm")
print(f"CT number in the middle: made {made.scan.array[middle]}, before {ct.array[middle]},")
print(f"   in the middle of the phantom's own largest nodule {ct.array[real_middle]} HU")

# %% [markdown]
# ## FROC: how good is a detector?
#
# A mark is right when it lies nearer to a nodule's centre than half its diameter. The curve shows
# the share of nodules found against the false marks a scan that one puts up with; the **CPM** is the
# mean of the sensitivities at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false marks a scan.
#
# To see what chance does, we *draw* the marks of a detector whose skill is known: it gives nodules
# a score around 1 and lets false marks come with scores around 0. All that differs below is the
# number of scans it is tested on.


# %%
def drawn_detector(scans: int, skill: float, seed: int, place: Path) -> dict:
    """Evaluate a detector of known skill on so many scans with two nodules each.

    Args:
        scans: tested on.
        skill: distance of the mean scores of nodules and of false marks.
        seed: of scans and marks.
        place: folder for the tables.
    """
    rng = np.random.default_rng(seed)
    place.mkdir(parents=True, exist_ok=True)
    uids = [f"1.2.{number}" for number in range(scans)]
    nodules, marks = [], {}
    for uid in uids:
        places = rng.uniform(-100, 100, (2, 3))
        nodules += [Row(uid, tuple(at), 8.0) for at in places.tolist()]
        right = [Mark(tuple(at), rng.normal(skill), 8.0) for at in places.tolist()]
        wrong = rng.uniform(200, 400, (rng.poisson(12), 3)).tolist()
        marks[uid] = right + [Mark(tuple(at), rng.normal(), 8.0) for at in wrong]
    write_uids(place / "seriesuids.csv", uids)
    write_rows(place / "annotations.csv", nodules, "diameter_mm")
    write_rows(place / "excluded.csv", [], "diameter_mm")
    write_marks(place / "marks.csv", marks)
    return evaluate_detections(
        place / "marks.csv",
        annotations=place / "annotations.csv",
        excluded=place / "excluded.csv",
        seriesuids=place / "seriesuids.csv",
        bootstrap=50 if SMOKE else 500,
        seed=seed,
    )


many = drawn_detector(100 if SMOKE else 1000, 2.0, 99, folder / "many")
rows, curves = [], {}
for scans in (10, 40, 160):
    found = curves[scans] = drawn_detector(scans, 2.0, scans, folder / f"drawn_{scans}")
    low, high = found["cpm_ci"]
    rows.append({"scans": scans, "CPM": found["cpm"], "low": low, "high": high, "width": high - low})
print("CPM on very many scans:", round(many["cpm"], 3))
pd.DataFrame(rows).round(3)

# %%
figure, places = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True, layout="constrained")
for axes, (scans, found) in zip(places, curves.items(), strict=True):
    curve = found["curve"]
    bounds = np.array(curve["sensitivities_ci"])
    axes.fill_between(curve["fppi"], bounds[:, 0], bounds[:, 1], alpha=0.25, label="95 % interval")
    axes.plot(curve["fppi"], curve["sensitivities"], label=f"{scans} scans")
    axes.plot(many["curve"]["fppi"], many["curve"]["sensitivities"], "k--", lw=1, label="very many")
    axes.set_xscale("log", base=2)
    axes.set_xticks([1 / 8, 1 / 2, 2, 8], ["1/8", "1/2", "2", "8"])
    axes.set(xlabel="false marks a scan", ylim=(0, 1))
    axes.legend(fontsize=7, loc="lower right")
places[0].set_ylabel("share of the nodules found")
plt.show()

# %% [markdown]
# With few scans the interval is wider than any gain that augmentation has been published with. A
# difference of two CPM without an interval is a rumour. The interval of the *difference* of two
# detectors on the **same** scans is narrower, since hard scans are hard for both; `medgan froc
# --against` and the experiment below give it.
#
# ## An experiment that can fail
#
# One detector, trained for the same number of steps on three diets, tested on people that none has
# seen:
#
# * **real**: the training scans alone;
# * **oracle**: and copies of them with more nodules, drawn as the phantoms draw their own. Nothing
#   that learns can be better. If this does not help, then *more nodules* do not help here, and no
#   generator can be shown to;
# * **noise**: and copies with balls of noise that are called nodules. If this "helps", then the
#   experiment measures something else than what it says.

# %%
train_scans, validation_scans, test_scans = PEOPLE
settings = {
    "name": "small",
    "seeds": [0],
    "phantoms": {
        "spacing_mm": 3.0 if SMOKE else 2.5,
        "train": {"scans": train_scans, "nodules": 2},
        "validation": {"scans": validation_scans, "nodules": 3},
        "test": {"scans": test_scans, "nodules": 4},
    },
    "sources": [
        {"name": name, "label": name, "kind": name, "nodules": 3} for name in ("oracle", "noise")
    ],
    "arms": [
        {"name": "real", "label": "real"},
        {"name": "oracle", "label": "real and oracle", "source": "oracle", "times": 1},
        {"name": "noise", "label": "real and noise", "source": "noise", "times": 1},
    ],
    "reference": "real",
    "detector": {
        "input": {"spacing_mm": 3.0 if SMOKE else 2.5},
        "network": {"width": 4 if SMOKE else 8},
        "augmentation": {"flips": False, "rotation_degrees": 0, "scaling": 0, "shift_hu": 0},
        "sampling": {"patch": 32, "mine_every": 0},
        "prediction": {"threshold": 0.0},
        "training": {
            "steps": DETECTOR_STEPS, "batch": 2, "learning_rate": 0.004,
            "validate_every": DETECTOR_STEPS,
        },
    },
    "bootstrap": 100 if SMOKE else 1000,
    "images": None,
}  # fmt: skip
experiment = AugmentationExperiment.model_validate(settings)
result = run_experiment(experiment, folder / "experiment", on_event=print)

# %%
table = pd.DataFrame(
    {
        "arm": row["label"],
        "scans": row["train_scans"],
        "nodules": row["train_nodules"],
        "CPM": row["cpm"],
        "95 % interval": [round(bound, 3) for bound in row["cpm_ci"]],
    }
    for row in result["rows"]
)
table.round(3)

# %%
for row in result["rows"]:
    if row["verdict"]:
        print(row["verdict"], "\n")
print(result["controls"])

# %% [markdown]
# Read the sentences, not the CPMs. With so few scans and one training of each arm the report
# refuses to be sure, whatever the numbers are, and where the oracle's gain is not found it says
# that verdicts on any generator would say little. That refusal is the point: the same code says
# "clear" only where twenty or more test scans and three or more trainings agree.

# %%
figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
for row, colour in zip(result["rows"], ("black", "tab:green", "tab:red"), strict=True):
    curve = np.array(row["curve"])
    bounds = np.array(row["curve_ci"])
    rates = result["definition"]["curve_fppi"]
    axes.plot(rates, curve, color=colour, label=row["label"])
    axes.fill_between(rates, bounds[:, 0], bounds[:, 1], color=colour, alpha=0.12)
axes.set_xscale("log", base=2)
axes.set_xticks([1 / 8, 1 / 2, 2, 8], ["1/8", "1/2", "2", "8"])
axes.set(xlabel="false marks a scan", ylabel="share of the nodules found", ylim=(0, 1))
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## What to take with you
#
# * Positions in LUNA16's tables are LPS millimetres; go from there to voxels with `to_index`.
# * An inserted nodule has to leave the rest of the scan alone, and its own CT number has to be
#   looked at.
# * A CPM comes with an interval over scans; a *difference* with an interval over the same scans.
# * Without an oracle and noise nobody knows whether an experiment could have found anything.
#
# In full: `python pipelines/luna16_augmentation.py configs/luna16_phantom.yaml --jobs 2`. Next:
# [your own data](6_your_data.ipynb).
