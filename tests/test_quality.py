"""The quality record beside each result, and what ``--strict`` refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from medgan.data.preparation import prepare
from medgan.data.statistics import domain_statistics
from medgan.inference.planning import Request, plan
from medgan.inference.quality import ENDING, examine, record_path
from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.io.batch.naming import pseudonym
from medgan.io.dicom.write import Identity, write_series
from medgan.models.model_file import Model, save_model
from medgan.phantoms.scan import HeadScan, scan_head
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid
from medgan.volumes.intensity import WindowScale
from medgan.volumes.resampling import resample

CREATED = datetime(2026, 11, 22, 15, 0, 1, tzinfo=UTC)
SECRETS = ("Doe", "Jane", "P0815", "19700101", "ACC42")


def real(seed: int) -> HeadScan:
    """A phantom head whose files do not say that they are synthetic."""
    head = scan_head(seed, spacing_mm=(6.0, 6.0, 6.0), supersample=1)
    return replace(head, mr=replace(head.mr, synthetic=False))


@pytest.fixture(scope="module")
def knowing(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with figures of two phantom heads it was trained on, as it were."""
    model = Model.load(tiny_run)
    heads = [real(seed) for seed in (1, 2)]
    scans = [
        [(prepare(getattr(h, m), model.card.preparation),) for h in heads] for m in ("mr", "ct")
    ]
    domains = {
        name: domain_statistics(found)
        for name, found in zip(("source", "target"), scans, strict=True)
    }
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    card = model.card.model_copy(update={"domains": domains, "licence": "CC-BY-4.0"})
    save_model(path, model.forward, model.backward, card)
    return path


def cropped(volume: Volume) -> Volume:
    return Volume(volume.array[:, :, : volume.shape[2] // 2], volume.affine, "MR")


def test_figures_in_the_card_come_back_from_the_model_file(knowing: Path) -> None:
    domains = Model.load(knowing).card.domains
    assert domains is not None
    assert [domains[name].scans for name in ("source", "target")] == [2, 2]
    assert domains["target"].bone is not None


def test_a_record_holds_what_a_naive_reading_of_the_result_gives(
    knowing: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    write_volume(real(3).mr, tmp_path / "in" / "t1.nii.gz")
    translator = Translator.load(knowing)
    batch = plan(Request(knowing, tmp_path / "in", tmp_path / "out", details=True), translator)
    (row,) = list(batch)
    record = json.loads((tmp_path / "out" / f"t1.nii.gz{ENDING}").read_text())
    assert record["source"] == pseudonym("t1.nii.gz")
    assert record["direction"] == "MR to CT"
    assert record["model"]["sha256"] == translator.model.sha256
    assert record["model"]["licence"] == "CC-BY-4.0"
    assert record["compared_with"] == "scans"
    assert "scaled to -1 to 1" in record["preparation"]
    result = translator(read_volume(tmp_path / "in" / "t1.nii.gz"), details=True)
    first = result.prepared[0]
    values = resample(result.image, Grid.of(first.volume)).array[first.mask]
    figures = record["result"]
    for percentile, value in figures["percentiles"].items():
        assert value == pytest.approx(np.percentile(values, int(percentile)), abs=0.01)
    assert figures["air"] == pytest.approx((values < -300).mean())
    assert figures["bone"] == pytest.approx((values > 150).mean())
    scaled = WindowScale(*translator.model.card.preparation.window_hu).forward(values)
    assert figures["deviation"] == pytest.approx(scaled.std(), rel=1e-4)
    assert 0 < figures["background_attention"] < 1
    assert [one["name"] for one in record["findings"]] == list(row.findings)
    assert figures["window"] == [-1000, 2000]


def test_a_series_has_its_record_beside_its_folder_without_anything_of_the_patient(
    knowing: Path, tmp_path: Path
) -> None:
    identity = Identity(
        patient_name="Doe^Jane",
        patient_id="P0815",
        patient_birth_date="19700101",
        accession_number="ACC42",
        series_description="Doe",
    )
    source = tmp_path / "Doe" / "mr"
    write_series(real(3).mr, source, identity, created=CREATED, seed="head")
    list(plan(Request(knowing, tmp_path / "Doe", tmp_path / "out"), Translator.load(knowing)))
    path = record_path(tmp_path / "out" / "mr" / "synthetic_ct")
    text = path.read_text()
    assert not any(secret in text for secret in (*SECRETS, str(tmp_path)))
    assert len(json.loads(text)["source"]) == 12
    assert not list((path.parent / "synthetic_ct").glob("*.json"))


def test_unlike_sources_are_translated_with_a_warning_and_refused_where_strict(
    knowing: Path, medgan_cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_volume(cropped(real(3).mr), folder / "cropped.nii.gz")
    code, printed, err = medgan_cli("translate", knowing, folder, tmp_path / "out", "--json", "-")
    assert code == 0
    (row,) = json.loads(printed)["files"]
    assert {"extent", "field_of_view"} <= set(row["findings"])
    assert "medgan: cropped.nii.gz: field_of_view: the field of view cuts through the body" in err
    code, printed, err = medgan_cli(
        "translate", knowing, folder, tmp_path / "strict", "--strict", "--json", "-"
    )
    assert code == 1
    (row,) = json.loads(printed)["files"]
    assert row["status"] == "failed"
    assert "cropped.nii.gz: extent: " in err
    assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "strict").iterdir()] == ["manifest.csv"]


def test_a_result_made_with_warnings_does_not_stand_where_strict(
    knowing: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_volume(cropped(real(3).mr), folder / "cropped.nii.gz")
    translator = Translator.load(knowing)
    request = Request(knowing, folder, tmp_path / "out")
    assert [row.status for row in plan(request, translator)] == ["translated"]
    again = plan(request, translator)
    list(again)
    (row,) = again.rows
    assert (row.status, "field_of_view" in row.findings) == ("skipped", True)
    assert [row.status for row in plan(replace(request, strict=True), translator)] == ["failed"]


def test_a_constant_result_is_never_written(
    knowing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = Translator.load(knowing)
    monkeypatch.setattr(
        Translator,
        "_runs",
        lambda self, scan, details: [[np.zeros(scan[0].mask.shape, np.float32)]],
    )
    folder = tmp_path / "in"
    folder.mkdir()
    write_volume(real(3).mr, folder / "t1.nii.gz")
    (row,) = list(plan(Request(knowing, folder, tmp_path / "out"), translator))
    assert row.status == "failed"
    assert "t1.nii.gz: constant: the result is the same nearly everywhere" in (row.error or "")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.csv"]


def test_a_model_that_knows_nothing_of_its_training_says_so(tiny_run: Path) -> None:
    model = Model.load(tiny_run)
    bare = replace(model, card=model.card.model_copy(update={"domains": None}))
    translator = Translator(bare)
    record = examine(translator, translator(cropped(real(3).mr)), "hash")
    assert record.compared_with is None
    assert not {"extent", "field_of_view", "distribution"} & {f.name for f in record.findings}


def test_the_same_work_gives_the_same_record(knowing: Path, tmp_path: Path) -> None:
    write_volume(real(3).mr, tmp_path / "t1.nii.gz")
    texts = []
    for name in ("one.nii.gz", "two.nii.gz"):
        list(
            plan(
                Request(knowing, tmp_path / "t1.nii.gz", tmp_path / name), Translator.load(knowing)
            )
        )
        texts.append((tmp_path / f"{name}{ENDING}").read_text())
    assert texts[0] == texts[1]
