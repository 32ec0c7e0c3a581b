"""The table in the form of published rows: images and detection of every source."""

import numpy as np
import pytest
import torch
from augmentations import TINY, configured
from detection_phantoms import make_chest
from torch import nn

from medgan.config import NetworkConfig, PreparationConfig
from medgan.errors import TrainingError
from medgan.metrics.features import torchscript_extractor
from medgan.metrics.set_comparison import compare_features
from medgan.metrics.set_evaluation import SetOptions, compare_sets
from medgan.models.model_file import ModelCard, save_model
from medgan.networks.build import build_generators
from medgan.recipes import augmentation_slices
from medgan.recipes.augmentation_material import Material
from medgan.recipes.augmentation_published import published_rows
from medgan.recipes.augmentation_slices import compare_slices
from medgan.report.augmentation_tables import distances_table, published_table
from medgan.report.text import text_table

DISTANCES = {
    "features": {"name": "network", "hash": "0123456789abcdef"},
    "window_hu": [-1000, 400],
    "crop_mm": 32.0,
    "every": 4,
    "full": {
        "fid": 30.0, "fid_low": 28.0, "fid_high": 33.0, "floor_fid": 25.0, "floor_fid_low": 24.0,
        "floor_fid_high": 26.0, "kid": 0.02, "kid_low": 0.01, "kid_high": 0.03,
        "floor_kid": 0.001, "floor_kid_low": -0.001, "floor_kid_high": 0.002, "n_compared": 120,
    },
    "masked": {"refused": "too few images to compare sets"},
}  # fmt: skip


def row(arm, source, precision):
    facts = {"arm": arm, "label": arm.title(), "share": 0.25, "source": source}
    for key, value in (("precision", precision), ("slice_precision", 0.4), ("cpm", 0.5)):
        facts |= {key: value, f"{key}_ci": [value - 0.1, value + 0.1]}
    return facts


@pytest.fixture
def document():
    rows = [row("real", None, 0.7), row("more", "made", 0.8)]
    sources = [
        {"name": "made", "label": "Made", "kind": "generator", "distances": DISTANCES},
        {"name": "drawn", "label": "Drawn", "kind": "slices", "distances": DISTANCES},
        {"name": "later", "label": "Later", "kind": "folder"},
    ]
    definition = {"slice_iou": 0.5}
    return {
        "rows": rows, "sources": sources, "definition": definition,
        "published": published_rows(rows, sources),
    }  # fmt: skip


def test_every_arm_has_a_row_and_so_has_a_source_without_one(document):
    rows = {(one["arm"], one["source"]): one for one in document["published"]}
    assert list(rows) == [
        ("Real", None), ("More", "made"), (None, "drawn"), (None, "later"),
    ]  # fmt: skip
    made = rows["More", "made"]
    assert made["full"] | {"kid": 0, "kid_ci": 0, "floor_kid": 0, "floor_kid_ci": 0} == {
        "n": 120, "fid": 30.0, "fid_ci": [28.0, 33.0], "floor_fid": 25.0,
        "floor_fid_ci": [24.0, 26.0], "kid": 0, "kid_ci": 0, "floor_kid": 0, "floor_kid_ci": 0,
    }  # fmt: skip
    assert made["masked"] == {"refused": "too few images to compare sets"}
    assert (made["precision"], made["slice_precision"]) == (0.8, 0.4)
    assert rows["Real", None]["full"] is rows["Real", None]["features"] is None
    assert rows[None, "drawn"]["full"] == made["full"]
    assert rows[None, "drawn"]["precision"] is rows[None, "later"]["full"] is None


def test_the_table_names_extractor_n_floors_intervals_and_both_kinds_of_precision(document):
    table = published_table(document)
    assert table.columns[3:] == [
        "full-image FID (network)", "floor", "n", "masked-region FID (network)", "floor", "n",
        "precision (LUNA16 hits)", "precision (2-D boxes, IoU 0.5)",
    ]  # fmt: skip
    assert table.rows[1] == [
        "Made", "More", 25.0, "30 [28, 33]", "25 [24, 26]", 120, None, None, None,
        "0.800 [0.700, 0.900]", "0.400 [0.300, 0.500]",
    ]  # fmt: skip
    assert table.rows[2][-2:] == ["-", "-"]
    for said in ("0123456789ab", "-1000 to 400 HU", "32 mm", "over divisions of the test scans"):
        assert said in table.caption
    assert "full-image FID (network)" in text_table(table).splitlines()[0]
    reasons = [cells[2] for cells in distances_table(document).rows]
    assert reasons[1] == "too few images to compare sets"


