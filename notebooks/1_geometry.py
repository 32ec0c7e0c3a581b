# %% [markdown]
# # 1. Volumes and geometry
#
# You will learn
#
# * what a medgan `Volume` is, and what its affine says;
# * how RAS (NIfTI, medgan) and LPS (DICOM, ITK) name the same place differently;
# * the difference between *reorienting*, which changes no value, and *resampling*, which makes new
#   ones;
# * what medgan does with a DICOM series that lacks a slice, and what a reader that guesses makes of
#   it.
#
# Everything is a phantom, drawn here; nothing is downloaded.

# %% tags=["parameters"]
import os

SMOKE = os.environ.get("MEDGAN_SMOKE") == "1"  # small, for a test that only asks whether it runs
SPACING_MM = (4.0, 4.0, 5.0) if SMOKE else (1.5, 1.5, 2.5)

# %%
# %matplotlib inline
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pandas as pd
import pydicom
import SimpleITK as sitk
from drawing import Panel, draw_row

from medgan import read_volume, write_volume
from medgan.errors import GeometryError, MedganError
from medgan.io.dicom import index_folder, read_series
from medgan.io.dicom.new_series import write_series
from medgan.phantoms.dicom_cases import describe, write_case
from medgan.phantoms.scan import scan_head
from medgan.volumes import Volume
from medgan.volumes.geometry import (
    Grid,
    apply_affine,
    axis_codes,
    grid_with_spacing,
    ras_to_lps,
    reorient,
    require_same_grid,
    same_grid,
)
from medgan.volumes.resampling import resample

folder = Path(tempfile.mkdtemp(prefix="medgan_geometry_"))
pd.set_option("display.max_colwidth", None)
HEAD_WINDOW = (-200.0, 800.0)

# %% [markdown]
# ## A volume is an array and its place
#
# A CT of a phantom head. So that left and right can be told apart, a clip of metal is put into the
# right side of the head: a cube of 3000 HU, 50 mm to the right of the middle.

# %%
head = scan_head(7, spacing_mm=SPACING_MM, supersample=1)
array = np.maximum(head.ct.array, -1024)  # the least that a CT file holds
clip_ras = np.array([50.0, 0.0, 10.0])
index = np.rint(apply_affine(np.linalg.inv(head.ct.affine), clip_ras)).astype(int)
half = np.maximum(1, np.rint(4 / np.array(SPACING_MM))).astype(int)
array[tuple(slice(i - h, i + h + 1) for i, h in zip(index, half, strict=True))] = 3000
ct = head.ct.with_array(array)

print("array     ", ct.array.shape, ct.array.dtype, ct.unit)
print("spacing   ", ct.spacing_mm, "mm")
print("axes run  ", axis_codes(ct.affine), "(towards Right, Anterior, Superior)")
print("affine, voxel index -> mm:\n", ct.affine)

# %%
draw_row(
    *(
        Panel(ct, f"{plane}", HEAD_WINDOW, "HU", plane=plane, at_mm=at)
        for plane, at in (("axial", 10.0), ("coronal", 0.0), ("sagittal", 50.0))
    )
)
plt.show()

# %% [markdown]
# The patient looks at you: his right is on your left, as radiologists have it. The gold letters and
# the ticks come from the affine, not from the order of the array.
#
# ## One place, two names
#
# DICOM and ITK count x to the patient's **left** and y to the **back** (LPS); NIfTI and medgan
# count to the right and to the front (RAS). Two signs, and nothing in a row of three numbers says
# which convention it has.


# %%
def middle_of_clip(volume: Volume) -> np.ndarray:
    """Where the clip lies, RAS mm: the centre of all voxels above 2500 HU."""
    return apply_affine(volume.affine, np.argwhere(volume.array > 2500).mean(axis=0))


voxel = np.argwhere(ct.array > 2500).mean(axis=0)
print("voxel index", voxel)
print("RAS mm     ", apply_affine(ct.affine, voxel))
print("LPS mm     ", apply_affine(ras_to_lps(ct.affine), voxel))

