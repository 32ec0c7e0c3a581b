# %% [markdown]
# # 2. Training small
#
# You will learn
#
# * how a training is described and started from Python;
# * what phantoms of *randomised contrast* are, and why medgan anchors its generators on them;
# * what unpaired training alone, as published, can do to contrast;
# * what a run folder holds: metrics, previews, checkpoints;
# * that a training which was interrupted goes on to the very same numbers.
#
# The networks here are tiny and train for a minute. They show the effect, not what medgan can
# reach; that is in [docs/results.md](../docs/results.md).

# %% tags=["parameters"]
import os

SMOKE = os.environ.get("MEDGAN_SMOKE") == "1"  # small, for a test that only asks whether it runs
SPACING_MM = (6.0, 6.0, 6.0) if SMOKE else (4.0, 4.0, 4.0)
STEPS = 4 if SMOKE else 400
HEADS = 2 if SMOKE else 12  # phantoms of random contrast to learn from

# %%
# %matplotlib inline
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from drawing import Panel, draw_row
from IPython.display import Image, display

from medgan import Translator, evaluate_pair, write_volume
from medgan.config import parse_config
from medgan.metrics.floors import floors
from medgan.metrics.mask_rules import EvaluationMask
from medgan.models.model_file import Model
from medgan.phantoms.randomised import random_tissue_values
from medgan.phantoms.scan import scan_head
from medgan.phantoms.tissues import Tissue
from medgan.recipes.training import resume, train
from medgan.volumes.masks import body_mask

folder = Path(tempfile.mkdtemp(prefix="medgan_training_"))
CT_WINDOW = (-200.0, 1000.0)

# %% [markdown]
# ## Scans of different people, unpaired
#
# Three people have an MR, three *others* a CT, as in a hospital's archive. A seventh has both; that
# pair is never trained on. The MR is T2-weighted: fluid is bright in it.

# %%
scans = folder / "scans"
scans.mkdir()
for seed in (1, 2, 3):
    head = scan_head(seed, contrast="t2", spacing_mm=SPACING_MM, supersample=1)
    write_volume(head.mr, scans / f"mr_{seed}.nii.gz")
for seed in (4, 5, 6):
    head = scan_head(seed, spacing_mm=SPACING_MM, supersample=1)
    write_volume(head.ct, scans / f"ct_{seed}.nii.gz")
test = scan_head(7, contrast="t2", spacing_mm=SPACING_MM, supersample=1)
MR_WINDOW = (0.0, float(np.percentile(test.mr.array[test.labels.array > 0], 99.5)))
draw_row(
    Panel(test.mr, "MR of the test head", MR_WINDOW, "arbitrary", at_mm=0.0),
    Panel(test.ct, "its CT: the truth", CT_WINDOW, "HU", at_mm=0.0),
)
plt.show()

# %% [markdown]
# ## Random contrast
#
# One anatomy, four MRs: each tissue's signal follows from the MR signal equations with a random
# sequence, here around T2 weighting and as different as hospitals are, and random relaxation times.
# (`any` goes farther: half of the time signals follow from no equation at all.) The CT is always the
# same. A network that has to get from *all* of these to that one CT learns where bone is, not how
# dark it was in one sequence.

# %%
labels = test.labels.array
examples = []
for seed in range(4):
    signal = random_tissue_values(np.random.default_rng(seed), "t2").signal[labels]
    examples.append(Panel(test.mr.with_array(signal), f"random contrast {seed}",
                          (0, float(np.percentile(signal[labels > 0], 99))), at_mm=0.0))  # fmt: skip
draw_row(*examples, Panel(test.ct, "CT of all of them", CT_WINDOW, at_mm=0.0), inches=2.4)
plt.show()

# %% [markdown]
# ## Two trainings
#
# A configuration is data: the same keys as in `configs/mr_to_ct_head.yaml`, where each is
# explained. The two differ in three of them.
#
# * **unpaired**: as published. A judge says whether a CT looks like a CT, and there-and-back-again
#   must give the MR.
# * **anchored**: beside it, the phantoms above with their true CTs (`losses.phantom`), at first
#   alone (`warmup_steps`).


# %%
def configuration(name, losses, warmup_steps):
    """A tiny training; the keys that are left out keep their defaults."""
    return parse_config(
        {
            "name": name,
            "data": {
                "root": str(scans),
                "source": ["mr_1.nii.gz", "mr_2.nii.gz", "mr_3.nii.gz"],
                "target": ["ct_4.nii.gz", "ct_5.nii.gz", "ct_6.nii.gz"],
                "phantoms": {"heads": HEADS, "slices": 4 if SMOKE else 16, "validation_heads": 1,
                             "contrasts": ["t2"]},
            },
            "preparation": {"spacing_mm": list(SPACING_MM), "matrix": [48, 64]},
            "network": {"width": 8, "blocks": 2, "contents": 3, "discriminator_width": 16},
            "losses": losses,
            "training": {
                "steps": STEPS, "warmup_steps": warmup_steps, "batch": 2, "average_decay": 0.98,
                "learning_rate": 0.0005, "warmup_learning_rate": 0.002, "log_every": 1 if SMOKE else 10,
                "validate_every": STEPS // 2, "checkpoint_every": STEPS // 2,
            },
            "tracking": {"enabled": False},
        }
    )  # fmt: skip


