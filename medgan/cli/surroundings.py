"""What medgan meets around itself: programs, folders, an MLflow server."""

import os
import shutil
import tempfile
from pathlib import Path

from medgan.cli.findings import Check
from medgan.errors import OutputError

RUNS = Path("runs")
"""Where ``medgan train`` puts its runs."""

PROGRAMS = {
    "chromium": "chromium",
    "dcm2niix": "dcm2niix",
    "dcmdump": "dcmtk",
    "dciodvfy": "dicom3tools",
    "Orthanc": "orthanc",
}
"""Program -> Debian package, of those that the tests compare medgan with."""


def check_programs() -> Check:
    """Whether the other programs are there that tests compare with."""
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing:
        return Check(
            "programs",
            "note",
            f"not installed: {', '.join(missing)}; tests that compare with them are skipped",
            f"apt-get install {' '.join(missing)}, if you run the tests",
        )
    return Check("programs", "ok", ", ".join(PROGRAMS))


def check_runs() -> Check:
    """Whether runs can be kept where the program was started."""
    folder = RUNS if RUNS.exists() else Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Check("runs", "ok", f"{folder} can be written")
    except OSError as error:
        remedy = "Start medgan in a folder you may write to, or give --out"
        return Check("runs", "warn", f"{folder}: {error.strerror}", remedy)


def check_mlflow() -> Check:
    """Whether the MLflow server answers that the environment names."""
    from medgan.models.mlflow_access import store_errors, without_credentials
    from medgan.models.registry import URI_VARIABLE

    uri = os.environ.get(URI_VARIABLE)
    if not uri:
        return Check("MLflow server", "ok", f"{URI_VARIABLE} is not set: runs keep their own store")
    shown = without_credentials(uri, uri)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.exists():
        if os.access(database.parent, os.W_OK):
            return Check("MLflow server", "ok", f"{shown} will be made")
        remedy = f"Set {URI_VARIABLE} to a file in a folder that you may write to"
        return Check("MLflow server", "warn", f"{shown} cannot be made", remedy)
    try:
        with store_errors(uri):
            from mlflow import MlflowClient

            MlflowClient(uri).search_experiments(max_results=1)
    except OutputError as error:
        remedy = f"Start it, or correct {URI_VARIABLE}; trainings go on without it"
        return Check("MLflow server", "warn", f"{shown}: {error.measured}"[:300], remedy)
    return Check("MLflow server", "ok", f"{shown} answers")
