"""A folder with a scan of every fault: each is named, and everything goes on with the rest."""

import json

import numpy as np
import pytest
import torch
import yaml
from detection_phantoms import make_chest
from luna16_folders import TINY_NODULES

from medgan.config import NetworkConfig, PreparationConfig
from medgan.data.nodule_batches import LungPatches
from medgan.detection import Detector
from medgan.io import read_volume, write_volume
from medgan.io.luna16 import Row, write_rows
from medgan.models.model_file import Model, ModelCard, save_model
from medgan.networks.build import build_generators

NODULES = TINY_NODULES | {
    "name": "nodules",
    "losses": {"identity": 0, "phantom": 100},
    "training": {"steps": 1, "validate_every": 1, "log_every": 1},
}
SLICES = NODULES | {
    "name": "slices",
    "source": "LABEL",
    "preparation": {"spacing_mm": [4, 4, 4], "matrix": [64, 32], "window_hu": [-1000, 400]},
    "network": {
        "channels": [8, 1], "width": 4, "blocks": 1, "contents": 2, "discriminator_width": 4,
    },
}  # fmt: skip
DETECTOR = (
    "input.spacing_mm=2", "network.width=4", "sampling.patch=32", "training.steps=2",
    "training.batch=1", "training.validate_every=2", "prediction.threshold=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A folder with two sound scans and four others; the fault of each by its series UID."""
    root = tmp_path_factory.mktemp("luna")
    masks = root / "seg-lungs"
    for folder in (masks, root / "subset0", root / "subset1"):
        folder.mkdir()
    chests = [
        make_chest(root / "subset0", seed, nodules=2, vessels=2, masks=masks, mask_suffix=".mhd")
        for seed in range(6)
    ]
    _, _, missing, empty, off, twice = chests
    missing.path.with_suffix(".zraw").unlink()
    lungs = read_volume(empty.lung_mask, modality="LABEL")
    write_volume(lungs.with_array(lungs.array * 0), empty.lung_mask)
    for suffix in (".mhd", ".zraw"):
        source = twice.path.with_suffix(suffix)
        (root / "subset1" / source.name).write_bytes(source.read_bytes())
    rows = [Row(c.uid, n.position_mm, n.diameter_mm) for c in chests for n in c.nodules]
    rows.append(Row(off.uid, (5000.0, 0.0, 0.0), 6.0))
    write_rows(root / "annotations.csv", rows, "diameter_mm")
    faults = {
        missing.uid: "data file is missing",
        empty.uid: "mask of the lungs is empty",
        off.uid: "lie off the scan",
        twice.uid: "more than once",
    }
    return root, faults


def require_all_named(text, faults):
    lines = text.splitlines()
    for uid, fault in faults.items():
        assert any(uid in line and fault in line for line in lines), (uid, fault)


@pytest.mark.parametrize(
    ("document", "key"), [(NODULES, "nodules"), (SLICES, "chest_slices")], ids=["nodules", "slices"]
)
def test_trainings_name_every_fault_and_learn_from_the_rest(
    broken, tmp_path, medgan_cli, document, key
):
    root, faults = broken
    data = document["data"] | {key: {"roots": [str(root)]}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document | {"data": data}))
    code, _, err = medgan_cli("train", path, "--out", tmp_path / "run")
    assert code == 0, err
    require_all_named(err, faults)
    assert Model.load(tmp_path / "run").card.provenance["scans"] == 2


def test_a_detector_names_every_fault_and_learns_from_the_rest(broken, tmp_path, medgan_cli):
    root, faults = broken
    run = tmp_path / "detector"
    code, _, err = medgan_cli("detect", "train", root, *DETECTOR, "--out", run)
    assert code == 0, err
    require_all_named(err, faults)
    assert Detector.load(run).card.provenance["scans"] == 2


@pytest.mark.parametrize("verb", ["insert", "slices"])
def test_synthesis_names_every_fault_and_makes_the_rest(broken, tmp_path, medgan_cli, verb):
    root, faults = broken
    document = NODULES if verb == "insert" else SLICES
    card = ModelCard(
        source=document["source"],
        target="CT",
        preparation=PreparationConfig(**document["preparation"]),
        network=NetworkConfig(**document["network"]),
        provenance={},
    )
    torch.manual_seed(0)
    save_model(tmp_path / "model.safetensors", *build_generators(card.network), card)
    code, out, err = medgan_cli(
        "nodules", verb, tmp_path / "model.safetensors", root, tmp_path / "out", "--per-scan", 1,
        "--diameter", 6, 8, "--json", "-",
    )  # fmt: skip
    made = json.loads(out)
    assert code == 1
    assert made["scans"] == 2
    found = {problem["uid"]: problem["what"] for problem in made["problems"]}
    assert found.keys() == faults.keys()
    for uid, fault in faults.items():
        assert fault in found[uid]
    require_all_named(err, faults)


def test_a_scan_without_room_for_a_site_is_named_and_the_others_are_learnt_from(tmp_path, caplog):
    """Its lungs are there, but nowhere wide enough for a ball of 5 mm with a margin."""
    good, narrow = (make_chest(tmp_path, seed, nodules=1) for seed in (1, 2))
    lungs = read_volume(narrow.lung_mask, modality="LABEL")
    slit = np.zeros(lungs.shape, np.uint8)
    slit[20, 20:40, 20:40] = 1
    write_volume(lungs.with_array(slit), narrow.lung_mask)
    preparation = PreparationConfig(**NODULES["preparation"])
    patches = LungPatches.of([narrow, good], 2, preparation, seed=0)
    assert (len(patches.healthy), len(patches.nodules)) == (2, 1)
    assert f"left out: scan {narrow.uid}: no site" in caplog.text
