"""The page of a comparison of methods: what its table says, and whether it can be looked at."""

import io

import numpy as np
import pytest
from chromium import PROGRAM, browsing
from matplotlib.image import imread

from medgan.report.html import cell_text
from medgan.report.methods import methods_table, row_name, write_methods_report
from medgan.report.text import text_table

MAES = {"published": 400.0, "anchored": 98.5, "other": 1234.0, "last": 120.25}
SHAPE = (40, 30)


def value(mean, half=None):
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high, "n": 9}


def row(name, mae, *, anchored=False, difference=True):
    measures = {
        "mae": value(mae, 10.0), "mae_air": value(500.0), "bone_dice": value(1 - mae / 2000, 0.01),
        "edge_bone_mm": value(None), "edge_skin_mm": value(1.5),
    }  # fmt: skip
    against = {"mean": mae - 400, "low": mae - 410, "high": mae - 390, "share": mae / 400 - 1}
    return {
        "member": name, "label": f"The {name} one", "anchored": anchored, "seeds": [0, 1, 2],
        "steps": [600], "values": measures, "difference": against if difference else None,
        "cost": {"seconds_per_step": 0.25, "ratio": 1.0, "peak_memory_mb": 1500.0},
    }  # fmt: skip


@pytest.fixture
def document():
    rows = [row(name, mae, anchored=name == "anchored", difference=name != "published")
            for name, mae in MAES.items()]  # fmt: skip
    rows[-1]["cost"] = None
    return {
        "name": "made_up", "reference": "published",
        "definition": {"protocol": "synthrad2023", "range": [-1024, 3000], "unit": "HU",
                       "mask_rule": "both bodies", "averaging": "masked voxels"},
        "rows": rows, "trainings": {"planned": 12, "finished": 12}, "failures": [],
        "floors": {"constant": {"mae": value(200.0, 5.0)}, "lookup_table": {"mae": value(150.0)}},
    }  # fmt: skip


@pytest.fixture
def pictures(document):
    rng = np.random.default_rng(0)
    return {
        row_name(one): {
            f"{kind}_{plane}": rng.uniform(-1000, 2000, SHAPE).astype(np.float32)
            for kind in ("source", "result", "reference")
            for plane in ("axial", "sagittal")
        }
        for one in document["rows"]
    }


def cells(table, heading):
    index = list(table.columns).index(heading)
    return [row[index] for row in table.rows]


def test_the_table_holds_every_row_and_the_floors_last(document):
    table = methods_table(document)
    assert [row[0] for row in table.rows] == [
        "The published one", "The anchored one, anchored", "The other one", "The last one",
        "floor: best constant", "floor: look-up table",
    ]  # fmt: skip
    assert cells(table, "MAE (HU)") == [*MAES.values(), 200.0, 150.0]
    assert cells(table, "95 %")[:2] == ["390.0 to 410.0", "88.5 to 108.5"]
    assert cells(table, "95 %")[-2:] == ["195.0 to 205.0", None]
    assert cells(table, "MAE - reference's (HU)")[:2] == [None, pytest.approx(-301.5)]
    assert table.rows[1][-4] == "-311.5 to -291.5"
    assert cells(table, "share (%)")[1] == pytest.approx(100 * (98.5 / 400 - 1))
    assert cells(table, "time of a step (reference: 1)") == [1.0, 1.0, 1.0, None, None, None]
    assert cells(table, "bone edge (mm)") == [None] * 6


def test_the_caption_says_how_it_was_measured(document):
    caption = methods_table(document).caption
    for part in ("synthrad2023", "-1024 to 3000", "both bodies", "600 steps", "n = 9 heads"):
        assert part in caption


def test_a_table_without_any_result_is_one_of_floors_without_values(document):
    document |= {"rows": [], "definition": {}, "floors": {"constant": {}, "lookup_table": {}}}
    table = methods_table(document)
    assert [cell_text(cell) for cell in table.rows[0][1:]] == ["-"] * (len(table.columns) - 1)


def test_the_table_can_be_printed(document):
    lines = text_table(methods_table(document)).splitlines()
    assert lines[3].startswith("The anchored one, anchored  98.50")


def test_the_page_names_the_best_and_what_is_missing(document, pictures, tmp_path):
    document["trainings"]["finished"] = 11
    document["failures"] = [{"member": "other", "anchored": True, "seed": 2, "reason": "diverged"}]
    write_methods_report(tmp_path / "page.html", document, pictures)
    page = (tmp_path / "page.html").read_text()
    assert "Lowest MAE: The anchored one, anchored, 98.5 HU." in page
    assert "Highest bone Dice: The anchored one, anchored, 0.951." in page
    assert "11 of 12 trainings have ended" in page
    assert "other_anchored, seed 2, failed: diverged" in page


def test_a_page_before_the_first_result_can_be_written(document, tmp_path):
    document |= {"rows": [], "definition": {}, "floors": {}}
    document["trainings"]["finished"] = 0
    write_methods_report(tmp_path / "page.html", document, {})
    assert "0 of 12 trainings" in (tmp_path / "page.html").read_text()


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")
def test_the_page_is_drawn_and_its_table_sorts_by_number(document, pictures, tmp_path):
    write_methods_report(tmp_path / "page.html", document, pictures)
    order = (
        "[...document.querySelectorAll('tbody tr')].map((row) => Number(row.cells[1].dataset.key))"
    )
    with browsing() as tab:
        tab.open(tmp_path / "page.html")
        assert tab.errors == []
        sizes = tab.evaluate("[...document.images].map((i) => [i.naturalWidth, i.naturalHeight])")
        assert len(sizes) == 2
        assert all(width > 1000 for width, _ in sizes)
        tab.evaluate("document.querySelectorAll('thead button')[1].click()")
        assert tab.evaluate(order) == sorted([*MAES.values(), 200.0, 150.0])


def test_every_method_has_a_picture_in_the_same_window(document, pictures, tmp_path):
    from medgan.report import methods

    for one in pictures.values():
        one["result_axial"] = np.full(SHAPE, -1000.0, np.float32)
    pictures["other"]["result_axial"] = np.full(SHAPE, 2000.0, np.float32)
    shown = imread(io.BytesIO(methods._figure(document, pictures, "axial").png))[..., :3]
    middle = shown[shown.shape[0] // 2]
    centres = [middle[round((k + 0.5) * len(middle) / methods.TILES_A_ROW)] for k in range(6)]
    # source and truth are noise; then published, anchored, other, last
    assert [centre.mean() for centre in centres[2:]] == [0, 0, 1, 0]
