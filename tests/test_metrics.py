"""Pairs and folders of pairs: the right voxels, the right files, or a refusal."""

import json

import numpy as np
import pytest

from medgan.errors import ConfigError, DataError, FileError, GeometryError
from medgan.io import write_volume
from medgan.metrics.cases import pair_cases, stem
from medgan.metrics.evaluation import evaluate
from medgan.metrics.pairs import evaluate_pair, resolve_mask
from medgan.volumes.geometry import reorient
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
    # In the air around the head noise reaches below the range and would be clipped.
    result = evaluate_pair(shifted(head(), 25), head(), mask=body_mask(head()))
    assert result.values["mae"] == pytest.approx(25)
    assert result.values["correlation"] == pytest.approx(1)
    assert result.values["psnr"] == pytest.approx(20 * np.log10(4024 / 25))


def as_mr(volume):
    return volume.with_array(np.clip(volume.array + 1000, 0, None), modality="MR")


def test_the_default_mask_of_mr_is_the_body_of_the_reference():
    reference = as_mr(head())
    by_default = evaluate_pair(shifted(reference, 25), reference, protocol="mr-normalised")
    given = evaluate_pair(
        shifted(reference, 25), reference, mask=body_mask(reference), protocol="mr-normalised"
    )
    assert by_default.values == given.values
    assert by_default.mask_rule == "body mask of the reference"
    assert given.mask_rule == "given mask"
    assert by_default.voxels == body_mask(reference).sum()


def grown_slice_by_slice(mask):
    """By every voxel whose centre is within 10 mm, 3 of 3 mm, in its own slice."""
    grown = np.zeros_like(mask)
    for i, j, k in np.argwhere(mask):
        for di in range(-3, 4):
            for dj in range(-3, 4):
                if 9 * (di**2 + dj**2) <= 100 and 0 <= i + di < 28 and 0 <= j + dj < 28:
                    grown[i + di, j + dj, k] = True
    return grown


def test_the_mask_of_synthrad_is_the_outline_of_the_source_grown_in_plane():
    reference = head()
    wider = np.roll(reference.array, 2, axis=0)
    found = resolve_mask(None, reference, source=reference.with_array(wider))
    np.testing.assert_array_equal(
        found.voxels, grown_slice_by_slice(body_mask(reference.with_array(wider)))
    )
    assert found.rule == "body mask of the source grown by 10 mm in plane"
    alone = resolve_mask(None, reference)
    np.testing.assert_array_equal(alone.voxels, grown_slice_by_slice(body_mask(reference)))
    assert alone.rule == "body mask of the reference grown by 10 mm in plane"


def test_the_mask_of_synthrad_ends_where_the_mr_does():
    reference = head()
    mr = as_mr(reference).array.copy()
    mr[:, :, :9] = 0
    found = resolve_mask(None, reference, source=reference.with_array(mr, modality="MR"))
    assert not found.voxels[:, :, :9].any()
    assert found.voxels[:, :, 9].any()


def test_the_mask_of_maskgan_is_what_source_and_reference_share():
    reference = head()
    moved = as_mr(reference.with_array(np.roll(reference.array, 3, axis=1)))
    found = resolve_mask(None, reference, source=moved, protocol="maskgan2024")
    np.testing.assert_array_equal(found.voxels, body_mask(reference) & body_mask(moved))
    assert found.rule == "body masks of source and reference, both"


@pytest.mark.parametrize("protocol", ["synthrad2025", "wang2003", "maskgan2024"])
def test_the_order_in_which_a_file_stores_its_voxels_changes_nothing(protocol):
    reference = head()
    prediction = shifted(head(1), 20)
    once = evaluate_pair(prediction, reference, protocol=protocol).values
    stored = [reorient(volume, "ILA") for volume in (prediction, reference)]
    again = evaluate_pair(*stored, protocol=protocol).values
    assert again == pytest.approx(once, rel=1e-9, nan_ok=True)


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


def test_another_grid_is_described_beside_the_one_that_is_needed():
    reference = head()
    moved = AFFINE.copy()
    moved[:3, 3] = 1, 2, 3
    with pytest.raises(GeometryError) as caught:
        evaluate_pair(Volume(reference.array[:, :, :-1], moved, "CT"), reference)
    assert str(caught.value) == (
        "prediction: lies on another grid than the reference (measured shape 28 x 28 x 27, spacing "
        "3 x 3 x 3 mm, axes RAS, origin (1, 2, 3) mm, last voxel (82, 83, 81) mm, allowed shape "
        "28 x 28 x 28, spacing 3 x 3 x 3 mm, axes RAS, origin (0, 0, 0) mm, last voxel "
        "(81, 81, 81) mm). Resample it onto the grid of the reference."
    )


def test_masks_that_cannot_be_used_are_refused():
    with pytest.raises(DataError, match="empty"):
        evaluate_pair(head(), head(), mask=np.zeros(head().shape, bool))
    with pytest.raises(GeometryError, match="shape"):
        evaluate_pair(head(), head(), mask=np.ones((3, 3, 3), bool))
    elsewhere = Volume(np.ones(head().shape), np.eye(4), "LABEL")
    with pytest.raises(GeometryError, match="mask: lies on another grid"):
        evaluate_pair(head(), head(), mask=elsewhere)
    labels = Volume(np.arange(28**3).reshape(28, 28, 28) % 3, AFFINE, "LABEL")
    with pytest.raises(DataError, match=r"one value besides 0.*measured 2 values.*binary mask"):
        evaluate_pair(head(), head(), mask=labels)
    with pytest.raises(GeometryError, match="source image: lies on another grid"):
        evaluate_pair(head(), head(), source=Volume(head().array, np.eye(4), "CT"))
    with pytest.raises(ConfigError):
        evaluate_pair(head(), head(), protocol="best")


