# %% [markdown]
# # 4. Metrics that mislead
#
# You will learn, on phantoms whose truth is known,
#
# * why the mean absolute error (MAE) rewards blur, and why a sharp CT a few millimetres out of
#   place loses to one without any bone;
# * what two *trivial* answers score: a constant, and a table from MR intensity to HU;
# * how the choice of mask and protocol moves every number without moving the image;
# * why FID has a floor that depends on the number of images, and KID does not;
# * why medgan puts bone Dice and correlation first.

# %% tags=["parameters"]
import os

SMOKE = os.environ.get("MEDGAN_SMOKE") == "1"  # small, for a test that only asks whether it runs
SPACING_MM = (4.0, 4.0, 4.0) if SMOKE else (1.5, 1.5, 1.5)
DRAWS = 4 if SMOKE else 20  # sets of features drawn for FID and KID

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from drawing import Panel, draw_row
from scipy import ndimage

from medgan import evaluate_pair
from medgan.metrics.distribution import fid, squared_mmd
from medgan.metrics.edges import BONE, edge_displacement_mm
from medgan.metrics.floors import constant_floor, lookup_floor
from medgan.metrics.mask_rules import EvaluationMask
from medgan.metrics.set_comparison import compare_features
from medgan.phantoms.scan import scan_head
from medgan.volumes.masks import body_mask, dilate_mm

# %% [markdown]
# ## One head, six "predictions"
#
# The MR and the CT of one phantom head, in register to the last digit. As predictions of the CT we
# take things made from the truth itself, so that we know what is wrong with each, and the two
# trivial answers, which know nothing of anatomy.

# %%
head = scan_head(1, spacing_mm=SPACING_MM, supersample=1)
truth, mr = head.ct, head.mr
body = body_mask(mr) & body_mask(truth)
mask = EvaluationMask(body, "body of MR and CT, both")


def moved(mm: float):
    """The truth, moved to the patient's left: sharp, complete, and out of place."""
    shift = np.array([-mm, 0, 0]) / truth.spacing_mm
    return truth.with_array(ndimage.shift(truth.array, shift, order=1, cval=-1000))


def blurred(mm: float):
    """The truth, blurred by a Gaussian of this standard deviation."""
    return truth.with_array(ndimage.gaussian_filter(truth.array, mm / np.array(truth.spacing_mm)))


predictions = {
    "moved by 3 mm": moved(3),
    "moved by 6 mm": moved(6),
    "blurred, sigma 4 mm": blurred(4),
    "blurred, sigma 8 mm": blurred(8),
    "floor: look-up table": lookup_floor(mr, truth, body),
    "floor: best constant": constant_floor(truth, body),
}
scores = {
    name: evaluate_pair(image, truth, mask=mask, source=mr).values
    for name, image in predictions.items()
}
columns = {
    "mae": "MAE (HU)", "psnr": "PSNR (dB)", "ssim": "SSIM",
    "mae_bone": "MAE in bone (HU)", "bone_dice": "bone Dice", "correlation": "correlation",
}  # fmt: skip
table = pd.DataFrame(scores).T[list(columns)].rename(columns=columns)
table.round(3)

# %%
CT_WINDOW = (-200.0, 1000.0)
at_mm = -20.0
names = list(predictions)
draw_row(
    Panel(mr, "MR", (0, float(np.percentile(mr.array[body], 99.5))), at_mm=at_mm),
    Panel(truth, "truth", CT_WINDOW, at_mm=at_mm),
    *(Panel(predictions[name], name, CT_WINDOW, at_mm=at_mm) for name in names[:2]),
)
draw_row(
    *(
        Panel(predictions[name], name, CT_WINDOW, "HU" if name == names[-1] else None, at_mm=at_mm)
        for name in names[2:]
    )
)
plt.show()

# %% [markdown]
# Which of these would you rather plan a dose on? Let each measure choose:

# %%
better = dict.fromkeys(columns.values(), "max") | {"MAE (HU)": "min", "MAE in bone (HU)": "min"}
pd.DataFrame(
    {
        measure: table[measure].sort_values(ascending=better[measure] == "min").index
        for measure in columns.values()
    },
    index=pd.RangeIndex(1, len(table) + 1, name="place"),
)

# %% [markdown]
# Two duels say most of it: a CT that is sharp and complete, but 3 mm out of place, against the same
# CT blurred, and against one grey value for a whole head.

# %%
for rival in ("blurred, sigma 4 mm", "floor: best constant"):
    for measure in ("MAE (HU)", "SSIM", "bone Dice"):
        ours, theirs = table.loc["moved by 3 mm", measure], table.loc[rival, measure]
        sharp_wins = ours < theirs if better[measure] == "min" else ours > theirs
        winner = "moved by 3 mm" if sharp_wins else rival
        print(f"{measure:10} {ours:7.3f} against {theirs:7.3f} ({rival}): {winner} wins")

# %% [markdown]
# Most of a head is soft tissue of nearly one value, and an edge out of place is paid twice: once
# where it is missing and once where it is wrong. Blur pays a part of it everywhere and so is cheap.
# **A network that minimises MAE learns this**, and draws grey where it does not know where the
# skull runs.
#
# Bone Dice asks *whether bone is where bone is*; a constant has none. It does not tell blur from a
# shift: compare the two in the table. Correlation forgives blur, too, but asks whether bright is
# bright, whatever the level; of a constant it is not defined. That is why these two stand first in
# medgan's tables, beside the error in bone, and why every table has the two floors in it.
#
# The look-up table does well here because the phantom's MR is clean and its tissues differ in
# brightness: a model has to beat *that*, not zero. On real heads a table knows less, and the floor
# lies lower.
#
# ## How far is it out of place?
#
# The curve of a measure against a known shift says what the measure can see. The dashed line is the
# best constant.

