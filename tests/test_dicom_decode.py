import zlib

import numpy as np
import pydicom
import pytest
from htj2k import codestream
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, JPEGLSLossless, RLELossless

from medgan.errors import FileError, MedganError
from medgan.io import values
from medgan.io.dicom import decode, decoder_process, errors, index_folder, read_series
from medgan.io.dicom.decode import stored_frames
from medgan.io.dicom.decoder_process import DecoderProcess
from medgan.phantoms.dicom_cases import write_case
from medgan.phantoms.dicom_slices import COLUMNS, ROWS, Uids, dataset, save, stack


def image(**tags):
    header = dataset(stack(slices=1)[0].with_tags(**tags), "MR", Uids("a", "decode"), 1)
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return header


def naive(words, stored, high, signed):
    """The standard's definition, bit by bit."""
    out = []
    for word in words.ravel().tolist():
        bits = [(word >> position) & 1 for position in range(high + 1 - stored, high + 1)]
        value = sum(bit << place for place, bit in enumerate(bits))
        out.append(value - (1 << stored) if signed and bits[-1] else value)
    return np.reshape(out, words.shape)


@pytest.mark.parametrize(
    ("stored", "high", "signed"),
    [(12, 11, 0), (12, 11, 1), (12, 15, 0), (12, 15, 1), (10, 12, 1), (16, 15, 0), (16, 15, 1)],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_stored_bits_are_taken_out_of_their_words(stored, high, signed, order):
    words = np.random.default_rng(0).integers(0, 1 << 16, (ROWS, COLUMNS))
    header = image(
        BitsStored=stored,
        HighBit=high,
        PixelRepresentation=signed,
        PixelData=words.astype(f"{order}u2").tobytes(),
    )
    if order == ">":
        header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    (found,) = stored_frames(header, [1], "a")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, naive(words, stored, high, signed))


@pytest.mark.parametrize("signed", [0, 1])
def test_eight_bits_are_read(signed):
    words = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) + 100
    header = image(BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=signed)
    header.PixelData = words.astype(np.uint8).tobytes()
    (found,) = stored_frames(header, [1], "a")
    np.testing.assert_array_equal(found, words.astype(np.int8 if signed else np.uint8))


@pytest.mark.parametrize("extra", [0, 1, 2, 8])
def test_a_little_padding_behind_the_pixels_is_borne(extra):
    header = image()
    header.PixelData = header.PixelData + bytes(extra)
    assert stored_frames(header, [1], "a")[0].shape == (ROWS, COLUMNS)


def test_a_row_too_much_or_a_byte_too_few_is_refused():
    header = image()
    header.PixelData = header.PixelData + bytes(2 * COLUMNS)
    with pytest.raises(errors.DamagedFile, match="more pixels"):
        stored_frames(header, [1], "a")
    header.PixelData = header.PixelData[: -2 * COLUMNS - 1]
    with pytest.raises(errors.TruncatedFile, match="239 bytes, allowed 240"):
        stored_frames(header, [1], "a")


@pytest.mark.parametrize(
    "tags",
    [
        {"SamplesPerPixel": 3},
        {"BitsAllocated": 12},
        {"BitsStored": 17},
        {"HighBit": 16},
        {"BitsAllocated": 1},
        {"Rows": 65535, "Columns": 65535},
    ],
)
def test_unusual_pixels_are_refused_before_they_are_touched(tags):
    with pytest.raises(errors.UnsupportedPixels):
        stored_frames(image(**tags), [1], "a")


def test_floating_point_pixels_are_refused():
    header = image()
    del header.PixelData
    header.FloatPixelData = np.zeros((ROWS, COLUMNS), np.float32).tobytes()
    with pytest.raises(errors.UnsupportedPixels, match="floating-point"):
        stored_frames(header, [1], "a")


def compressed(syntax, content):
    header = image()
    header.file_meta.TransferSyntaxUID = syntax
    header.PixelData = encapsulate([content])
    header["PixelData"].is_undefined_length = True
    return header


def test_a_syntax_without_decoder_is_named():
    with pytest.raises(errors.UnsupportedTransferSyntax, match="MPEG2 Main Profile"):
        stored_frames(compressed(MPEG2MPML, b"abcd"), [1], "a")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(decode.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.UnsupportedTransferSyntax, match="python-gdcm"):
        stored_frames(compressed(pydicom.uid.UID("1.2.840.10008.1.2.4.51"), b"abcd"), [1], "a")


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_rubbish_in_place_of_compressed_pixels_is_a_typed_error(syntax):
    rng = np.random.default_rng(1)
    for size in (2, 100, 5000):
        with pytest.raises(errors.FileError):
            stored_frames(compressed(syntax, rng.bytes(size)), [1], "a")


@pytest.mark.parametrize("name", ["rle", "jpeg_lossless_70", "jpeg_ls", "jpeg_2000"])
def test_mutated_compressed_series_are_read_or_refused(tmp_path, name):
    write_case(name, tmp_path)
    path = tmp_path / "a_003.dcm"
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    start = len(whole) - 200
    outcomes = []
    for _ in range(8):
        spoiled = bytearray(whole)
        for position in rng.integers(start, len(whole), 6):
            spoiled[position] = rng.integers(256)
        path.write_bytes(bytes(spoiled))
        for entry in index_folder(path).entries:
            try:
                outcomes.append(read_series(entry).volume.shape == entry.shape)
            except MedganError as error:
                outcomes.append(str(path.name) in str(error))
    assert len(outcomes) >= 8
    assert all(outcomes), "a volume of the declared shape, or an error that names the file"


