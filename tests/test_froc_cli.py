"""The verb ``froc`` as a user meets it."""

import json

import pytest

ROWS = {
    "annotations": ["1.2.1,0,0,0,6", "1.2.2,0,0,0,12", "1.2.2,50,0,0,8"],
    "excluded": ["1.2.1,80,0,0,-1"],
    "results": ["1.2.1,1,0,0,0.9", "1.2.1,80,1,0,0.8", "1.2.2,0,3,0,0.6", "1.2.2,9,9,9,0.7"],
    "other": ["1.2.1,1,0,0,0.4", "1.2.2,9,9,9,0.7"],
}


@pytest.fixture
def files(tmp_path):
    for name, rows in ROWS.items():
        value = "diameter_mm" if name in ("annotations", "excluded") else "probability"
        lines = [f"seriesuid,coordX,coordY,coordZ,{value}", *rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "seriesuids.csv").write_text("1.2.1\n1.2.2\n")
    return tmp_path


@pytest.fixture
def froc(files, medgan_cli):
    truth = [
        part
        for name in ("annotations", "excluded", "seriesuids")
        for part in (f"--{name}", files / f"{name}.csv")
    ]
    return lambda *arguments: medgan_cli("froc", *truth, *arguments)


def test_the_result_is_shown_with_its_definition(froc, files):
    code, out, _ = froc(files / "results.csv")
    assert code == 0
    unwrapped = " ".join(out.split())
    assert "CPM" in unwrapped
    assert "3 nodules in 2 scans" in unwrapped
    assert "at most 100 marks a scan" in unwrapped


def test_json_on_standard_output_is_nothing_but_json_and_keeps_its_names(froc, files):
    code, out, err = froc(files / "results.csv", "--threshold", "0.65", "--json", "-")
    assert code == 0
    document = json.loads(out)
    # One hit above the false positive of 1/2 a scan, another below it, one nodule missed.
    assert document["fppi"] == [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
    assert document["sensitivities"] == pytest.approx([1 / 3, 1 / 3, *[2 / 3] * 5])
    assert document["cpm"] == pytest.approx((2 / 3 + 10 / 3) / 7)
    assert len(document["cpm_ci"]) == 2
    assert (document["nodules"], document["scans"]) == (3, 2)
    point = document["operating_point"]
    assert (point["precision"], point["recall"]) == pytest.approx((1 / 2, 1 / 3))
    assert document["marks"]["on_excluded"] == 1
    assert "CPM" in err


def test_the_same_seed_gives_the_same_document_and_another_one_other_intervals(froc, files):
    def document(seed):
        return froc(files / "results.csv", "--seed", seed, "--bootstrap", 20, "--json", "-")[1]

    assert document(1) == document(1)
    assert document(1) != document(2)


def test_two_detectors_are_compared_and_the_report_names_neither_file_nor_scan(froc, files):
    page, target = files / "froc.html", files / "froc.json"
    code, out, _ = froc(
        files / "results.csv", "--against", files / "other.csv", "--threshold", 0.5,
        "--json", target, "--html", page, "--bootstrap", 30,
    )  # fmt: skip
    assert code == 0
    assert "difference" in out
    document = json.loads(target.read_text())
    difference = document["against"]["difference"]
    assert difference["cpm"] == pytest.approx(document["cpm"] - document["against"]["cpm"])
    assert 0 < difference["cpm_p"] <= 1
    html = page.read_text()
    assert "data:image/png" in html
    assert "the other detector" in html
    assert "results.csv" not in html
    assert "1.2.1" not in html


def test_without_resamples_there_are_no_intervals(froc, files):
    code, out, _ = froc(
        files / "results.csv", "--bootstrap", 0, "--against", files / "other.csv", "--json", "-",
        "--html", files / "froc.html",
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0
    assert document["cpm_ci"] is None
    assert document["against"]["difference"]["cpm_p"] is None
    assert (files / "froc.html").is_file()


def test_user_errors_end_with_code_two_and_one_message(froc, files):
    (files / "bad.csv").write_text("seriesuid,coordX\n")
    for arguments in (
        (files / "absent.csv",),
        (files / "bad.csv",),
        (files / "results.csv", "--threshold", "nan"),
        (files / "results.csv", "--json", files / "no" / "folder.json"),
    ):
        code, _, err = froc(*arguments)
        assert code == 2
        assert "medgan: " in err
        assert "Traceback" not in err
    code, _, err = froc(files / "results.csv", "--bootstrap", "-1")
    assert code == 2
    assert "--bootstrap" in err


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_target_that_cannot_be_written_is_refused_before_anything_is_read(froc, files, option):
    code, _, err = froc(files / "absent.csv", option, files / "no" / "q.out")
    assert code == 2
    assert "Create the folder first" in err


def test_help_has_an_example_and_names_the_columns(medgan_cli):
    code, out, _ = medgan_cli("froc", "--help")
    assert code == 0
    assert "Example: medgan froc" in out
    assert "coordX" in out
