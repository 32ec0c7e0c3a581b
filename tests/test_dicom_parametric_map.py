from dataclasses import replace

import highdicom
import numpy as np
import pytest
from dicom_tools import DERIVATION, PATIENT, some_points, source

from medgan.io.dicom.write import (
    write_parametric_map,
)


@pytest.mark.parametrize("name", ["oblique", "enhanced", "single_slice"])
def test_a_parametric_map_holds_the_values_where_the_source_lies(tmp_path, name):
    series = source(name, tmp_path / "mr")
    array = np.random.default_rng(2).random(series.volume.shape, np.float32)
    values = series.volume.with_array(array)
    for copy in ("a.dcm", "b.dcm"):
        write_parametric_map(values, series, tmp_path / copy, DERIVATION, label="attention")
    image = highdicom.imread(tmp_path / "a.dcm")
    back = image.get_volume(apply_real_world_transform=False)
    points, expected = some_points(values)
    indices = np.rint(back.map_reference_to_indices(points)).astype(int)
    np.testing.assert_array_equal(back.array[tuple(indices.T)], expected.astype(np.float32))
    assert image.FrameOfReferenceUID == series.volume.frame_of_reference
    assert image.PatientName == PATIENT["PatientName"]
    assert (image.SyntheticData, image.ContentQualification) == ("YES", "RESEARCH")
    uids = {plane.header.SOPInstanceUID for plane in series.planes}
    for referenced in (
        image.ReferencedSeriesSequence[0].ReferencedInstanceSequence,
        image.SourceImageSequence,
    ):
        assert sorted(item.ReferencedSOPInstanceUID for item in referenced) == sorted(uids)
    for group in image.PerFrameFunctionalGroupsSequence:
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient) * [-1, -1, 1]
        k = np.rint(np.linalg.solve(values.affine, [*position, 1]))[2].astype(int)
        plane = series.planes[k]
        assert reference.ReferencedSOPInstanceUID == plane.header.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == plane.header.SOPClassUID
        assert reference.get("ReferencedFrameNumber") == plane.frame
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_a_map_of_a_repaired_source_lies_where_the_volume_lies(tmp_path):
    series = source("regular", tmp_path / "mr", SliceThickness=None)
    affine = series.volume.affine.copy()
    affine[2, 2] *= 0.9
    volume = replace(series.volume, affine=affine)
    repaired = replace(series, volume=volume, repairs=("slices 1.8 mm apart interpolated",))
    values = volume.with_array(np.ones(volume.shape, np.float32))
    write_parametric_map(values, repaired, tmp_path / "a.dcm", DERIVATION, label="attention")
    image = highdicom.imread(tmp_path / "a.dcm")
    assert image.get_volume().spacing[0] == pytest.approx(1.8)
    group = image.PerFrameFunctionalGroupsSequence[0]
    reference = group.DerivationImageSequence[0].SourceImageSequence[0]
    assert reference.SpatialLocationsPreserved == "NO"
