"""A conversion that is killed and resumed is one that ran through."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from medgan.io.batch.staging import STAGING
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, write_slices

SERIES = 30
CODE = "import sys; from medgan.cli.main import main; main(sys.argv[1:])"


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1800000000"}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "convert", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty series, every tenth one with a gap."""
    root = tmp_path_factory.mktemp("studies")
    for number in range(SERIES):
        images = rescaled(stack(slices=5, shape=(64, 64), first=number), 1, -1024)
        if number % 10 == 9:
            del images[2]
        uids = Uids(f"series {number}", f"study {number // 3}")
        write_slices(images, root / f"{number:02d}", "CT", uids)
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("to", "workers", "kills"), [("nifti", 1, 10), ("nifti", 2, 2), ("dicom", 1, 2)]
)
def test_kills_leave_no_trace(
    studies: Path, tmp_path: Path, to: str, workers: int, kills: int
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"a secret of more than sixteen bytes")
    options = ["--to", to, "--jobs", workers]
    options += ["--deidentify", "--key", key] if to == "dicom" else ["--irregular", "resample"]
    begin = time.monotonic()
    assert start(studies, tmp_path / "through", *options).wait() == 0
    duration = time.monotonic() - begin
    draw = random.Random(f"{to} {workers}")
    killed = tmp_path / "killed"
    interrupted = 0
    for _ in range(kills):
        process = start(studies, killed, *options)
        time.sleep(draw.uniform(0.3, 1.0) * duration)
        process.send_signal(signal.SIGKILL)
        interrupted += process.wait() == -signal.SIGKILL
        if (killed / STAGING).exists():
            # Whatever is in place is whole at any moment.
            through = contents(tmp_path / "through")
            for name, content in contents(killed).items():
                if not name.startswith(STAGING) and name != "manifest.csv":
                    assert through[name] == content, name
    assert interrupted > 0
    assert start(studies, killed, *options).wait() == 0
    assert contents(killed) == contents(tmp_path / "through")


def test_workers_end_when_their_parent_is_killed(studies: Path, tmp_path: Path) -> None:
    import psutil

    process = start(studies, tmp_path / "out", "--to", "nifti", "--jobs", "2")
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 60
    while len(workers := parent.children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def test_gzip_files_of_equal_images_are_equal(tmp_path: Path) -> None:
    from medgan.io import write_volume
    from medgan.volumes import Volume

    volume = Volume(np.zeros((3, 4, 5), np.int16), np.eye(4), "CT")
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(volume, tmp_path / name)
        os.utime(tmp_path / name, (1, 1))
    first, second = (tmp_path / name for name in ("a.nii.gz", "b.nii.gz"))
    assert first.read_bytes() == second.read_bytes()
    # Byte 3 has no flag for a name; bytes 4 to 7, the time, are 0. Source: RFC 1952, 2.3.
    assert first.read_bytes()[3:8] == bytes(5)
