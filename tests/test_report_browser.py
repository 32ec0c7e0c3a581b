"""Reports in a real browser: drawn, linked, sortable, and deaf to the network."""

import base64
import io
import re
import shutil
from itertools import pairwise

import numpy as np
import pytest
import yaml
from chromium import PROGRAM, browsing
from matplotlib.image import imread

from medgan.config import parse_config
from medgan.recipes import mr_ct
from medgan.report.cases import case_sections
from medgan.report.html import Report, Section, Table, write_report
from medgan.report.images import CaseImages
from medgan.volumes.volume import Volume

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium on this machine; Debian: apt-get install chromium"
)

STATE = "document.getElementById('viewer').dataset.state"
STATUS = "document.querySelector('#viewer [role=status]').textContent"
OUTPUTS = "[...document.querySelectorAll('.panel output')].map((each) => each.textContent)"
PANELS = ["source", "result", "reference", "error"]
SPACING_MM = 4.0


@pytest.fixture(scope="module")
def tab():
    with browsing() as tab:
        yield tab


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A ball whose values tell where they lie, and a second case without an error."""
    shape = (40, 50, 36)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = -SPACING_MM * (np.array(shape) - 1) / 2
    x, y, z = (SPACING_MM * axis + affine[i, 3] for i, axis in enumerate(np.indices(shape)))
    ball = x**2 + y**2 + z**2 < 60**2
    result = Volume(np.where(ball, 4 * x, -1000.0), affine, "CT", synthetic=True)
    reference = Volume(np.where(ball, y, -1000.0), affine, "CT")
    source = Volume(np.where(ball, z + 500, 0.0), affine, "MR")
    attention = source.with_array(np.where(ball, (x > 0) * 1.0, 0.0))
    cases = [
        CaseImages("ramp", result, source, reference, attention),
        CaseImages("other", reference, source, reference, attention),
    ]
    row = {"protocol": "synthrad2023", "range": [-1024, 3000], "unit": "HU", "mask_rule": "m",
           "averaging": "3-D", "voxels": 5}  # fmt: skip
    document = {
        **row,
        "cases": [{"case": name, "mae": mae, **row}
                  for name, mae in (("other", 1.0), ("ramp", 9.0))],
        "aggregates": {"mae": {"mean": 5.0, "std": None}},
    }  # fmt: skip
    rows = [["b", 10.0, "inf"], ["a", 9.0, 1.0], ["c", None, 5.0], ["d", 100.0, 3.0]]
    table = Table("c", ["case", "mae", "psnr"], rows)
    path = tmp_path_factory.mktemp("page") / "report.html"
    sections = [Section("Sorted", tables=[table]), *case_sections(document, cases)]
    write_report(path, Report("T", [], sections))
    return path


@pytest.fixture
def opened(tab, page):
    """The page, loaded anew only where a test went elsewhere: drawing in software takes seconds."""
    if tab.evaluate("location.href") != page.as_uri():
        tab.open(page)
        tab.wait_for(f"{STATE} !== 'loading'")
    assert tab.evaluate(STATE) == "ready", tab.evaluate(STATUS)
    return tab


def box(tab, selector):
    """Left, top, width and height in the window."""
    return tab.evaluate(
        f"(({{x, y, width, height}}) => [x, y, width, height])"
        f"(document.querySelector({selector!r}).getBoundingClientRect())"
    )


def drawn(tab, kind):
    """(rows, columns, 3) what is seen of a panel, in [0, 1]."""
    tab.evaluate("document.querySelector('.panels').scrollIntoView()")
    window = imread(io.BytesIO(tab.screenshot()))
    left, top, width, height = (round(v) for v in box(tab, f"[data-kind={kind}]"))
    return window[max(top, 0) : top + height, left : left + width, :3]


def click_on(tab, selector):
    left, top, width, height = box(tab, selector)
    tab.click(left + width / 2, top + height / 2)


def place(tab):
    """The crosshair as the page reads it out: mm towards R, A and S."""
    found = re.fullmatch(r"Crosshair at (\d+) mm (.), (\d+) mm (.), (\d+) mm (.)",
                         tab.evaluate(STATUS))  # fmt: skip
    millimetres, ends = found.groups()[::2], found.groups()[1::2]
    return [
        int(mm) * (1 if end in "RAS" else -1) for mm, end in zip(millimetres, ends, strict=True)
    ]


def values(tab):
    return [float(re.match(r"-?[\d.e+-]+", text)[0]) for text in tab.evaluate(OUTPUTS)]


def assert_silent(tab, page):
    assert tab.errors == []
    assert tab.requests[0] == page.as_uri()
    assert {address.split(":")[0] for address in tab.requests[1:]} <= {"blob", "data"}


def test_every_image_is_drawn_without_an_error_and_without_the_network(opened, page):
    for kind in PANELS:
        seen = drawn(opened, kind)
        assert seen.min() < 0.05, kind
        assert seen.max() > 0.6, kind
        assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 20, kind
    error = drawn(opened, "error")
    blue, orange = error[..., 2] - error[..., 0] > 0.3, error[..., 0] - error[..., 2] > 0.3
    assert blue.any()
    assert orange.any()
    assert_silent(opened, page)


def test_even_a_script_cannot_reach_the_network(opened):
    refused = opened.evaluate(
        "new Promise((done) => { document.addEventListener('securitypolicyviolation',"
        " (event) => done(event.effectiveDirective));"
        " fetch('http://127.0.0.1:9/').catch(() => 0) })"
    )
    assert refused == "connect-src"
    opened.errors.clear()


def test_one_click_moves_the_crosshair_in_every_image(opened):
    opened.evaluate("document.querySelector('.panels').scrollIntoView()")
    left, top, width, _ = box(opened, "[data-kind=source]")
    opened.click(left + 0.35 * width, top + 0.4 * width)
    x, y, z = place(opened)
    # Left of the middle is the patient's right, above it the front.
    assert x > 0
    assert y > 0
    source, result, reference, error = values(opened)
    assert result == pytest.approx(4 * x, abs=4 * SPACING_MM)
    assert reference == pytest.approx(y, abs=SPACING_MM)
    assert source - 500 == pytest.approx(z, abs=SPACING_MM)
    assert error == pytest.approx(result - reference, abs=1.01)


@pytest.mark.parametrize(
    ("key", "step"),
    [("ArrowLeft", [1, 0, 0]), ("ArrowRight", [-1, 0, 0]), ("ArrowUp", [0, 1, 0]),
     ("PageUp", [0, 0, 1])],
)  # fmt: skip
def test_keys_move_the_crosshair_by_one_voxel(opened, key, step):
    opened.evaluate(
        "document.querySelector('[data-kind=result] canvas').focus({preventScroll: true})"
    )
    opened.press(key)  # From wherever a click left the crosshair to the centre of a voxel.
    before, was = place(opened), values(opened)
    opened.press(key)
    moved = np.subtract(place(opened), before)
    np.testing.assert_allclose(moved, SPACING_MM * np.array(step), atol=1)
    changed = np.subtract(values(opened), was)
    x, y, z = SPACING_MM * np.array(step)
    np.testing.assert_allclose(changed, [z, 4 * x, y, 4 * x - y], atol=1.01)


def test_a_window_changes_ct_and_only_ct(opened):
    before = {kind: drawn(opened, kind) for kind in PANELS}
    opened.evaluate("[...document.querySelectorAll('[data-window]')]"
                    ".find((each) => each.textContent === 'Brain').focus()")  # fmt: skip
    opened.press("Enter")
    pressed = opened.evaluate(
        "[...document.querySelectorAll('[data-window][aria-pressed=true]')]"
        ".map((each) => each.textContent)"
    )
    assert pressed == ["Brain"]
    after = {kind: drawn(opened, kind) for kind in PANELS}
    for kind in PANELS:
        assert np.array_equal(before[kind], after[kind]) == (kind in ("source", "error")), kind
    # Twice as steep as a window of 400 HU and more: fewer shades of grey remain between the ends.
    grey = {name: (shades["result"][..., 1] > 0.1) & (shades["result"][..., 1] < 0.9)
            for name, shades in (("before", before), ("after", after))}  # fmt: skip
    assert grey["after"].sum() < grey["before"].sum()


def test_the_attention_map_covers_the_source_as_far_as_asked(opened):
    def set_opacity(value):
        opened.evaluate(
            "((slider) => { slider.value = " + str(value) + ";"
            " slider.dispatchEvent(new Event('input')) })"
            "(document.getElementById('viewer-opacity'))"
        )
        return drawn(opened, "source")

    plain, half, full = (set_opacity(value) for value in (0, 0.5, 1))
    colour = [np.ptp(seen, axis=2).mean() for seen in (plain, half, full)]
    assert all(first < second for first, second in pairwise(colour))
    assert opened.evaluate("document.querySelector('#viewer-opacity + output').textContent") == (
        "100 %"
    )


def test_another_plane_and_another_case_can_be_chosen(opened, page):
    tall = box(opened, "[data-kind=result]")[3]
    choose = "((list) => { list.value = '%s'; list.dispatchEvent(new Event('change')) })"
    opened.evaluate(choose % "axial" + "(document.getElementById('viewer-view'))")
    assert box(opened, "[data-kind=result]")[3] < 0.6 * tall
    opened.evaluate(choose % "1" + "(document.getElementById('viewer-case'))")
    opened.wait_for(f"{STATE} === 'ready'")
    assert opened.evaluate("document.getElementById('viewer-case').disabled") is False
    _, result, reference, error = values(opened)
    assert error == 0
    assert result == reference
    assert_silent(opened, page)
    opened.send("Page.navigate", url="about:blank")


def test_tables_are_sorted_by_click_and_by_key_with_the_undefined_last(opened):
    order = (
        "[...document.querySelector('table').tBodies[0].rows].map((row) => row.cells[0].innerText)"
    )
    heading = "document.querySelectorAll('table thead th')[%d]"
    assert opened.evaluate(order) == ["b", "a", "c", "d"]
    opened.evaluate("scrollTo(0, 0)")
    click_on(opened, "table thead th:nth-child(2) button")
    assert opened.evaluate(order) == ["a", "b", "d", "c"]
    assert opened.evaluate(heading % 1 + ".getAttribute('aria-sort')") == "ascending"
    opened.press("Enter")
    assert opened.evaluate(order) == ["d", "b", "a", "c"]
    opened.evaluate(heading % 2 + ".querySelector('button').focus()")
    opened.press("Enter")
    assert opened.evaluate(order) == ["a", "d", "c", "b"]
    assert opened.evaluate(heading % 1 + ".hasAttribute('aria-sort')") is False
    opened.evaluate(heading % 0 + ".querySelector('button').click()")
    assert opened.evaluate(order) == ["a", "b", "c", "d"]


def test_paper_shows_the_pictures_and_not_the_controls(opened):
    opened.send("Emulation.setEmulatedMedia", media="print")
    try:
        hidden = opened.evaluate("getComputedStyle(document.getElementById('viewer')).display")
        assert hidden == "none"
        assert opened.evaluate("[...document.images].every((each) => each.offsetHeight > 50)")
    finally:
        opened.send("Emulation.setEmulatedMedia", media="")


def test_every_control_has_a_name(opened):
    names = opened.evaluate(
        "[...document.querySelectorAll('th button, canvas')]"
        ".map((each) => each.ariaLabel || each.textContent.trim())"
    )
    assert len(names) > len(PANELS)
    assert all(names)


def test_a_wide_table_scrolls_on_screen_and_fits_on_paper(tab, tmp_path):
    columns = ["", "cases (n)", *(f"measure_{n} [HU]" for n in range(13))]
    rows = [[f"a name of several words {row}", 7, *[0.0007486] * 13] for row in range(3)]
    page = tmp_path / "wide.html"
    write_report(page, Report("T", [], [Section("S", tables=[Table("c", columns, rows)])]))
    tab.open(page)
    wide = "((box) => box.scrollWidth > box.clientWidth)(document.querySelector('.scroll'))"
    shown = "getComputedStyle(document.querySelector('.more')).display"
    assert tab.evaluate(wide) is True
    tab.wait_for(f"{shown} === 'block'")
    tab.evaluate("document.querySelector('.scroll').scrollLeft = 200")
    first, second = (box(tab, f"tbody tr > :nth-child({n})")[0] for n in (1, 2))
    assert first == box(tab, ".scroll")[0]
    assert second < first
    # A4 across, less its margins, at 96 dots per inch.
    tab.send("Emulation.setDeviceMetricsOverride", width=1032, height=700, deviceScaleFactor=1,
             mobile=False)  # fmt: skip
    tab.send("Emulation.setEmulatedMedia", media="print")
    try:
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.evaluate(shown) == "none"
        pages = tab.send("Page.printToPDF", preferCSSPageSize=True)["data"]
        sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", base64.b64decode(pages))
        assert all(float(width) > float(height) for width, height in sizes)
        assert sizes
    finally:
        tab.send("Emulation.setEmulatedMedia", media="")
        tab.send("Emulation.clearDeviceMetricsOverride")


def test_a_browser_without_webgl_says_so_and_shows_the_pictures(tab, page):
    source = "HTMLCanvasElement.prototype.getContext = () => null"
    added = tab.send("Page.addScriptToEvaluateOnNewDocument", source=source)
    try:
        tab.open(page)
        tab.wait_for(f"{STATE} === 'failed'")
        assert "pictures below" in tab.evaluate(STATUS)
        assert box(tab, ".panels")[3] == 0
    finally:
        tab.send("Page.removeScriptToEvaluateOnNewDocument", **added)


def test_the_report_of_finished_runs_opens(tab, tiny_run, tmp_path, medgan_cli):
    run, other = tmp_path / "run", tmp_path / "again" / "run"
    shutil.copytree(tiny_run, run)
    document = yaml.safe_load((run / "config.yaml").read_text())
    document["tracking"]["enabled"] = False
    (run / "config.yaml").write_text(yaml.safe_dump(document))
    mr_ct.run(parse_config(document), run)
    shutil.copytree(run, other)
    page = tmp_path / "page.html"
    assert medgan_cli("report", run, other, "--out", page)[0] == 0
    tab.open(page)
    tab.wait_for(f"{STATE} !== 'loading'")
    assert tab.evaluate(STATE) == "ready"
    assert all(np.ptp(drawn(tab, kind)) > 0.5 for kind in PANELS)
    labels = tab.evaluate(
        "[...document.getElementById('viewer-case').options].map((each) => each.textContent)"
    )
    assert [label.split(",")[0] for label in labels] == ["run: Case 1", "run (2): Case 1"]
    assert_silent(tab, page)
