"""A generator of nodules as the synthesiser of an augmentation experiment."""

import json
from pathlib import Path

import numpy as np

from medgan.config import load_config
from medgan.data.luna16_scan import Luna16Scan
from medgan.inference.nodule_plan import InsertionPlan, plan_nodules
from medgan.inference.nodules import NoduleInserter
from medgan.recipes.augmentation_config import AugmentationExperiment, SourceConfig
from medgan.recipes.augmentation_synthesis import Synthesiser, SyntheticScan
from medgan.recipes.runs import train_or_resume

DIAMETERS_MM = (4.0, 20.0)
"""Smallest and largest nodule asked for; the model's patches may set a lower limit."""


def generator_of(source: SourceConfig, config: AugmentationExperiment, out: Path) -> Synthesiser:
    """The synthesiser of a trained generator, which is trained first where that is asked for.

    It learns from all training scans of the experiment and from no other scan.

    Args:
        source: names a run folder, or a configuration to train by.
        config: the experiment.
        out: its folder; the generator's run is ``synthetic/<source>/generator`` in it.

    Raises:
        ModelError: not a model of nodules.
        MedganError: as ``train_or_resume``.
    """
    return GeneratedNodules(NoduleInserter.load(trained_run(source, config, out, "data.nodules")))


def trained_run(
    source: SourceConfig, config: AugmentationExperiment, out: Path, data_key: str
) -> Path:
    """The run folder of a source's model, trained on the training scans where that is asked for.

    Args:
        source: names a run folder, or a configuration to train by.
        config: the experiment.
        out: its folder; the run is ``synthetic/<source>/generator`` in it.
        data_key: of the training's configuration, that holds ``roots`` and ``subsets``.

    Raises:
        MedganError: as ``train_or_resume``.
    """
    if source.path is not None:
        return source.path
    assert source.training is not None
    scans, subsets = out / "scans" / "train", None
    if config.luna16 is not None:
        scans, subsets = config.luna16.root, list(config.luna16.train)
    run = out / "synthetic" / source.name / "generator"
    settings = (
        *source.settings,
        f"{data_key}.roots={json.dumps([str(scans.resolve())])}",
        f"{data_key}.subsets={json.dumps(subsets)}",
        "tracking.enabled=false",
    )
    train_or_resume(load_config(source.training, settings), run)
    return run


class GeneratedNodules:
    """Nodules of a generator where ``medgan nodules insert`` would put them.

    Args:
        inserter: the generator.
    """

    def __init__(self, inserter: NoduleInserter) -> None:
        self._inserter = inserter

    def __call__(self, scan: Luna16Scan, count: int, rng: np.random.Generator) -> SyntheticScan:
        """Put nodules into a scan; see ``Synthesiser``."""
        low, high = DIAMETERS_MM
        plan = InsertionPlan(count, (low, min(high, self._inserter.largest_mm)))
        volume, lungs, made = scan.read(), scan.lungs(), []
        findings = (*scan.nodules, *scan.excluded)
        for nodule in plan_nodules(plan, volume, lungs, findings, rng):
            inserted = self._inserter.insert(
                volume, nodule.shape, nodule.position_mm, lungs=lungs if nodule.on_wall else None
            )
            volume = inserted.scan
            made.append(inserted.nodule)
        return SyntheticScan(volume, tuple(made))
