import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

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


@pytest.fixture
def weights_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where weights are kept, in a cache of the test's own; not there yet."""
    monkeypatch.setenv("MEDGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


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


TINY_MM = (6.0, 6.0, 6.0)


@pytest.fixture(scope="session")
def tiny_scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``mr_1.nii.gz`` to ``ct_4.nii.gz``: four phantom heads at 6 mm."""
    from medgan.io import write_volume
    from medgan.phantoms.scan import scan_head

    folder = tmp_path_factory.mktemp("scans")
    for seed in (1, 2, 3, 4):
        head = scan_head(seed, spacing_mm=TINY_MM, supersample=1)
        write_volume(head.mr, folder / f"mr_{seed}.nii.gz")
        write_volume(head.ct, folder / f"ct_{seed}.nii.gz")
    return folder


@pytest.fixture(scope="session")
def _tiny_base(tiny_scans: Path) -> dict[str, Any]:
    return {
        "name": "tiny",
        "data": {
            "root": str(tiny_scans),
            "source": ["mr_1.nii.gz"],
            "target": ["ct_2.nii.gz", "ct_3.nii.gz"],
            "phantoms": {"heads": 1, "slices": 3, "validation_heads": 1},
        },
        "preparation": {"spacing_mm": list(TINY_MM), "matrix": [48, 48]},
        "network": {"width": 4, "blocks": 1, "contents": 2, "discriminator_width": 4},
        "losses": {"phantom": 10},
        "training": {
            "steps": 4, "warmup_steps": 1, "batch": 2, "pool": 3, "average_decay": 0.9,
            "validate_every": 2, "checkpoint_every": 2, "log_every": 1,
        },
        "tracking": {"enabled": False},
        "evaluation": [{"name": "head", "source": "mr_4.nii.gz", "target": "ct_4.nii.gz"}],
    }  # fmt: skip


@pytest.fixture
def tiny_document(_tiny_base: dict[str, Any]) -> dict[str, Any]:
    """A tiny but complete training: real slices, phantoms, averaging, pools, validation."""
    return copy.deepcopy(_tiny_base)


@pytest.fixture(scope="session")
def tiny_run(_tiny_base: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of ``medgan train`` on the tiny training, mirrored to MLflow; read only."""
    from medgan.cli.main import main

    folder = tmp_path_factory.mktemp("run")
    document = copy.deepcopy(_tiny_base)
    del document["tracking"]
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(folder / "tiny.yaml"), "--out", str(folder / "tiny")])
    assert not stopped.value.code
    return folder / "tiny"


@pytest.fixture
def medgan_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, standard output, standard error."""
    from medgan.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run
