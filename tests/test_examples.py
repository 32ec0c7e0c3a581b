"""Every example in the help of a verb, run as it is written.

The folder that they run in holds what they name, small. What would take hours is run up to the
work itself (``SMOKE``): its arguments are read, files and options checked, and the work is handed
what they say.
"""

import dataclasses
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detection_phantoms import make_chest
from listening import write_mr
from published import attention_state

from medgan.cli import reference
from medgan.cli.main import VERBS, load, main
from medgan.config import NetworkConfig, PreparationConfig
from medgan.io import read_volume, write_volume
from medgan.io.luna16 import Row, write_rows, write_uids
from medgan.models.model_file import ModelCard, save_model
from medgan.networks.build import build_generators
from medgan.phantoms.scan import scan_head
from medgan.volumes import Volume

ROOT = Path(__file__).parents[1]


def examples() -> dict[str, list[str]]:
    """Command -> the examples in its help."""
    found = {}
    for section in reference.reference().split("\n## ")[1:]:
        name, _, text = section.partition("\n")
        texts = re.findall(r"Example: (medgan.*?)(?:\n\s*\n|\n```)", text, re.DOTALL)
        found[name] = [" ".join(text.split()) for text in texts]
    return found


EXAMPLES = examples()
LINES = sorted({line for lines in EXAMPLES.values() for line in lines})


def network_file(path: Path, source: str, target: str, mm: float, **network: Any) -> None:
    """A model with random weights."""
    torch.manual_seed(0)
    config = NetworkConfig(width=4, blocks=1, contents=2, **network)
    preparation = PreparationConfig(
        spacing_mm=(mm, mm, mm), matrix=(48, 48), patch=(24, 24, 24), window_hu=(-1000, 400)
    )
    card = ModelCard(
        source=source,
        target=target,
        preparation=preparation,
        network=config,
        provenance={"name": path.name},
    )
    path.mkdir(parents=True)
    save_model(path / "model.safetensors", *build_generators(config), card)


def make_luna(root: Path) -> None:
    """A chest in some of the folds."""
    (root / "seg-lungs").mkdir(parents=True)
    rows, uids = [], []
    for fold in (0, 1, 8, 9):
        (root / f"subset{fold}").mkdir()
        chest = make_chest(
            root / f"subset{fold}", fold, nodules=1, vessels=3, mask_suffix=".mhd",
            masks=root / "seg-lungs",
        )  # fmt: skip
        uids.append(chest.uid)
        rows += [Row(chest.uid, one.position_mm, one.diameter_mm) for one in chest.nodules]
    write_rows(root / "annotations.csv", rows, "diameter_mm")
    write_rows(root / "annotations_excluded.csv", [], "diameter_mm")
    for name in ("annotations.csv", "annotations_excluded.csv"):
        shutil.copy(root / name, root.parent / name)
    write_uids(root.parent / "seriesuids.csv", uids)
    marks = [replace_diameter(row) for row in rows]
    write_rows(root.parent / "results.csv", marks, "probability")


