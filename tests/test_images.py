"""Pictures read from files and drawn for training."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from medgan.config import ImagesConfig
from medgan.data.images import UnpairedImages, picture_sample
from medgan.errors import ConfigError, FileError
from medgan.io.pictures import find_pictures, read_picture, write_picture

ROWS, COLUMNS = 12, 8
SIZE = (ROWS, COLUMNS)


def gradient(channels=3, dtype=np.uint8):
    """Every row, column and channel differs; (rows, columns[, channels])."""
    row, column, channel = np.indices((ROWS, COLUMNS, channels))
    largest = np.iinfo(dtype).max
    values = (largest // 32) * (row + column + 4 * channel) // 1 + row
    return values.astype(dtype)[..., 0] if channels == 1 else values.astype(dtype)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.fixture
def folders(tmp_path):
    """trainA: 32 x 32 pictures that hold their own columns; trainB: a constant each."""
    for domain in "AB":
        (tmp_path / f"train{domain}").mkdir()
    for number in range(3):
        columns = np.broadcast_to(np.arange(48, dtype=np.uint8) * 5, (48, 48))
        Image.fromarray(columns + np.uint8(number)).save(tmp_path / f"trainA/{number}.png")
        plain = np.full((40, 30, 3), 50 * number, dtype=np.uint8)
        Image.fromarray(plain).save(tmp_path / f"trainB/{number}.png")
    return tmp_path


def settings(root, **changes):
    return ImagesConfig(**{"root": root, "load_size": 48, **changes})


def test_a_picture_in_its_own_size_is_read_value_by_value(tmp_path):
    array = gradient()
    path = saved(tmp_path / "a.png", Image.fromarray(array))
    found = read_picture(path, 3, SIZE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.moveaxis(array, -1, 0) / 255, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_kind_of_picture_is_read_as_pillow_shows_it(tmp_path, mode):
    image = Image.fromarray(gradient()).convert(mode)
    suffix, options = ("jpg", {"quality": 100}) if mode in ("CMYK", "YCbCr") else ("png", {})
    path = saved(tmp_path / f"a.{suffix}", image, **options)
    with Image.open(path) as stored:
        truth = np.asarray(stored.convert("RGB")).astype(float) / 255
    np.testing.assert_allclose(read_picture(path, 3, SIZE), np.moveaxis(truth, -1, 0), atol=1e-6)
    grey = truth @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(read_picture(path, 1, SIZE)[0], grey, atol=0.6 / 255)


def test_sixteen_bits_of_grey_are_kept(tmp_path):
    array = gradient(1, np.uint16)
    path = saved(tmp_path / "a.png", Image.fromarray(array))
    found = read_picture(path, 3, SIZE)
    assert len(np.unique(found[0])) > 90
    for channel in found:
        np.testing.assert_allclose(channel, array / 65535, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_otherwise_gives_the_same_picture(tmp_path, orientation):
    upright = gradient()
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: upright.swapaxes(0, 1)[::-1],
        7: upright.swapaxes(0, 1)[::-1, ::-1], 8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(turned)), exif=exif)
    truth = np.moveaxis(upright, -1, 0) / 255
    np.testing.assert_allclose(read_picture(path, 3, SIZE), truth, atol=1e-6)


def test_resizing_is_that_of_pillow_but_for_rounding(tmp_path):
    noise = np.random.default_rng(0).integers(80, 176, (37, 23, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(noise))
    truth = np.asarray(Image.fromarray(noise).resize((16, 20), Image.Resampling.BICUBIC))
    found = read_picture(path, 3, (20, 16))
    # pillow rounds to 8 bits, and clips, after each axis
    np.testing.assert_allclose(found, np.moveaxis(truth, -1, 0) / 255, atol=1.5 / 255)


def test_what_is_written_is_rounded_and_says_that_it_is_synthetic(tmp_path):
    values = np.random.default_rng(0).uniform(-0.1, 1.1, (3, ROWS, COLUMNS)).astype(np.float32)
    for part in (values, values[:1]):
        write_picture(tmp_path / "a.png", part)
        found = read_picture(tmp_path / "a.png", len(part), SIZE)
        np.testing.assert_allclose(found, part.clip(0, 1), atol=0.5001 / 255)
        with Image.open(tmp_path / "a.png") as image:
            assert image.text["Synthetic"] == "YES"
            assert image.text["Software"].startswith("medgan ")


def test_a_folder_is_searched_by_name_and_without_hidden_files(tmp_path):
    for name in ("b.PNG", "a.jpeg", "c.jpg", "._c.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    assert [path.name for path in find_pictures(tmp_path)] == ["a.jpeg", "b.PNG", "c.jpg"]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_pictures_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=name):
        find_pictures(tmp_path / name)


def test_a_missing_or_foreign_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"absent\.png: no such file"):
        read_picture(tmp_path / "absent.png", 3, SIZE)
    saved(tmp_path / "a.png", Image.fromarray(gradient()), format="BMP")
    with pytest.raises(FileError, match=r"a\.png: the picture is damaged or of another kind"):
        read_picture(tmp_path / "a.png", 3, SIZE)


@pytest.mark.parametrize(("kind", "options"), [("png", {}), ("jpg", {"exif": True})])
def test_a_damaged_picture_is_read_or_refused_by_name(tmp_path, kind, options):
    if options:
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif}
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 24, 3), np.uint8))
    sound = saved(tmp_path / f"sound.{kind}", image, **options).read_bytes()
    path, refused = tmp_path / f"hurt.{kind}", 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        hurt = bytearray(sound[: len(sound) if seed % 3 else int(rng.integers(len(sound)))])
        for place in rng.integers(0, min(len(hurt), 200), 4) if hurt else ():
            hurt[place] = rng.integers(256)
        path.write_bytes(hurt)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_picture(path, 3, SIZE)
        except FileError as error:
            refused += 1
            assert "hurt" in str(error)
    assert refused > 20


@pytest.mark.parametrize("side", [9_000, 50_000])
def test_a_picture_that_would_fill_the_memory_is_refused_unread(tmp_path, side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    with (tmp_path / "bomb.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99))):
            crc = zlib.crc32(kind + content)
            file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc))
    with pytest.raises(FileError, match=r"bomb\.png: the picture is too large"):
        read_picture(tmp_path / "bomb.png", 3, SIZE)


def test_only_grey_and_colours_can_be_read(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(gradient()))
    with pytest.raises(ConfigError, match=r"measured 2.*network\.channels"):
        read_picture(path, 2, SIZE)


def test_a_sample_is_the_whole_picture_scaled_to_the_networks_range(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(gradient()))
    sample = picture_sample(path, 3, SIZE)
    np.testing.assert_allclose(sample.image, 2 * read_picture(path, 3, SIZE) - 1, atol=1e-6)
    assert sample.body.shape == (1, *SIZE)
    assert sample.body.all()


def test_a_draw_follows_from_its_generator_alone(folders):
    images = UnpairedImages(settings(folders), (32, 36), (1, 3))
    drawn = [images.draw(np.random.default_rng([7, k])) for k in range(6)]
    assert [sample.image.shape for sample in drawn[0]] == [(1, 32, 36), (3, 32, 36)]
    fresh = UnpairedImages(settings(folders), (32, 36), (1, 3))
    for k in reversed(range(6)):
        for first, again in zip(drawn[k], fresh.draw(np.random.default_rng([7, k])), strict=True):
            np.testing.assert_array_equal(first.image, again.image)


def test_views_come_from_everywhere_and_every_picture(folders):
    images = UnpairedImages(settings(folders), (32, 32), (1, 3))
    lefts, mirrored, seen = set(), set(), set()
    for k in range(200):
        of_A, of_B = images.draw(np.random.default_rng(k))
        row = np.rint((of_A.image[0, 0] + 1) * 127.5)
        mirrored.add(bool(row[0] > row[-1]))
        lefts.add(int(row.min()) // 5)
        seen.add(round(float(of_B.image[0, 0, 0] + 1) * 127.5))
        np.testing.assert_array_equal(np.abs(np.diff(row)), 5)
    assert lefts == set(range(48 - 32 + 1))
    assert mirrored == {False, True}
    assert seen == {0, 50, 100}


def test_mirroring_can_be_switched_off_and_changes_nothing_else(folders):
    plain = UnpairedImages(settings(folders, mirror=False), (32, 32), (1, 3))
    either = UnpairedImages(settings(folders), (32, 32), (1, 3))
    for k in range(20):
        still, view = (i.draw(np.random.default_rng(k))[0].image for i in (plain, either))
        assert np.diff(still[0, 0]).min() > 0
        assert np.array_equal(view, still) or np.array_equal(view, still[..., ::-1])


def test_views_larger_than_their_square_are_refused(folders):
    with pytest.raises(ConfigError, match=r"load_size.*measured 48.*at least 64"):
        UnpairedImages(settings(folders), (32, 64), (1, 3))


def test_a_missing_domain_is_named(folders, tmp_path):
    (tmp_path / "trainB").rename(tmp_path / "other")
    with pytest.raises(FileError, match=r"trainB: no such folder"):
        UnpairedImages(settings(folders), (32, 32), (1, 3))
