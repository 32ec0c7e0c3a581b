"""Studies through a model: a synthetic series in the same study, on the same voxels."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_tools import complaints, has_validator, read_only_series
from translated_studies import (
    CREATED,
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

from medgan.errors import ConfigError, DataError, OutputError
from medgan.inference import guards
from medgan.inference.planning import Request, plan
from medgan.inference.series import derivation_of, translate_series
from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.io.batch.manifest import read_manifest
from medgan.phantoms.scan import HeadScan, scan_head
from medgan.volumes.geometry import reorient, require_same_grid


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


def test_a_study_gains_a_synthetic_series_on_the_voxels_of_its_source(
    study: Path, planned: Make, translator: Translator, tmp_path: Path
) -> None:
    rows = done(planned(study, tmp_path / "out"))
    assert statuses(rows) == {"one/ct": "skipped", "one/mr": "translated"}
    result = tmp_path / "out" / "one" / "synthetic_ct"
    assert rows[1].output == str(result)
    source, made = read_only_series(study / "one" / "mr"), read_only_series(result)
    require_same_grid(source.volume, made.volume)
    expected = translator(source.volume).image.array
    assert np.abs(made.volume.array - expected).max() <= 0.5
    assert (made.volume.modality, made.volume.synthetic) == ("CT", True)
    assert made.volume.frame_of_reference == source.volume.frame_of_reference
    header, original = made.planes[0].header, source.planes[0].header
    for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate"):
        assert header[keyword] == original[keyword]
    assert header.SeriesInstanceUID != original.SeriesInstanceUID
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"one", "manifest.csv"}


def test_the_file_says_how_it_was_made(
    study: Path, planned: Make, translator: Translator, tmp_path: Path
) -> None:
    done(planned(study, tmp_path / "out"))
    header = pydicom.dcmread(tmp_path / "out" / "one" / "synthetic_ct" / "0001.dcm")
    words = header.DerivationDescription
    assert translator.model.sha256 in words
    for fact in (
        "made from MR", "model tiny step", "resampled to 6 x 6 x 6 mm and back", "percentile 99.5",
        "axial slices", "-1000 to 2000 HU", "4 mm outside the body",
    ):  # fmt: skip
        assert fact in words
    assert header.DerivationCodeSequence[0].CodeValue == "113085"


def test_what_was_resampled_is_said_to_be(head: HeadScan, translator: Translator) -> None:
    cube = scan_head(4, spacing_mm=(6.0, 6.0, 6.0), supersample=1).mr
    derivation = derivation_of(translator, reorient(cube, "LPS"), CREATED)
    assert not derivation.resampled
    assert "voxels of 6 x 6 x 6 mm" in derivation.description
    assert derivation_of(translator, head.mr, CREATED).resampled


@pytest.mark.parametrize("validator", ["current", "debian"])
def test_a_validator_has_nothing_to_say(
    study: Path, planned: Make, tmp_path: Path, validator: str
) -> None:
    if not has_validator(validator):
        pytest.skip("dciodvfy is not installed")
    done(planned(study, tmp_path / "out", details=True))
    folder = tmp_path / "out" / "one"
    assert complaints(folder / "synthetic_ct" / "0007.dcm", validator) == []
    if validator == "current":  # the older one does not know quantitative maps
        assert complaints(folder / "synthetic_ct_attention.dcm", validator) == []


def test_a_second_run_does_nothing_and_a_damaged_result_is_made_anew_with_the_same_bytes(
    study: Path, planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    done(planned(study, out, details=True))
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "2000000000")
    again = planned(study, out, details=True)
    assert len(again) == 0
    rows = done(again)
    assert [row.reason for row in rows if row.source == "one/mr"] == ["finished before"]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.dcm")} == times
    (out / "one" / "synthetic_ct" / "0003.dcm").unlink()
    assert statuses(done(planned(study, out, details=True)))["one/mr"] == "translated"
    assert contents(out) == before
    done(planned(study, out, details=True, overwrite=True))
    assert contents(out) == before


def test_a_batch_that_is_stopped_keeps_the_time_of_its_first_start(
    head: HeadScan, study: Path, planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_series(head, study / "two" / "mr", "MR", "two")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    done(planned(study, tmp_path / "whole"))
    stopped = iter(planned(study, tmp_path / "out"))
    next(stopped)
    stopped.close()
    assert not (tmp_path / "out" / "two").exists()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    rows = done(planned(study, tmp_path / "out"))
    assert statuses(rows) == {"one/ct": "skipped", "one/mr": "skipped", "two/mr": "translated"}
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_source_that_changed_is_translated_again(
    study: Path, planned: Make, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done(planned(study, out))
    before = contents(out / "one" / "synthetic_ct")
    change(study / "one" / "mr", PatientWeight="70")
    assert statuses(done(planned(study, out)))["one/mr"] == "translated"
    after = contents(out / "one" / "synthetic_ct")
    assert before.keys() == after.keys()
    assert pydicom.dcmread(out / "one" / "synthetic_ct" / "0001.dcm").PatientWeight == 70


def test_the_way_back_makes_a_synthetic_mr(study: Path, tiny_run: Path, tmp_path: Path) -> None:
    backward = Translator.load(tiny_run, "backward")
    rows = done(plan(Request(tiny_run, study, tmp_path / "out", "backward"), backward))
    assert statuses(rows) == {"one/ct": "translated", "one/mr": "skipped"}
    source = read_only_series(study / "one" / "ct")
    made = read_only_series(tmp_path / "out" / "one" / "synthetic_mr")
    assert made.volume.modality == "MR"
    expected = backward(source.volume).image.array
    scale = expected.max() / made.volume.array.max()
    np.testing.assert_allclose(made.volume.array * scale, expected, atol=scale)


def test_a_series_may_become_a_file_named_or_by_pseudonyms(
    study: Path, planned: Make, translator: Translator, tmp_path: Path
) -> None:
    (_, row) = done(planned(study, tmp_path / "ct.nii.gz"))
    assert row.output == str(tmp_path / "ct.nii.gz")
    made = read_volume(tmp_path / "ct.nii.gz")
    source = read_only_series(study / "one" / "mr").volume
    require_same_grid(source, made)
    np.testing.assert_allclose(made.array, translator(source).image.array, atol=1e-3)
    done(planned(study, tmp_path / "out", to="nifti", details=True))
    names = sorted(path.name for path in (tmp_path / "out").rglob("*.nii.gz"))
    stem = names[0].removesuffix(".nii.gz")
    assert stem.endswith("_synthetic_ct")
    assert names[1:] == [
        f"{stem}_{name}.nii.gz" for name in ("attention", "content_1", "content_2")
    ]


def test_a_file_named_in_another_format_or_for_several_volumes_is_refused(
    head: HeadScan, study: Path, planned: Make, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="format asked for"):
        planned(study, tmp_path / "ct.mha", to="nifti")
    add_series(head, study / "two" / "mr", "MR", "two")
    with pytest.raises(ConfigError, match="several volumes"):
        planned(study, tmp_path / "ct.mha")


def test_a_file_may_become_a_series(
    head: HeadScan, planned: Make, translator: Translator, tmp_path: Path
) -> None:
    write_volume(head.mr, tmp_path / "in.nii.gz")
    (row,) = done(planned(tmp_path / "in.nii.gz", tmp_path / "out", to="dicom", details=True))
    assert row.output == str(tmp_path / "out" / "in")
    made = read_volume(tmp_path / "out" / "in")
    assert made.synthetic
    corner = made.affine[:3, 3] + made.affine[:3, :3] @ (np.array(made.shape) - 1)
    assert np.minimum(made.affine[:3, 3], corner) == pytest.approx(head.mr.affine[:3, 3])
    expected = translator(read_volume(tmp_path / "in.nii.gz")).image.array
    assert np.abs(np.sort(made.array, None) - np.sort(expected, None)).max() <= 0.5
    assert (tmp_path / "out" / "in_attention.nii.gz").is_file()


def test_a_frame_of_reference_that_had_to_be_generated_is_reported(
    study: Path, planned: Make, tmp_path: Path
) -> None:
    change(study / "one" / "mr", FrameOfReferenceUID=None)
    rows = done(planned(study / "one" / "mr", tmp_path / "out"))
    assert "the source has no frame of reference: one was generated" in rows[0].warnings
    header = pydicom.dcmread(tmp_path / "out" / "synthetic_ct" / "0001.dcm")
    assert header.FrameOfReferenceUID
    assert "frame of reference generated" in header.DerivationDescription


def test_an_irregular_series_is_refused_or_repaired_and_both_are_said(
    study: Path, planned: Make, tmp_path: Path
) -> None:
    (study / "one" / "mr" / "0009.dcm").unlink()
    rows = done(planned(study, tmp_path / "out"))
    assert rows[1].status == "failed"
    assert "one/mr" in (rows[1].error or "")
    rows = done(planned(study, tmp_path / "out", irregular="resample"))
    assert rows[1].status == "translated"
    assert rows[1].repairs
    header = pydicom.dcmread(tmp_path / "out" / "one" / "synthetic_ct" / "0001.dcm")
    assert rows[1].repairs[0] in header.DerivationDescription
    assert header.SourceImageSequence[0].SpatialLocationsPreserved == "NO"


def test_maps_lie_beside_the_series_as_parametric_maps(
    study: Path, planned: Make, translator: Translator, tmp_path: Path
) -> None:
    done(planned(study, tmp_path / "out", details=True))
    folder = tmp_path / "out" / "one"
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "synthetic_ct", "synthetic_ct.qc.json", "synthetic_ct_attention.dcm",
        "synthetic_ct_content_1.dcm", "synthetic_ct_content_2.dcm",
    ]  # fmt: skip
    source = read_only_series(study / "one" / "mr").volume
    attention = translator(source, details=True).attention
    assert attention is not None
    image = pydicom.dcmread(folder / "synthetic_ct_attention.dcm")
    assert image.Modality != "CT"
    np.testing.assert_allclose(
        np.sort(image.pixel_array, None), np.sort(attention.array, None), atol=1e-5
    )


def test_workers_make_the_same_files(
    head: HeadScan, study: Path, planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    add_series(head, study / "two" / "mr", "MR", "two")
    (study / "three").mkdir()
    (study / "three" / "broken.nii.gz").write_bytes(b"not an image")
    alone = done(planned(study, tmp_path / "alone"))
    both = done(planned(study, tmp_path / "both", jobs=2))
    assert statuses(alone) == statuses(both)
    assert statuses(both)["three/broken.nii.gz"] == "failed"
    assert contents(tmp_path / "alone") == contents(tmp_path / "both")


def test_a_folder_of_others_is_never_replaced(study: Path, planned: Make, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "one" / "synthetic_ct" / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("precious")
    for overwrite in (False, True):
        rows = done(planned(study, tmp_path / "out", overwrite=overwrite))
        assert rows[1].status == "failed"
        assert theirs.read_text() == "precious"


def test_what_is_no_image_is_passed_over_with_its_reason(
    study: Path, planned: Make, tmp_path: Path
) -> None:
    shutil.copy(study / "one" / "mr" / "0001.dcm", study / "seg.dcm")
    header = pydicom.dcmread(study / "seg.dcm")
    header.SOPClassUID = pydicom.uid.SegmentationStorage
    header.save_as(study / "seg.dcm")
    (study / "cut.dcm").write_bytes((study / "one" / "mr" / "0001.dcm").read_bytes()[:300])
    rows = {row.source: row for row in done(planned(study, tmp_path / "out"))}
    assert (rows["seg.dcm"].status, rows["seg.dcm"].reason) == ("skipped", "Segmentation")
    assert rows["cut.dcm"].status == "failed"
    assert rows["one/mr"].status == "translated"


def test_the_manifest_is_that_of_conversions(study: Path, planned: Make, tmp_path: Path) -> None:
    done(planned(study, tmp_path / "out"))
    (record,) = [r for r in read_manifest(tmp_path / "out").values() if r.source == "one/mr"]
    assert (record.status, record.output) == ("converted", "one/synthetic_ct")
    assert record.files == len(list((tmp_path / "out" / "one" / "synthetic_ct").iterdir()))


def test_a_series_can_be_translated_from_python(
    study: Path, translator: Translator, tmp_path: Path
) -> None:
    series = read_only_series(study / "one" / "mr")
    result = translate_series(translator, series, tmp_path / "sct", created=CREATED)
    assert np.abs(read_volume(tmp_path / "sct").array - result.image.array).max() <= 0.5
    with pytest.raises(DataError, match="another modality"):
        translate_series(
            translator, read_only_series(study / "one" / "ct"), tmp_path / "x", created=CREATED
        )


def test_a_link_out_of_the_folder_of_results_is_not_followed(
    study: Path, planned: Make, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="leave the output folder"):
        planned(study, tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    ["dicom2nifti_philips_enhanced_anatomical_001", "dicom2nifti_siemens_anatomical_001"],
)
def test_real_scans_keep_their_place(
    medgan_data: Path, name: str, planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the barely trained model makes little of them, and their place is all that counts here
    monkeypatch.setattr(guards, "CONSTANT", 0.0)
    source = medgan_data / "dicom_zoo" / name
    (row,) = [row for row in done(planned(source, tmp_path / "out")) if row.status != "skipped"]
    assert row.status == "translated", row.error
    original, made = read_volume(source), read_only_series(tmp_path / "out" / "synthetic_ct")
    require_same_grid(original, made.volume)
    reference = made.planes[1].header.SourceImageSequence[0]
    assert ("ReferencedFrameNumber" in reference) == ("enhanced" in name)
    if has_validator("current"):
        # of what is kept from the source, such as a name in a retired form, it may warn
        found = complaints(tmp_path / "out" / "synthetic_ct" / "0002.dcm", "current")
        assert [line for line in found if line.startswith("Error")] == []
