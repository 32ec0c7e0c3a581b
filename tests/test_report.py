"""Reports: self-contained, escaped, accessible; figures that put every voxel where it belongs."""

import io
import re

import numpy as np
import pytest
from matplotlib.image import imread
from report_pages import Page, noise_png, written

from medgan.errors import GeometryError, OutputError
from medgan.report.figures import display_slice, volume_panel
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
from medgan.volumes.volume import Volume


@pytest.fixture
def png():
    return noise_png()


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
