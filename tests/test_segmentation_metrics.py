"""Dice and HD95 against brute force and MONAI; missed classes are counted, never hidden."""

import math

import numpy as np
import pytest

from medgan.errors import DataError, GeometryError
from medgan.metrics.segmentation import compare_labels, dice, hausdorff95_mm
from medgan.volumes.volume import Volume

SPACING = (0.8, 1.0, 2.5)
AFFINE = np.diag([*SPACING, 1.0])


def blobs(seed, shape=(14, 15, 12)):
    """A lumpy mask that touches the border of the image."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2) > 0.02


def brute_surface(mask):
    return [
        point
        for point in np.argwhere(mask)
        if not all(
            0 <= n[axis] < mask.shape[axis] and mask[tuple(n)]
            for axis in range(3)
            for n in (point + np.eye(3, dtype=int)[axis], point - np.eye(3, dtype=int)[axis])
        )
    ]


def brute_hd95(first, second):
    a, b = (np.array(brute_surface(mask)) * SPACING for mask in (first, second))
    distances = np.linalg.norm(a[:, None] - b[None], axis=2)
    return max(np.percentile(distances.min(axis), 95) for axis in (0, 1))


@pytest.mark.parametrize("seed", range(4))
def test_hd95_equals_brute_force_and_monai(seed):
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance

    first, second = blobs(seed), blobs(seed + 10)
    found = hausdorff95_mm(first, second, SPACING)
    assert found == pytest.approx(brute_hd95(first, second), abs=1e-6)
    tensors = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (first, second)]
    theirs = compute_hausdorff_distance(
        *tensors, include_background=True, percentile=95, spacing=SPACING
    )
    assert found == pytest.approx(float(theirs), abs=1e-5)
    assert dice(first, second) == pytest.approx(float(compute_dice(*tensors)), abs=1e-6)


def test_a_shifted_box_is_as_far_as_it_was_shifted():
    first = np.zeros((30, 30, 30), bool)
    first[5:15, 5:15, 5:15] = True
    second = np.roll(first, 4, axis=2)
    # Of the 1000 voxels of each, six layers of ten are shared.
    assert dice(first, second) == pytest.approx(0.6)
    # The far face is 4 slices of 2.5 mm away, and more than a twentieth of the surface.
    assert hausdorff95_mm(first, second, SPACING) == pytest.approx(10.0)
    assert hausdorff95_mm(first, first, SPACING) == 0


def test_empty_masks_have_no_distance():
    some, none = blobs(1), np.zeros((14, 15, 12), bool)
    assert dice(some, none) == 0
    assert math.isnan(dice(none, none))
    assert math.isnan(hausdorff95_mm(some, none, SPACING))


def label_maps():
    reference = np.zeros((20, 20, 20), np.uint8)
    reference[2:8, 2:8, 2:8] = 5
    reference[10:16, 2:8, 2:8] = 91
    prediction = np.where(reference == 5, 5, 0).astype(np.uint8)
    prediction[0:2, 15:, 15:] = 7
    return Volume(prediction, AFFINE, "LABEL"), Volume(reference, AFFINE, "LABEL")


def test_a_missed_class_lowers_dice_is_counted_and_does_not_enter_the_distance():
    found = compare_labels(*label_maps())
    assert found.values == {
        "dice": 0.5, "hd95": 0.0, "classes": 2, "missed_classes": 1, "spurious_classes": 1,
    }  # fmt: skip
    assert found.classes[5].dice == 1
    assert math.isnan(found.classes[91].hd95_mm)
    assert set(found.to_dict()["by_class"]) == {"5", "91"}


def test_a_prediction_of_nothing_has_dice_zero_and_no_distance():
    _, reference = label_maps()
    found = compare_labels(reference.with_array(np.zeros(reference.shape, np.uint8)), reference)
    assert found.values["dice"] == 0
    assert found.values["missed_classes"] == 2
    assert math.isnan(found.values["hd95"])


def test_maps_that_are_none_are_refused():
    prediction, reference = label_maps()
    with pytest.raises(DataError, match="whole numbers"):
        compare_labels(prediction.with_array(prediction.array + 0.5), reference)
    with pytest.raises(DataError, match="no class but background"):
        compare_labels(prediction, reference.with_array(np.zeros(reference.shape, np.uint8)))
    image = reference.with_array(np.arange(8000).reshape(20, 20, 20))
    with pytest.raises(DataError, match="too many different values"):
        compare_labels(prediction, image)
    with pytest.raises(GeometryError, match="another grid"):
        compare_labels(Volume(prediction.array, np.eye(4), "LABEL"), reference)
