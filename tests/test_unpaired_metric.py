"""The depth profile: closed forms on nested shells, and the failure it exists to see."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from medgan.errors import DataError
from medgan.metrics.unpaired import QUANTILES, depth_profile, profile_distance

SPACING_MM = (2.0, 2.0, 3.0)
FAT, BONE, BRAIN = -100.0, 1000.0, 40.0


@pytest.fixture(scope="module")
def body():
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip((50, 50, 34), SPACING_MM, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 < 46**2


def layered(body, layers):
    """Values from the skin inwards; equal counts of voxels a layer whatever their order."""
    depth = distance_transform_edt(body, sampling=SPACING_MM)
    order = np.argsort(depth[body], kind="stable")
    values = np.empty(order.size)
    values[order] = np.repeat(*zip(*layers, strict=True))
    image = np.full(body.shape, -1000.0)
    image[body] = values
    return image


@pytest.fixture(scope="module")
def head(body):
    count = int(body.sum())
    fat, bone = int(0.2 * count), int(0.25 * count)
    layers = [(FAT, fat), (BONE, bone), (BRAIN, count - fat - bone)]
    return layered(body, layers), layered(body, [layers[1], layers[0], layers[2]])


def profile(image, body):
    return depth_profile(image, body, SPACING_MM)


def test_a_profile_holds_the_quantiles_of_every_shell(head, body):
    image = head[0] + np.random.default_rng(0).normal(0, 10, body.shape)
    depth = distance_transform_edt(body, sampling=SPACING_MM)
    found = profile(image, body)
    assert found.shape == (20, 100)
    for shell in (1, 5, 12):
        inside = image[body & (depth >= 2 * shell) & (depth < 2 * shell + 2)]
        np.testing.assert_allclose(found[shell], np.quantile(inside, QUANTILES))


def test_an_image_is_at_no_distance_from_itself(head, body):
    own = profile(head[0], body)
    assert profile_distance([own], [own, own]) == 0


def test_a_constant_shift_is_its_own_distance(head, body):
    shifted = profile(head[0] + 25, body)
    assert profile_distance([shifted], [profile(head[0], body)]) == pytest.approx(25)


def test_contrast_turned_round_is_far_off_though_the_histogram_is_the_same(head, body):
    right, turned = head
    np.testing.assert_array_equal(np.sort(right[body]), np.sort(turned[body]))
    distance = profile_distance([profile(turned, body)], [profile(right, body)])
    assert distance > 100


def test_shells_with_too_few_voxels_are_left_out(body):
    small = np.zeros_like(body)
    small[10:26, 10:26, 10:20] = True
    depth = distance_transform_edt(small, sampling=SPACING_MM)
    counts = np.histogram(depth[small], np.arange(0, 42, 2))[0]
    assert 0 < np.count_nonzero(counts >= 200) < np.count_nonzero(counts)
    found = profile(np.zeros(body.shape), small)
    np.testing.assert_array_equal(np.isnan(found[:, 0]), counts < 200)


def test_profiles_without_a_common_shell_cannot_be_compared():
    empty, full = np.full((20, 100), np.nan), np.zeros((20, 100))
    with pytest.raises(DataError, match="no shell"):
        profile_distance([empty], [full])
