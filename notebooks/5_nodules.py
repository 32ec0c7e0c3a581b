# %% [markdown]
# # 5. Nodules and the augmentation experiment
#
# You will learn
#
# * what a folder in the form of LUNA16 is, and how to draw one of thorax phantoms;
# * how a trained model puts a nodule into a scan, and that nothing else changes;
# * the two controls that tell whether an experiment on synthetic data can be believed: the *oracle* and *noise*;
# * how FROC curves are read, why an interval belongs to each, and how little a handful of scans proves.
#
# Research use only.

# %% tags=["parameters"]
import os

SMOKE = os.environ.get("MEDGAN_SMOKE") == "1"  # small, for a test that only asks whether it runs
SPACING_MM = 2.5 if SMOKE else 2.0
STEPS = 2 if SMOKE else 150
BOOTSTRAP = 100 if SMOKE else 1000

# %%
# %matplotlib inline
import csv
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from drawing import Panel, draw_row

from medgan.config import load_config
from medgan.config.loading import load_as
from medgan.data.luna16 import Luna16
from medgan.data.nodule_shapes import drawn_shape
from medgan.data.nodule_sites import SiteFinder
from medgan.inference.nodules import NoduleInserter
from medgan.io.luna16 import to_world
from medgan.metrics.luna16 import evaluate_detections
from medgan.phantoms.thorax_folder import write_luna16_phantoms
from medgan.recipes.augmentation_config import AugmentationExperiment
from medgan.recipes.augmentation_controls import NoiseBalls, Oracle, phantom_thoraxes
from medgan.recipes.training import train
from medgan.volumes.geometry import Grid, apply_affine, lps_to_ras

folder = Path(tempfile.mkdtemp(prefix="medgan_nodules_"))
LUNG_WINDOW = (-1000.0, 400.0)

# %% [markdown]
# ## A folder in the form of LUNA16
#
# The configuration of the experiment says how its phantoms are drawn; we take it with fewer scans.

# %%
experiment = load_as(
    AugmentationExperiment,
    Path("../configs/luna16_phantom.yaml"),
    [f"phantoms.spacing_mm={SPACING_MM}", "phantoms.train.scans=1", "phantoms.train.nodules=2"],
)
luna = folder / "luna16"
write_luna16_phantoms(
    luna,
    1,
    experiment.phantoms.group_seed("train"),
    subsets=1,
    spacing_mm=(SPACING_MM,) * 3,
    nodules=2,
)
for path in sorted(p for p in luna.rglob("*") if p.is_file()):
    print(path.relative_to(luna))
print()
print((luna / "annotations.csv").read_text())

# %% [markdown]
# Positions are world coordinates in mm, LPS as everywhere in LUNA16 (see [geometry](1_geometry.ipynb)).

# %%
(scan,) = Luna16.open(luna).scans
ct, lungs = scan.read(), scan.lungs()


def ras(position_lps_mm):
    """The same place in RAS mm, which the pictures count in."""
    return apply_affine(lps_to_ras(np.eye(4)), position_lps_mm)


nodule = max(scan.nodules, key=lambda n: n.diameter_mm)
x, y, z = ras(nodule.position_mm)
figure = draw_row(
    Panel(ct, f"axial, at a nodule of {nodule.diameter_mm:.1f} mm", LUNG_WINDOW, at_mm=z),
    Panel(ct, "coronal", LUNG_WINDOW, "HU", plane="coronal", at_mm=y),
    inches=4,
)
figure.axes[0].plot(x, y, "o", mfc="none", mec="cyan", ms=18)
figure.axes[1].plot(x, z, "o", mfc="none", mec="cyan", ms=18)
plt.show()

# %% [markdown]
# ## A generator of nodules
#
# A 3-D AttentionGAN of patches. It is told *where* a nodule is wanted and how dense, and learns on pairs of phantoms: the
# same place without and with one. Its training here is a fraction of that in `configs/luna16_nodules.yaml`.

