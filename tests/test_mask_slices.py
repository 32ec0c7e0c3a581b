"""Slices drawn from masks: what a tiny anchored training learns, and the verb that writes them."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import torch
from luna16_folders import trained, two_chests
from torch import nn

from medgan.data.chest import Chest
from medgan.data.chest_tissues import IN_NODULE, ChestTissue
from medgan.data.luna16 import Luna16
from medgan.errors import ConfigError, ModelError
from medgan.inference.mask_slices import SlicePainter
from medgan.inference.nodule_plan import InsertionPlan, planned_shape
from medgan.inference.slice_writing import FOLDERS, SlicePlan, paint_scans
from medgan.inference.translator import Translator
from medgan.io import read_volume
from medgan.io.luna16 import contains, to_index
from medgan.models.model_file import Model

TINY = {
    "name": "tiny",
    "source": "LABEL",
    "target": "CT",
    "data": {"phantoms": {"heads": 1, "slices": 10, "validation_heads": 1}},
    "preparation": {"spacing_mm": [4, 4, 4], "matrix": [96, 64], "window_hu": [-1000, 400]},
    "network": {
        "channels": [8, 1], "width": 8, "blocks": 1, "contents": 2, "discriminator_width": 4,
        "upsampling": "resize",
    },
    "losses": {"identity": 0, "phantom": 100},
    "training": {
        "steps": 82, "warmup_steps": 80, "warmup_learning_rate": 0.002, "learning_rate": 0.0001,
        "average_decay": 0.8, "validate_every": 82, "checkpoint_every": 82, "log_every": 1,
    },
    "tracking": {"enabled": False},
}  # fmt: skip
PLAN = SlicePlan(InsertionPlan(2, (8, 14), on_wall=0, seed=3), every=2, seed=3)


@pytest.fixture(scope="module")
def luna(tmp_path_factory):
    return two_chests(tmp_path_factory.mktemp("luna"), nodules=4)


@pytest.fixture(scope="module")
def run(luna, tmp_path_factory):
    """A training on phantoms, its last two steps on scans too."""
    data = {"chest_slices": {"roots": [str(luna)], "slices": 8}}
    return trained(tmp_path_factory.mktemp("run"), TINY, data)


@pytest.fixture(scope="module")
def painter(run):
    return SlicePainter.load(run)


@pytest.fixture(scope="module")
def made(painter, luna, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    return out, paint_scans(painter, Luna16.open(luna).scans, out, PLAN)


def images(out, folder):
    """All slices of a folder, (N, X, Y), in the order of their names."""
    paths = sorted((out / folder).rglob("*.mha"))
    return np.stack([read_volume(path, modality="MR").array[..., 0] for path in paths])


def test_the_training_beats_the_plain_drawing_of_the_map_on_other_phantoms(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scores = next(line for line in lines if "validation_score" in line)
    assert scores["validation_mae_hu"] < scores["validation_floor_mae_hu"]
    expected = scores["validation_mae_hu"] + scores["validation_hu_distance"]
    assert scores["validation_score"] == pytest.approx(expected)
    assert 0 <= scores["validation_map_agreement"] <= 1
    assert any("adversarial_A" in line for line in lines)
    assert list((run / "previews").glob("*.png"))


def test_slices_follow_their_maps(made):
    """Lung is darker than tissue, and nodules, new ones too, stand out from it."""
    out, _ = made
    hu, tissues = images(out, "synthetic"), images(out, "tissues")
    lung, soft = hu[tissues == ChestTissue.LUNG].mean(), hu[tissues == ChestTissue.SOFT].mean()
    assert lung < -650
    assert soft > -150
    new = (images(out, "synthetic_masks") != 0) & (images(out, "real_masks") == 0)
    assert new.sum() > 10
    assert hu[new].mean() > lung + 250
    assert images(out, "real")[new].mean() < lung + 200
    outside = images(out, "real") == -1000
    assert (hu[outside & (tissues == ChestTissue.AIR)] < -850).all()


def test_all_images_of_a_slice_lie_on_one_grid_and_only_what_was_made_is_marked(made, luna):
    out, outcome = made
    assert not outcome.failures
    for scan, source in zip(outcome.made, outcome_order(outcome, luna), strict=True):
        for one in scan.slices:
            volumes = {folder: read_volume(out / folder / one.name) for folder in FOLDERS}
            first = volumes["synthetic"]
            assert all(np.array_equal(v.affine, first.affine) for v in volumes.values())
            assert (first.synthetic, volumes["real"].synthetic) == (True, False)
            assert first.modality == volumes["real"].modality == "CT"
            assert first.array.dtype == np.int16
            assert first.shape == (96, 64, 1)
            assert first.affine[2, 3] == pytest.approx(one.z_mm, abs=1e-3)
        # the real slices are the scan's own
        volume = source.read()
        middle = read_volume(out / "real" / scan.slices[len(scan.slices) // 2].name)
        at = np.array([[48, 32, 0]])
        world = (middle.affine[:3, :3] @ at.T + middle.affine[:3, 3:]).T * (-1, -1, 1)
        assert contains(volume, world).all()


def outcome_order(outcome, luna):
    """The source of each scan of an outcome."""
    import hashlib

    by_hash = {
        hashlib.sha256(scan.uid.encode()).hexdigest(): scan for scan in Luna16.open(luna).scans
    }
    return [by_hash[scan.source_sha256] for scan in outcome.made]


def test_annotated_nodules_are_in_both_masks_and_new_ones_in_one(made, luna):
    out, outcome = made
    for scan, source in zip(outcome.made, outcome_order(outcome, luna), strict=True):
        assert len(scan.nodules) == 2
        stacks = {
            folder: [read_volume(out / folder / one.name) for one in scan.slices]
            for folder in ("synthetic_masks", "real_masks")
        }
        for position, in_real in [
            *((nodule.position_mm, True) for nodule in source.nodules),
            *((nodule.position_mm, False) for nodule in scan.nodules),
        ]:
            for folder, expected in (("synthetic_masks", True), ("real_masks", in_real)):
                assert marked(stacks[folder], position) == expected


def marked(masks, position_mm):
    """Whether the mask nearest to a position is set there."""
    volume = min(masks, key=lambda mask: abs(mask.affine[2, 3] - position_mm[2]))
    i, j, _ = np.rint(to_index(volume, position_mm)).astype(int)
    return bool(volume.array[i, j, 0])


def test_every_slice_follows_bit_for_bit_from_what_the_tables_say(made, luna, painter):
    out, outcome = made
    rows = {row["slice"]: row for row in csv.DictReader((out / "slices.csv").open())}
    nodules = list(csv.DictReader((out / "provenance.csv").open()))
    assert len(rows) == sum(len(scan.slices) for scan in outcome.made)
    for scan, source in zip(outcome.made, outcome_order(outcome, luna), strict=True):
        chest = Chest.of_scan(source, painter.preparation)
        for row in (row for row in nodules if row["seriesuid"] == scan.uid):
            drawn = float(row["drawn_mm"])
            shape = planned_shape(drawn, row["density"], int(row["shape_seed"]))
            chest = chest.with_nodule(shape, tuple(float(row[f"coord{axis}"]) for axis in "XYZ"))
        for one in scan.slices[:4]:
            row = rows[one.name]
            assert (row["model_sha256"], row["synthetic"]) == (painter.model.sha256, "YES")
            z = float(row["coordZ"])
            index = round((z - chest.affine[2, 3]) / 4)
            again = painter.paint(chest, index, int(row["noise_seed"]))
            stored = read_volume(out / "synthetic" / one.name).array[..., 0]
            assert np.array_equal(again, stored)
            inside = np.isin(chest.tissues[index], IN_NODULE)
            assert inside.sum() == int(row["nodule_pixels"])


def test_what_stands_is_not_drawn_again_and_what_was_lost_is_drawn_the_same(made, painter, luna):
    out, outcome = made
    first, second = outcome.made
    lost = out / "synthetic" / first.slices[0].name
    kept = out / "synthetic" / second.slices[0].name
    before = lost.read_bytes()
    os.utime(kept, (1, 1))
    (out / "made" / f"{first.uid}.json").unlink()
    lost.unlink()
    again = paint_scans(painter, Luna16.open(luna).scans, out, PLAN)
    assert again == outcome
    assert lost.read_bytes() == before
    assert kept.stat().st_mtime == 1


class Ninths(nn.Module):
    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x[:, :1], 3).reshape(len(x), 9)


@pytest.mark.parametrize("region", ["full", "masked"])
def test_compare_sets_reads_the_folders(made, tmp_path, medgan_cli, region):
    out, outcome = made
    network = tmp_path / "ninths.pt"
    torch.jit.save(torch.jit.script(Ninths()), network)
    masks = ("--real-masks", out / "real_masks", "--fake-masks", out / "synthetic_masks")
    code, text, err = medgan_cli(
        "compare-sets", out / "real", out / "synthetic", "--features", network, "--region", region,
        "--window", -1000, 400, "--json", "-", *(masks if region == "masked" else ()),
    )  # fmt: skip
    if region == "masked" and code == 2:
        # eight annotated nodules are too few to compare, which is said
        assert "too few images" in err
        return
    assert code == 0, err
    found = json.loads(text)
    assert found["n_real"] == found["n_fake"] == sum(len(scan.slices) for scan in outcome.made)
    assert found["n_patients"] == 2


def test_the_verb_names_what_failed_and_goes_on(run, luna, tmp_path, medgan_cli):
    scans = tmp_path / "luna"
    shutil.copytree(luna, scans)
    data = next((scans / "subset1").glob("*.zraw"))
    data.write_bytes(data.read_bytes()[:500])
    code, text, _ = medgan_cli(
        "nodules", "slices", run, scans, tmp_path / "out", "--per-scan", 0, "--every", 50,
        "--json", "-",
    )  # fmt: skip
    document = json.loads(text)
    assert code == 1
    assert (document["scans"], document["nodules"]) == (1, 0)
    assert [problem["uid"] for problem in document["problems"]] == [data.stem]
    assert document["slices"] == len(list((tmp_path / "out" / "synthetic").rglob("*.mha"))) >= 1


def test_the_verb_refuses_what_cannot_be(run, luna, tmp_path, medgan_cli):
    code, _, err = medgan_cli("nodules", "slices", run, luna, luna / "new")
    assert (code, "among the scans" in err) == (2, True)
    code, _, err = medgan_cli("nodules", "slices", run, luna, tmp_path, "--diameter", 9, 5)
    assert (code, "diameters_mm" in err) == (2, True)
    code, _, err = medgan_cli("nodules", "insert", run, luna, tmp_path / "out")
    assert (code, "knows nothing of nodules" in err) == (2, True)
    with pytest.raises(ConfigError, match="out of range"):
        SlicePlan(every=0)


def test_a_model_that_needs_more_than_a_scan_is_not_translated_with(run, medgan_cli, tmp_path):
    """It names the verb that takes the model."""
    for direction in ("forward", "backward"):
        code, _, err = medgan_cli(
            "translate", run, tmp_path / "ct.nii.gz", tmp_path / "out.nii.gz",
            "--direction", direction,
        )  # fmt: skip
        assert code == 2
        assert "medgan nodules slices" in err
    card = Model.load(run).card
    network = card.network.model_copy(
        update={"conditions": 2, "spatial_dims": 3, "channels": (1, 1)}
    )
    of_nodules = card.model_copy(update={"source": "CT", "network": network})
    with pytest.raises(ModelError, match="medgan nodules insert"):
        Translator(Model(None, None, of_nodules, ""))
    with pytest.raises(ModelError, match="does not draw slices"):
        SlicePainter(Model(None, None, of_nodules, ""))
