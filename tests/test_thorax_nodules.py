"""Nodules of the thorax phantom: volume of their shapes, sizes and numbers as in LUNA16."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from medgan.phantoms.thorax_nodule_shape import NoduleShape, filled
from medgan.phantoms.thorax_nodules import (
    DIAMETERS_MM,
    PhantomNodule,
    draw_count,
    draw_diameters,
    plan_excluded,
    plan_nodule,
)
from medgan.volumes.geometry import Grid

FORMS = {"round": (0, 0), "lobulated": (5, 0), "spiculated": (2, 16)}


def shape_of(form: str, diameter: float, seed: int = 3) -> NoduleShape:
    lobules, spicules = FORMS[form]
    rng = np.random.default_rng(seed)
    return NoduleShape.drawn(rng, diameter, lobules=lobules, spicules=spicules)


@pytest.mark.parametrize("form", FORMS)
def test_a_shape_has_the_volume_of_its_ball(form: str) -> None:
    """Oracle: random points in a ball that holds the shape."""
    shape = shape_of(form, 14.0)
    points = np.random.default_rng(0).normal(size=(400_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    far = shape.reach_mm * np.random.default_rng(1).random(400_000) ** (1 / 3)
    inside = (far < shape.radius_mm(points)).mean()
    volume = inside * 4 / 3 * np.pi * shape.reach_mm**3
    assert volume == pytest.approx(np.pi / 6 * 14.0**3, rel=0.02)


@pytest.mark.parametrize("voxel", [(0.7, 0.7, 1.25), (1.5, 1.5, 1.5), (2.0, 2.0, 2.5)])
@pytest.mark.parametrize(("form", "diameter"), [("round", 3.2), ("spiculated", 12.0)])
def test_voxels_hold_the_volume_of_the_shape(
    form: str, diameter: float, voxel: tuple[float, float, float]
) -> None:
    grid = Grid((30, 30, 30), np.diag([*voxel, 1.0]))
    centre = np.array(voxel) * 15 + 0.3
    found = filled(shape_of(form, diameter), centre, grid)
    volume = found.share.sum() * np.prod(voxel)
    assert volume == pytest.approx(np.pi / 6 * diameter**3, rel=0.04)
    assert 0 <= found.share.min() <= found.share.max() <= 1


def test_a_ball_fills_voxels_as_a_ball_does() -> None:
    """Oracle: each voxel of a sphere counted on a grid seven times as fine."""
    ball = NoduleShape.drawn(np.random.default_rng(0), 9.0, elongation=1.0)
    grid = Grid((16, 16, 16), np.diag([1.0, 1, 1, 1]))
    found = filled(ball, np.array([7.6, 8.1, 7.9]), grid)
    share = np.zeros(grid.shape)
    share[found.box] = found.share
    fine = np.stack(np.meshgrid(*[(np.arange(112) + 0.5) / 7 - 0.5] * 3, indexing="ij"))
    inside = np.linalg.norm(fine - np.array([7.6, 8.1, 7.9])[:, None, None, None], axis=0) < 4.5
    naive = inside.reshape(16, 7, 16, 7, 16, 7).mean(axis=(1, 3, 5))
    assert np.abs(share - naive).max() < 0.2
    assert np.abs(share - naive).mean() < 0.004


def test_a_shape_beyond_the_grid_fills_nothing() -> None:
    grid = Grid((8, 8, 8), np.eye(4))
    assert filled(shape_of("round", 5.0), np.array([60.0, 0, 0]), grid).share.size == 0


def test_spicules_make_a_surface_rougher_than_lobes_do() -> None:
    spread = {}
    for form in FORMS:
        shape = shape_of(form, 12.0)
        radius = shape.radius_mm(shape.directions_all)
        spread[form] = radius.max() / np.median(radius)
    assert spread["round"] < spread["lobulated"] < spread["spiculated"]


def test_diameters_are_distributed_as_in_luna16(medgan_data: Path) -> None:
    with (medgan_data / "luna16_csv" / "annotations.csv").open(newline="") as file:
        real = np.array([float(row["diameter_mm"]) for row in csv.DictReader(file)])
    drawn = draw_diameters(np.random.default_rng(0), 20_000)
    assert stats.ks_2samp(real, drawn).statistic < 0.075
    assert drawn.min() >= DIAMETERS_MM[0]
    assert drawn.max() <= DIAMETERS_MM[1]


def test_scans_have_as_many_nodules_as_in_luna16() -> None:
    rng = np.random.default_rng(0)
    counts = [draw_count(rng) for _ in range(20_000)]
    assert np.mean(counts) == pytest.approx(1186 / 888, abs=0.06)


def test_kinds_have_the_ct_numbers_that_define_them() -> None:
    rng = np.random.default_rng(0)
    plans = [plan_nodule(rng, 10.0) for _ in range(300)]
    assert {plan.kind for plan in plans} == {"solid", "part-solid", "ground-glass"}
    for plan in plans:
        assert (plan.hu < -400) == (plan.kind != "solid")
        assert (plan.core is not None) == (plan.kind == "part-solid")
    others = [plan_excluded(rng) for _ in range(300)]
    assert all(plan.hu > 200 for plan in others if plan.kind == "calcified")
    assert all(plan.shape.diameter_mm < 3 for plan in others if plan.kind == "solid")


def test_positions_are_lps() -> None:
    nodule = PhantomNodule((1.0, -2.0, 3.0), 5.0, 5.0, "solid", "none", 0, 0, 30.0)
    assert nodule.position_mm == (-1.0, 2.0, 3.0)
