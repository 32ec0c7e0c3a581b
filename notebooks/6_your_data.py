# %% [markdown]
# # 6. Your own data
#
# You will learn the way of a study through medgan, on a folder such as yours may be:
#
# 1. **inspect**: what is there, and what is wrong with it;
# 2. **configure**: name scans, choose a grid;
# 3. **train**;
# 4. **translate**: a file, and a DICOM study into which the result goes back;
# 5. **evaluate**, beside the floors;
#
# and what to check before the first long training. The scans are phantoms, but nothing below knows
# that: put your folder in the place of `data`.

# %% tags=["parameters"]
import os

SMOKE = os.environ.get("MEDGAN_SMOKE") == "1"  # small, for a test that only asks whether it runs
SPACING_MM = (6.0, 6.0, 6.0) if SMOKE else (4.0, 4.0, 4.0)
STEPS = 3 if SMOKE else 300

# %%
# %matplotlib inline
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import yaml
from drawing import Panel, draw_row

from medgan import read_volume, write_volume
from medgan.cli.main import main
from medgan.config import load_config
from medgan.data.preparation import prepare
from medgan.errors import DataError
from medgan.io.dicom.new_series import Identity, write_series
from medgan.phantoms.scan import scan_head
from medgan.volumes.masks import body_mask

work = Path(tempfile.mkdtemp(prefix="medgan_own_data_"))
os.chdir(work)
CT_WINDOW = (-200.0, 1000.0)


def medgan(*arguments):
    """The command line, as in a terminal: ``medgan ...``; an exit code other than 0 is told."""
    print("$ medgan", *arguments)
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        if stopped.code:
            print(f"(exit code {stopped.code})")


# %% [markdown]
# ## A folder as it may come
#
# MRs as NIfTI, CTs as NIfTI, one study in DICOM; and faults: a CT stored as HU + 1024, and a series
# that lost a slice.

# %%
data = Path("data")
for name in ("mr", "ct", "test"):
    (data / name).mkdir(parents=True)
for seed in (1, 2):
    write_volume(
        scan_head(seed, spacing_mm=SPACING_MM, supersample=1).mr, data / "mr" / f"p{seed}.nii.gz"
    )
for seed in (3, 4):
    ct = scan_head(seed, spacing_mm=SPACING_MM, supersample=1).ct
    if seed == 4:
        ct = ct.with_array(ct.array + 1024)
    write_volume(ct, data / "ct" / f"p{seed}.nii.gz")
