"""Synthesisers and what they write: against the phantoms' own drawing, and voxel by voxel."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from augmentations import TINY, configured
from detection_phantoms import make_chest

from medgan.config import load_config
from medgan.data.luna16 import Luna16
from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.errors import DataError
from medgan.io import write_volume
from medgan.io.luna16 import to_index
from medgan.phantoms.thorax import scan_thorax
from medgan.phantoms.thorax_anatomy import ThoraxAnatomy
from medgan.phantoms.thorax_drawing import draw_finding
from medgan.phantoms.thorax_folder import write_luna16_phantoms
from medgan.phantoms.thorax_nodules import draw_diameters, plan_nodule
from medgan.phantoms.thorax_sites import Sites
from medgan.recipes import augmentation_generator
from medgan.recipes.augmentation_config import SourceConfig
from medgan.recipes.augmentation_controls import NoiseBalls, Oracle, phantom_thoraxes
from medgan.recipes.augmentation_generator import GeneratedNodules, generator_of
from medgan.recipes.augmentation_synthesis import (
    Copy,
    SyntheticScan,
    is_whole,
    left_out,
    write_synthetic,
)
from medgan.volumes.geometry import Grid, reorient

SEED = 3
MM = 2.5


@pytest.fixture(scope="module")
def chest(tmp_path_factory):
    return make_chest(tmp_path_factory.mktemp("chest"), 4, flipped=True)


def test_the_oracle_draws_what_the_phantom_itself_would_have(tmp_path):
    healthy = scan_thorax(SEED, spacing_mm=(MM, MM, MM), nodules=0, excluded=0, noise_hu=0)
    path, mask = tmp_path / "1.2.mhd", tmp_path / "lungs.mhd"
    # stored turned round, as some scans of LUNA16 are
    write_volume(reorient(healthy.ct, "LPS"), path)
    write_volume(reorient(healthy.lungs, "LPS"), mask)
    scan = Luna16Scan("1.2", path, 0, (), (), mask)
    made = Oracle({"1.2": SEED})(scan, 3, np.random.default_rng(8))

    rng = np.random.default_rng(8)
    anatomy, grid = ThoraxAnatomy([SEED, 10]), Grid.of(healthy.ct)
    image, sites = anatomy.image(grid), Sites(anatomy, grid, rng)
    drawn = []
    for diameter in draw_diameters(rng, 3):
        plan = plan_nodule(rng, diameter)
        site = sites.place(diameter / 2, plan.attachment)
        drawn.append(draw_finding(image, grid, plan, site).nodule)
    assert [n.diameter_mm for n in made.nodules] == pytest.approx(
        [n.diameter_mm for n in drawn], rel=0.02
    )
    assert [n.position_mm for n in made.nodules] == [
        pytest.approx(n.position_mm, abs=0.1) for n in drawn
    ]
    ours = reorient(made.ct).array.astype(float)
    inserted = np.abs(image.hu - healthy.ct.array) > 1
    assert inserted.sum() > 20
    # vessels and pleura are interpolated from another coarse grid in a patch
    assert np.abs(ours - image.hu)[inserted].mean() < 3
    assert (ours == healthy.ct.array)[~inserted].all()


def test_the_seeds_of_the_thoraxes_are_those_of_the_written_phantoms(tmp_path):
    settings = TINY["phantoms"] | {"train": {"scans": 1, "nodules": 0}}
    config = configured(phantoms=settings)
    (uid,) = write_luna16_phantoms(
        tmp_path, 1, config.phantoms.group_seed("train"), subsets=1, spacing_mm=(MM,) * 3, nodules=0
    )
    thoraxes = phantom_thoraxes(config, tmp_path)
    assert list(thoraxes) == [uid]
    stored = reorient(Luna16.open(tmp_path, annotations=tmp_path / "annotations.csv")
                      .scans[0].read())  # fmt: skip
    expected = scan_thorax(thoraxes[uid], spacing_mm=(MM,) * 3, nodules=0)
    assert np.array_equal(stored.array, expected.ct.array)


def test_noise_fills_balls_of_the_training_sizes_and_changes_nothing_else(chest):
    made = NoiseBalls([7.0, 9.0])(chest, 3, np.random.default_rng(1))
    assert {nodule.diameter_mm for nodule in made.nodules} <= {7.0, 9.0}
    before, after = chest.read(), made.ct
    index = np.stack(np.indices(before.shape), -1)
    balls = np.zeros(before.shape, bool)
    for nodule in made.nodules:
        middle = to_index(before, nodule.position_mm)
        away = np.linalg.norm((index - middle) * before.spacing_mm, axis=-1)
        ball = away < nodule.diameter_mm / 2
        # as bright as the lung that was there; uniform over 300 HU: a deviation of 87
        assert after.array[ball].mean() == pytest.approx(before.array[ball].mean(), abs=5)
        assert 70 < after.array[ball].std() < 100
        balls |= ball
    changed = after.array != before.array
    assert not changed[~balls].any()
    assert changed[balls].mean() > 0.95
    lungs = chest.lungs().array != 0
    assert lungs[balls].all()


def test_noise_needs_a_size():
    with pytest.raises(DataError, match="no nodule in the training scans"):
        NoiseBalls([])


def brighten(scan, count, rng):
    """A synthesiser that makes one voxel brighter for each nodule."""
    ct = scan.read()
    hu, made = ct.array.copy(), []
    for place in rng.integers(20, 40, (count, 3)):
        hu[tuple(place)] += 1000
        made.append(Nodule((float(place[0]), 1.5, 2.25), 5.0))
    return SyntheticScan(ct.with_array(hu), tuple(made))


@pytest.fixture
def written(chest, tmp_path):
    copies = [Copy(replace(chest, subset=4), number) for number in range(2)]
    write_synthetic(tmp_path, "bright", copies, brighten, nodules=2, seed=0)
    return tmp_path, copies


def test_synthetic_scans_are_a_luna16_folder_of_their_own(written, chest):
    folder, copies = written
    luna = Luna16.open(folder)
    assert left_out(folder, "bright", copies, 0) == ()
    assert luna.problems == ()
    assert len({scan.uid for scan in luna.scans} | {chest.uid}) == 3
    for scan in luna.scans:
        assert scan.subset == 4
        assert scan.nodules[:3] == chest.nodules
        assert len(scan.nodules) == 5
        ct = scan.read()
        assert ct.synthetic
        assert ct.affine == pytest.approx(chest.read().affine)
        assert np.count_nonzero(ct.array != chest.read().array) == 2
        assert np.array_equal(scan.lungs().array, chest.lungs().array)
    with (folder / "provenance.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["copy"] for row in rows] == ["0", "0", "1", "1"]
    assert chest.uid not in (folder / "provenance.csv").read_text()


def test_what_is_there_is_not_made_again_and_a_lost_scan_is_made_the_same(written):
    folder, copies = written
    assert is_whole(folder, "bright", copies, 0)
    images = sorted(folder.glob("subset4/*.zraw"))
    content = [path.read_bytes() for path in images]

    def refuse(*_):
        raise AssertionError("made again")

    write_synthetic(folder, "bright", copies, refuse, nodules=2, seed=0)
    record = next(
        path for path in folder.glob("truth/*.json")
        if json.loads(path.read_text())["uid"] == images[0].stem
    )  # fmt: skip
    record.unlink()
    assert not is_whole(folder, "bright", copies, 0)
    write_synthetic(folder, "bright", copies, brighten, nodules=2, seed=0)
    assert [path.read_bytes() for path in images] == content


def test_a_copy_that_cannot_be_made_is_named_and_the_rest_goes_on(chest, tmp_path):
    def sometimes(scan, count, rng):
        if rng.random() < 0.5:
            raise DataError("no room")
        return brighten(scan, count, rng)

    copies = [Copy(chest, number) for number in range(6)]
    write_synthetic(tmp_path, "some", copies, sometimes, nodules=1, seed=0)
    problems = left_out(tmp_path, "some", copies, 0)
    made = Luna16.open(tmp_path).scans
    assert is_whole(tmp_path, "some", copies, 0)
    assert 0 < len(problems) < 6
    assert len(problems) + len(made) == 6
    assert {problem["what"] for problem in problems} == {"no room"}


class Inserter:
    """What ``NoduleInserter`` does, without a network: one bright voxel."""

    largest_mm = 12.0

    def insert(self, scan, shape, position_mm, *, lungs=None):
        hu = scan.array.copy()
        hu[tuple(np.round(to_index(scan, position_mm)).astype(int))] = 500
        nodule = Nodule(position_mm, shape.diameter_mm)
        return type("Insertion", (), {"scan": scan.with_array(hu), "nodule": nodule})


def test_a_generator_puts_its_nodules_where_they_are_annotated(chest):
    made = GeneratedNodules(Inserter())(chest, 2, np.random.default_rng(0))
    assert len(made.nodules) == 2
    for nodule in made.nodules:
        assert 3 < nodule.diameter_mm <= 12.5
        index = tuple(np.round(to_index(made.ct, nodule.position_mm)).astype(int))
        assert made.ct.array[index] == 500
        assert all(
            np.linalg.norm(np.subtract(nodule.position_mm, other.position_mm)) > 5
            for other in chest.nodules
        )


def test_a_generator_learns_from_training_scans_only(tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(
        augmentation_generator, "train_or_resume", lambda config, run: begun.append((config, run))
    )
    monkeypatch.setattr(augmentation_generator.NoduleInserter, "load", lambda run: Inserter())
    document = {
        "name": "nodules", "source": "CT", "target": "CT",
        "data": {"nodules": {"roots": ["elsewhere"]}}, "tracking": {"enabled": True},
        "preparation": {"spacing_mm": [1, 1, 1], "patch": [32, 32, 32]},
        "network": {"spatial_dims": 3, "conditions": 2},
    }  # fmt: skip
    path = tmp_path / "nodules.yaml"
    path.write_text(yaml.safe_dump(document))
    source = SourceConfig(
        name="gan", label="GAN", kind="generator", training=path, settings=["training.steps=7"]
    )
    config = configured(sources=[source.model_dump()], arms=TINY["arms"][:1])
    generator_of(source, config, tmp_path / "out")
    ((training, run),) = begun
    assert training.data.nodules.roots == ((tmp_path / "out/scans/train").resolve(),)
    assert training.training.steps == 7
    assert not training.tracking.enabled
    assert run == tmp_path / "out/synthetic/gan/generator"
    assert load_config(path).data.nodules.subsets is None
    folds = {"root": str(tmp_path), "train": [3, 1], "validation": [0], "test": [2]}
    config = configured(sources=[source.model_dump()], arms=TINY["arms"][:1], phantoms=None,
                        luna16=folds)  # fmt: skip
    generator_of(source, config, tmp_path / "out")
    assert begun[1][0].data.nodules.subsets == (3, 1)
