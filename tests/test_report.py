"""Reports: self-contained, escaped, accessible; figures that put every voxel where it belongs."""

import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from medgan.errors import DataError, FileError, GeometryError, OutputError
from medgan.report.cases import case_sections
from medgan.report.compare import comparison_tables, side_by_side
from medgan.report.evaluation import case_table, summary_tables, worst_first
from medgan.report.figures import Tile, display_slice, panel, volume_panel
from medgan.report.html import (
    DISCLAIMER,
    Figure,
    Report,
    Section,
    Table,
    cell_text,
    setting_text,
    sort_key,
    write_report,
)
from medgan.report.plots import distribution_plot, learning_curves
from medgan.report.runs import read_run, read_runs, run_report
from medgan.volumes.volume import Volume

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Elements of a page, with a check that every one is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def png():
    return panel([[Tile("noise", np.random.default_rng(0).random((8, 8)), (0, 1))]])


def written(tmp_path, report):
    write_report(tmp_path / "r.html", report)
    return (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_file_needs_nothing_else(tmp_path, png):
    report = Report("T", ["s"], [Section("A", figures=[Figure(png, "noise", "c")])], {"seed": 1})
    text = written(tmp_path, report)
    page = Page(text)
    assert page.all("script") == page.all("link") == []
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert "*" not in policy
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not re.search(r"https?://|url\(|@import", text)


def test_it_can_be_read_without_seeing_it(tmp_path, png):
    table = Table("caption", ["name", "mae"], [["a", 1.0], ["b", None]])
    text = written(tmp_path, Report("T", [], [Section("A", [], [table], [Figure(png, "n", "c")])]))
    page = Page(text)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert {cell["scope"] for cell in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == 1


def test_text_is_escaped_everywhere(tmp_path, png):
    bad = "<script>alert('x')</script>\"&"
    section = Section(bad, [bad], [Table(bad, [bad], [[bad]])], [Figure(png, bad, bad)])
    page = Page(written(tmp_path, Report(bad, [bad], [section], {bad: bad})))
    assert page.all("script") == []
    assert page.all("img")[0]["alt"] == bad


def test_the_disclaimer_is_in_every_report(tmp_path):
    assert DISCLAIMER == "Research use only. Synthetic images, not for clinical use."
    assert written(tmp_path, Report("T")).count(DISCLAIMER) == 2


def test_a_report_that_cannot_be_written_leaves_no_file(tmp_path):
    with pytest.raises(OutputError):
        write_report(tmp_path / "absent" / "r.html", Report("T"))
    assert list(tmp_path.iterdir()) == []


def contrast(first, second):
    """WCAG 2.1 contrast ratio of two #rrggbb colours."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_theme_has_readable_contrast(tmp_path):
    text = written(tmp_path, Report("T"))
    themes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", t))
        for t in re.findall(r":root {(.*?)}", text, re.S)
    ]
    assert len(themes) == 3
    for theme in themes:
        for ink, paper in (
            ("ink", "paper"),
            ("soft", "paper"),
            ("ink", "panel"),
            ("soft", "panel"),
            ("paper", "accent"),
            ("warn-ink", "warn-paper"),
        ):
            assert contrast(theme[ink], theme[paper]) >= 4.5
        # WCAG 2.1, 1.4.11: three is enough for the outlines of controls.
        assert contrast(theme["edge"], theme["paper"]) >= (3 if theme is not themes[2] else 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (float("nan"), "-"), ("inf", "∞"), (float("inf"), "∞"), (61.23456, "61.23"),
     (118.0, "118.0"), (999.99, "1000"), (12345.6, "12,346"), (1234567, "1,234,567"), ("a", "a")],
)  # fmt: skip
def test_cells_are_short_and_say_what_is_undefined(value, text):
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (2e-4, "0.0002"), (10.0, "10"), ([-1000.0, 2000.0], "-1000, 2000"),
     (False, "False"), (1234567, "1234567")],
)  # fmt: skip
def test_settings_are_shown_as_they_were_written(value, text):
    assert setting_text(value) == text


@pytest.mark.parametrize(
    ("value", "key"),
    [(None, ""), (float("nan"), ""), ("inf", "Infinity"), (61.23456, "61.23456"), (7, "7"),
     ("head_1", "head_1")],
)  # fmt: skip
def test_cells_are_ordered_by_what_they_stand_for(value, key):
    assert sort_key(value) == key


def test_only_what_has_an_order_to_choose_can_be_sorted(tmp_path):
    rows = [["a", 1.0], ["b", 2.0]]
    tables = [
        Table("several", ["", "mae"], rows),
        Table("one", ["", "mae"], rows[:1]),
        Table("steps", ["", "mae"], rows, sortable=False),
    ]
    page = Page(written(tmp_path, Report("T", [], [Section("A", tables=tables)])))
    assert ["data-sortable" in table for table in page.all("table")] == [True, False, False]
    assert len(page.all("script")) == 1
    page = Page(written(tmp_path, Report("T", [], [Section("A", tables=tables[1:])])))
    assert page.all("script") == []


def test_slices_are_shown_in_radiological_order():
    array = np.zeros((4, 5, 6))
    array[3, 4, 5] = 1  # right, anterior, superior
    volume = Volume(array, np.eye(4), "MR")
    for axis, index in ((2, 5), (1, 4), (0, 3)):
        shown = display_slice(volume, axis, index)
        assert shown[0, 0] == 1
        assert shown.sum() == 1
    assert display_slice(volume, 2, 5).shape == (5, 4)
    assert display_slice(volume, 0, 3).shape == (6, 5)


def test_a_panel_does_not_depend_on_how_the_volume_is_stored():
    rng = np.random.default_rng(1)
    result = Volume(rng.normal(0, 300, (8, 9, 10)), np.diag([2.0, 2.0, 3.0, 1.0]), "CT")
    flipped_affine = result.affine.copy()
    flipped_affine[:3, 0] *= -1
    flipped_affine[0, 3] = 2.0 * 7
    flipped = Volume(result.array[::-1], flipped_affine, "CT")
    attention = rng.random((8, 9, 10))
    first = volume_panel(None, result, result, attention, n_slices=1)
    second = volume_panel(None, flipped, flipped, attention[::-1], n_slices=1)
    np.testing.assert_array_equal(imread(io.BytesIO(first)), imread(io.BytesIO(second)))


def test_a_panel_of_other_grids_is_refused():
    result = Volume(np.zeros((8, 8, 8)), np.eye(4), "CT")
    with pytest.raises(GeometryError):
        volume_panel(Volume(np.zeros((8, 8, 8)), np.diag([1, 1, 2, 1]), "MR"), result)


def test_learning_curves_skip_what_is_no_number():
    records = [{"step": 1, "loss": 3.0, "note": "x"}, {"step": 2, "loss": float("nan"), "mae": 9}]
    assert learning_curves({"a": records}).startswith(b"\x89PNG")
    with pytest.raises(DataError):
        learning_curves({"a": [{"step": 1, "note": "x"}]})


def test_runs_share_the_plots_of_what_they_logged(monkeypatch):
    drawn = []
    monkeypatch.setattr("medgan.report.plots.png_bytes", lambda canvas: drawn.append(canvas) or b"")
    records = [{"step": 1, "loss": 3.0, "mae": 9.0}, {"step": 2, "loss": 2.0}]
    learning_curves({"one": records, "two": [{"step": 1, "loss": 30.0}]})
    (canvas,) = drawn
    lines = {place.get_title(): [line for line in place.lines if len(line.get_xdata())]
             for place in canvas.axes if place.get_title()}  # fmt: skip
    assert [list(line.get_ydata()) for line in lines["loss"]] == [[3.0, 2.0], [30.0]]
    assert len(lines["mae"]) == 1
    assert len({line.get_color() for line in lines["loss"]}) == 2
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == ["one", "two"]


def evaluation(mae, mask_rule="given mask", floors=()):
    row = {"protocol": "synthrad2023", "range": [-1024, 3000], "unit": "HU", "mask_rule": mask_rule,
           "averaging": "3-D"}  # fmt: skip
    scored = {
        "cases": [{"case": "DOE", "mae": mae, "psnr": "inf", **row, "voxels": 5}],
        "aggregates": {"mae": {"mean": mae, "std": None}, "psnr": {"mean": "inf", "std": None}},
    }
    return {**row, **scored, **({"floors": dict.fromkeys(floors, scored)} if floors else {})}


def test_numbers_of_two_definitions_never_share_a_table():
    same = summary_tables({"a": evaluation(1.0), "b": evaluation(2.0)})
    (table,) = same
    assert table.columns == ["measure", "a", "b"]
    assert table.rows[:2] == [["cases (n)", 1, 1], ["mae [HU]", 1.0, 2.0]]
    apart = summary_tables({"a": evaluation(1.0), "b": evaluation(2.0, "body mask")})
    assert len(apart) == 2
    assert "mask: body mask" in apart[1].caption


def test_means_of_several_cases_come_with_their_spread_and_interval():
    document = evaluation(1.0)
    document["cases"] = document["cases"] * 7
    document["aggregates"] = {
        "mae": {"mean": 61.23456, "std": 4.5678, "count": 7},
        "ssim": {"mean": 0.912345, "std": 0.00004, "count": 5},
        "psnr": {"mean": "inf", "std": None, "count": 7},
    }
    found = {"confidence": 0.95, "method": "some method", "missing": None}
    document["intervals"] = {
        "mae": {"low": 57.0063, "high": 65.4628, **found},
        "ssim": {"low": None, "high": None, **found, "missing": "fewer than 6 cases"},
    }
    (table,) = summary_tables({"result": document})
    # PSNR before SSIM, as the protocol has it.
    assert table.rows == [
        ["cases (n)", 7],
        ["mae [HU]", "61.23 ± 4.57\n[57.01, 65.46]"],
        ["psnr [dB]", "inf"],
        ["ssim", "0.9123 ± 0.0000\nn = 5"],
    ]
    assert "standard deviation" in table.caption
    assert "[95% confidence interval of the mean, some method]" in table.caption
    del document["intervals"]["mae"]
    (table,) = summary_tables({"result": document})
    assert "no confidence intervals: fewer than 6 cases" in table.caption


def test_floors_stand_beside_what_must_beat_them():
    (table,) = summary_tables({"result": evaluation(1.0, floors=("constant", "lookup_table"))})
    assert table.columns == [
        "measure", "result", "floor: best constant", "floor: best intensity look-up table",
    ]  # fmt: skip


def test_case_names_are_only_shown_when_asked_for():
    assert case_table(evaluation(1.0)).rows[0][0] == "DOE"
    assert case_table(evaluation(1.0), names=False).rows[0][0] == 1


def several(*errors):
    """An evaluation of several cases; None where the error is undefined."""
    document = evaluation(1.0)
    (case,) = document["cases"]
    document["cases"] = [{**case, "case": f"c{i}", "mae": mae} for i, mae in enumerate(errors)]
    return document


def test_the_worst_case_comes_first_and_an_undefined_one_last():
    document = several(5.0, None, 9.0, 7.0)
    assert worst_first(document) == [2, 3, 0, 1]
    rows = case_table(document, names=False, worst_by="mae").rows
    assert [row[:2] for row in rows] == [[3, 9.0], [4, 7.0], [1, 5.0], [2, None]]
    assert "largest mae first" in case_table(document, worst_by="mae").caption


def test_every_case_is_drawn_and_infinity_is_not():
    document = several(5.0, None, 9.0)
    assert distribution_plot({"a": document, "b": document}, document, ["mae", "psnr", "absent"])
    (section,) = case_sections(document)
    assert section.figures[0].png.startswith(b"\x89PNG")
    assert section.figures[0].plot


def test_the_spread_shows_the_other_model_beside_the_floors():
    document = {**several(5.0, 9.0), "floors": {"constant": several(50.0, 90.0)}}
    document["floors"]["constant"]["aggregates"]["mae"]["mean"] = 70.0
    other = several(6.0, 7.0)
    other["aggregates"]["mae"]["mean"] = 6.5
    figure = case_sections(document, name="mine", others={"theirs": other})[0].figures[0]
    for text in ("mine: mean", "theirs: mean mae [HU] 6.500", "best constant: mean mae [HU] 70.00"):
        assert text in figure.alt


def test_two_models_are_compared_case_by_case():
    first, second = several(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), several(2.0, 4.0, 4.0, 6.0, 6.0, 5.0)
    (table,) = comparison_tables({"one": first, "two": second})
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["measure"] == "mae (lower is better)"
    assert row["mean difference"] == pytest.approx(-1.0)
    assert (row["one better"], row["two better"], row["cases (n)"]) == (5, 1, 6)
    (beside,) = side_by_side({"one": first, "two": second})
    assert beside.columns == ["case", "one", "two"]
    assert beside.rows[0] == [4, 4.0, 6.0]


def test_what_measured_other_cases_is_not_compared():
    documents = {"one": several(1.0, 2.0), "two": several(1.0, 2.0, 3.0)}
    assert comparison_tables(documents) == side_by_side(documents) == []
    documents["two"] = {**several(1.0, 2.0), "mask_rule": "another"}
    assert comparison_tables(documents) == side_by_side(documents) == []


@pytest.fixture
def run_folder(tmp_path, png):
    run = tmp_path / "t1_to_ct"
    (run / "previews").mkdir(parents=True)
    (run / "checkpoints" / "best").mkdir(parents=True)
    (run / "config.yaml").write_text(
        "name: demo\nnetwork: {width: 8}\ndata: {source: [DOE_JANE.nii]}\n"
    )
    (run / "environment.json").write_text(json.dumps({"medgan": "0.1", "packages": {"torch": "2"}}))
    (run / "metrics.jsonl").write_text('{"step": 1, "cycle": 3.5}\n{"step": 2, "cycle": NaN}\n{"st')
    (run / "timing.jsonl").write_text(
        "".join(
            json.dumps({"step": i, "seconds_per_step": s}) + "\n" for i, s in enumerate((9, 2, 3))
        )
    )
    (run / "checkpoints" / "best" / "reason.json").write_text(
        json.dumps({"step": 2, "score": 61.5, "reason": "phantom MAE", "scores": {"mae": 61.5}})
    )
    (run / "evaluation.json").write_text(json.dumps(evaluation(77.0, floors=("constant",))))
    for step in range(7):
        (run / "previews" / f"step_{step:07d}.png").write_bytes(png)
    return run


def test_a_run_is_read_back_and_reported(run_folder, tmp_path):
    run = read_run(run_folder)
    assert [record["step"] for record in run.metrics] == [1, 2]
    assert list(run.previews) == ["step_0000000", "step_0000003", "step_0000006"]
    report = run_report([run])
    assert report.sections[0].tables[0].rows == [["t1_to_ct", 2, 3, 2, 61.5, 61.5]]
    assert report.provenance["packages.torch"] == "2"
    assert report.provenance["network.width"] == 8
    text = written(tmp_path, report)
    assert "77" in text
    assert "DOE" not in text


def test_runs_are_compared_in_one_table(run_folder, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "config.yaml").write_text("name: fresh\n")
    report = run_report([read_run(run_folder), read_run(fresh)])
    rows = report.sections[0].tables[0].rows
    assert [row[0] for row in rows] == ["t1_to_ct", "fresh"]
    assert rows[1][1:] == [None] * 5
    (evaluated,) = [each for each in report.sections if each.title == "Evaluation"]
    assert evaluated.paragraphs == ["fresh: not evaluated, it holds no evaluation.json."]
    Page(written(tmp_path, report))


def test_evaluated_runs_are_compared_case_by_case(run_folder, tmp_path):
    other = tmp_path / "other" / "t1_to_ct"
    shutil.copytree(run_folder, other)
    (other / "evaluation.json").write_text(json.dumps(evaluation(70.0)))
    runs = read_runs([run_folder, other])
    assert [run.name for run in runs] == ["t1_to_ct", "t1_to_ct (2)"]
    titles = {section.title: section for section in run_report(runs).sections}
    compared = titles["Runs side by side"]
    difference, beside = compared.tables
    assert difference.rows[0][1:3] == [1, pytest.approx(7.0)]
    assert beside.rows[0] == [1, 77.0, 70.0]
    assert compared.figures
    assert "DOE" not in written(tmp_path, run_report(runs))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"no config\.yaml"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("config.yaml", "a: [1"), ("config.yaml", "- 1"), ("environment.json", "{"),
     ("environment.json", "[]"), ("metrics.jsonl", '{"st\n{"step": 2}\n')],
)  # fmt: skip
def test_damaged_files_of_a_run_are_named(run_folder, name, text):
    (run_folder / name).write_text(text)
    with pytest.raises(FileError, match=name):
        read_run(run_folder)
