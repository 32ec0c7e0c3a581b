"""Errors by tissue against hand-counted voxels."""

import math

import numpy as np
import pytest

from medgan.metrics.tissues import bone_dice, saturated_share, tissue_measures


@pytest.fixture
def four_voxels():
    reference = np.array([-1000.0, 40.0, 700.0, 300.0]).reshape(4, 1, 1)
    prediction = np.array([-980.0, 45.0, 600.0, 100.0]).reshape(4, 1, 1)
    return prediction, reference, np.ones((4, 1, 1), bool)


def test_each_error_counts_for_the_tissue_of_the_reference(four_voxels):
    found = tissue_measures(*four_voxels)
    assert found["mae_air"] == 20
    assert found["mae_soft"] == 5
    assert found["mae_bone"] == 150
    assert found["bone_dice"] == pytest.approx(2 * 1 / (1 + 2))


def test_nothing_outside_the_mask_counts(four_voxels):
    prediction, reference, mask = four_voxels
    mask = mask.copy()
    mask[3] = False
    found = tissue_measures(prediction, reference, mask)
    assert found["mae_bone"] == 100
    assert found["bone_dice"] == 1


def test_tissue_errors_weighted_by_volume_give_the_whole_error():
    rng = np.random.default_rng(1)
    reference = rng.uniform(-1000, 1500, (6, 7, 8))
    prediction = reference + rng.normal(0, 80, reference.shape)
    mask = rng.random(reference.shape) < 0.7
    found = tissue_measures(prediction, reference, mask)
    air, bone = reference < -300, reference > 150
    parts = {"mae_air": air, "mae_soft": ~air & ~bone, "mae_bone": bone}
    total = sum(found[name] * (part & mask).sum() for name, part in parts.items()) / mask.sum()
    assert total == pytest.approx(np.abs(prediction - reference)[mask].mean())


def test_soft_tissue_includes_both_thresholds():
    reference = np.array([-300.0, 150.0]).reshape(2, 1, 1)
    found = tissue_measures(reference + 1, reference, np.ones((2, 1, 1), bool))
    assert found["mae_soft"] == 1
    assert math.isnan(found["mae_air"])
    assert math.isnan(found["mae_bone"])


def test_absent_bone_is_undefined_and_missed_bone_is_zero():
    soft, bone = np.zeros((3, 3, 3)), np.full((3, 3, 3), 900.0)
    mask = np.ones((3, 3, 3), bool)
    assert math.isnan(bone_dice(soft, soft, mask))
    assert bone_dice(soft, bone, mask) == 0
    assert bone_dice(bone, soft, mask) == 0


def test_saturated_share_counts_what_clipping_changes():
    array = np.array([-1024.0, -1000.0, 0.0, 2000.0, 3071.0]).reshape(5, 1, 1)
    mask = np.ones(array.shape, bool)
    changed = (np.clip(array, -1000, 2000) != array).mean()
    assert saturated_share(array, mask) == changed == 0.4
    assert saturated_share(array, mask, (-1024, 3071)) == 0