def test_an_interval_holds_the_middle_of_the_splits():
    """Against the values of every split by hand: seeds of one split each, drawn alike."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(60, 4)), rng.normal(0.5, 1, size=(60, 4))
    found = compare_features(real, fake, splits=40, seed=3)
    for one in (found.distances, found.floor):
        assert one.fid_low < one.fid < one.fid_high
        assert one.kid_low < one.kid < one.kid_high
        # of 40 nearly normal values the middle 95 % are about 4 standard deviations wide
        assert one.fid_high - one.fid_low == pytest.approx(4 * one.fid_std, rel=0.35)
    few = compare_features(real, fake, splits=10, seed=3).distances
    assert few.fid_low < few.fid < few.fid_high


class Ninths(nn.Module):
    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x[:, :1], 3).reshape(len(x), 9)


@pytest.fixture
def extractor(tmp_path, monkeypatch):
    path = tmp_path / "ninths.pt"
    torch.jit.save(torch.jit.script(Ninths()), path)
    found = torchscript_extractor(path)
    monkeypatch.setattr(augmentation_slices, "extractor_named", lambda _: found)
    return found


@pytest.fixture
def model(tmp_path):
    """A model from masks to CT that has learnt nothing."""
    torch.manual_seed(0)
    network = NetworkConfig(channels=(8, 1), width=4, blocks=1, contents=1)
    card = ModelCard(
        source="LABEL",
        target="CT",
        preparation=PreparationConfig(
            spacing_mm=(4, 4, 4), matrix=(64, 32), window_hu=(-1000, 400)
        ),
        network=network,
        provenance={},
    )
    path = tmp_path / "model.safetensors"
    save_model(path, *build_generators(network), card)
    return path


def test_slices_of_a_model_are_compared_with_slices_of_the_test_scans(
    tmp_path, model, extractor, monkeypatch
):
    groups = {"train": [0], "validation": [1], "test": [2, 3]}
    scans = {}
    for group, seeds in groups.items():
        folder = tmp_path / group
        folder.mkdir()
        scans[group] = tuple(make_chest(folder, seed, nodules=10, vessels=2) for seed in seeds)
    source = {
        "name": "drawn", "label": "Drawn", "kind": "slices", "path": str(model), "nodules": 2,
    }  # fmt: skip
    images = {"crop_mm": 30, "every": 3, "features": "efficientnet-lite0"}
    config = configured(sources=[source], arms=TINY["arms"][:1], images=images)
    out, material = tmp_path / "out", Material(scans, ())
    found = compare_slices(config.source("drawn"), config, material, out)
    assert (found["scans"], found["inserted"], found["problems"]) == (1, 2, [])
    folder = out / "synthetic" / "drawn"
    by_hand = compare_sets(
        folder / "test" / "real",
        folder / "train" / "synthetic",
        extractor,
        SetOptions(window_hu=(-1000, 400), splits=40),
    )
    full = found["distances"]["full"]
    assert full["fid"] == by_hand["fid"] > 0
    assert full["n_fake"] == found["slices"]
    assert full["n_patients"] == 2
    assert full["fid_low"] <= full["fid"] <= full["fid_high"]
    # ten annotated nodules in each test scan, and slices of each of them
    assert found["distances"]["masked"]["n_real"] >= 20
    monkeypatch.setattr(augmentation_slices, "compare_sets", None)
    assert compare_slices(config.source("drawn"), config, material, out) == found
    changed = configured(sources=[source | {"nodules": 3}], arms=TINY["arms"][:1], images=images)
    with pytest.raises(TrainingError, match="other settings"):
        compare_slices(changed.source("drawn"), changed, material, out)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"arms": [{"name": "real", "label": "", "source": "s"}]}, "nothing learns from single"),
        ({"images": None}, "slices are compared by images"),
    ],
)
def test_slices_are_images_and_no_scans(change, fault):
    source = {"name": "s", "label": "S", "kind": "slices", "path": "model"}
    with pytest.raises(ValueError, match=fault):
        configured(**({"sources": [source], "arms": TINY["arms"][:1]} | change))


def test_a_table_without_images_says_so(document):
    document["sources"] = []
    document["published"] = published_rows(document["rows"], [])
    assert "no features" in published_table(document).columns[3]
    assert "No images were compared" in published_table(document).caption
