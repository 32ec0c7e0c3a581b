"""What averages of displaced heads do, in the benchmark that judges the average reference."""

import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "average_reference.py"


@pytest.fixture(scope="module")
def benchmark():
    return runpy.run_path(str(SCRIPT))


def test_the_stretched_scale_is_that_of_the_file_and_comes_back(benchmark):
    hu = np.array([-1000, -500, -100, 0, 40, 100, 800, 2000], np.float32)
    stored = (hu + 1000) + 10 * np.clip(hu + 100, 0, 200)
    # the file's scale starts at 0 for air; only differences matter to a mean
    np.testing.assert_allclose(benchmark["stretched"](hu) + 1000, stored)
    np.testing.assert_allclose(benchmark["unstretched"](benchmark["stretched"](hu)), hu, atol=0.01)


def test_bone_shrinks_in_an_average_in_the_stretched_scale(benchmark):
    x, y, z = np.indices((40, 40, 40)) - 19.5
    away = np.sqrt(x**2 + y**2 + z**2)
    head = np.where((away > 12) & (away < 15), 1000.0, 40.0).astype(np.float32)
    made = benchmark["average_of_copies"](head, (2.0, 2.0, 2.0), 12.0)
    bone = {scale: int((values > 150).sum()) for scale, values in made.items()}
    real = int((head > 150).sum())
    assert bone["stretched scale"] < real < bone["HU"]
    assert all(values.max() <= 1000 for values in made.values())


def test_without_displacement_the_average_is_the_head(benchmark):
    head = np.random.default_rng(0).uniform(-1000, 2000, (12, 12, 12)).astype(np.float32)
    for values in benchmark["average_of_copies"](head, (2.0, 2.0, 2.0), 0.0).values():
        np.testing.assert_allclose(values, head, atol=0.1)
