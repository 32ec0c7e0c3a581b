"""The pages a beginner starts with: their shell blocks, run in order as they are written.

All run in one folder that holds what they name, small. ``SHORTER`` says which trainings are cut,
and how; ``LEFT_OUT`` which lines are not run, and why.
"""

import re
import shlex
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from detection_phantoms import make_chest
from listening import write_mr

from medgan.io.luna16 import Row, write_rows
from medgan.phantoms.scan import scan_head
from medgan.recipes import demo

ROOT = Path(__file__).parents[1]

LEFT_OUT = {
    "make install": "installs packages from the network",
    "source .venv/bin/activate": "of what was installed",
    "medgan train --resume": "no training was stopped; tests/test_resume.py does",
    "python -c": "draws ten chests of full size; this folder holds small ones",
    "python pipelines/luna16_augmentation.py": "hours; tests/test_augmentation.py runs it small",
}
"""Beginning of a line -> why it is not run."""

SMALL = ("network.width=4", "network.blocks=1")
HEADS = (
    *SMALL, "network.contents=2", "network.discriminator_width=4", "training.steps=2",
    "training.warmup_steps=1", "preparation.spacing_mm=[6,6,6]", "preparation.matrix=[48,48]",
    "data.phantoms.heads=1", "data.phantoms.slices=3", "data.phantoms.validation_heads=1",
    "training.validate_every=2", "training.checkpoint_every=2", "tracking.enabled=false",
)  # fmt: skip
SHORTER = {
    "medgan demo": HEADS,
    "medgan train mine.yaml": HEADS,
    "medgan train configs/luna16_nodules.yaml": (
        *SMALL, "network.discriminator_width=4", "training.steps=2", "training.warmup_steps=1",
        "training.validate_every=2", "data.nodules.healthy=2", "data.phantoms.heads=1",
        "data.phantoms.slices=2", "data.phantoms.validation_heads=1", "tracking.enabled=false",
    ),
    "medgan detect train": (
        "input.spacing_mm=3", "network.width=4", "sampling.patch=16", "training.steps=1",
        "training.batch=1",
    ),
}  # fmt: skip
"""Beginning of a training -> what makes it short, added to the line."""

REFUSED = {
    "medgan translate runs/mine studies/": "NoSeries: headers of the small one name no contrast",
}
"""Beginning of a line -> why it ends with 1 here."""

PAGES = ("first_ten_minutes", "howto_mr_to_ct", "howto_archive", "howto_nodules")


def text_of(page: str) -> str:
    return (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")


def lines_of(page: str) -> list[str]:
    """Commands of the ``sh`` blocks of a page: without comments, continued lines joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in (line.partition("  #")[0].strip() for line in lines) if line]


def starting(table: Iterable[str], line: str) -> str | None:
    return next((start for start in table if line.startswith(start)), None)


def shortened(line: str) -> list[str]:
    """What a line gives to ``medgan``, with what makes it short."""
    _, *words = shlex.split(line)
    if start := starting(SHORTER, line):
        added = [word.partition("=")[0] for word in SHORTER[start]]
        words = [word for word in words if word.partition("=")[0] not in added]
        words += SHORTER[start]
    return words


def make_luna(root: Path) -> None:
    """A small chest in each of five folds, with nodules in each."""
    rows = []
    for fold in range(5):
        (root / f"subset{fold}").mkdir(parents=True)
        (root / "seg-lungs").mkdir(exist_ok=True)
        chest = make_chest(
            root / f"subset{fold}", fold, nodules=1, vessels=3, mask_suffix=".mhd",
            masks=root / "seg-lungs",
        )  # fmt: skip
        rows += [Row(chest.uid, one.position_mm, one.diameter_mm) for one in chest.nodules]
    write_rows(root / "annotations.csv", rows, "diameter_mm")
    write_rows(root / "annotations_excluded.csv", [], "diameter_mm")


@pytest.fixture(scope="module")
def place(tiny_scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a user: what the pages say that one has, and nothing that they make."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(ROOT / "configs", folder / "configs")
    page = text_of("howto_mr_to_ct")
    document = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert document and "Save this as `mine.yaml`" in page
    (folder / "mine.yaml").write_text(document[1])
    wanted = {
        "t1": "mr_1", "scans/mr/a": "mr_1", "scans/mr/b": "mr_2", "scans/ct/c": "ct_3",
        "scans/ct/d": "ct_4", "pairs/mr/one": "mr_4", "pairs/ct/one": "ct_4",
    }  # fmt: skip
    for name, scan in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_scans / f"{scan}.nii.gz", folder / f"{name}.nii.gz")
    for tree in ("studies", "archive"):
        write_mr(scan_head(4, spacing_mm=(6.0, 6.0, 6.0), supersample=1), folder / tree / "one")
    make_luna(folder / "luna16")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_the_page_works_after_those_before_it(
    page: str,
    place: Path,
    medgan_cli: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv("MEDGAN_DATA", raising=False)
    monkeypatch.setattr(demo, "SPACING_MM", (6.0, 6.0, 6.0))
    monkeypatch.setattr(demo, "MR_SEEDS", range(100, 101))
    monkeypatch.setattr(demo, "CT_SEEDS", range(200, 201))
    done = 0
    for line in lines_of(page):
        if starting(LEFT_OUT, line):
            continue
        code, out, err = medgan_cli(*shortened(line))
        assert code == (starting(REFUSED, line) is not None), f"{line}\n{out}{err}"
        assert "Traceback" not in err
        done += 1
    assert done >= 3
    # what a table of the page says is in the demo's folder
    named = re.findall(r"^\| `(demo/[^`]+)`", text_of(page), re.MULTILINE)
    assert len(named) == (4 if page == "first_ten_minutes" else 0)
    assert all((place / name).exists() for name in named)


def test_nothing_is_cut_or_left_out_that_no_page_says() -> None:
    lines = [line for page in PAGES for line in lines_of(page)]
    for start in (*LEFT_OUT, *SHORTER, *REFUSED):
        assert starting([start], next((one for one in lines if one.startswith(start)), "")), start
