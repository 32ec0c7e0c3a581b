"""``medgan detect`` on a folder in the form of LUNA16, from training to the FROC."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from detection_phantoms import make_chest

from medgan.io.luna16 import Row, write_rows

TINY = (
    "input.spacing_mm=2", "network.width=4", "sampling.patch=32", "training.steps=6",
    "training.batch=2", "training.validate_every=3", "prediction.threshold=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def luna(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("luna")
    rows = []
    for seed in range(4):
        folder, masks = root / f"subset{seed}", root / "seg-lungs"
        folder.mkdir()
        masks.mkdir(exist_ok=True)
        chest = make_chest(folder, seed, flipped=seed == 2, mask_suffix=".mhd", masks=masks)
        rows += [Row(chest.uid, n.position_mm, n.diameter_mm) for n in chest.nodules]
    write_rows(root / "annotations.csv", rows, "diameter_mm")
    write_rows(root / "annotations_excluded.csv", [], "diameter_mm")
    return root


@pytest.fixture(scope="module")
def run(luna, tmp_path_factory) -> Path:
    from medgan.cli.main import main

    out = tmp_path_factory.mktemp("run") / "detector"
    with pytest.raises(SystemExit) as stopped:
        main(["detect", "train", str(luna), *TINY, "--validation", "3", "--out", str(out)])
    assert not stopped.value.code
    return out


def test_the_scans_of_the_validation_are_not_learnt_from(run):
    from medgan.detection import Detector

    provenance = Detector.load(run).card.provenance
    assert (provenance["scans"], provenance["nodules"]) == (3, 9)
    assert provenance["validation_scans"] == 1
    assert (run / "checkpoints" / "best" / "reason.json").exists()


def test_a_folder_with_a_run_is_continued_by_this_verb(run, luna, medgan_cli):
    code, _, err = medgan_cli("detect", "train", luna, *TINY, "--out", run)
    assert code == 2
    assert f"`medgan detect train --resume {run}`" in err


def test_a_validation_without_a_nodule_is_warned_of(luna, tmp_path, medgan_cli, caplog):
    rows = (luna / "annotations.csv").read_text().splitlines()
    held_out = next((luna / "subset3").glob("*.mhd")).stem
    few = tmp_path / "annotations.csv"
    few.write_text("\n".join(row for row in rows if held_out not in row) + "\n")
    code, _, _ = medgan_cli(
        "detect", "train", luna, *TINY, "training.steps=1", "--subsets", "0", "--validation", "3",
        "--annotations", few, "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0
    assert "hold no nodule" in caplog.text
    assert not (tmp_path / "run" / "checkpoints" / "best" / "reason.json").exists()


def test_results_of_predict_are_what_froc_reads(run, luna, tmp_path, medgan_cli):
    results, listed = tmp_path / "results.csv", tmp_path / "seriesuids.csv"
    code, out, _ = medgan_cli(
        "detect", "predict", run, luna, results, "--subsets", "2,3", "--seriesuids", listed,
        "--json", "-",
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0
    assert document["scans"] == 2
    assert document["marks"] == len(list(csv.DictReader(results.open())))
    assert "Research use only" in document["intended_use"]
    code, out, _ = medgan_cli(
        "froc", "--annotations", luna / "annotations.csv", "--excluded",
        luna / "annotations_excluded.csv", "--seriesuids", listed, results, "--bootstrap", 0,
        "--json", "-",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["nodules"] == 6


def test_a_scan_that_cannot_be_read_is_named_and_the_others_are_marked(
    run, luna, tmp_path, medgan_cli
):
    broken = tmp_path / "luna"
    shutil.copytree(luna, broken)
    image = next((broken / "subset1").glob("*.mhd"))
    data = next(p for p in image.parent.iterdir() if p != image)
    data.write_bytes(data.read_bytes()[:1000])
    code, out, _ = medgan_cli(
        "detect", "predict", run, broken, tmp_path / "results.csv", "--json", "-"
    )
    document = json.loads(out)
    assert code == 1
    assert document["scans"] == 3
    assert [problem["uid"] for problem in document["problems"]] == [image.name[:-4]]


def test_a_resumed_run_needs_its_own_scans(run, luna, medgan_cli):
    code, _, err = medgan_cli("detect", "train", luna, "--resume", run)
    assert code == 2
    assert "not those" in err
    code, _, _ = medgan_cli("detect", "train", luna, "--resume", run, "--validation", 3)
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "one of --out and --resume"),
        (("--out", "x", "--resume", "y"), "one of --out and --resume"),
        (("network.width=4", "--resume", "y"), "its configuration already"),
        (("--out", "x", "--subsets", "one"), "subsets are numbers"),
        (("--out", "x", "--subsets", "1,2", "--validation", "2"), "to learn from and to validate"),
        (("--out", "x", "--validation", "8"), "no scan in the validation"),
        (("--out", "x", "network.widht=4"), "network.widht: unknown key"),
        (("--out", "x", "sampling.positive=0.9"), "more than 1 together"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(luna, medgan_cli, arguments, said):
    code, out, err = medgan_cli("detect", "train", luna, *arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_the_help_of_each_part_has_an_example(medgan_cli):
    for part in ("train", "predict"):
        code, out, _ = medgan_cli("detect", part, "--help")
        assert code == 0
        assert f"Example: medgan detect {part}" in " ".join(out.split())
