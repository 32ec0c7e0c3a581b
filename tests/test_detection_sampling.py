"""Patches: where they lie, that they show what their targets say, that seed and step decide all."""

import numpy as np
import pytest
import torch

from medgan.detection.config import DetectorConfig
from medgan.detection.prepared import Prepared
from medgan.detection.sampling import PatchSampler
from medgan.detection.scans import TrainingScan
from medgan.detection.targets import Findings, voxel_position
from medgan.volumes.geometry import Grid

SHAPE = (72, 64, 56)
NO_HARD = np.zeros((0, 4))
OFF = {"flips": False, "rotation_degrees": 0, "scaling": 0, "shift_hu": 0}


def scan_with(*nodules, uid="1.2", excluded=()) -> TrainingScan:
    """Soft Gaussian bumps of 1000 HU in air, lungs everywhere but at the faces."""
    voxel = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    hu = np.full(SHAPE, -1000.0)
    table = np.array(nodules, np.float64).reshape(-1, 4)
    for *centre, _ in table:
        hu += 1000 * np.exp(-((voxel - centre) ** 2).sum(-1) / (2 * 1.5**2))
    lungs = np.zeros(SHAPE, bool)
    lungs[8:-8, 8:-8, 8:-8] = True
    image = Prepared(hu.astype(np.int16), lungs, Grid(SHAPE, np.diag([1.5, 1.5, 1.5, 1.0])))
    left_out = np.array(excluded, np.float64).reshape(-1, 4)
    return TrainingScan(
        uid,
        image,
        Findings(table[:, :3], table[:, 3]),
        Findings(left_out[:, :3], left_out[:, 3]),
    )


def sampler(scans, augmentation=OFF, batch=4, **sampling) -> PatchSampler:
    document = {
        "augmentation": augmentation,
        "sampling": {"patch": 32, **sampling},
        "training": {"batch": batch},
    }
    return PatchSampler(scans, DetectorConfig.model_validate(document))


NODULE = (40.3, 30.7, 25.2, 9.0)


def brightest(image):
    """Centre of mass of what is bright: (3,) voxel."""
    weight = np.clip(image[0] + 0.9, 0, None)
    return np.array([(weight.sum(axis=others) * np.arange(len(image[0]))).sum() for others in
                     ((1, 2), (0, 2), (0, 1))]) / weight.sum()  # fmt: skip


@pytest.mark.parametrize(
    "augmentation", [OFF, {}, {"flips": True, "rotation_degrees": 180, "scaling": 0.3}]
)
def test_the_targets_point_at_what_the_augmented_patch_shows(augmentation):
    scan, rng = scan_with(NODULE), np.random.default_rng(0)
    drawn = sampler([scan], augmentation)
    for _ in range(6):
        centre = np.floor(NODULE[:3] + rng.uniform(-5, 5, 3)) + 0.5
        image, targets = drawn.view(scan, centre, rng)
        cell = np.array(np.unravel_index(targets.heatmap.argmax(), targets.heatmap.shape))
        place = voxel_position(cell + targets.offset[:, *cell], 2)
        assert np.abs(place - brightest(image)).max() < 0.35


def test_a_larger_view_has_a_larger_diameter():
    scan = scan_with(NODULE)
    drawn = sampler([scan], {**OFF, "scaling": 0.4})
    seen = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        image, targets = drawn.view(scan, np.floor(NODULE[:3]) + 0.5, rng)
        cell = np.unravel_index(targets.heatmap.argmax(), targets.heatmap.shape)
        seen.append((np.exp(targets.log_diameter[cell]), (image > -0.5).sum()))
    assert np.corrcoef(np.log(seen).T)[0, 1] > 0.95


def test_without_augmentation_a_patch_is_the_voxels_of_the_scan():
    scan = scan_with(NODULE)
    image, _ = sampler([scan]).view(scan, np.array([40.5, 30.5, 25.5]), np.random.default_rng(0))
    there = scan.image.hu[25:57, 15:47, 10:42]
    expected = ((there.astype(np.float32) + 1000) * (2 / 1400) - 1).clip(-1, 1)
    np.testing.assert_allclose(image[0], expected, atol=1e-6)


def test_beyond_the_scan_is_air():
    scan = scan_with(NODULE)
    image, _ = sampler([scan]).view(scan, np.array([0.5, 30.5, 25.5]), np.random.default_rng(0))
    assert (image[0, :15] == -1).all()


def test_a_batch_is_a_function_of_seed_and_step_alone():
    scans = [scan_with(NODULE), scan_with((20, 20, 20, 4.0), uid="1.3")]
    first, second = sampler(scans, {}), sampler(scans, {})
    second.at(1, NO_HARD)
    left, right, other = first.at(7, NO_HARD), second.at(7, NO_HARD), first.at(8, NO_HARD)
    for name, part in vars(left).items():
        assert torch.equal(part, getattr(right, name))
    assert not torch.equal(left.image, other.image)


def test_positives_are_drawn_from_all_sizes_alike():
    many_small = [(20 + i, 20, 20, 4.0) for i in range(20)]
    scans = [scan_with(*many_small, (40, 40, 30, 8.0)), scan_with((36, 32, 28, 15.0), uid="1.3")]
    drawn = sampler(scans, batch=100, positive=1.0, hard=0.0)
    sites = np.array([drawn._site(np.random.default_rng(i), NO_HARD) for i in range(600)])
    counts = [
        (sites[:, 2] == 20).sum(),
        ((sites[:, 0] == 0) & (sites[:, 2] == 40)).sum(),
        (sites[:, 0] == 1).sum(),
    ]
    assert sum(counts) == 600
    assert min(counts) > 150


def test_shares_of_the_kinds_of_patches_are_those_configured():
    scan, hard = scan_with(NODULE), np.array([[0, 11.25, 12.5, 13.75]])
    drawn = sampler([scan], positive=0.4, hard=0.35)
    sites = np.array([drawn._site(np.random.default_rng(i), hard) for i in range(1000)])
    positive = (sites[:, 1:] == NODULE[:3]).all(1)
    mined = (sites == hard[0]).all(1)
    assert positive.mean() == pytest.approx(0.4, abs=0.05)
    assert mined.mean() == pytest.approx(0.35, abs=0.05)
    rest = sites[~positive & ~mined, 1:].astype(int)
    assert scan.image.region[tuple(rest.T)].all()


def test_scans_without_nodules_give_patches_of_lung():
    batch = sampler([scan_with()], positive=1.0, hard=0.0).at(1, NO_HARD)
    assert batch.image.shape == (4, 1, 32, 32, 32)
    assert batch.heatmap.max() == 0


def test_every_positive_patch_holds_the_nodule_it_was_drawn_for():
    drawn = sampler([scan_with(NODULE)], batch=30, positive=1.0, hard=0.0)
    assert (drawn.at(1, NO_HARD).heatmap.amax((1, 2, 3)) == 1).all()
