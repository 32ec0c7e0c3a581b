"""Pairs and folders of pairs: the right voxels, the right files, or a refusal."""

import json

import numpy as np
import pytest

from medgan.errors import ConfigError, DataError, FileError, GeometryError
from medgan.io import write_volume
from medgan.metrics.cases import pair_cases, stem
from medgan.metrics.evaluation import evaluate
from medgan.metrics.pairs import evaluate_pair
from medgan.volumes.masks import body_mask
from medgan.volumes.volume import Volume

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def head(seed=0):
    """A ball of soft tissue with a shell of bone in air, HU."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, 28),) * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    array = np.select([radius < 0.6, radius < 0.75], [40.0, 900.0], -1000.0)
    return Volume(np.round(array + rng.normal(0, 10, array.shape)), AFFINE, "CT")


def shifted(volume, by):
    return volume.with_array(volume.array + by)


def test_a_constant_error_is_the_mean_absolute_error():
    result = evaluate_pair(shifted(head(), 25), head())
    assert result.values["mae"] == pytest.approx(25)
    assert result.values["correlation"] == pytest.approx(1)
    assert result.values["psnr"] == pytest.approx(20 * np.log10(4024 / 25))


def test_the_default_mask_is_the_body_of_the_reference():
    reference = head()
    by_default = evaluate_pair(shifted(reference, 25), reference)
    given = evaluate_pair(shifted(reference, 25), reference, mask=body_mask(reference))
    assert by_default.values == pytest.approx(given.values, rel=0, abs=0, nan_ok=True)
    assert by_default.mask_rule == "body mask of the reference"
    assert given.mask_rule == "given mask"
    assert by_default.voxels == body_mask(reference).sum()


def test_a_mask_volume_counts_where_it_is_above_zero():
    reference = head()
    labels = np.zeros(reference.shape, np.uint8)
    labels[8:20, 8:20, 8:20] = 3
    prediction = reference.with_array(np.where(labels, reference.array + 7, 9999))
    result = evaluate_pair(prediction, reference, mask=Volume(labels, AFFINE, "LABEL"))
    assert result.values["mae"] == pytest.approx(7)
    assert result.voxels == 12**3


def test_integers_are_subtracted_without_overflow():
    low = Volume(np.full((9, 9, 9), -30000, np.int16), AFFINE, "CT")
    high = Volume(np.full((9, 9, 9), 30000, np.int16), AFFINE, "CT")
    assert evaluate_pair(low, high, mask=np.ones((9, 9, 9), bool)).values["mae"] == 60000


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda v: Volume(v.array, np.diag([3, 3, 4, 1]), "CT"), GeometryError),
        (lambda v: Volume(v.array[:-1], AFFINE, "CT"), GeometryError),
        (lambda v: Volume(v.array, AFFINE, "MR"), DataError),
        (lambda v: shifted(v, np.nan), DataError),
        (lambda v: shifted(v, np.inf), DataError),
    ],
    ids=["spacing", "shape", "modality", "nan", "infinite"],
)
def test_pairs_that_cannot_be_compared_are_refused(change, fault):
    with pytest.raises(fault):
        evaluate_pair(change(head()), head())
    with pytest.raises(fault):
        evaluate_pair(head(), change(head()), mask=np.ones(head().shape, bool))


def test_masks_that_cannot_be_used_are_refused():
    with pytest.raises(DataError, match="empty"):
        evaluate_pair(head(), head(), mask=np.zeros(head().shape, bool))
    with pytest.raises(GeometryError, match="shape"):
        evaluate_pair(head(), head(), mask=np.ones((3, 3, 3), bool))
    elsewhere = Volume(np.ones(head().shape), np.eye(4), "LABEL")
    with pytest.raises(GeometryError):
        evaluate_pair(head(), head(), mask=elsewhere)
    with pytest.raises(ConfigError):
        evaluate_pair(head(), head(), protocol="best")


def test_a_result_carries_its_definition():
    document = evaluate_pair(shifted(head(), 5), head()).to_dict()
    assert document["protocol"] == "synthrad2023"
    assert document["range"] == [-1024, 3000]
    assert document["unit"] == "HU"
    assert document["voxels"] > 0
    assert {"mae", "psnr", "ssim", "mae_air", "mae_soft", "mae_bone", "bone_dice"} <= set(document)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", "a"),
        ("1.2.840.113.nii.gz", "1.2.840.113"),
        ("1.2.840.113.mha", "1.2.840.113"),
        ("A.B.NII", "A.B"),
        ("1.2.840", "1.2.840"),
    ],
)
def test_stems_keep_their_dots(tmp_path, name, expected):
    assert stem(tmp_path / name) == expected


@pytest.fixture
def folders(tmp_path):
    for kind, by in (("pred", 10), ("ref", 0), ("mr", 0)):
        (tmp_path / kind).mkdir()
        for number, case in enumerate(("1.2.3", "1.2.4")):
            volume = shifted(head(number), by * (number + 1))
            if kind == "mr":
                volume = volume.with_array(np.abs(volume.array + 1000), modality="MR")
            suffix = ".mha" if kind == "pred" else ".nii.gz"
            write_volume(volume, tmp_path / kind / (case + suffix))
    return tmp_path


def test_folders_pair_by_stem_whatever_the_format(folders):
    document = evaluate(folders / "pred", folders / "ref")
    assert [case["case"] for case in document["cases"]] == ["1.2.3", "1.2.4"]
    assert [case["mae"] for case in document["cases"]] == pytest.approx([10, 20])
    assert document["aggregates"]["mae"]["mean"] == pytest.approx(15)
    assert document["aggregates"]["mae"]["std"] == pytest.approx(np.std([10, 20], ddof=1))
    assert document["aggregates"]["mae"]["count"] == 2
    for case in document["cases"]:
        assert case["range"] == [-1024, 3000]
        assert case["mask_rule"] == "body mask of the reference"
        assert "averaging" in case


def test_a_source_adds_floors_with_the_same_rows(folders):
    document = evaluate(folders / "pred", folders / "ref", source=folders / "mr")
    for name in ("constant", "lookup_table"):
        floor = document["floors"][name]
        assert [case["case"] for case in floor["cases"]] == ["1.2.3", "1.2.4"]
        assert floor["aggregates"].keys() == document["aggregates"].keys()
    assert (
        document["floors"]["lookup_table"]["aggregates"]["mae"]["mean"]
        < document["floors"]["constant"]["aggregates"]["mae"]["mean"]
    )


def test_identical_files_are_perfect_in_valid_json(folders):
    path = folders / "ref" / "1.2.3.nii.gz"
    text = json.dumps(evaluate(path, path), allow_nan=False)
    (case,) = json.loads(text)["cases"]
    assert (case["mae"], case["psnr"], case["ssim"]) == (0, "inf", 1)
    assert json.loads(text)["aggregates"]["mae"]["std"] is None


def test_unmatched_cases_are_named(folders):
    (folders / "pred" / "1.2.4.mha").unlink()
    with pytest.raises(DataError, match=r"no prediction for 1 case.*: 1\.2\.4"):
        pair_cases(folders / "pred", folders / "ref")
    with pytest.raises(DataError, match=r"no reference for 1 case.*: 1\.2\.4"):
        pair_cases(folders / "ref", folders / "pred")
    with pytest.raises(DataError, match=r"no mask for 1 case.*: 1\.2\.4"):
        pair_cases(folders / "ref", folders / "ref", mask=folders / "pred")


def test_two_images_of_one_stem_are_refused(folders):
    (folders / "ref" / "1.2.3.nii").touch()
    with pytest.raises(DataError, match="two images of one name stem"):
        pair_cases(folders / "pred", folders / "ref")


def test_paths_that_are_no_pair_are_refused(folders, tmp_path):
    with pytest.raises(FileError, match="mixed"):
        pair_cases(folders / "pred", folders / "ref" / "1.2.3.nii.gz")
    with pytest.raises(FileError, match="no such file"):
        pair_cases(folders / "pred", folders / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="no images"):
        pair_cases(tmp_path / "empty", folders / "ref")


def test_hidden_and_foreign_files_are_no_cases(folders):
    (folders / "ref" / ".1.2.9.nii").touch()
    (folders / "ref" / "readme.txt").touch()
    assert len(pair_cases(folders / "pred", folders / "ref")) == 2