def replace_diameter(row: Row) -> Row:
    """A nodule as a mark of high probability."""
    return Row(row.uid, row.position_mm, 0.9)


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def middle(volume: Volume) -> Volume:
    """So few slices that a network of features has little to do."""
    cut = tuple(slice(size // 2 - 6, size // 2 + 6) for size in volume.shape)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in cut]
    return replace(volume, array=volume.array[cut].copy(), affine=affine)


def make_volumes(folder: Path, scans: Path) -> None:
    """Heads in files and in DICOM, and middles of heads for what takes long."""
    for seed in (2, 3):
        (folder / "scans").mkdir(exist_ok=True)
        shutil.copy(scans / f"mr_{seed}.nii.gz", folder / "scans")
    shutil.copy(scans / "mr_1.nii.gz", folder / "head.nii.gz")
    for seed in (1, 2, 3, 4):
        mr, ct = (
            middle(read_volume(scans / f"{kind}_{seed}.nii.gz", modality=kind.upper()))
            for kind in ("mr", "ct")
        )
        write_volume(ct, made(folder / "real_ct") / f"{seed}.nii.gz")
        if seed in (1, 4):
            wrong = replace(ct, array=(ct.array * 0.9).astype(np.float32), synthetic=True)
            write_volume(wrong, made(folder / "synthetic_ct") / f"head_{seed}.nii.gz")
            write_volume(ct, made(folder / "ct") / f"head_{seed}.nii.gz")
            write_volume(mr, made(folder / "mr") / f"head_{seed}.nii.gz")
    write_mr(scan_head(4, spacing_mm=(6.0, 6.0, 12.0), supersample=1), folder / "studies" / "one")


@pytest.fixture(scope="module")
def place(tiny_scans: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the examples name."""
    from medgan.detection.config import DetectorConfig

    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in ("mr_to_ct_head", "t1_to_ct", "t1_to_ct_wide"):
        shutil.copytree(tiny_run, folder / "runs" / name)
    make_volumes(folder, tiny_scans)
    make_luna(folder / "luna16")
    network_file(folder / "runs" / "luna16_nodules", "CT", "CT", 2.0, spatial_dims=3, conditions=2)
    network_file(folder / "runs" / "luna16_slices", "LABEL", "CT", 2.0, channels=(8, 1))
    tiny_detector(folder, DetectorConfig)
    (folder / "horse2zebra").mkdir()
    for seed, name in enumerate("AB"):
        state = attention_state(3, seed, contents=9, maps=10, blocks=1)
        torch.save(state, folder / "horse2zebra" / f"latest_net_G_{name}.pth")
    return folder


def tiny_detector(folder: Path, config: Any) -> None:
    """A detector of one step in ``runs/detector``."""
    settings = (
        "input.spacing_mm=3", "network.width=4", "sampling.patch=16", "training.steps=1",
        "training.batch=1", "training.validate_every=1", "prediction.threshold=0",
    )  # fmt: skip
    code = run(
        ["detect", "train", str(folder / "luna16"), *settings, "--subsets", "0", "--validation",
         "1", "--out", str(folder / "runs" / "detector")]
    )  # fmt: skip
    assert code == 0


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


@dataclasses.dataclass
class Figures:
    """What a benchmark gives."""

    seconds: float = 1.0


@dataclasses.dataclass
class Smoke:
    """Work that is too long for a test.

    Attributes:
        work: module and name of the function.
        given: that what it was given is what the example says.
        result: what it gives back.
    """

    work: str
    given: Callable[[tuple[Any, ...], dict[str, Any]], bool]
    result: Any = None


NUMBERS = {"mae_hu": 100.0, "bone_dice": 0.5}

SMOKE = {
    "medgan demo": Smoke(
        "medgan.recipes.demo.demo",
        lambda a, k: a[0] == Path("demo"),
        {
            "cases": 2,
            "result": NUMBERS,
            "floors": {"constant": NUMBERS, "lookup_table": NUMBERS},
        },
    ),
    "medgan train": Smoke(
        "medgan.recipes.training.train",
        lambda a, k: (
            (a[0].training.warmup_steps, a[0].training.steps, a[1])
            == (400, 500, Path("runs/mr_to_ct_head"))
        ),
    ),
    "medgan detect train": Smoke(
        "medgan.detection.train_detector",
        lambda a, k: (
            [scan.subset for scan in a[0]] == [0, 1]
            and [scan.subset for scan in k["validation"]] == [8]
            and a[2] == Path("runs/detector")
        ),
    ),
    "medgan listen": Smoke(
        "medgan.node.node.check",
        lambda a, k: a[0].ae_title == "MEDGAN" and a[0].send.store.port == 4242,
        (),
    ),
    "medgan benchmark train": Smoke(
        "medgan.recipes.training_speed.measure",
        lambda a, k: a[0].size == 256 and k["steps"] == 5,
        Figures(),
    ),
    "medgan benchmark translate": Smoke(
        "medgan.recipes.translation_speed.measure",
        lambda a, k: (a[0].size, a[0].slices, k["rounds"]) == (512, 600, 1),
        Figures(),
    ),
    "medgan benchmark convert": Smoke(
        "medgan.recipes.conversion_speed.measure",
        lambda a, k: (k["series"], k["slices"]) == (4, 100),
        Figures(),
    ),
    "medgan benchmark fid": Smoke(
        "medgan.recipes.distribution_speed.measure",
        lambda a, k: a[0].images == 5000,
        Figures(),
    ),
    "medgan benchmark froc": Smoke(
        "medgan.recipes.froc_speed.measure",
        lambda a, k: (a[0].scans, a[0].marks) == (888, 100),
        Figures(),
    ),
    "medgan benchmark growth": Smoke(
        "medgan.recipes.growth.measure",
        lambda a, k: tuple(a[0].studies) == (2, 4, 8, 16) and not a[0].sizes,
        Figures(),
    ),
}
"""Beginning of an example -> what is not done, and what it must have been given."""


@pytest.fixture
def smoke(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], list[Any]]]:
    """Put a stand-in for the work of a line; what it was given."""

    def install(line: str) -> list[Any]:
        calls: list[Any] = []
        one = next((one for start, one in SMOKE.items() if line.startswith(start)), None)
        if one is not None:

            def work(*arguments: Any, **more: Any) -> Any:
                assert one.given(arguments, more), (arguments, more)
                calls.append(arguments)
                return one.result

            monkeypatch.setattr(one.work, work)
            if "growth" in line:
                monkeypatch.setattr("medgan.recipes.growth.draw", lambda *_: None)
        return calls

    yield install


def test_every_verb_and_every_verb_below_one_has_an_example_of_itself() -> None:
    assert {name for name in EXAMPLES if name.count(" ") == 1} == {f"medgan {v}" for v in VERBS}
    for verb in VERBS:
        for below in getattr(load(verb), "commands", {}):
            assert f"medgan {verb} {below}" in EXAMPLES
    for name, lines in EXAMPLES.items():
        assert len(lines) == 1, name
        assert lines[0].startswith(f"{name} ") or lines[0] == name


def test_nothing_is_left_out_that_no_example_begins_with() -> None:
    for start in SMOKE:
        assert any(line.startswith(start) for line in LINES), start


@pytest.mark.parametrize("line", LINES)
def test_the_example_works_as_it_is_written(
    line: str,
    place: Path,
    smoke: Callable[[str], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    _, *words = shlex.split(line)
    arguments = [
        name
        for word in words
        # as a shell would
        for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
    ]
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    calls = smoke(line)
    code = run(arguments)
    said = capsys.readouterr()
    assert code == 0, said.err
    after = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert calls or after != before or said.out, "it does nothing"
    assert bool(calls) == any(line.startswith(start) for start in SMOKE)
