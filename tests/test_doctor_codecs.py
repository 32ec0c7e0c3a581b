"""The images that ``medgan doctor`` decodes, and what it says of decoders that fail."""

import numpy as np
import pytest

from medgan.cli import doctor
from medgan.cli.codec_frames import FRAMES, LOSSY
from medgan.cli.codecs import PACKAGES, check_codecs
from medgan.cli.findings import Check
from medgan.io.dicom import decode, decoder_process

SYNTAXES = {
    uid: bytes.fromhex(frame) for frames in FRAMES.values() for uid, frame in frames.items()
}
JPEG = "1.2.840.10008.1.2.4."


def segments(frame):
    """Marker -> bodies of its segments: ISO/IEC 10918-1 B.1, 15444-1 A.1."""
    found, at = {}, 2
    lowest = 0x50 if frame[1] == 0x4F else 0xC0  # of JPEG 2000 and of JPEG
    while at < len(frame) - 2 and frame[at : at + 2] != b"\xff\x93":  # start of data
        if frame[at] == 0xFF and frame[at + 1] >= lowest:
            size = int.from_bytes(frame[at + 2 : at + 4], "big")
            found.setdefault(frame[at + 1], []).append(frame[at + 4 : at + 2 + size])
            at += 2 + size
        else:  # within a scan
            at += 1
    return found


def numbers(check):
    return check.detail.replace("(", " ").replace(")", " ").replace(",", " ").split()


def test_one_line_names_all_that_work():
    (check,) = check_codecs()
    assert (check.name, check.status) == ("codecs", "ok")
    assert {uid.rpartition(".")[2] for uid in SYNTAXES} <= set(numbers(check))


def test_what_decodes_is_what_medgan_requires():
    assert PACKAGES.keys() == FRAMES.keys()
    assert {name for names in PACKAGES.values() for name in names.split()} <= doctor.MODULES.keys()


@pytest.mark.parametrize(
    ("number", "process"),
    [(50, 0), (51, 1), (53, 2), (55, 2), (57, 3), (70, 3), (80, 55), (81, 55)],
)
def test_a_jpeg_frame_is_of_the_process_that_its_syntax_names(number, process):
    found = segments(SYNTAXES[f"{JPEG}{number}"])
    frame_header, scans = {55: 0xF7}.get(process, 0xC0 + process), found[0xDA]
    assert (found[frame_header][0][0] == 8) == (number == 50), "bits"
    first, _, approximation = zip(*(scan[-3:] for scan in scans), strict=True)
    if number in (53, 55):
        assert len(scans) > 1
        assert any(approximation) == (number == 55)
    else:
        assert len(scans) == 1
    if process == 3:
        assert (first[0] == 1) == (number == 70), "selection value"
    if process == 55:
        assert (first[0] > 0) == (number == 81), "NEAR"


@pytest.mark.parametrize("number", [90, 91, 201, 202, 203])
def test_a_jpeg_2000_frame_is_of_the_kind_that_its_syntax_names(number):
    found = segments(SYNTAXES[f"{JPEG}{number}"])
    order, style, transform = found[0x52][0][1], found[0x52][0][8], found[0x52][0][9]
    assert (0x50 in found) == bool(style & 0x40) == (number > 200), "high throughput"
    assert transform == (0 if number in (91, 203) else 1), "9-7 irreversible or 5-3 reversible"
    assert number != 202 or order == 2, "RPCL"


def test_a_run_length_frame_holds_the_ramp():
    frame = SYNTAXES["1.2.840.10008.1.2.5"]
    count, *starts = np.frombuffer(frame[:12], "<u4").tolist()
    assert count == 2
    planes = []
    for start in starts:
        plane, at = [], start
        while len(plane) < 64:  # PS3.5 G.3.1
            head = frame[at]
            if head < 128:
                plane += frame[at + 1 : at + 2 + head]
            elif head > 128:
                plane += [frame[at + 1]] * (257 - head)
            at += 2 + head if head < 128 else 2
        planes.append(np.array(plane))
    np.testing.assert_array_equal(256 * planes[0] + planes[1], 64 * np.arange(64))


