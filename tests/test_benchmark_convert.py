import json
import shutil
from pathlib import Path

import pytest

from medgan.cli.main import main


def benchmark(*arguments: object) -> int:
    try:
        main(["benchmark", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.slow
def test_both_programs_convert_the_same_series(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ("--series", 1, "--slices", 40, "--size", 512, "--jobs", 1)
    assert benchmark("convert", *options, "--json", report) == 0
    figures = json.loads(report.read_text())
    assert figures["series"] == 1
    assert figures["medgan"]["peak_memory_mb"] < 1024
    if shutil.which("dcm2niix") is None:
        assert figures["dcm2niix"] is None
        pytest.skip("dcm2niix is not installed")
    assert figures["size_ratio"] == pytest.approx(1, abs=0.05)
    seconds = figures["medgan"]["seconds"], figures["dcm2niix"]["seconds"]
    assert figures["ratio"] == pytest.approx(seconds[0] / seconds[1])


@pytest.mark.parametrize("arguments", [("nothing",), ("convert", "--series", "0")])
def test_what_cannot_be_measured_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert benchmark(*arguments) == 2
