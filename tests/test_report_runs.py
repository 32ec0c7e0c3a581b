"""Run folders read back and reported on, alone and side by side."""

import json
import shutil

import pytest
from report_pages import Page, evaluation, noise_png, written

from medgan.errors import DataError, FileError
from medgan.report.plots import learning_curves
from medgan.report.runs import read_run, read_runs, run_report


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


@pytest.fixture
def run_folder(tmp_path):
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
        (run / "previews" / f"step_{step:07d}.png").write_bytes(noise_png())
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