# %%
shifts = np.arange(0, 9.1, 3.0 if SMOKE else 1.0)
curves = {"moved by (mm)": moved, "blurred, sigma (mm)": blurred}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for label, change in curves.items():
    values = [evaluate_pair(change(mm), truth, mask=mask).values for mm in shifts]
    for place, name in zip(axes, ("mae", "ssim", "bone_dice"), strict=True):
        place.plot(shifts, [value[name] for value in values], marker="o", label=label)
for place, name in zip(axes, ("mae", "ssim", "bone_dice"), strict=True):
    place.axhline(
        scores["floor: best constant"][name], color="grey", ls="--", label="best constant"
    )
    place.set(xlabel="mm", title=columns[name])
axes[0].legend(fontsize=8)
plt.show()

edges = edge_displacement_mm(moved(3).array, truth.array, body, truth.spacing_mm, BONE)
print(f"moved by 3 mm: the bone's edge lies {edges.mean_mm:.2f} mm off in the mean")

# %% [markdown]
# The edge's displacement is in mm and does not care how bright anything is. It reads about half of
# a shift: the part of a surface that runs along the shift does not move.
#
# ## The same image, other voxels
#
# Air outside the patient is easy. Every row below is the *same* prediction, blurred by 4 mm.

# %%
image = predictions["blurred, sigma 4 mm"]
everything = np.ones(truth.shape, bool)
regions = {
    "body of both": body,
    "body grown by 10 mm": dilate_mm(body, truth.spacing_mm, 10),
    "the whole image": everything,
}
rows = {
    name: evaluate_pair(image, truth, mask=EvaluationMask(region, name)).values
    for name, region in regions.items()
}
pd.DataFrame(rows).T[["mae", "psnr", "ssim"]].rename(columns=columns).round(3)

# %% [markdown]
# ## The same image and voxels, other protocols
#
# PSNR needs a *peak* and SSIM a *range*, and publications do not agree on them. A number without
# its protocol cannot be compared with anything; `PairResult.definition()` holds what two results
# must share.

# %%
rows = []
for protocol in ("synthrad2023", "maskgan2024"):
    result = evaluate_pair(image, truth, mask=mask, protocol=protocol)
    shown = {columns[name]: result.values[name] for name in ("mae", "psnr", "ssim")}
    rows.append({"protocol": protocol, **shown, "range (HU)": result.limits, "peak": result.peak,
                 "averaged over": result.averaging})  # fmt: skip
pd.DataFrame(rows).round(3)

# %% [markdown]
# ## Sets of images: FID has a floor, KID does not
#
# FID compares two normal distributions *estimated* from features. Estimates from few images differ
# even where the distributions do not. Here both sets are drawn from **one** normal distribution of
# 64 features: the true distance is 0.

# %%
numbers = (20, 50, 200) if SMOKE else (20, 50, 100, 200, 500, 1000)
WIDTH = 64
found = {"FID": [], "KID": []}
for n in numbers:
    pairs = [np.random.default_rng([n, k]).normal(size=(2, n, WIDTH)) for k in range(DRAWS)]
    found["FID"].append([fid(a, b) for a, b in pairs])
    found["KID"].append([squared_mmd(a, b) for a, b in pairs])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for place, (name, values) in zip(axes, found.items(), strict=True):
    values = np.array(values)
    place.errorbar(numbers, values.mean(axis=1), values.std(axis=1, ddof=1), marker="o", capsize=3)
    place.axhline(0, color="grey", ls="--", label="truth")
    place.set(
        xscale="log", xlabel="images in each set", title=f"{name} of one distribution with itself"
    )
    place.legend()
plt.show()
pd.DataFrame({name: np.mean(values, axis=1) for name, values in found.items()},
             index=pd.Index(numbers, name="images")).round(4)  # fmt: skip

# %% [markdown]
# Two FIDs at different numbers of images cannot be compared, and an FID alone says nothing: it must
# stand beside that of real images against *other* real images at the same number. `medgan
# compare-sets` always does so. Below, "fakes" whose features are shifted by a tenth of a standard
# deviation, at two numbers of images:

# %%
draw = np.random.default_rng(3)
rows = []
for n in (60, 200) if SMOKE else (60, 600):
    real, fake = draw.normal(size=(2 * n, WIDTH)), draw.normal(size=(n, WIDTH)) + 0.1
    result = compare_features(real, fake)
    rows.append({"images compared": result.n_compared, "FID": result.distances.fid,
                 "FID's floor": result.floor.fid, "KID": result.distances.kid,
                 "KID's floor": result.floor.kid})  # fmt: skip
print(f"true FID: {WIDTH * 0.1**2:.2f}")
pd.DataFrame(rows).round(4)

# %% [markdown]
# ## What to take with you
#
# * Look at the pictures, then at bone Dice, correlation and the error in bone; then at MAE.
# * Never read a number without its floor, mask and protocol. `medgan evaluate --source` adds the
#   floors.
# * No model can be judged more finely than its pairs are registered.
# * FID belongs beside its floor at the same number of images, or is left out.
#
# More in [docs/metrics.md](../docs/metrics.md) and [docs/metrics_sets.md](../docs/metrics_sets.md).
# Next: [nodules](5_nodules.ipynb).
