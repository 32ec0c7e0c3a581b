"""Scans whose values cannot be those of the domain they are trained on as."""

import logging

import numpy as np
import pytest

from medgan.config import parse_config
from medgan.data.plausibility import implausible
from medgan.errors import DataError
from medgan.io import read_volume, write_volume
from medgan.recipes.scans import scan_material
from medgan.volumes import Volume

PREPARED_AS = {"mr_1.nii.gz": "MR", "ct_2.nii.gz": "CT"}


@pytest.fixture
def scans(tiny_scans):
    return {name: read_volume(tiny_scans / name, modality=m) for name, m in PREPARED_AS.items()}


def given_as(modality, volume):
    return implausible(volume.with_array(volume.array, modality=modality), "scan.nii")


def material(tiny_document, **data):
    tiny_document["data"] |= data
    return scan_material(parse_config(tiny_document))


def test_scans_of_their_own_modality_pass(scans):
    for volume in scans.values():
        assert given_as(volume.modality, volume) == ()


def test_values_of_the_other_modality_are_refused(scans):
    with pytest.raises(DataError, match=r"^scan\.nii: .*MR, but its values are those of a CT"):
        given_as("MR", scans["ct_2.nii.gz"])
    with pytest.raises(DataError, match=r"^scan\.nii: .*CT, but its values cannot be HU"):
        given_as("CT", scans["mr_1.nii.gz"])


@pytest.mark.parametrize("padding", [None, -2000])
def test_a_ct_stored_with_an_offset_is_refused_with_the_remedy(scans, padding):
    values = scans["ct_2.nii.gz"].array + 1024
    if padding is not None:
        values[:2] = padding
    offset = scans["ct_2.nii.gz"].with_array(values)
    with pytest.raises(DataError, match=r"no air .*hu_offset: -1024"):
        given_as("CT", offset)
    assert given_as("CT", offset.with_array(values - 1024)) == ()


def test_a_ct_that_is_cut_to_soft_tissue_is_remarked_on(scans):
    (remark,) = given_as(
        "CT", scans["ct_2.nii.gz"].with_array(scans["ct_2.nii.gz"].array.clip(max=240))
    )
    assert "nothing lies above 300 HU (measured 240)" in remark


@pytest.mark.parametrize(("share", "refused"), [(0.005, False), (0.02, True)])
def test_few_voxels_where_only_ct_has_any_are_remarked_on_and_many_refused(share, refused):
    values = np.full(1000, 100, np.int16)
    values[: round(1000 * share)] = -600
    volume = Volume(values.reshape(10, 10, 10), np.eye(4), "MR")
    if refused:
        with pytest.raises(DataError, match="2% of the voxels below -500, allowed 1%"):
            implausible(volume, "scan.nii")
    else:
        (remark,) = implausible(volume, "scan.nii")
        assert remark.startswith("5 voxels lie below -500")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": ["ct_1.nii.gz"]}, r"ct_1\.nii\.gz: this is trained on as MR"),
        ({"target": ["ct_2.nii.gz", "mr_3.nii.gz"]}, r"mr_3\.nii\.gz: this is trained on as CT"),
        (
            {"target": [{"path": "ct_2.nii.gz", "hu_offset": 1024}, "ct_3.nii.gz"]},
            r"ct_2\.nii\.gz: .*cannot be HU",
        ),
    ],
)
def test_a_training_refuses_them_by_the_name_of_their_file(tiny_document, data, message):
    with pytest.raises(DataError, match=message):
        material(tiny_document, **data)


def test_further_contrasts_are_looked_at_too(tiny_document):
    tiny_document["network"]["channels"] = [2, 1]
    tiny_document["data"]["phantoms"]["contrasts"] = ["t1", "t2"]
    with pytest.raises(DataError, match=r"ct_1\.nii\.gz: this is trained on as MR"):
        material(tiny_document, source=[{"path": "mr_1.nii.gz", "also": ["ct_1.nii.gz"]}])


def test_remarks_are_logged_by_number_from_the_cache_as_well(
    tiny_document, tiny_scans, tmp_path, caplog
):
    name = tmp_path / "surname_ct.nii.gz"
    whole = read_volume(tiny_scans / "ct_2.nii.gz")
    write_volume(whole.with_array(whole.array.clip(max=240)), name)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            material(tiny_document, target=["ct_3.nii.gz", str(name)])
        assert "CT scan 2 of 2: nothing lies above 300 HU" in caplog.text
        assert "surname" not in caplog.text


REAL = {
    "MR": [
        "niivue_mr_heads/chris_t1.nii.gz", "niivue_mr_heads/chris_PD.nii.gz",
        "niivue_mr_heads/T2w.nii.gz", "niivue_mr_heads/MR_Gd.nii.gz",
        "mni_template_pair/mr_t1_mni152_head_2mm.nii.gz",
        "totalsegmentator_examples/example_mr_sm.nii.gz",
    ],
    "CT": [
        "invesalius_cranium_ct/cranium_ct_hu.nii.gz", "mni_template_pair/ct_scct_hu_2mm.nii.gz",
        "totalsegmentator_examples/example_ct_sm.nii.gz", "umcu_pelvis_ct/pelvis_ct_run.nii.gz",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("modality", "other"), [("MR", "CT"), ("CT", "MR")])
def test_real_scans_pass_as_what_they_are_and_are_refused_as_the_other(
    medgan_data, modality, other
):
    for name in REAL[modality]:
        volume = read_volume(medgan_data / name, modality=modality)
        assert given_as(modality, volume) == (), name
        with pytest.raises(DataError):
            given_as(other, volume)


def test_a_file_of_hu_and_1024_passes_with_its_offset_only(medgan_data):
    stored = read_volume(medgan_data / "vtk_headsq_quarter/headsq_quarter.nii.gz", modality="CT")
    with pytest.raises(DataError, match="hu_offset"):
        implausible(stored, "headsq")
    assert implausible(stored.with_array(stored.array.astype(np.float32) - 1024), "headsq") == ()
