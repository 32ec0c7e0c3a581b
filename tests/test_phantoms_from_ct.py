"""Tissues told from a CT, judged on phantoms whose tissues are known."""

import numpy as np
import pytest

from medgan.data.scanned_slices import SLICES_PER_SCAN, scanned_slices
from medgan.errors import DataError
from medgan.phantoms.from_ct import BONE_HU, anatomy_of
from medgan.phantoms.scan import scan_head
from medgan.phantoms.tissues import BONE, BRAIN, Tissue
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.resampling import resample


@pytest.fixture(scope="module")
def head():
    return scan_head(11, spacing_mm=(2.5, 2.5, 2.5), supersample=1, noise=False)


@pytest.fixture(scope="module")
def told(head):
    return anatomy_of(head.ct, seed=0)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def true_labels(head, told):
    """The phantom's labels where the CT was told apart."""
    return resample(head.labels, Grid.of(told.labels)).array


def test_bone_air_and_brain_are_where_they_are(head, told):
    truth = true_labels(head, told)
    bone = np.isin(truth, BONE)
    assert dice(bone, np.isin(told.labels.array, BONE)) > 0.8
    brain = np.isin(truth, [*BRAIN, Tissue.CSF])
    drawn = np.isin(told.labels.array, [Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.CSF])
    assert dice(brain, drawn) > 0.85
    fat = truth == Tissue.FAT
    assert (told.labels.array[fat] == Tissue.FAT).mean() > 0.4


def test_measured_values_are_kept_and_agree_with_the_labels(head, told):
    assert told.ct.array.min() == -1000
    assert told.ct.array.max() <= head.ct.array.max() + 1e-3
    outside = told.labels.array == Tissue.AIR
    assert (told.ct.array[np.isin(told.labels.array, BONE)] > BONE_HU).all()
    assert (told.ct.array[told.labels.array == Tissue.FAT] < 0).all()
    assert np.median(told.ct.array[outside]) == -1000


def test_the_same_seed_folds_the_same_brain_and_another_seed_another(head, told):
    again, other = anatomy_of(head.ct, seed=0), anatomy_of(head.ct, seed=1)
    np.testing.assert_array_equal(told.labels.array, again.labels.array)
    np.testing.assert_array_equal(told.ct.array, other.ct.array)
    assert (told.labels.array != other.labels.array).mean() > 0.01


def test_slices_carry_labels_and_measured_values_of_the_same_place(head):
    slices = scanned_slices([anatomy_of(head.ct, 0), anatomy_of(head.ct, 1)])
    assert slices.labels.shape == slices.hu.shape == (2 * SLICES_PER_SCAN, 1, 256, 256)
    bone, soft = np.isin(slices.labels, BONE), slices.labels == Tissue.WHITE_MATTER
    assert np.median(slices.hu[bone]) > BONE_HU
    assert (slices.hu[slices.labels == Tissue.AIR] < 0).mean() > 0.99
    assert abs(np.median(slices.hu[soft]) - 35) < 15


def test_a_scan_of_nothing_is_refused():
    with pytest.raises(DataError):
        anatomy_of(Volume(np.full((20, 20, 20), -1000.0), np.eye(4), "CT"), seed=0)
