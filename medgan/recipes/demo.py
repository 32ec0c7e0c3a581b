"""The whole job on generated phantoms: make, train, translate, evaluate, report."""

import logging
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from medgan.config import TrainConfig, parse_config
from medgan.errors import DataError
from medgan.inference.planning import Request, plan
from medgan.inference.translator import Translator
from medgan.io import read_volume, split_suffix, write_volume
from medgan.io.batch.manifest import now
from medgan.io.dicom.write import Identity, write_series
from medgan.io.files import write_json
from medgan.io.pace import paced
from medgan.metrics.aggregates import jsonable
from medgan.metrics.pairs import PairResult
from medgan.phantoms.scan import scan_head
from medgan.recipes import mr_ct
from medgan.recipes.mr_ct import CaseResult
from medgan.recipes.training import OnStep
from medgan.volumes.geometry import axis_codes, reorient, require_same_grid

SPACING_MM = (2.5, 2.5, 2.5)
MR_SEEDS, CT_SEEDS, TEST_SEEDS = range(100, 106), range(200, 206), range(300, 302)
"""Offsets from the demo's seed: three sets of people that share nobody."""

SEED_STRIDE = 1000

SYNTHETIC = "synthetic_ct"
"""Folder of the series that the demo ends with."""

_log = logging.getLogger(__name__)


def demo(
    out: Path,
    seed: int = 0,
    overrides: Sequence[str] = (),
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Run the demo; run again in the same folder, it resumes.

    Args:
        out: folder for phantoms, run, predictions, ``metrics.json`` and ``report.html``; the
            synthetic CT of the first test head, translated from DICOM, is the series
            ``synthetic_ct`` in it.
        seed: another one gives other people.
        overrides: ``key=value`` items for the training's configuration.
        on_step: called after every logged step.

    Returns:
        The content of ``metrics.json``.
    """
    scans = _make_phantoms(out / "phantoms", seed * SEED_STRIDE)
    document = yaml.safe_load((files("medgan.recipes") / "demo.yaml").read_text(encoding="utf-8"))
    document["data"] |= {"root": str((out / "phantoms").resolve()),
                         "source": scans["mr"], "target": scans["ct"]}  # fmt: skip
    document["training"]["seed"] = seed
    document["evaluation"] = [
        {"name": Path(mr).name.removesuffix(".nii.gz"), "source": mr, "target": ct}
        for mr, ct in zip(scans["test_mr"], scans["test_ct"], strict=True)
    ]
    config: TrainConfig = parse_config(document, overrides, where="demo.yaml")
    cases = mr_ct.run(config, out / "run", on_step=on_step)
    series = [_write_series(out / "phantoms", name) for name in scans["test_mr"]]
    cases[0] = _measured_in_dicom(cases[0], out, series[0])
    # a constant has no correlation with anything, and JSON has no NaN
    metrics: dict[str, Any] = jsonable(
        {
            "result": _mean([case.scores[mr_ct.RESULT] for case in cases]),
            "floors": {
                name: _mean([case.scores[name] for case in cases])
                for name in (mr_ct.CONSTANT, mr_ct.LOOKUP)
            },
            "cases": len(cases),
            "seed": seed,
            **cases[0].scores[mr_ct.RESULT].definition(),
        }
    )
    write_json(out / "metrics.json", metrics)
    mr_ct.write_case_report(out / "report.html", cases, "demo on phantoms")
    return metrics


def _make_phantoms(folder: Path, first_seed: int) -> dict[str, list[str]]:
    """Write the scans that are not there yet; names relative to ``folder``."""
    wanted = {"mr": MR_SEEDS, "ct": CT_SEEDS, "test_mr": TEST_SEEDS, "test_ct": TEST_SEEDS}
    names: dict[str, list[str]] = {}
    missing: dict[int, list[Path]] = {}
    for group, seeds in wanted.items():
        (folder / group).mkdir(parents=True, exist_ok=True)
        names[group] = [f"{group}/head_{offset}.nii.gz" for offset in seeds]
        for name, offset in zip(names[group], seeds, strict=True):
            if not (folder / name).exists():
                missing.setdefault(first_seed + offset, []).append(folder / name)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        heads = pool.map(_scan_to_files, missing.keys(), missing.values())
        for _ in paced(heads, _log, "phantom head", len(missing)):
            pass
    return names


def _scan_to_files(seed: int, paths: Sequence[Path]) -> None:
    head = scan_head(seed, spacing_mm=SPACING_MM)
    for path in paths:
        write_volume(head.ct if path.parent.name.endswith("ct") else head.mr, path)


def _write_series(folder: Path, name: str) -> Path:
    """Write a scan as a DICOM series of an invented patient, unless it is there already."""
    scan = folder / name
    series = folder / "dicom" / split_suffix(scan)[0]
    if series.exists():
        return series
    unfinished = series.with_name(f".{series.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    identity = Identity(
        patient_id=f"PHANTOM-{series.name}",
        patient_name=f"Phantom^{series.name}",
        series_description="phantom head",
        body_part="HEAD",
    )
    created = datetime.fromisoformat(now())
    write_series(read_volume(scan), unfinished, identity, created=created, seed=name)
    unfinished.replace(series)
    return series


def _measured_in_dicom(case: CaseResult, out: Path, series: Path) -> CaseResult:
    """Translate a case anew from DICOM to DICOM, and score what the files then hold.

    Raises:
        DataError: it could not be translated.
    """
    run = out / "run"
    batch = plan(Request(run, series, out, series="synthetic=yes"), Translator.load(run))
    for row in (*batch, *batch.rows):
        if row.error:
            raise DataError("the demo's series was not translated", measured=row.error)
    made = read_volume(out / SYNTHETIC, modality="CT")
    made = reorient(made, axis_codes(case.source.affine))
    require_same_grid(case.source, made)
    return mr_ct.score_case(case.name, case.source, made, case.reference, case.attention)


def _mean(results: Sequence[PairResult]) -> dict[str, float]:
    """The contract's names for the measures others script against, and the rest."""
    names = {"mae": "mae_hu"} | {f"mae_{t}": f"mae_{t}_hu" for t in ("air", "soft", "bone")}
    return {
        names.get(name, name): sum(r.values[name] for r in results) / len(results)
        for name in results[0].values
    }