# %% [markdown]
# The same volume as NIfTI and as MetaImage: the origins in the two headers disagree in two signs,
# and both are right. `read_volume` knows each format's convention, so that the clip comes back to
# its place.

# %%
for name in ("head.nii.gz", "head.mha"):
    write_volume(ct, folder / name)
nifti = nibabel.load(folder / "head.nii.gz")
metaimage = sitk.ReadImage(str(folder / "head.mha"))
print("origin in the NIfTI header    ", np.round(nifti.affine[:3, 3], 2))
print("origin in the MetaImage header", np.round(metaimage.GetOrigin(), 2))
for name in ("head.nii.gz", "head.mha"):
    print(
        f"the clip as read from {name:12}", np.round(middle_of_clip(read_volume(folder / name)), 2)
    )
assert same_grid(read_volume(folder / "head.nii.gz"), read_volume(folder / "head.mha"))

# %% [markdown]
# ## Reorienting changes no value; resampling does
#
# `reorient` permutes and flips axes. The array looks different, the patient does not move, and
# every value is one that was there before. `resample` asks for values *between* voxels.

# %%
turned = reorient(ct, "LPI")
coarse = resample(ct, grid_with_spacing(Grid.of(ct), (6.0, 6.0, 6.0)))
aliased = resample(ct, Grid.of(coarse), antialias=False)
rows = []
for name, volume in (
    ("as drawn", ct),
    ("reoriented to LPI", turned),
    ("resampled to 6 mm", coarse),
):
    rows.append(
        {
            "volume": name,
            "axes": axis_codes(volume.affine),
            "shape": volume.shape,
            "only values that were there": bool(np.isin(volume.array, ct.array).all()),
            "largest HU": float(volume.array.max()),
            "middle of the head, RAS mm": np.round(
                apply_affine(volume.affine, np.argwhere(volume.array > -200).mean(axis=0))
            ),
        }
    )
pd.DataFrame(rows)

# %%
draw_row(
    Panel(ct, "as drawn", HEAD_WINDOW, at_mm=10.0),
    Panel(turned, "reoriented: the same picture", HEAD_WINDOW, at_mm=10.0),
    Panel(coarse, "6 mm, smoothed first", HEAD_WINDOW, at_mm=10.0),
    Panel(aliased, "6 mm, not smoothed: aliasing", HEAD_WINDOW, "HU", at_mm=10.0),
)
plt.show()

# %% [markdown]
# Smoothing before sampling is the honest way to a coarser grid: a voxel then holds the mean of the
# tissue in it, as a scanner's would, instead of whichever point its centre happens to hit.
#
# ## Why the order of an array must never be trusted
#
# Compare the two arrays voxel by voxel *without* looking at the affines, as a program does that
# reads arrays only. It finds a patient whose clip is on the other side.


# %%
def without_affine(volume: Volume) -> Volume:
    """What a program has that keeps the array alone and takes its axes for RAS."""
    return Volume(volume.array, ct.affine, volume.modality)


naive = without_affine(turned)
draw_row(
    Panel(turned, "with its affine", HEAD_WINDOW, at_mm=10.0),
    Panel(naive, "array alone, taken for RAS", HEAD_WINDOW, "HU", at_mm=middle_of_clip(naive)[2]),
)
plt.show()
print("true place     ", np.round(middle_of_clip(turned)))
print("guessed place  ", np.round(middle_of_clip(naive)))
distance = np.linalg.norm(middle_of_clip(naive) - middle_of_clip(turned))
print(f"wrong by        {distance:.0f} mm, and nothing looks wrong with the picture")

# %% [markdown]
# In medgan two volumes that do not lie on one grid cannot be compared by accident:

# %%
try:
    require_same_grid(ct, coarse)
except GeometryError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ## A DICOM series that lacks a slice
#
# We write the head as DICOM, one file a slice, and lose some files from the middle, as a transfer
# that broke off does. First the reader that guesses: sort the files by their number, stack them,
# take the distance of the first two slices for all.

