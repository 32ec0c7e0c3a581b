import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch, numpy or matplotlib are imported: they read these once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "medgan_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session", autouse=True)
def cache_outside_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes what an earlier run, or the user, has cached."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDGAN_CACHE", str(folder))
        patch.setenv("MPLCONFIGDIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def medgan_data() -> Path:
    """The folder of real scans."""
    name = os.environ.get("MEDGAN_DATA")
    if not name:
        pytest.skip("MEDGAN_DATA is not set: it names the folder of real scans")
    folder = Path(name)
    if not folder.is_dir():
        pytest.skip("the folder that MEDGAN_DATA names does not exist")
    return folder