# %%
config = load_config(
    Path("../configs/luna16_nodules.yaml"),
    [
        f"data.nodules.roots=[{luna}]", "data.nodules.healthy=4",
        f"data.phantoms.heads={1 if SMOKE else 4}", "data.phantoms.validation_heads=1",
        f"data.phantoms.slices={2 if SMOKE else 12}",
        "network.width=8", "network.blocks=1", "network.discriminator_width=8",
        f"training.steps={STEPS}", f"training.warmup_steps={STEPS}",
        f"training.validate_every={STEPS}", f"training.checkpoint_every={STEPS}",
        "tracking.enabled=false",
    ],
)  # fmt: skip
run = train(config, folder / "generator")

# %% [markdown]
# ## Put one in, and look
#
# The shape is drawn at random; the site is healthy lung, off vessels and wall.

# %%
inserter = NoduleInserter.load(run.root)
rng = np.random.default_rng(5)
shape = drawn_shape(14.0, rng)
site = SiteFinder(ct, lungs, (*scan.nodules, *scan.excluded)).find(7.0, rng)
insertion = inserter.insert(ct, shape, site.position_mm)
change = ct.with_array(insertion.scan.array.astype(np.float32) - ct.array)

sx, sy, sz = ras(site.position_mm)
figure = draw_row(
    Panel(ct, "before", LUNG_WINDOW, at_mm=sz),
    Panel(insertion.scan, "after", LUNG_WINDOW, "HU", at_mm=sz),
    Panel(change, "after - before", (-600, 600), "HU", "RdBu_r", at_mm=sz),
    inches=3.6,
)
for axes in figure.axes[:3]:
    axes.set(xlim=(sx + 35, sx - 35), ylim=(sy - 35, sy + 35))
plt.show()

index = np.stack(np.indices(ct.shape), axis=-1).reshape(-1, 3)
distance = np.linalg.norm(to_world(Grid.of(ct), index) - site.position_mm, axis=1).reshape(ct.shape)
far = distance > shape.diameter_mm
for name, volume, middle in (
    ("made", insertion.scan, insertion.nodule), ("the phantom's own", ct, nodule),
):  # fmt: skip
    core = np.linalg.norm(to_world(Grid.of(ct), index) - middle.position_mm, axis=1) < 2.5
    print(f"mean CT number of the core, {name}: {volume.array.reshape(-1)[core].mean():.0f} HU")
print(f"wanted {shape.diameter_mm:.1f} mm, lies there with {insertion.nodule.diameter_mm:.1f} mm")
print(f"largest change: {np.abs(change.array).max():.0f} HU")
print(f"largest change farther away than a diameter: {np.abs(change.array[far]).max():.0f} HU")
assert not change.array[far].any()

# %% [markdown]
# Where nothing was wanted, nothing has changed: no CT number, not even by 1. Then ask of the nodule whether it is as dense
# as the phantom's own. A training as short as this one makes it too dark; `benchmarks/inserted_nodules.py` measures more.
#
# ## Two controls
#
# Suppose a detector trained with synthetic nodules finds more. Was it the nodules? Or simply more scans, longer training,
# luck? The experiment has two sources whose worth is *known*:
#
# * the **oracle** draws nodules exactly as the phantoms do: synthesis without a fault. If it does not help where data are
#   short, the experiment cannot see help;
# * **noise** puts balls of noise where nodules might be. If it seems to help, the experiment sees help where there is none.

# %%
oracle = Oracle(phantom_thoraxes(experiment, luna))(scan, 1, np.random.default_rng(1))
noise = NoiseBalls([14.0])(scan, 1, np.random.default_rng(2))
for name, made in (("oracle", oracle), ("noise", noise), ("generator", None)):
    image = insertion.scan if made is None else made.ct
    put = insertion.nodule if made is None else made.nodules[0]
    px, py, pz = ras(put.position_mm)
    figure = draw_row(
        Panel(ct, "before", LUNG_WINDOW, at_mm=pz),
        Panel(image, f"{name}, {put.diameter_mm:.0f} mm", LUNG_WINDOW, "HU", at_mm=pz),
        inches=2.8,
    )
    for axes in figure.axes[:2]:
        axes.set(xlim=(px + 30, px - 30), ylim=(py - 30, py + 30))
plt.show()

# %% [markdown]
# ## FROC, and how sure it is
#
# A detector marks places, each with a score. As the threshold falls it finds more nodules *and* more of nothing. FROC is the
# share found against false positives a scan; the CPM is its mean at 1/8, 1/4, 1/2, 1, 2, 4 and 8.
#
# To know the truth, we make two detectors by hand: scores of nodules and of false positives are drawn from two normal
# distributions, and the second detector is *a little* better, by 0.3 standard deviations. Only the number of test scans
# differs.