# %%
series = folder / "series"
files = write_series(ct, series, created=datetime(2026, 1, 1, tzinfo=UTC), seed="geometry")
whole = read_volume(series)
lost = max(2, round(15 / SPACING_MM[2]))
for path in files[len(files) // 3 : len(files) // 3 + lost]:
    path.unlink()
print(f"{len(files)} files written, {lost} lost: {lost * SPACING_MM[2]:g} mm of the patient")


def stack_and_guess(path: Path) -> Volume:
    """What many scripts do."""
    slices = sorted(map(pydicom.dcmread, path.glob("*.dcm")), key=lambda s: s.InstanceNumber)
    stack = np.stack([s.pixel_array * s.RescaleSlope + s.RescaleIntercept for s in slices], axis=2)
    first = slices[0]
    step = abs(slices[1].ImagePositionPatient[2] - first.ImagePositionPatient[2])
    affine = np.diag([-first.PixelSpacing[1], -first.PixelSpacing[0], step, 1.0])
    x, y, z = first.ImagePositionPatient
    affine[:3, 3] = (-x, -y, z)
    return Volume(stack.swapaxes(0, 1).astype(np.float32), affine, "CT")


guessed = stack_and_guess(series)
draw_row(
    Panel(whole, "truth", HEAD_WINDOW, plane="coronal", at_mm=0.0),
    Panel(guessed, "stacked without asking", HEAD_WINDOW, "HU", plane="coronal", at_mm=0.0),
    inches=3.6,
)
plt.show()
error_mm = np.linalg.norm(middle_of_clip(guessed) - middle_of_clip(whole))
print(f"the clip has moved by {error_mm:.1f} mm; no message, no warning")

# %% [markdown]
# The head is shorter, and everything above the gap is too low by what was lost. A dose planned on
# it would go to the wrong place. medgan refuses, and the error says what is wrong, where, how much,
# and what can be done:

# %%
try:
    read_volume(series)
except MedganError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# Where a repair makes sense it has to be asked for, and it is on record. The gap is filled by
# interpolation: the geometry is right again, the anatomy in the gap is not known.

# %%
(entry,) = index_folder(series).entries
repaired = read_series(entry, irregular="resample")
print(*repaired.repairs, sep="\n")
print("the clip is", np.round(np.linalg.norm(
    middle_of_clip(repaired.volume) - middle_of_clip(whole)), 2), "mm from its place")  # fmt: skip
draw_row(
    Panel(whole, "truth", HEAD_WINDOW, plane="coronal", at_mm=0.0),
    Panel(repaired.volume, "repaired on request", HEAD_WINDOW, "HU", plane="coronal", at_mm=0.0),
    inches=3.6,
)
plt.show()

# %% [markdown]
# ## A small zoo of faults
#
# The tests of medgan draw many kinds of series, sound and broken, with the truth of every voxel.
# Here are some of the broken ones, and what comes of them.

# %%
rows = []
for name in (
    "missing_slice",
    "duplicate_slice",
    "variable_spacing",
    "gantry_tilt",
    "truncated_file",
):
    case = write_case(name, folder / "zoo" / name)
    for entry in index_folder(case.folder).entries:
        try:
            read_series(entry)
        except MedganError as error:
            refused = type(error).__name__
        else:
            refused = "read"
        rows.append({"case": name, "what is wrong": describe(name), "medgan": refused})
pd.DataFrame(rows)

# %% [markdown]
# ## What to take with you
#
# * An array without its affine is not an image of a patient. Keep a `Volume`, not an array.
# * Compare positions in mm, and say whether they are RAS or LPS.
# * Reorient freely. Resample once, and onto the grid of what you compare with.
# * A reader that never refuses is a reader that sometimes invents. Read the error; it names the
#   remedy.
#
# `medgan inspect FOLDER` says all this of a folder before anything is read. Next: [training
# small](2_training.ipynb).
