"""Fits of how time and memory grow, and what each point of a curve measures."""

import io
import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from scipy import stats

from medgan.recipes import conversion_speed, growth, training_speed, translation_speed
from medgan.recipes.growth import Base, Curve, Fit, Point

BASE = Base(width=4, size=32, slices=2, features=8, rounds=2)


def curve(of: str, seconds: float, memory: float) -> Curve:
    points = tuple(Point(n, n**seconds, 3 * n**memory) for n in (1, 2, 4))
    return growth._curve(of, "work", points)


def test_a_power_law_is_found_again() -> None:
    fit = Fit.of([1, 3, 10, 50], [2.5 * n**1.25 for n in (1, 3, 10, 50)])
    assert (fit.factor, fit.exponent) == pytest.approx((2.5, 1.25))
    assert fit.standard_error == pytest.approx(0, abs=1e-9)
    assert Fit.of([2, 8], [3.0, 3.0]) == Fit(pytest.approx(3), pytest.approx(0), None)


def test_the_error_of_an_exponent_is_that_of_the_regression_of_logarithms() -> None:
    amounts, values = [1, 2, 4, 8, 16], [1.1, 1.7, 4.6, 7.5, 17.0]
    expected = stats.linregress(np.log(amounts), np.log(values))
    fit = Fit.of(amounts, values)
    assert fit.exponent == pytest.approx(expected.slope)
    assert fit.standard_error == pytest.approx(expected.stderr)
    assert np.log(fit.factor) == pytest.approx(expected.intercept)


def test_only_growth_in_the_number_of_studies_can_be_worse_than_linear() -> None:
    assert growth.worse_than_linear([curve("image size", 2, 2), curve("studies", 0.9, 0)]) == ()
    assert growth.worse_than_linear([curve("studies", 1.1, 0.2)]) == ("seconds",)
    assert growth.worse_than_linear([curve("studies", 0.9, 1.2)]) == ("peak_memory_mb",)


@pytest.mark.parametrize(
    ("point", "amount", "shape"),
    [(growth.training_by_size, 36, (1, 1, 36, 36)), (growth.training_by_batch, 3, (3, 1, 32, 32))],
)
def test_a_step_grows_by_size_or_batch(point, amount, shape, monkeypatch) -> None:
    shapes = []
    step = training_speed.MedganStep.__call__
    monkeypatch.setattr(
        training_speed.MedganStep,
        "__call__",
        lambda self, batch: shapes.append(tuple(batch.unpaired.real_A.shape)) or step(self, batch),
    )
    assert point(BASE, amount).amount == amount
    assert shapes == [shape] * (1 + BASE.rounds)


def test_a_volume_grows_by_its_slices(monkeypatch) -> None:
    shapes = []
    monkeypatch.setattr(
        translation_speed, "medgan", lambda setup: lambda volume: shapes.append(volume.shape)
    )
    assert growth.translation_by_depth(BASE, 12).amount == 12
    assert shapes == [(32, 32, 12)] * (1 + BASE.rounds)


def test_an_archive_grows_by_its_series(monkeypatch) -> None:
    seen = []

    def convert(tree: Path, results: Path, jobs: int) -> conversion_speed.Speed:
        folders = sorted(tree.iterdir())
        seen.append([len(list(folder.iterdir())) for folder in folders])
        return conversion_speed.Speed(len(seen), 1.0, 50.0 + len(seen))

    monkeypatch.setattr(conversion_speed, "convert", convert)
    assert growth.conversion_by_studies(BASE, 3) == Point(3, 1.5, 52.0)
    assert seen == [[BASE.slices] * 3] * BASE.rounds


def test_the_verb_measures_the_curves_that_were_named(medgan_cli, tmp_path: Path) -> None:
    report, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    options = ("--vectors", "40,80,160", "--rounds", 1, "--figure", picture, "--json", report)
    code, out, _ = medgan_cli("benchmark", "growth", *options)
    assert code == 0
    assert "exponent" in out
    found = json.loads(report.read_text())
    (only,) = found["curves"]
    assert only["of"] == "feature vectors"
    assert [point["amount"] for point in only["points"]] == [40, 80, 160]
    assert only["seconds"]["standard_error"] is not None
    assert found["studies_worse_than_linear"] == []
    image = matplotlib.image.imread(io.BytesIO(picture.read_bytes()))
    assert image.shape[0] > 300
    assert image.std() > 0


@pytest.mark.parametrize(
    ("numbers", "message"),
    [("4", "two positive amounts"), ("4,2", "ascending"), ("0,2", "positive"), ("2,x", "numbers")],
)
def test_what_is_no_curve_ends_with_2(medgan_cli, numbers: str, message: str) -> None:
    code, _, err = medgan_cli("benchmark", "growth", "--studies", numbers)
    assert code == 2
    assert message in err
