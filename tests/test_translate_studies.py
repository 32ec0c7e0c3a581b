"""Which series of a tree of studies are translated, and where their results lie."""

from pathlib import Path

import pytest
from dicom_tools import read_only_series
from translated_studies import (
    Make,
    add_series,
    change,
    contents,
    done,
    one_study,
    planner,
    statuses,
    thick_head,
)

from medgan.errors import ConfigError
from medgan.inference.translator import Translator
from medgan.io.batch.manifest import read_manifest
from medgan.phantoms.scan import HeadScan


@pytest.fixture(scope="module")
def head() -> HeadScan:
    return thick_head()


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


@pytest.fixture
def study(head: HeadScan, tmp_path: Path) -> Path:
    return one_study(head, tmp_path / "in")


@pytest.fixture
def planned(tiny_run: Path, translator: Translator) -> Make:
    return planner(tiny_run, translator)


def test_several_series_are_an_error_of_their_study_only(
    head: HeadScan, study: Path, planned: Make, tmp_path: Path
) -> None:
    add_series(head, study / "one" / "mr_again", "MR", series_number=3)
    add_series(head, study / "two" / "mr", "MR", "two")
    rows = done(planned(study, tmp_path / "out"))
    assert statuses(rows) == {"one": "failed", "two/mr": "translated"}
    error = rows[0].error or ""
    assert error.startswith("one: 2 series fit")
    assert "one/mr/0001.dcm" in error
    assert "one/mr_again/0001.dcm" in error
    assert str(tmp_path) not in error

    change(study / "one" / "mr_again", SeriesDescription="t1 mprage")
    rows = done(planned(study, tmp_path / "out", series="description~mprage"))
    assert statuses(rows)["one/mr_again"] == "translated"
    assert all(record.status != "refused" for record in read_manifest(tmp_path / "out").values())
    assert "mprage" not in "".join(map(str, rows))


def test_a_ct_is_refused_by_a_model_that_reads_mr(
    study: Path, planned: Make, tmp_path: Path
) -> None:
    for source in (study / "one" / "ct", study / "one" / "ct" / "0001.dcm"):
        (row,) = done(planned(source, tmp_path / "out"))
        assert row.status == "failed"
        assert "reads another modality (measured CT, allowed MR)" in (row.error or "")
    assert not list((tmp_path / "out").rglob("*.dcm"))
    with pytest.raises(ConfigError, match="does not read"):
        planned(study, tmp_path / "out", series="modality=CT")


def test_refused_studies_of_one_folder_are_told_apart(
    head: HeadScan, planned: Make, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for patient in ("one", "two"):
        for number in (1, 2):
            folder = add_series(head, tmp_path / "made", "MR", patient, number)
            for path in folder.iterdir():
                path.rename(tmp_path / "in" / f"{patient}_{number}_{path.name}")
    rows = done(planned(tmp_path / "in", tmp_path / "out"))
    assert [row.status for row in rows] == ["failed", "failed"]
    assert len({row.label for row in rows}) == 2
    for row in rows:
        assert (row.error or "").startswith(f"{row.label}: 2 series fit")
        assert "one" not in row.label and "two" not in row.label


def test_a_real_series_is_chosen_beside_a_synthetic_one(
    head: HeadScan, study: Path, planned: Make, tmp_path: Path
) -> None:
    add_series(head, study / "one" / "made", "MR", series_number=3)
    change(study / "one" / "made", SyntheticData="YES")
    rows = done(planned(study, tmp_path / "out"))
    assert statuses(rows)["one/mr"] == "translated"
    assert statuses(rows)["one/made"] == "skipped"


def test_studies_that_share_a_folder_are_told_apart(
    head: HeadScan, planned: Make, tmp_path: Path
) -> None:
    for patient in ("one", "two"):
        folder = add_series(head, tmp_path / patient, "MR", patient)
        (tmp_path / "in").mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.rename(tmp_path / "in" / f"{patient}_{path.name}")
    rows = done(planned(tmp_path / "in", tmp_path / "out"))
    assert [row.status for row in rows] == ["translated"] * 2
    folders = sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    names = {str(read_only_series(folder).planes[0].header.PatientName) for folder in folders}
    assert names == {"Doe^one", "Doe^two"}
    assert not any(word in str(folders) for word in ("one", "Doe"))


def test_results_may_be_laid_into_the_studies_themselves(study: Path, planned: Make) -> None:
    before = contents(study)
    assert statuses(done(planned(study, study)))["one/mr"] == "translated"
    after = contents(study)
    assert {name: after[name] for name in before} == before
    new = {name.rpartition("/")[0] for name in after.keys() - before.keys()}
    assert new == {"", "one", "one/synthetic_ct"}
    assert "one/synthetic_ct.qc.json" in after
    again = planned(study, study)
    assert len(again) == 0
    done(again)
    assert {name: after[name] for name in contents(study) if name != "manifest.csv"} == {
        name: content for name, content in after.items() if name != "manifest.csv"
    }


def test_results_laid_into_the_tree_do_not_lie_among_the_slices_of_their_series(
    head: HeadScan, planned: Make, tmp_path: Path
) -> None:
    for name in ("ax", "sag"):
        add_series(head, tmp_path / "in" / name, "MR", name)
    tree = tmp_path / "in"
    assert statuses(done(planned(tree, tree))) == {"ax": "translated", "sag": "translated"}
    folders = sorted(path.name for path in tree.iterdir() if path.is_dir())
    assert folders == ["ax", "ax_synthetic_ct", "sag", "sag_synthetic_ct"]
    assert read_only_series(tree / "ax").volume.modality == "MR"
    assert len(planned(tree, tree)) == 0
    alone = tree / "ax"
    done(planned(alone, alone))
    assert (alone / "synthetic_ct" / "0001.dcm").is_file()


def test_a_result_is_known_again_after_its_source_was_refused_once(
    study: Path, planned: Make, tmp_path: Path
) -> None:
    out, plane = tmp_path / "out", study / "one" / "mr" / "0003.dcm"
    done(planned(study, out))
    result, whole = contents(out / "one" / "synthetic_ct"), plane.read_bytes()
    for _ in range(2):
        plane.write_bytes(whole[:-100])
        assert statuses(done(planned(study, out)))["one/mr"] == "failed"
        assert contents(out / "one" / "synthetic_ct") == result
    plane.write_bytes(whole)
    assert statuses(done(planned(study, out)))["one/mr"] == "translated"
