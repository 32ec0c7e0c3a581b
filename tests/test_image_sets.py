from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medgan.errors import ConfigError, DataError, FileError, GeometryError
from medgan.io import write_volume
from medgan.metrics.image_sets import SetEntry, SetImage, open_set, read_array, read_picture
from medgan.metrics.set_centres import AnnotationCentres, MaskCentres
from medgan.metrics.set_regions import PLANES, RegionRule, Sample, cropped, samples
from medgan.volumes import Volume
from medgan.volumes.geometry import apply_affine

RNG = np.random.default_rng(0)
WINDOW = (-1000.0, 1000.0)
FULL = RegionRule("full", False, WINDOW)


def ct(shape: tuple[int, int, int] = (6, 8, 5), spacing: float = 2.0) -> Volume:
    values = RNG.integers(-1000, 1000, shape).astype(np.int16)
    values[0, 0, 0] = -1000
    return Volume(values, np.diag([spacing, spacing, spacing, 1]), "CT")


def entry_of(content: Volume, name: str = "scan") -> SetEntry:
    return SetEntry(f"{name}.nii.gz", name, lambda: SetImage(content, "one"))


def all_samples(content: Volume, rule: RegionRule, name: str = "scan") -> list[Sample]:
    return list(samples(entry_of(content, name), rule))


