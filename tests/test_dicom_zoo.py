"""Real files: what each one gives, and that what is read is what the file says."""

from dataclasses import dataclass

import numpy as np
import pydicom
import pytest

from medgan.errors import MedganError
from medgan.io.dicom import errors, index_folder, read_series
from medgan.volumes.geometry import apply_affine


@dataclass(frozen=True)
class Read:
    """What one entry must give: part, shape, spacing rounded to 0.01 mm, contrast."""

    modality: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    contrast: str = ""
    part: str = ""


SAGITTAL = Read("MR", (256, 256, 4), (1.0, 1.0, 1.0), "FLAIR")

FOLDERS = {
    "cornerstone_robustness": [errors.NotHounsfield],
    "dicom2nifti_failing_gantrytilting_001": [errors.GantryTilt],
    "dicom2nifti_failing_notavolume_001": [
        Read("CT", (512, 512, 1), (0.54, 0.54, 1.0), part=f"acquisition {n}") for n in (1, 2, 3, 4)
    ],
    "dicom2nifti_failing_slicecount_001": [Read("MR", (256, 256, 2), (1.0, 1.0, 1.0), "FLAIR")],
    "dicom2nifti_failing_sliceincrement_001": [errors.MissingSlices],
    "dicom2nifti_failing_sliceincrement_002": [errors.MissingSlices],
    "dicom2nifti_failing_sliceorientation_001": [
        Read("MR", (288, 288, 2), (0.32, 0.32, 3.3), "T2", "geometry 1"),
        Read("MR", (288, 288, 2), (0.56, 0.56, 4.4), "T2", "geometry 2"),
    ],
    "dicom2nifti_ge_anatomical_001": [Read("MR", (256, 256, 4), (1.0, 1.0, 1.0), "T1")],
    "dicom2nifti_generic_anatomical_002_non_isotropic": [
        Read("MR", (64, 28, 4), (6.4, 4.0, 0.5), "T1")
    ],
    "dicom2nifti_generic_compressed_001": [SAGITTAL],
    "dicom2nifti_generic_compressed_j2k_001": [SAGITTAL],
    "dicom2nifti_generic_compressed_jpeg_001": [SAGITTAL],
    "dicom2nifti_generic_compressed_jpegls_001": [SAGITTAL],
    "dicom2nifti_generic_compressed_rle_001": [SAGITTAL],
    "dicom2nifti_hitachi_anatomical_001": [Read("MR", (64, 64, 4), (2.34, 2.34, 4.0), "PD")],
    "dicom2nifti_hyperfine_anatomical_001": [Read("MR", (112, 138, 8), (1.59, 1.61, 5.0), "FLAIR")],
    "dicom2nifti_philips_anatomical_001": [Read("MR", (240, 240, 4), (1.04, 1.04, 0.6), "FLAIR")],
    "dicom2nifti_philips_enhanced_anatomical_001": [
        Read("MR", (256, 256, 8), (1.0, 1.0, 1.2), "T1")
    ],
    "dicom2nifti_siemens_anatomical_001": [SAGITTAL],
    "dicom2nifti_siemens_multiframe_anatomical_001": [Read("MR", (256, 256, 8), (0.94, 0.94, 0.9))],
    "lungmask_ct_slices": [Read("CT", (512, 512, 2), (0.62, 0.62, 1.0))],
    "philips_ct_gantry_tilt_phantom": [errors.GantryTilt],
}

FILES = {
    "JPEG-LL.dcm": "Secondary Capture Image",
    "bad_sequence.dcm": Read("CT", (512, 512, 1), (0.29, 0.29, 1.0)),
    # A perfusion map, whose rescale type says that it holds no Hounsfield units.
    "eCT_Supplemental.dcm": errors.NotHounsfield,
    # Enhanced images without functional groups: nothing says where a frame lies.
    "emri_small.dcm": errors.MissingGeometry,
    "emri_small_RLE.dcm": errors.MissingGeometry,
    "emri_small_big_endian.dcm": errors.MissingGeometry,
    "emri_small_jpeg_2k_lossless.dcm": errors.MissingGeometry,
    "emri_small_jpeg_2k_lossless_too_short.dcm": errors.MissingGeometry,
    "emri_small_jpeg_ls_lossless.dcm": errors.MissingGeometry,
    # Its conversion type is digitised video.
    "explicit_VR-UN.dcm": errors.SecondaryCapture,
}

LOSSLESS = {
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5",
}  # fmt: skip


