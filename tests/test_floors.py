"""Floors: optimal within their family, and blind to everything outside it."""

import numpy as np
import pytest

from medgan.errors import GeometryError
from medgan.metrics.floors import constant_floor, floors, lookup_floor
from medgan.volumes.volume import Volume


@pytest.fixture
def scene():
    """A mask, a CT truth and an MR that partly tells it."""
    rng = np.random.default_rng(5)
    truth = rng.choice([-950.0, 20.0, 60.0, 900.0], (12, 13, 14)) + rng.normal(0, 30, (12, 13, 14))
    signal = np.round(400 + 150 * np.sin(truth / 300) + rng.normal(0, 40, truth.shape))
    mask = np.zeros(truth.shape, bool)
    mask[1:11, 1:12, 1:13] = True
    return Volume(signal, np.eye(4), "MR"), Volume(truth, np.eye(4), "CT"), mask


def error(prediction, reference, mask):
    return np.abs(prediction.array - reference.array)[mask].mean()


def test_no_other_constant_is_better(scene):
    _, reference, mask = scene
    best = error(constant_floor(reference, mask), reference, mask)
    for value in np.linspace(-1100, 1100, 111):
        assert best <= np.abs(value - reference.array)[mask].mean() + 1e-9


def test_lookup_with_a_bin_for_each_value_is_the_median_per_value(scene):
    source, reference, mask = scene
    coarse = source.with_array(np.round(source.array / 50))
    values = coarse.array[mask]
    expected = np.empty(values.size)
    for value in np.unique(values):
        expected[values == value] = np.median(reference.array[mask][values == value])
    found = lookup_floor(coarse, reference, mask, bins=4096).array[mask]
    np.testing.assert_allclose(found, expected)


def test_lookup_bins_are_equally_populated(scene):
    _, reference, mask = scene
    distinct = np.random.default_rng(6).permutation(reference.array.size)
    source = Volume(distinct.reshape(reference.shape), np.eye(4), "MR")
    found = lookup_floor(source, reference, mask, bins=20).array[mask]
    _, population = np.unique(found, return_counts=True)
    assert len(population) == 20
    assert np.ptp(population) <= 2


def test_lookup_beats_the_constant_and_one_bin_equals_it(scene):
    source, reference, mask = scene
    constant = constant_floor(reference, mask)
    assert error(lookup_floor(source, reference, mask), reference, mask) < error(
        constant, reference, mask
    )
    np.testing.assert_array_equal(
        lookup_floor(source, reference, mask, bins=1).array, constant.array
    )


def test_lookup_depends_on_the_order_of_intensities_alone(scene):
    source, reference, mask = scene
    before = lookup_floor(source, reference, mask)
    bent = source.with_array(np.exp(source.array / 200) * 3 - 7)
    np.testing.assert_array_equal(lookup_floor(bent, reference, mask).array, before.array)


def test_nothing_outside_the_mask_is_used(scene):
    source, reference, mask = scene
    spoiled = reference.with_array(np.where(mask, reference.array, 5e4))
    np.testing.assert_array_equal(
        lookup_floor(source, spoiled, mask).array, lookup_floor(source, reference, mask).array
    )
    assert (constant_floor(reference, mask).array[~mask] == -1000).all()


def test_floors_are_scored_by_the_protocol_of_the_prediction(scene):
    source, reference, mask = scene
    found = floors(source, reference, mask)
    assert list(found) == ["constant", "lookup_table"]
    expected = error(lookup_floor(source, reference, mask), reference, mask)
    assert found["lookup_table"].values["mae"] == pytest.approx(expected)
    assert np.isnan(found["constant"].values["correlation"])
    assert found["constant"].values["bone_dice"] == 0
    assert {result.protocol for result in found.values()} == {"synthrad2023"}


def test_a_perfect_lookup_reaches_the_truth(scene):
    _, reference, mask = scene
    truth = reference.with_array(np.round(reference.array / 100))
    source = Volume(2 * truth.array + 900, np.eye(4), "MR")
    assert floors(source, truth, mask)["lookup_table"].values["mae"] == 0


def test_a_source_on_another_grid_is_refused(scene):
    source, reference, mask = scene
    moved = Volume(source.array, np.diag([1, 1, 2, 1]), "MR")
    with pytest.raises(GeometryError):
        floors(moved, reference, mask)
