"""A real archive for tests: Orthanc on free ports of this machine, with an empty store."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ports import free_port

PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
PLUGINS = Path("/usr/share/orthanc/plugins")
START_SECONDS = 30


@dataclass(frozen=True)
class Orthanc:
    """Where a running archive listens, on the loopback interface."""

    http_port: int
    dicom_port: int

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def get(self, path: str) -> object:
        """What its own interface answers, e.g. to ``/statistics``."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}") as answer:
            return json.load(answer)


def why_not() -> str | None:
    """What is missing here to run an archive; None where nothing is."""
    if PROGRAM is None:
        return "Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)"
    if not (PLUGINS / "libOrthancDicomWeb.so").exists():
        return "Orthanc's DICOMweb plugin is not installed (Debian: orthanc-dicomweb)"
    return None


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start an archive that keeps everything below a folder, and stop it at the end."""
    archive = Orthanc(free_port(), free_port())
    configuration = {
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
        "HttpPort": archive.http_port,
        "DicomPort": archive.dicom_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "OverwriteInstances": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(
            [str(PROGRAM), str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait_for(archive, process, folder / "orthanc.log")
            yield archive
        finally:
            process.terminate()
            process.wait(timeout=START_SECONDS)


def _wait_for(archive: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            archive.get("/system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"Orthanc did not start: {log.read_text()[-2000:]}")