def test_a_result_carries_its_definition():
    document = evaluate_pair(shifted(head(), 5), head()).to_dict()
    assert document["protocol"] == "synthrad2023"
    assert document["range"] == [-1024, 3000]
    assert document["psnr_peak"] == 4024
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
        assert case["psnr_peak"] == 4024
        assert case["mask_rule"] == "body mask of the reference grown by 10 mm in plane"
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
    with pytest.raises(DataError, match=r"no prediction to compare with for 1 case.*: 1\.2\.4"):
        pair_cases(folders / "ref", folders / "ref", against=folders / "pred")
    labels = (folders / "ref", folders / "pred")
    with pytest.raises(DataError, match=r"no label map of the reference for 1 case.*: 1\.2\.4"):
        pair_cases(folders / "ref", folders / "ref", labels=labels)


def test_maps_beside_a_prediction_are_no_cases(folders):
    expected = pair_cases(folders / "pred", folders / "ref")
    for name in ("1.2.3_attention", "1.2.4_disagreement", "1.2.4_content_10"):
        (folders / "pred" / f"{name}.nii.gz").touch()
    assert pair_cases(folders / "pred", folders / "ref") == expected
    (folders / "pred" / "1.2.5_attention.nii.gz").touch()
    with pytest.raises(DataError, match=r"no reference for 1 case.*: 1\.2\.5_attention"):
        pair_cases(folders / "pred", folders / "ref")


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
    with pytest.raises(FileError, match="no volume"):
        pair_cases(tmp_path / "empty", folders / "ref")


def test_hidden_and_foreign_files_are_no_cases(folders):
    (folders / "ref" / ".1.2.9.nii").touch()
    (folders / "ref" / "readme.txt").touch()
    assert len(pair_cases(folders / "pred", folders / "ref")) == 2


def test_an_error_names_the_case_it_is_about(folders):
    write_volume(Volume(head().array[1:], AFFINE, "CT"), folders / "pred" / "1.2.4.mha")
    with pytest.raises(GeometryError, match=r"^case 1\.2\.4: prediction: lies on another grid"):
        evaluate(folders / "pred", folders / "ref")
    (folders / "pred" / "1.2.3.mha").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"^case 1\.2\.3: .*1\.2\.3\.mha"):
        evaluate(folders / "pred", folders / "ref")


def test_label_maps_add_dice_and_distance_to_every_case(folders):
    for kind in ("segmented", "truth"):
        (folders / kind).mkdir()
        for case in ("1.2.3", "1.2.4"):
            labels = np.zeros(head().shape, np.uint8)
            labels[8:16, 8:16, 8:16] = 2
            if kind == "truth" and case == "1.2.4":
                labels[20:24, 8:16, 8:16] = 9
            write_volume(Volume(labels, AFFINE, "LABEL"), folders / kind / f"{case}.nii.gz")
    labels = (folders / "segmented", folders / "truth")
    document = evaluate(folders / "pred", folders / "ref", labels=labels)
    assert [case["dice"] for case in document["cases"]] == [1, 0.5]
    assert [case["missed_classes"] for case in document["cases"]] == [0, 1]
    row = document["aggregates"]["hd95"]
    assert {name: row[name] for name in ("mean", "min", "50pc", "max", "count")} == {
        "mean": 0, "min": 0, "50pc": 0, "max": 0, "count": 2,
    }  # fmt: skip
    assert document["cases"][1]["by_class"]["9"] == {"dice": 0, "hd95": None}
    one = evaluate(
        folders / "pred" / "1.2.4.mha",
        folders / "ref" / "1.2.4.nii.gz",
        labels=(labels[0] / "1.2.4.nii.gz", labels[1] / "1.2.4.nii.gz"),
    )
    assert one["cases"] == document["cases"][1:]


def test_two_models_are_compared_case_by_case_on_the_same_voxels(folders):
    document = evaluate(folders / "ref", folders / "ref", against=folders / "pred")
    assert [case["mae"] for case in document["against"]["cases"]] == pytest.approx([10, 20])
    compared = document["comparison"]["mae"]
    assert compared["mean_difference"] == pytest.approx(-15)
    assert (compared["cases"], compared["first_better"], compared["second_better"]) == (2, 2, 0)
    assert compared["wilcoxon_p"] is None
    assert compared["interval"]["missing"] == "fewer than 6 cases"
    assert document["comparison"]["psnr"]["mean_difference"] == "inf"
    json.dumps(document, allow_nan=False)


def test_six_cases_have_an_interval_around_their_mean(tmp_path):
    for kind in ("pred", "ref"):
        (tmp_path / kind).mkdir()
        for number in range(6):
            by = 10 * number**2 if kind == "pred" else 0
            write_volume(shifted(head(number), by), tmp_path / kind / f"{number}.nii.gz")
    document = evaluate(tmp_path / "pred", tmp_path / "ref")
    interval = document["intervals"]["mae"]
    assert interval["low"] < document["aggregates"]["mae"]["mean"] < interval["high"]
    assert (interval["cases"], interval["confidence"], interval["missing"]) == (6, 0.95, None)