@pytest.mark.parametrize(
    ("number", "name", "package"),
    [
        ("57", "JPEG Lossless, Non-Hierarchical (Process 14)", "python-gdcm"),
        ("81", "JPEG-LS Lossy (Near-Lossless) Image Compression", "python-gdcm"),
        ("90", "JPEG 2000 Image Compression (Lossless Only)", "pylibjpeg-openjpeg"),
        ("203", "High-Throughput JPEG 2000 Image Compression", "pylibjpeg-openjpeg"),
    ],
)
def test_a_decoder_that_is_missing_fails_by_name_with_its_package(
    monkeypatch, number, name, package
):
    decoder = decode.get_decoder(f"{JPEG}{number}")
    (before,) = check_codecs()
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"any": ("any",)})
    working, failing = check_codecs()
    assert (before.status, working.status) == ("ok", "ok")
    assert set(numbers(before)) - set(numbers(working)) == {number}
    assert (failing.name, failing.status) == (f"codec {number}", "fail")
    assert failing.detail == f"{name}: no decoder is installed"
    assert failing.remedy.split()[-1] == package


def test_the_decoder_of_12_bits_that_is_missing_fails_alone(monkeypatch):
    find = decode.importlib.util.find_spec
    monkeypatch.setattr(
        decode.importlib.util, "find_spec", lambda name: None if name == "gdcm" else find(name)
    )
    _, *failing = check_codecs()
    assert [check.name for check in failing] == ["codec 51", "codec 53", "codec 55"]


@pytest.fixture
def decoded_by(monkeypatch):
    """Change what the decoder gives."""
    decoder = decoder_process.DECODER
    original = decoder.decode
    return lambda change: monkeypatch.setattr(
        decoder, "decode", lambda *arguments: change(original(*arguments))
    )


def failed(checks):
    return {check.name.removeprefix("codec ") for check in checks if check.status == "fail"}


def test_pixels_that_are_off_by_one_fail_where_nothing_may_be_lost(decoded_by):
    decoded_by(lambda pixels: pixels + (pixels < 128).astype(pixels.dtype))
    checks = list(check_codecs())
    assert failed(checks) == {uid.rpartition(".")[2] for uid in SYNTAXES.keys() - LOSSY}
    assert all("wrong by up to 1" in check.detail for check in checks[1:])


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p[::-1],
        lambda p: p[:, ::-1],
        lambda p: p.T,
        lambda p: np.roll(p, 1),
        np.zeros_like,
    ],
)
def test_pixels_in_the_wrong_places_fail_everywhere(decoded_by, change):
    decoded_by(change)
    assert failed(check_codecs()) == {uid.rpartition(".")[2] for uid in SYNTAXES}
    assert len(list(check_codecs())) == len(SYNTAXES), "no line of what works"


def test_a_decoder_that_crashes_is_a_failure(monkeypatch, tmp_path):
    (tmp_path / "decode_worker.py").write_text("import os; os.abort()")
    monkeypatch.setattr(decoder_process, "WORKER", tmp_path / "decode_worker.py")
    monkeypatch.setattr(decoder_process.DECODER, "_process", None)
    checks = list(check_codecs())
    assert failed(checks) == {uid.rpartition(".")[2] for uid in SYNTAXES}
    assert all("crashed" in check.detail for check in checks)


@pytest.mark.parametrize("broken", ["numpy", "pydicom"])
def test_codecs_are_not_tried_without_the_library_that_reads_their_files(monkeypatch, broken):
    def check(name):
        return Check(name, "fail" if name in (broken, "torch") else "ok", "")

    monkeypatch.setattr(doctor, "check_dependency", check)
    assert "codecs" not in {check.name for check in doctor.all_checks()}