test = scan_head(5, spacing_mm=SPACING_MM, supersample=1)
write_volume(test.ct, data / "test" / "ct.nii.gz")
write_volume(test.mr, data / "test" / "mr.nii.gz")
made = datetime(2026, 1, 1, tzinfo=UTC)
who = Identity(patient_id="P5", patient_name="Phantom^Five", body_part="HEAD")
write_series(test.mr, data / "study" / "t1", who, created=made, seed="P5")
broken = scan_head(6, spacing_mm=SPACING_MM, supersample=1).mr
files = write_series(broken, data / "broken" / "t1", created=made, seed="P6")
files[len(files) // 2].unlink()

# %% [markdown]
# ## 1. Inspect
#
# Before anything else. One line a volume: kind, size, voxels, orientation, problems.

# %%
medgan("inspect", data)

# %% [markdown]
# The broken series is named with its reason, and would be refused everywhere else too. But no header betrays a CT whose
# values are shifted: without a word on what it is, `ct/p4.nii.gz` is even taken for an MR, because nothing in it lies below
# -500. **Look at the values**: air is -1000 HU, and the soft tissue of a head lies near 40 HU.

# %%
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for path in sorted((data / "ct").glob("*.nii.gz")):
    volume = read_volume(path, modality="CT")
    axes.hist(
        volume.array.ravel(), bins=np.arange(-1100, 2500, 25), histtype="step", label=path.name
    )
    print(f"{path.name}: 5th percentile {np.percentile(volume.array, 5):.0f} HU")
    try:
        body_mask(volume)
    except DataError as error:
        print("  ", error)
axes.set(xlabel="value, said to be HU", ylabel="voxels", yscale="log")
for place, name in ((-1000, "air"), (40, "soft tissue")):
    axes.axvline(place, color="grey", ls=":")
    axes.text(place, axes.get_ylim()[1], name, ha="center", va="bottom", fontsize=8)
axes.legend()
plt.show()

# %% [markdown]
# The second file's air is at 0 instead of -1000: it stores HU + 1024, and `hu_offset: -1024` in the configuration mends it.
# Left as it is, medgan finds no patient in it, and says so. Name the modality of every file, and never let it be guessed.
#
# ## 2. Configure
#
# Only what differs from the defaults. `data.root` may be left out: then relative paths start from
# the folder that the environment variable `MEDGAN_DATA` names, so that one configuration serves
# several machines.

# %%
os.environ["MEDGAN_DATA"] = str(data.resolve())
config = {
    "name": "mine",
    "data": {
        "source": ["mr/p1.nii.gz", "mr/p2.nii.gz"],
        "target": ["ct/p3.nii.gz", {"path": "ct/p4.nii.gz", "hu_offset": -1024}],
        "phantoms": {"heads": 2 if SMOKE else 8, "slices": 4 if SMOKE else 16, "validation_heads": 1},
    },
    "preparation": {"spacing_mm": list(SPACING_MM), "matrix": [48, 64]},
    "network": {"width": 8, "blocks": 2, "contents": 3, "discriminator_width": 16},
    "losses": {"adversarial": 0.2, "cycle": 5.0, "identity": 0.0, "phantom": 10.0},
    "training": {
        "steps": STEPS, "warmup_steps": max(1, STEPS * 4 // 5), "batch": 2, "average_decay": 0.98,
        "warmup_learning_rate": 0.002, "learning_rate": 0.0003, "log_every": max(1, STEPS // 10),
        "validate_every": STEPS, "checkpoint_every": STEPS,
    },
    "tracking": {"enabled": False},
}  # fmt: skip
Path("mine.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
medgan("train", "mine.yaml", "training.step=500")  # a slip of the pen: no such key

# %% [markdown]
# Unknown keys are errors, not silence.
#
# ## What will the network see?
#
# The preparation turns scans to RAS, finds the body, resamples to the model's grid, crops to the
# patient and scales. Look at it *before* training: a wrong body mask or a cropped chin is cheap to
# find now.

# %%
settings = load_config(Path("mine.yaml"))
source = read_volume(data / "mr" / "p1.nii.gz", modality="MR")
prepared = prepare(source, settings.preparation)
scaled = prepared.volume.with_array(prepared.scaled())
draw_row(
    Panel(source, "the file", (0, float(np.percentile(source.array, 99.5))), plane="sagittal", at_mm=0.0),
    Panel(prepared.volume.with_array(prepared.mask.astype(np.float32)), "body mask", (0, 1),
          plane="sagittal", at_mm=0.0),
    Panel(scaled, "what the network sees", (-1, 1), "scale", plane="sagittal", at_mm=0.0),
)  # fmt: skip
plt.show()
print("matrix of the model:", settings.preparation.matrix, " prepared:", scaled.shape)

# %% [markdown]
# ## 3. Train
#
# A few hundred steps of a tiny network, to see whether everything fits together. For results, take
# `configs/mr_to_ct_head.yaml`: a quarter of an hour on a processor, more for many scans.

# %%
medgan("train", "mine.yaml", "--out", "runs/mine")

# %% [markdown]
# ## 4. Translate
#
# A file; and the DICOM study: the synthetic series goes into a copy of its place, with patient,
# study and frame of reference of its source, and says that it is synthetic. The broken series is
# named, and not translated.
#
# In a study, series that are synthetic already are left aside, lest a result be translated again.
# Phantoms say of themselves that they are synthetic; `--series synthetic=yes` asks for them all the
# same. Yours need no such option.

# %%
medgan("translate", "runs/mine", data / "test" / "mr.nii.gz", "made/ct.nii.gz")
for study in ("study", "broken"):
    medgan("translate", "runs/mine", data / study, f"made/{study}", "--series", "synthetic=yes")
medgan("inspect", "made/study")

# %%
record = json.loads(Path("made/ct.nii.gz.qc.json").read_text(encoding="utf-8"))
print(
    "findings of the quality record:", [finding["name"] for finding in record["findings"]] or "none"
)

# %% [markdown]
# ## 5. Evaluate
#
# Where there is a true CT, on the grid of the MR. `--source` adds the two floors.

# %%
medgan("evaluate", "made/ct.nii.gz", data / "test" / "ct.nii.gz",
       "--source", data / "test" / "mr.nii.gz", "--html", "quality.html")  # fmt: skip

# %%
synthetic = read_volume("made/ct.nii.gz", modality="CT")
difference = synthetic.with_array(synthetic.array.astype(np.float32) - test.ct.array)
draw_row(
    Panel(test.mr, "MR", (0, float(np.percentile(test.mr.array, 99.5))), at_mm=0.0),
    Panel(synthetic, "synthetic CT", CT_WINDOW, at_mm=0.0),
    Panel(test.ct, "truth", CT_WINDOW, "HU", at_mm=0.0),
    Panel(difference, "synthetic - truth", (-1000, 1000), "HU", "RdBu_r", at_mm=0.0),
)
plt.show()

# %% [markdown]
# ## What to check first
#
# | check | why |
# |---|---|
# | `medgan inspect` names no problem you do not understand | a series refused now is not trained on by mistake |
# | air in every CT at about -1000 HU | a shifted CT teaches shifted numbers |
# | nobody is in training *and* test | else the test measures memory |
# | body masks and prepared slices looked at | what is cropped away cannot be learned |
# | the floors of your test pairs | the numbers to beat, before the first training |
# | pairs in register, moved onto the MR | no model can be judged more finely |
# | sequence and part of the body as in training | the guards warn; believe them |
#
# More: [docs/training.md](../docs/training.md), [docs/translate.md](../docs/translate.md),
# [docs/dicom.md](../docs/dicom.md).
