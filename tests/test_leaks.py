"""A scan in two groups is found by its content, not by its name."""

import pytest

from medgan.data.leaks import require_disjoint
from medgan.errors import DataError


@pytest.fixture
def scans(tmp_path):
    paths = [tmp_path / f"scan_{i}.nii" for i in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 100)
    return paths


def test_different_scans_pass(scans):
    require_disjoint({"training": scans[:2], "evaluation": scans[2:]})


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


def test_the_same_scan_twice_in_one_group_is_no_leak(scans):
    require_disjoint({"training": [scans[0], scans[0]], "evaluation": [scans[1]]})


def test_training_refuses_a_pair_that_it_is_trained_on(tiny_document, tmp_path):
    from medgan.config import parse_config
    from medgan.recipes.training import train

    tiny_document["evaluation"] = [
        {"name": "leaked", "source": "mr_1.nii.gz", "target": "ct_4.nii.gz"}
    ]
    with pytest.raises(DataError, match="used for training and for evaluation"):
        train(parse_config(tiny_document), tmp_path / "run")
    assert not (tmp_path / "run").exists()