def png(path: Path, array: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def test_a_folder_is_searched_and_each_image_named_below_it(tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    write_volume(ct(), tmp_path / "p1" / "scan.mha")
    write_volume(ct(), tmp_path / "1.2.840.1.nii.gz")
    png(tmp_path / "p2" / "slice.png", np.zeros((4, 4), np.uint8))
    np.save(tmp_path / "stack.npy", np.zeros((3, 4, 4), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    found = open_set(tmp_path).entries
    assert {(entry.name, entry.key) for entry in found} == {
        ("1.2.840.1.nii.gz", "1.2.840.1"),
        ("p1/scan.mha", "p1/scan"),
        ("p2/slice.png", "p2/slice"),
        ("stack.npy", "stack"),
    }
    patients = {entry.name: entry.read().patient for entry in found}
    assert patients == {
        "1.2.840.1.nii.gz": "1.2.840.1",
        "p1/scan.mha": "p1",
        "p2/slice.png": "p2",
        "stack.npy": None,
    }


def test_a_pattern_tells_the_patient_from_the_name(tmp_path: Path) -> None:
    for name in ("s07_001.png", "s07_002.png", "s12_001.png"):
        png(tmp_path / name, np.zeros((4, 4), np.uint8))

    def patients(pattern: str) -> list[str | None]:
        return [entry.read().patient for entry in open_set(tmp_path, patients=pattern).entries]

    assert patients(r"s(\d+)_") == ["07", "07", "12"]
    assert patients(r"^s\d+") == ["s07", "s07", "s12"]
    with pytest.raises(DataError, match="does not match"):
        open_set(tmp_path, patients="^p")
    with pytest.raises(ConfigError, match="not a regular expression"):
        open_set(tmp_path, patients="(")


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such folder"):
        open_set(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(FileError, match="no image in this folder"):
        open_set(tmp_path)


def test_dicom_series_are_volumes_grouped_by_the_patient_in_them(medgan_data: Path) -> None:
    zoo = medgan_data / "dicom_zoo" / "dicom2nifti_siemens_anatomical_001"
    found = open_set(zoo)
    image = found.entries[0].read()
    assert isinstance(image.content, Volume)
    assert image.content.modality == "MR"
    assert image.patient is not None
    assert len(image.patient) == 64


def test_dicom_series_that_cannot_be_read_are_counted(medgan_data: Path) -> None:
    zoo = medgan_data / "dicom_zoo" / "dicom2nifti_failing_sliceincrement_001"
    with pytest.raises(FileError, match="no image in this folder") as caught:
        open_set(zoo)
    assert caught.value.measured == "1 DICOM series that cannot be read"


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_pictures_become_values_from_0_to_1_at_their_full_depth(
    tmp_path: Path, dtype: type, largest: int
) -> None:
    values = RNG.integers(0, largest + 1, (5, 7)).astype(dtype)
    assert np.allclose(read_picture(png(tmp_path / "grey.png", values)), values / largest)
    np.save(tmp_path / "grey.npy", values)
    assert np.allclose(read_array(tmp_path / "grey.npy"), values[None] / largest)


def test_colours_stay_and_transparency_goes(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (5, 7, 4)).astype(np.uint8)
    found = read_picture(png(tmp_path / "rgba.png", values))
    assert np.allclose(found, values[..., :3] / 255)
    jpeg = png(tmp_path / "grey.jpg", values[..., 0])
    assert np.allclose(read_picture(jpeg), np.asarray(Image.open(jpeg)) / 255)


def test_arrays_are_pictures_colours_or_slices(tmp_path: Path) -> None:
    for shape, count in (((4, 6), 1), ((4, 6, 3), 1), ((5, 4, 6), 5)):
        np.save(tmp_path / "a.npy", RNG.random(shape, dtype=np.float32))
        assert len(read_array(tmp_path / "a.npy")) == count


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.array([[0.0, 1.5]]), DataError, "from 0 to 1"),
        (np.array([[np.nan, 0.5]]), DataError, "from 0 to 1"),
        (np.array([[-1000, 40]]), DataError, "from 0 to 1"),
        (np.zeros((2, 2, 2, 2)), DataError, "not a picture and not slices"),
        (np.array([{}], dtype=object), FileError, "not a NumPy array of numbers"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(
    tmp_path: Path, array: NDArray[np.generic], error: type[Exception], message: str
) -> None:
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(error, match=message):
        read_array(tmp_path / "bad.npy")


def test_damaged_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(FileError, match=r"bad\.png: the picture is damaged"):
        read_picture(tmp_path / "bad.png")


def test_axial_slices_lie_as_a_radiologist_sees_them() -> None:
    values = np.full((4, 4, 2), -1000)
    values[3, 2, 1] = 1000  # right, towards the front
    (sample,) = all_samples(Volume(values, np.eye(4), "CT"), FULL)
    assert sample.image[1, 0] == 1
    assert sample.image.sum() == 1
    assert (sample.plane, sample.patient, sample.kind) == ("axial", "one", "CT")


@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
def test_slices_do_not_depend_on_the_storage_orientation(flips: tuple[int, ...]) -> None:
    volume = ct()
    affine = volume.affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
    stored = Volume(np.flip(volume.array, flips), affine, "CT")
    rule = RegionRule("planes", False, WINDOW)
    for a, b in zip(all_samples(volume, rule), all_samples(stored, rule), strict=True):
        assert np.array_equal(a.image, b.image)


def test_three_planes_show_every_voxel_once_each_windowed() -> None:
    volume = ct((4, 4, 4))
    found = all_samples(volume, RegionRule("planes", False, WINDOW))
    for plane in PLANES:
        shown = np.concatenate([one.image.ravel() for one in found if one.plane == plane])
        expected = (volume.array.ravel() + 1000.0) / 2000
        assert np.allclose(np.sort(shown), np.sort(expected))


def test_slices_are_squares_in_millimetres_and_empty_ones_left_out() -> None:
    values = np.full((10, 6, 4), -1000)
    values[3:6, 2:4, 1] = 0
    (sample,) = all_samples(Volume(values, np.diag([1.0, 2, 5, 1]), "CT"), FULL)
    assert sample.image.shape == (6, 12)  # 12 mm by 12 mm
    assert sample.image.sum() == pytest.approx(6 * 0.5)


def test_values_beyond_the_window_are_black_and_white() -> None:
    values = np.array([-2000, -1000, 0, 1000, 3000]).reshape(5, 1, 1)
    (sample,) = all_samples(Volume(values, np.eye(4), "CT"), FULL)
    assert np.allclose(sample.image[2], [1, 1, 0.5, 0, 0])


def test_mr_is_scaled_by_its_own_bright_tissue() -> None:
    axes = np.meshgrid(*(np.linspace(-1, 1, 24),) * 3, indexing="ij")
    inside = np.sqrt(sum(axis**2 for axis in axes)) < 0.7
    values = np.where(inside, RNG.uniform(400, 800, inside.shape), RNG.uniform(0, 9, inside.shape))
    dim, bright = (
        np.concatenate(
            [one.image for one in all_samples(Volume(values * k, np.eye(4), "MR"), FULL)]
        )
        for k in (0.1, 3.0)
    )
    assert np.allclose(dim, bright, atol=1e-4)
    assert bright.max() == 1
    assert np.quantile(bright[bright > 0.4], 0.98) == pytest.approx(1, abs=0.02)


def test_label_maps_and_pictures_in_other_regions_are_refused() -> None:
    with pytest.raises(DataError, match="a label map has no distance"):
        all_samples(Volume(np.ones((3, 3, 3)), np.eye(4), "LABEL"), FULL)
    picture = SetEntry("a.png", "a", lambda: SetImage((np.zeros((4, 4), np.float32),), None))
    assert len(list(samples(picture, FULL))) == 1
    with pytest.raises(DataError, match="a picture has no planes"):
        list(samples(picture, RegionRule("planes", False, WINDOW)))
    with pytest.raises(DataError, match="a picture has no planes"):
        list(samples(picture, RegionRule("full", True, WINDOW)))


def test_rules_that_contradict_themselves_are_refused() -> None:
    centres = AnnotationCentres({})
    for region, volumes, given, size in (
        ("planes", True, None, 50.0),
        ("masked", False, None, 50.0),
        ("full", False, centres, 50.0),
        ("masked", False, centres, 0.0),
    ):
        with pytest.raises(ConfigError):
            RegionRule(region, volumes, WINDOW, given, size)  # type: ignore[arg-type]


def naive_crop(volume: Volume, position: NDArray[np.float64], side_mm: float) -> Volume:
    middle = [round(p / s) for p, s in zip(position, volume.spacing_mm, strict=True)]
    sizes = [round(side_mm / s) for s in volume.spacing_mm]
    values = np.full(sizes, -1000, volume.array.dtype)
    for index in np.ndindex(*sizes):
        at = tuple(m - n // 2 + i for m, n, i in zip(middle, sizes, index, strict=True))
        if all(0 <= a < n for a, n in zip(at, volume.shape, strict=True)):
            values[index] = volume.array[at]
    return values


@pytest.mark.parametrize("position", [(10.0, 9.0, 9.0), (0.0, 14.0, 9.0)])
def test_a_crop_has_its_size_in_mm_and_every_voxel_stays_at_its_place(
    position: tuple[float, float, float],
) -> None:
    volume = Volume(ct((10, 8, 6)).array, np.diag([2.0, 2.0, 3.0, 1]), "CT")
    found = cropped(volume, np.array(position), 12.0)
    assert found.shape == (6, 6, 4)
    assert np.array_equal(found.array, naive_crop(volume, np.array(position), 12.0))
    world = apply_affine(found.affine, np.argwhere(found.array > -1000))
    back = np.rint(apply_affine(np.linalg.inv(volume.affine), world)).astype(int)
    assert np.array_equal(volume.array[tuple(back.T)], found.array[found.array > -1000])


def test_a_crop_outside_its_scan_is_refused() -> None:
    with pytest.raises(GeometryError, match="lies outside its scan"):
        cropped(ct(), np.array([100.0, 0, 0]), 10.0)


def test_crops_around_a_mask_are_centred_on_each_of_its_pieces(tmp_path: Path) -> None:
    volume = ct((20, 20, 20), spacing=1.0)
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[4:7, 5:8, 6:9] = 1
    mask[14, 12, 10] = 1
    write_volume(Volume(mask, volume.affine, "LABEL"), tmp_path / "scan.nii.gz")
    rule = RegionRule("masked", False, WINDOW, MaskCentres.of(tmp_path), 5.0)
    first, second = all_samples(volume, rule)
    windowed = (volume.array + 1000.0) / 2000
    assert np.allclose(first.image, windowed[3:8, 4:9, 7][::-1, ::-1].T)
    assert np.allclose(second.image, windowed[12:17, 10:15, 10][::-1, ::-1].T)
    with pytest.raises(DataError, match="the image has no mask"):
        all_samples(volume, rule, name="another")
    with pytest.raises(GeometryError, match="different grids"):
        all_samples(ct((20, 20, 19), spacing=1.0), rule)


def test_crops_of_volumes_keep_their_hu(tmp_path: Path) -> None:
    volume = ct((20, 20, 20), spacing=1.0)
    rule = RegionRule("masked", True, WINDOW, AnnotationCentres({"scan": np.array([[9, 8, 7.0]])}))
    (sample,) = all_samples(volume, rule)
    assert isinstance(sample.image, Volume)
    assert sample.image.shape == (50, 50, 50)
    inside = sample.image.array[16:36, 17:37, 18:38]
    assert np.array_equal(inside, volume.array)
    assert (sample.image.array == -1000).sum() == 50**3 - 20**3 + (volume.array == -1000).sum()


def test_annotations_are_the_positions_of_luna16(tmp_path: Path) -> None:
    path = tmp_path / "annotations.csv"
    path.write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.20,-3,-4,5,6\n1.3,1,2,3,4\n1.20,0,0,1,9\n"
    )
    centres = AnnotationCentres.of(path)
    # LPS to RAS; UIDs are no numbers.
    assert centres.of_image(entry_of(ct(), "1.20"), ct()).tolist() == [[3, 4, 5], [0, 0, 1]]
    assert centres.of_image(entry_of(ct(), "p/1.3"), ct()).tolist() == [[-1, -2, 3]]
    assert len(centres.of_image(entry_of(ct(), "1.2"), ct())) == 0


@pytest.mark.parametrize(
    "text",
    [
        "seriesuid,x\n1,2\n",
        "seriesuid,coordX,coordY,coordZ\n1.2,3,four,5\n",
        "seriesuid,coordX,coordY,coordZ\n1.2,3,,5\n",
        "",
    ],
)
def test_what_is_no_annotation_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(FileError):
        AnnotationCentres.of(tmp_path / "bad.csv")


def test_the_annotated_nodule_of_a_real_scan_is_in_the_middle_of_its_crop(
    medgan_data: Path,
) -> None:
    folder = medgan_data / "lidc_idri_0314_luna16"
    (entry,) = [entry for entry in open_set(folder).entries if not entry.key.endswith("mask")]
    centres = AnnotationCentres.of(folder / "annotations.csv")
    (sample,) = samples(entry, RegionRule("masked", False, (-1000, 400), centres, 40.0))
    side = len(sample.image)
    nodule = sample.image[side // 2 - 3 : side // 2 + 3, side // 2 - 3 : side // 2 + 3]
    assert nodule.mean() > 0.6  # soft tissue
    assert np.median(sample.image) < 0.3  # in the lung