def require_what_the_files_say(series):
    """Every plane against pydicom's own decoding and the positions in its header."""
    affine = series.volume.affine
    for k, plane in enumerate(series.planes):
        whole = pydicom.dcmread(plane.path)
        pixels = whole.pixel_array if plane.frame is None else whole.pixel_array[plane.frame - 1]
        assert pixels.T.shape == series.volume.shape[:2]
        slope, intercept = whole.get("RescaleSlope", 1), whole.get("RescaleIntercept", 0)
        place = orientation = whole
        if plane.frame is not None:
            own = whole.PerFrameFunctionalGroupsSequence[plane.frame - 1]
            place = own.PlanePositionSequence[0]
            shared = whole.get("SharedFunctionalGroupsSequence") or [own]
            home = own if "PlaneOrientationSequence" in own else shared[0]
            orientation = home.PlaneOrientationSequence[0]
            if "PixelValueTransformationSequence" in own:
                values = own.PixelValueTransformationSequence[0]
                slope, intercept = values.RescaleSlope, values.RescaleIntercept
        expected = pixels.T * float(slope) + float(intercept)
        np.testing.assert_allclose(series.volume.array[:, :, k], expected, rtol=1e-6)
        first = np.array([-1, -1, 1]) * [float(v) for v in place.ImagePositionPatient]
        np.testing.assert_allclose(apply_affine(affine, (0, 0, k)), first, atol=0.01)
        row = np.array([-1, -1, 1]) * [float(v) for v in orientation.ImageOrientationPatient[:3]]
        along = apply_affine(affine, (1, 0, k)) - apply_affine(affine, (0, 0, k))
        np.testing.assert_allclose(along / np.linalg.norm(along), row, atol=1e-4)


def check(entry, expected):
    if isinstance(expected, Read):
        series = read_series(entry)
        volume = series.volume
        found = Read(
            volume.modality,
            volume.shape,
            tuple(round(size, 2) for size in volume.spacing_mm),
            entry.contrast,
            entry.part,
        )
        assert found == expected
        require_what_the_files_say(series)
    else:
        with pytest.raises(MedganError) as caught:
            read_series(entry)
        assert type(caught.value) is expected


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_gives_what_its_headers_say(medgan_data, name):
    entries = index_folder(medgan_data / "dicom_zoo" / name).entries
    assert len(entries) == len(FOLDERS[name])
    for entry, expected in zip(entries, FOLDERS[name], strict=True):
        check(entry, expected)


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_what_its_header_says(medgan_data, name):
    index = index_folder(medgan_data / "dicom_zoo" / "pydicom_data" / name)
    if isinstance(FILES[name], str):
        assert [skipped.reason for skipped in index.skipped] == [FILES[name]]
    else:
        (entry,) = index.entries
        check(entry, FILES[name])


def test_nothing_in_the_zoo_is_left_untested(medgan_data):
    zoo = medgan_data / "dicom_zoo"
    folders = {path.name for path in zoo.iterdir() if path.is_dir()}
    assert folders == {*FOLDERS, "cornerstone_ct_transfer_syntaxes", "pydicom_data"}
    assert {path.name for path in (zoo / "pydicom_data").iterdir()} == set(FILES)
    assert [s.reason for s in index_folder(zoo / "cornerstone_robustness").skipped] == [
        "Ultrasound Image"
    ]


def test_a_ct_slice_is_the_same_in_every_lossless_syntax_and_near_in_the_others(medgan_data):
    folder = medgan_data / "dicom_zoo" / "cornerstone_ct_transfer_syntaxes"
    reference = read_series(index_folder(folder / "CTImage.dcm").entries[0]).volume
    assert reference.array.min() == -3024 and reference.array.max() == 1378
    seen = set()
    for path in sorted(folder.glob("*Syntax_*.dcm")):
        uid = pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID
        volume = read_series(index_folder(path).entries[0]).volume
        np.testing.assert_array_equal(volume.affine, reference.affine)
        if uid in LOSSLESS:
            np.testing.assert_array_equal(volume.array, reference.array)
        else:
            error = np.abs(volume.array.astype(float) - reference.array)
            # Eight bits over 4400 HU are steps of 32 HU; what 12 bits lose is far less.
            inside = reference.array > -500
            assert np.median(error[inside]) < (33 if uid.endswith("4.50") else 4)
        seen.add(uid)
    assert len(seen) == 15 and seen > LOSSLESS


@pytest.mark.parametrize(
    ("name", "planes"),
    [
        ("dicom2nifti_failing_gantrytilting_001", 4),
        ("dicom2nifti_failing_sliceincrement_001", 5),
        ("dicom2nifti_failing_sliceincrement_002", 5),
        ("philips_ct_gantry_tilt_phantom", 24),
    ],
)
def test_irregular_scans_are_mended_on_request(medgan_data, name, planes):
    (entry,) = index_folder(medgan_data / "dicom_zoo" / name).entries
    series = read_series(entry, irregular="resample")
    axes = series.volume.affine[:3, :3] / np.linalg.norm(series.volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert series.volume.shape[2] == planes == len(series.planes)
    assert series.repairs