# %%
def write_table(path, heading, rows):
    """A CSV file as LUNA16 has them."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heading, *rows])
    return path


def experiment_of(scans, seed=0):
    """Two detectors on so many scans, judged by the rules of LUNA16."""
    draw = np.random.default_rng([seed, scans])
    at = folder / f"froc_{scans}"
    at.mkdir(exist_ok=True)
    place = ("seriesuid", "coordX", "coordY", "coordZ")
    uids = [f"1.2.{number}" for number in range(scans)]
    nodules = [(uid, 100.0 * k, 0.0, 0.0, 8.0) for uid in uids for k in range(2)]
    nothing = [(uid, 100.0 * k, 500.0, 0.0) for uid in uids for k in range(10)]
    common = {
        "annotations": write_table(at / "annotations.csv", (*place, "diameter_mm"), nodules),
        "excluded": write_table(at / "excluded.csv", (*place, "diameter_mm"), []),
        "seriesuids": write_table(at / "seriesuids.csv", ["seriesuid"], [[uid] for uid in uids]),
    }
    # The same scans are hard for both detectors: they share half of the variance.
    shared = draw.normal(size=(2, max(len(nodules), len(nothing))))
    marks = []
    for name, skill in (("first", 1.5), ("second", 1.8)):
        own = draw.normal(size=shared.shape)
        right, wrong = (shared + own) / np.sqrt(2)
        rows = [(*n[:4], score + skill) for n, score in zip(nodules, right, strict=False)]
        rows += [(*n, score) for n, score in zip(nothing, wrong, strict=False)]
        marks.append(write_table(at / f"{name}.csv", (*place, "probability"), rows))
    return evaluate_detections(marks[1], against=marks[0], bootstrap=BOOTSTRAP, **common)


documents = {n: experiment_of(n) for n in ((10, 40) if SMOKE else (10, 40, 400))}
figure, axes = plt.subplots(1, len(documents), figsize=(3.6 * len(documents), 3.2),
                            layout="constrained", sharey=True)  # fmt: skip
for place, (n, document) in zip(axes, documents.items(), strict=True):
    for name, found in (("second", document), ("first", document["against"])):
        low, high = np.array(found["sensitivities_ci"]).T
        place.plot(document["fppi"], found["sensitivities"], marker="o", ms=4, label=name)
        place.fill_between(document["fppi"], low, high, alpha=0.2)
    place.set_xscale("log", base=2)
    place.set(xlabel="false positives a scan", title=f"{n} scans", ylim=(0, 1))
    place.set_xticks(document["fppi"], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
axes[0].set_ylabel("share of nodules found")
axes[0].legend()
plt.show()
rows = []
for n, document in documents.items():
    difference = document["against"]["difference"]
    rows.append({"scans": n, "CPM, second": document["cpm"], "its interval": document["cpm_ci"],
                 "CPM, first": document["against"]["cpm"], "difference": difference["cpm"],
                 "interval of the difference": difference["cpm_ci"], "p": difference["cpm_p"]})  # fmt: skip
pd.set_option("display.max_colwidth", None)
pd.DataFrame(rows).round(3)

# %% [markdown]
# The second detector *is* better, in every panel. Where the interval of the difference holds 0, the experiment could not
# tell; that is no proof of the contrary. The interval of the *difference* counts, not whether two bands overlap: both
# detectors saw the same scans. It covers the choice of scans, not the luck of a training: that takes several seeds.
#
# ## The whole experiment
#
# ```sh
# python pipelines/luna16_augmentation.py configs/luna16_phantom.yaml --jobs 2
# ```
#
# trains one detector with each source and control, several seeds each, tests all on the same scans, and says of each
# whether it helped, did nothing or hurt. It needs an hour; [docs/augmentation.md](../docs/augmentation.md) says how it is read.
#
# ## What to take with you
#
# * An inserted nodule must be looked at, and nothing else may have changed. Both take one cell.
# * Without an oracle and a noise control, a gain proves little.
# * A CPM without an interval and the number of scans is half a number.
#
# Next: [your own data](6_your_data.ipynb).