published = {"adversarial": 1.0, "cycle": 10.0, "identity": 0.0, "phantom": 0.0}
anchored = {"adversarial": 0.2, "cycle": 5.0, "identity": 0.0, "phantom": 10.0}
runs = {
    "unpaired": train(configuration("unpaired", published, 0), folder / "unpaired"),
    "anchored": train(configuration("anchored", anchored, STEPS * 3 // 4), folder / "anchored"),
}

# %% [markdown]
# ## What a run folder holds

# %%
for path in sorted(p for p in runs["anchored"].root.rglob("*") if p.is_file()):
    print(f"{path.relative_to(folder)!s:55} {path.stat().st_size / 1000:9.1f} kB")


# %%
def metrics(run):
    """Everything that was logged, one row a step."""
    lines = run.metrics.read_text(encoding="utf-8").splitlines()
    return pd.DataFrame(map(json.loads, lines)).set_index("step")


figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for name, run in runs.items():
    logged = metrics(run)
    for place, key in zip(axes, ("cycle_A", "phantom_A"), strict=True):
        if key in logged and logged[key].notna().any():
            logged[key].dropna().plot(ax=place, label=name)
        place.set(title=f"loss: {key}", xlabel="step", ylabel="loss, times its weight")
for place in axes:
    place.legend()
plt.show()

# %% [markdown]
# Both cycles close. That is the trap: a translation that swaps bone and fluid *and swaps them back*
# satisfies cycle and judge alike. The preview, written at each validation, shows fixed slices of the training: source, result,
# background attention (the share of the input that is copied) and difference.

# %%
for name, run in runs.items():
    print(name)
    display(Image(filename=max(run.previews.glob("*.png")), width=400))

# %% [markdown]
# ## What became of the test head

# %%
mask = EvaluationMask(body_mask(test.mr) & body_mask(test.ct), "body of MR and CT, both")
made = {name: Translator.load(run.root)(test.mr).image for name, run in runs.items()}
scores = {name: evaluate_pair(image, test.ct, mask=mask).values for name, image in made.items()}
scores |= {f"floor: {k}": v.values for k, v in floors(test.mr, test.ct, mask).items()}
draw_row(
    Panel(test.mr, "MR", MR_WINDOW, at_mm=0.0),
    *(Panel(image, name, CT_WINDOW, at_mm=0.0) for name, image in made.items()),
    Panel(test.ct, "truth", CT_WINDOW, "HU", at_mm=0.0),
)
plt.show()
measures = ["bone_dice", "correlation", "mae", "mae_bone"]
pd.DataFrame(scores).T[measures].round(3)

# %% [markdown]
# One training of each, and a short one: a picture of an effect, no proof. Three seeds of every method, on equal terms, are in
# [docs/results.md](../docs/results.md#methods-on-equal-terms). Here the anchored CT is blurred still, and may stay above the
# floors in MAE; what matters is that bone is where bone is, and fluid is not bone.
#
# Look at the tissues one by one. Each point is a tissue of the test head: its true CT number
# across, what the translation gave it upwards. A right answer lies on the diagonal; a contrast that
# was turned round runs the other way.

# %%
figure, axes = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
tissues = [t for t in Tissue if ((labels == t) & mask.voxels).sum() > 20]
for name, image in made.items():
    true = [float(test.ct.array[(labels == t) & mask.voxels].mean()) for t in tissues]
    got = [float(image.array[(labels == t) & mask.voxels].mean()) for t in tissues]
    axes.scatter(true, got, label=name, s=28)
    print(f"{name}: correlation over {len(tissues)} tissues {np.corrcoef(true, got)[0, 1]:.2f}")
axes.plot([-1000, 1500], [-1000, 1500], color="grey", ls="--", label="right")
axes.set(xlabel="true mean of a tissue (HU)", ylabel="mean in the synthetic CT (HU)")
axes.legend()
plt.show()

# %% [markdown]
# ## Interrupted, and resumed
#
# A run is stopped in the middle, as by a power cut after a checkpoint, and resumed from its folder.
# Everything random follows from the seed and the number of the step, so that the result is that of
# a run nobody interrupted: bit for bit, on a CPU in fp32.


# %%
class PowerCut(Exception):
    """Stands for anything that ends a process."""


def cut_at(step):
    """A callback that ends the training."""

    def on_step(now, values):
        if now >= step:
            raise PowerCut(f"in step {now}")

    return on_step


short = configuration("short", anchored, 2).model_copy(deep=True)
schedule = short.training.model_copy(
    update={"steps": 8, "log_every": 1, "checkpoint_every": 2, "validate_every": 4}
)
short = short.model_copy(update={"training": schedule})
whole = train(short, folder / "whole")
try:
    train(short, folder / "cut", cut_at(5))
except PowerCut as reason:
    print("stopped", reason)
continued = resume(folder / "cut")
a, b = (Model.load(run.root) for run in (whole, continued))
weights = [dict(model.generator("forward").state_dict()) for model in (a, b)]
same = all(bool((weights[0][key] == weights[1][key]).all()) for key in weights[0])
print("metrics equal:", whole.metrics.read_text() == continued.metrics.read_text())
print("weights equal, bit for bit:", same)
assert same

# %% [markdown]
# ## What to take with you
#
# * Unpaired terms say what a CT looks like, not which tissue is which. The phantoms say that.
# * Judge a translation by tissue, never by its losses.
# * Stop and resume as you like: `medgan train --resume RUN`.
#
# Next: [translating and looking](3_translating.ipynb).
