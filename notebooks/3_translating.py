# %% [markdown]
# # 3. Translating and looking
#
# You will learn
#
# * how to translate a volume in four lines;
# * what the quality record says of a source and a result, and when it warns;
# * what the attention map of an attention-guided generator shows;
# * how to look at a result in the browser;
# * where a file says that it is synthetic.
#
# The model is trained here in a minute, on phantoms alone. **Synthetic images are not for clinical
# use.**

# %% tags=["parameters"]
import os

SMOKE = os.environ.get("MEDGAN_SMOKE") == "1"  # small, for a test that only asks whether it runs
SPACING_MM = (6.0, 6.0, 6.0) if SMOKE else (4.0, 4.0, 4.0)
STEPS = 3 if SMOKE else 400
HEADS = 2 if SMOKE else 12  # phantoms of random contrast to learn from

# %%
# %matplotlib inline
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pandas as pd
import SimpleITK as sitk
from drawing import Panel, draw_row
from ipyniivue import NiiVue

from medgan import Translator, read_volume, write_volume
from medgan.config import parse_config
from medgan.errors import MedganError
from medgan.inference.quality import examine, record_path
from medgan.metrics.tissues import AIR_BELOW_HU, BONE_ABOVE_HU
from medgan.phantoms.scan import scan_head
from medgan.recipes.training import train
from medgan.volumes.geometry import same_grid
from medgan.volumes.masks import body_mask

folder = Path(tempfile.mkdtemp(prefix="medgan_translating_"))
CT_WINDOW = (-200.0, 1000.0)

# %% [markdown]
# ## A model
#
# Trained on phantoms of random contrast alone: the warm-up lasts to the end, no scan is used.

# %%
config = parse_config(
    {
        "name": "small_head",
        "data": {"phantoms": {"heads": HEADS, "slices": 4 if SMOKE else 16, "validation_heads": 1}},
        "preparation": {"spacing_mm": list(SPACING_MM), "matrix": [48, 64]},
        "network": {"width": 8, "blocks": 2, "contents": 3, "discriminator_width": 16},
        "losses": {"adversarial": 0.0, "cycle": 0.0, "identity": 0.0, "phantom": 10.0},
        "training": {
            "steps": STEPS, "warmup_steps": STEPS, "batch": 4, "warmup_learning_rate": 0.002,
            "learning_rate": 0.0003, "average_decay": 0.98,
            "validate_every": STEPS, "checkpoint_every": STEPS,
        },
        "tracking": {"enabled": False},
    }
)  # fmt: skip
run = train(config, folder / "run")

# %% [markdown]
# ## Four lines
#
# A T1 of a head that the model has never seen, on a grid that is not the model's: other voxels,
# other axes.

# %%
head = scan_head(11, spacing_mm=(5.0, 5.0, 6.0) if SMOKE else (1.5, 1.5, 3.0), supersample=1)
write_volume(head.mr, folder / "t1.nii.gz")

translate = Translator.load(run.root)
source = read_volume(folder / "t1.nii.gz", modality="MR")
result = translate(source, details=True)
write_volume(result.image, folder / "synthetic_ct.nii.gz")

# %%
body = body_mask(source)
MR_WINDOW = (0.0, float(np.percentile(source.array[body], 99.5)))
for plane, at in (("axial", 10.0), ("sagittal", 0.0)):
    draw_row(
        Panel(source, "MR", MR_WINDOW, plane=plane, at_mm=at),
        Panel(result.image, "synthetic CT", CT_WINDOW, plane=plane, at_mm=at),
        Panel(head.ct, "truth", CT_WINDOW, "HU", plane=plane, at_mm=at),
    )
plt.show()
print("on the very grid of its source:", same_grid(source, result.image))
print("model's grid:", config.preparation.spacing_mm, "mm; source:", source.spacing_mm, "mm")

# %% [markdown]
# The result lies on the grid of its source, whatever grid the model works on. It is no sharper than
# the model's grid: small voxels do not make detail.
#
# ## The attention map
#
# The generator makes several *contents* and blends them with the input itself, by maps that sum to
# 1. The **background attention** is the share of the input in the result: 1 where it is copied, 0
# where all is made. Outside the patient copying is right, since air stays air; inside it says which
# tissue the network believes to look alike in MR and CT.