def test_more_pixels_than_compressed_data_can_hold_are_refused(monkeypatch):
    monkeypatch.setattr(values, "LARGEST_UNPACKED", 100)
    monkeypatch.setattr(values, "LARGEST_EXPANSION", 1)
    with pytest.raises(FileError, match="unpacks to more"):
        stored_frames(compressed(RLELossless, b"abcd"), [1], "a")


def test_a_decoder_that_dies_is_an_error_and_the_next_frame_is_decoded():
    pixels = stack(slices=1)[0].stored
    header = image()
    header.compress(JPEGLSLossless, generate_instance_uid=False)
    decoder = decoder_process.DECODER
    assert stored_frames(header, [1], "a")[0].tolist() == pixels.tolist()
    decoder._process.kill()
    decoder._process.wait()
    assert stored_frames(header, [1], "a")[0].tolist() == pixels.tolist()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", "crashed"),
        ("import time; time.sleep(60)", "took too long"),
        ("x = bytearray(1 << 40)", "crashed"),
    ],
)
def test_a_crash_or_a_hang_becomes_a_typed_error(tmp_path, monkeypatch, program, words):
    worker = tmp_path / "decode_worker.py"
    worker.write_text(program)
    monkeypatch.setattr(decoder_process, "WORKER", worker)
    monkeypatch.setattr(decoder_process, "SILENCE_SECONDS", 0.5)
    decoder = DecoderProcess()
    with pytest.raises(errors.DecodingFailed, match=words):
        decoder.decode(RLELossless, {}, b"abcd", "a")
    assert decoder._process is None


def test_the_memory_of_the_decoder_is_limited(tmp_path, monkeypatch):
    source = decoder_process.WORKER.read_text().replace("def decode(", "def _decode(")
    program = source.replace(
        'if __name__ == "__main__":',
        "def decode(request, frame):\n"
        "    try:\n"
        "        bytearray(2 << 30)\n"
        "    except MemoryError:\n"
        '        return {"error": "MemoryError"}, b""\n'
        '    return {"error": "none"}, b""\n\n'
        'if __name__ == "__main__":',
    )
    (tmp_path / "decode_worker.py").write_text(program)
    monkeypatch.setattr(decoder_process, "WORKER", tmp_path / "decode_worker.py")
    decoder = DecoderProcess()
    with pytest.raises(errors.DecodingFailed, match="MemoryError"):
        decoder.decode(RLELossless, {}, b"abcd", "a")
    decoder.stop()


def test_a_deflated_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(values, "LARGEST_UNPACKED", 1 << 20)
    header = image()
    save(header, tmp_path / "a.dcm", pydicom.uid.DeflatedExplicitVRLittleEndian)
    (entry,) = index_folder(tmp_path).entries
    assert entry.problem is None
    content = (tmp_path / "a.dcm").read_bytes()
    meta = pydicom.filereader.read_file_meta_info(tmp_path / "a.dcm")
    start = 144 + meta.FileMetaInformationGroupLength
    plain = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    bomb = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = bomb.compress(plain + bytes(2 << 20)) + bomb.flush()
    (tmp_path / "a.dcm").write_bytes(content[:start] + deflated)
    (entry,) = index_folder(tmp_path).entries
    assert isinstance(entry.problem, FileError)
    assert "unpacks to more" in str(entry.problem)


HTJ2K = [pydicom.uid.UID(f"1.2.840.10008.1.2.4.{number}") for number in (201, 202, 203)]


@pytest.mark.parametrize("syntax", HTJ2K)
def test_high_throughput_jpeg_2000_is_decoded(syntax):
    (found,) = stored_frames(compressed(syntax, codestream(ROWS, COLUMNS, 12)), [1], "a")
    np.testing.assert_array_equal(found, np.full((ROWS, COLUMNS), 2048))


@pytest.mark.parametrize("syntax", HTJ2K)
def test_damaged_high_throughput_jpeg_2000_is_a_typed_error(syntax):
    content = codestream(ROWS, COLUMNS, 12)
    for wrong in (content[:60], codestream(ROWS, COLUMNS + 2, 12), b"\xff\x4f" + bytes(99)):
        with pytest.raises(errors.DecodingFailed):
            stored_frames(compressed(syntax, wrong), [1], "a")


def test_the_package_that_decodes_high_throughput_jpeg_2000_is_named(monkeypatch):
    decoder = decode.get_decoder(HTJ2K[0])
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg-openjpeg>=2.0",)})
    with pytest.raises(errors.UnsupportedTransferSyntax) as caught:
        stored_frames(compressed(HTJ2K[0], b"abcd"), [1], "a")
    assert "High-Throughput JPEG 2000" in str(caught.value)
    assert "pylibjpeg-openjpeg" in str(caught.value)
