"""A scan in two groups is found by its content, not by its name."""

import pytest

from medgan.data.split import require_disjoint, split_patients
from medgan.errors import DataError


@pytest.fixture
def scans(tmp_path):
    paths = [tmp_path / f"scan_{i}.nii" for i in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 100)
    return paths


def test_different_scans_pass_until_one_becomes_the_copy_of_another(scans):
    groups = {"training": scans[:2], "evaluation": scans[2:]}
    require_disjoint(groups)
    scans[3].write_bytes(scans[0].read_bytes())
    with pytest.raises(DataError):
        require_disjoint(groups)


def test_a_copied_folder_is_a_leak_whatever_its_files_are_called(scans, tmp_path):
    for folder, names in (("one", "ab"), ("two", "dc"), ("three", "ab")):
        (tmp_path / folder).mkdir()
        for name, scan in zip(names, scans, strict=False):
            (tmp_path / folder / name).write_bytes(scan.read_bytes())
    (tmp_path / "three" / "b").write_bytes(b"another slice")
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    require_disjoint({"training": [one], "evaluation": [three]})
    with pytest.raises(DataError, match="used for training and for evaluation"):
        require_disjoint({"training": [one], "evaluation": [two]})


def test_a_renamed_copy_is_a_leak_and_both_groups_are_named(scans, tmp_path):
    copy = tmp_path / "elsewhere" / "another_name.nii.gz"
    copy.parent.mkdir()
    copy.write_bytes(scans[1].read_bytes())
    with pytest.raises(DataError) as caught:
        require_disjoint({"training": scans[:2], "evaluation": [scans[2], copy]})
    message = str(caught.value)
    assert "used for training and for evaluation" in message
    assert scans[1].name in message
    assert str(copy) in message


def test_the_same_scan_twice_is_a_leak_between_groups_only(scans):
    require_disjoint({"training": [scans[0], scans[0]], "evaluation": [scans[1]]})
    with pytest.raises(DataError):
        require_disjoint({"training": [scans[0]], "evaluation": [scans[1], scans[0]]})


def test_training_refuses_a_pair_that_it_is_trained_on(tiny_document, tmp_path):
    from medgan.config import parse_config
    from medgan.recipes.training import train

    tiny_document["evaluation"] = [
        {"name": "leaked", "source": "mr_1.nii.gz", "target": "ct_4.nii.gz"}
    ]
    with pytest.raises(DataError, match="used for training and for evaluation"):
        train(parse_config(tiny_document), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.34, 0.5])
def test_every_patient_is_on_one_side_of_a_split(share):
    patients = [f"p{i}" for i in range(10)]
    split = split_patients(patients, share, seed=3)
    assert sorted(split.training + split.validation) == sorted(patients)
    assert len(split.validation) == round(share * 10)
    assert split == split_patients(patients, share, seed=3)


def test_seeds_draw_other_patients_and_one_patient_cannot_be_split():
    patients = list(range(10))
    drawn = {split_patients(patients, 0.2, seed).validation for seed in range(20)}
    assert len(drawn) > 10
    with pytest.raises(DataError, match="no patient is left"):
        split_patients([1], 0.5, seed=0)