# %%
draw_row(
    Panel(source, "MR", MR_WINDOW, at_mm=10.0),
    Panel(result.attention, "background attention", (0, 1), "share copied", "magma", at_mm=10.0),
    *(Panel(content, f"content {k}", CT_WINDOW, at_mm=10.0)
      for k, content in enumerate(result.contents[:2], 1)),
)  # fmt: skip
plt.show()
share = result.attention.array
print(
    f"mean share copied: {share[~body].mean():.2f} outside the body, {share[body].mean():.2f} inside"
)
edges_hu = (-np.inf, AIR_BELOW_HU, BONE_ABOVE_HU, np.inf)
for name, low, high in zip(("air", "soft tissue", "bone"), edges_hu, edges_hu[1:], strict=False):
    inside = body & (head.ct.array >= low) & (head.ct.array < high)
    print(f"  where the truth is {name}: {share[inside].mean():.2f}")

# %% [markdown]
# Single contents are no images: they are only meant to be right where their own attention is high.
#
# ## The quality record
#
# A network gives an image for any input. `examine` compares the source with what the model was
# trained on, and the result with what a CT can look like. On disk the record lies beside the
# result, `synthetic_ct.nii.gz.qc.json`; `medgan translate` writes it always.

# %%
record = examine(translate, result, source="phantom 11")
record.write(folder / "synthetic_ct.nii.gz")
written = json.loads(record_path(folder / "synthetic_ct.nii.gz").read_text(encoding="utf-8"))
print(
    json.dumps(
        {k: written[k] for k in ("source", "direction", "compared_with", "preparation")}, indent=1
    )
)
print(json.dumps(written["result"], indent=1)[:800])

# %% [markdown]
# Now sources that the model was not made for. Would you have seen it from the file's name?

# %%
strange = {
    "the T1 itself": source,
    "a CT that calls itself MR": replace(head.ct, modality="MR"),
    "negative of the T1": source.with_array(np.where(body, MR_WINDOW[1] * 1.2 - source.array, 0).clip(0)),
    "a uniform ball": source.with_array(np.where(body, 500.0, 0.0).astype(np.float32)),
}  # fmt: skip
rows, pictures = [], []
for name, volume in strange.items():
    try:
        answer = translate(volume, details=True)
        findings = examine(translate, answer, source=name).findings
        pictures.append(Panel(answer.image, name, CT_WINDOW, at_mm=10.0))
    except MedganError as error:
        rows.append({"source": name, "finding": type(error).__name__, "what": str(error)})
        continue
    if not findings:
        rows.append({"source": name, "finding": "none", "what": ""})
    rows += [{"source": name, "finding": f.name, "what": f.what} for f in findings]
draw_row(*pictures)
plt.show()
pd.set_option("display.max_colwidth", None)
pd.DataFrame(rows)

# %% [markdown]
# Look at what became of the ball, which has no anatomy at all: the network draws a head round it.
#
# A warning does not stop anything, unless you ask for it (`medgan translate --strict`). And a
# record without a finding does not mean that the image is right: guards know what is *unusual*, not
# what is *true*.
#
# ## In the browser
#
# NiiVue shows the files in the notebook itself: scroll through the slices, drag to change the
# window. Nothing leaves your machine.

# %%
viewer = NiiVue(height=360)
viewer.load_volumes(
    [
        {"path": str(folder / "t1.nii.gz")},
        {"path": str(folder / "synthetic_ct.nii.gz"), "colormap": "hot", "opacity": 0.5,
         "cal_min": CT_WINDOW[0], "cal_max": CT_WINDOW[1]},
    ]
)  # fmt: skip
viewer

# %% [markdown]
# ## The file says that it is synthetic
#
# Names are changed and mails forwarded. What is in the file goes with it.

# %%
write_volume(result.image, folder / "synthetic_ct.mha")
print(
    "NIfTI, descrip:  ",
    nibabel.load(folder / "synthetic_ct.nii.gz").header["descrip"].item().decode(),
)
print(
    "MetaImage, key:  ", sitk.ReadImage(str(folder / "synthetic_ct.mha")).GetMetaData("Synthetic")
)
for name in ("synthetic_ct.nii.gz", "synthetic_ct.mha"):
    print(f"read again, {name}: synthetic =", read_volume(folder / name).synthetic)

# %% [markdown]
# DICOM series carry it in their description, image type and equipment; see
# [docs/dicom.md](../docs/dicom.md).
#
# ## What to take with you
#
# * Four lines translate; the fifth should be a look at the record.
# * Attention shows what was copied. Copied bone in a CT is a warning.
# * `medgan report RUN` makes pictures like these of a whole run, with the viewer in one file.
#
# Next: [metrics that mislead](4_metrics.ipynb).
