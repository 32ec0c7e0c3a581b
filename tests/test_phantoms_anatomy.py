"""The phantom head: a function of seed and position, closed, sized and built as heads are."""

import numpy as np
import pytest
from scipy import ndimage

from medgan.errors import DataError
from medgan.phantoms.anatomy import HeadAnatomy
from medgan.phantoms.tissues import BONE, BRAIN, Tissue
from medgan.phantoms.vault import cavity

STEP_MM = 2.0
AXES = (np.arange(-96, 97, 2.0), np.arange(-116, 133, 2.0), np.arange(-110, 105, 2.0))
SEEDS = (3, 11)


def sampled(seed: int) -> np.ndarray:
    grid = np.stack(np.meshgrid(*AXES, indexing="ij"), axis=-1)
    return HeadAnatomy(seed).labels(grid.reshape(-1, 3)).reshape(grid.shape[:3])


@pytest.fixture(scope="module", params=SEEDS)
def head(request: pytest.FixtureRequest) -> np.ndarray:
    return sampled(request.param)


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    points = np.random.default_rng(0).uniform(-90, 90, (5000, 3))
    first = HeadAnatomy(5).labels(points)
    np.testing.assert_array_equal(first, HeadAnatomy(5).labels(points))
    assert (first != HeadAnatomy(6).labels(points)).mean() > 0.05


def test_a_point_has_the_same_tissue_in_whatever_company_it_is_evaluated() -> None:
    points = np.random.default_rng(1).uniform(-95, 95, (40_000, 3)).astype(np.float32)
    anatomy = HeadAnatomy(7)
    whole = anatomy.labels(points)
    some = np.random.default_rng(2).permutation(len(points))[:3000]
    alone = anatomy.labels(points[some])
    # Matrix products of other sizes may round otherwise; only points on a border can flip.
    assert (whole[some] != alone).mean() < 1e-3


def test_points_that_are_not_triples_are_refused() -> None:
    with pytest.raises(DataError, match="rows of three"):
        HeadAnatomy(0).labels(np.zeros((4, 2)))


def test_the_brain_has_an_adult_volume(head: np.ndarray) -> None:
    millilitres = np.isin(head, BRAIN).sum() * STEP_MM**3 / 1000
    assert 1050 < millilitres < 1700


def test_the_head_has_adult_breadth_and_length_above_the_ears(head: np.ndarray) -> None:
    above = head[:, :, AXES[2] > 0] != Tissue.AIR
    breadth = above.any(axis=(1, 2)).sum() * STEP_MM
    length = above.any(axis=(0, 2)).sum() * STEP_MM
    assert 135 < breadth < 176
    assert 165 < length < 216


def test_the_brain_touches_no_scalp_and_no_outer_air(head: np.ndarray) -> None:
    brain = ndimage.binary_dilation(np.isin(head, BRAIN), iterations=1)
    forbidden = (Tissue.AIR, Tissue.SKIN, Tissue.FAT, Tissue.MUSCLE, Tissue.INTERNAL_AIR)
    assert not (brain & np.isin(head, forbidden)).any()


def test_every_way_out_of_the_dome_passes_through_bone_or_suture(head: np.ndarray) -> None:
    """Inside the vault one cannot reach the scalp from the brain without crossing the skull."""
    dome = head[:, :, AXES[2] > 4]
    passable = ~np.isin(dome, (*BONE, Tissue.FIBROUS))
    regions, _ = ndimage.label(passable)
    inside = np.unique(regions[np.isin(dome, BRAIN)])
    outside = np.unique(regions[np.isin(dome, (Tissue.AIR, Tissue.SKIN, Tissue.FAT))])
    assert not set(inside) & set(outside)


def test_there_are_two_eyes_each_with_a_lens_of_adult_size(head: np.ndarray) -> None:
    globe = np.isin(head, (Tissue.VITREOUS, Tissue.LENS))
    middle = len(AXES[0]) // 2
    for side in (slice(0, middle), slice(middle, None)):
        millilitres = globe[side].sum() * STEP_MM**3 / 1000
        assert 3.5 < millilitres < 9
        assert (head[side] == Tissue.LENS).any()


def test_every_tissue_is_present(head: np.ndarray) -> None:
    assert set(np.unique(head)) == {int(label) for label in Tissue}


def test_the_skull_cap_is_as_thick_as_adults_are() -> None:
    """Bone crossed by rays from the middle of the head over the upper half."""
    rng = np.random.default_rng(0)
    rays = rng.normal(size=(150, 3))
    rays[:, 2] = np.abs(rays[:, 2]) + 0.4
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    reach = np.arange(40, 115, 0.5)
    labels = HeadAnatomy(3).labels((rays[:, None] * reach[:, None]).reshape(-1, 3))
    bone = np.isin(labels.reshape(len(rays), -1), (*BONE, Tissue.FIBROUS)).sum(axis=1) * 0.5
    assert 4 < np.median(bone) < 11
    assert np.percentile(bone, 5) > 2.2
    assert bone.std() > 0.7


def test_left_and_right_are_alike_but_not_mirror_images(head: np.ndarray) -> None:
    mirrored = head[::-1]
    same = (head == mirrored)[head != Tissue.AIR].mean()
    assert 0.3 < same < 0.97


def test_the_distance_to_the_cavity_grows_about_one_per_millimetre_over_the_dome() -> None:
    """Central differences of the signed distance against the unit slope of a true one."""
    rng = np.random.default_rng(4)
    direction = rng.normal(size=(4000, 3))
    direction[:, 2] = np.abs(direction[:, 2]) + 0.3
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = (direction * rng.uniform(60, 90, (4000, 1))).astype(np.float32)
    points = points[np.abs(cavity(points)) < 10]
    slope = [
        (cavity(points + step) - cavity(points - step)) for step in 0.5 * np.eye(3, dtype="f4")
    ]
    size = np.sqrt(np.square(slope).sum(axis=0))
    assert np.abs(np.median(size) - 1) < 0.1
    assert np.percentile(size, 2) > 0.7
