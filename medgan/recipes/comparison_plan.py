"""Which trainings a comparison of methods consists of: the same data and steps for every member."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgan.config import TrainConfig, load_as, load_config, parse_config
from medgan.errors import ConfigError
from medgan.recipes.comparison_config import (
    ComparisonConfig,
    Contrast,
    HeldOutConfig,
    Variant,
    variants,
)
from medgan.recipes.comparison_scans import scan_name
from medgan.recipes.trainings import require_same


@dataclass(frozen=True)
class Run:
    """One training of the comparison.

    Attributes:
        variant: which row it belongs to.
        seed: of the training.
        config: the training; its evaluation pairs are the test.
        folder: of the run.
        minutes: time that steps are to fill; None: as configured.
    """

    variant: Variant
    seed: int
    config: TrainConfig
    folder: Path
    minutes: float | None = None

    @property
    def result(self) -> Path:
        """File of the scores; once it is there the run is done with."""
        return self.folder / "result.json"

    @property
    def cost(self) -> Path:
        """File of seconds and memory of a step."""
        return self.folder / "cost.json"

    @property
    def pictures(self) -> Path:
        """File of slices of the first test case."""
        return self.folder / "pictures.npz"

    def begun(self) -> TrainConfig | None:
        """The configuration that the run was begun with; None where it was not."""
        place = self.folder / "config.yaml"
        return load_config(place) if place.exists() else None


def load_comparison(path: Path) -> ComparisonConfig:
    """Read the configuration of a comparison.

    Raises:
        ConfigError: as ``load_as``.
    """
    return load_as(ComparisonConfig, path)


def runs(config: ComparisonConfig, out: Path) -> Iterator[Run]:
    """The trainings, seed by seed, so that a comparison that is interrupted has whole tables.

    Args:
        config: the comparison.
        out: its folder.

    Raises:
        ConfigError: settings of a member that do not exist or contradict each other.
    """
    for seed in config.seeds:
        for variant in variants(config):
            folder = out / "runs" / variant.name / f"seed_{seed}"
            yield Run(variant, seed, _training(config, variant, seed, out), folder, config.minutes)


def _training(config: ComparisonConfig, variant: Variant, seed: int, out: Path) -> TrainConfig:
    document = deepcopy(config.base) | {"name": variant.name}
    if config.held_out is not None:
        contrasts = variant.member.contrasts or config.held_out.contrasts
        data = document.setdefault("data", {})
        data |= {"root": str((out / "scans").resolve()), **_scans(config.held_out, contrasts)}
        number = config.seeds.index(seed)
        document["evaluation"] = _pairs(config.held_out, contrasts, number)
    settings = [*(config.anchor if variant.anchored else ()), *variant.member.settings]
    settings += [f"training.seed={seed}", "tracking.enabled=false"]
    where = f"member {variant.name}"
    training = parse_config(document, settings, where=where)
    if (training.source, training.target) != ("MR", "CT"):
        raise ConfigError(
            "methods are compared from MR to CT, where errors have a unit",
            where=where,
            measured=f"{training.source} to {training.target}",
            limit="MR to CT",
        )
    if not training.evaluation:
        raise ConfigError(
            "there is nothing to test on",
            where=where,
            remedy="Name pairs under base.evaluation, or let held_out make some",
        )
    return training


def _scans(settings: HeldOutConfig, contrasts: tuple[Contrast, ...]) -> dict[str, Any]:
    return {
        "source": [_mr("source", number, contrasts) for number in range(settings.source_heads)],
        "target": [scan_name("target", number, "ct") for number in range(settings.target_heads)],
    }


def _mr(group: str, number: int, contrasts: tuple[Contrast, ...]) -> dict[str, Any]:
    first, *others = [scan_name(group, number, contrast) for contrast in contrasts]
    return {"path": first, "also": others}


def _pairs(
    settings: HeldOutConfig, contrasts: tuple[Contrast, ...], number: int
) -> list[dict[str, Any]]:
    first = number * settings.test_heads
    return [
        {
            "name": f"head_{head:02d}",
            "source": _mr("test", head, contrasts),
            "target": scan_name("test", head, "ct"),
        }
        for head in range(first, first + settings.test_heads)
    ]


def with_steps(config: TrainConfig, steps: int) -> TrainConfig:
    """The same training with another number of steps, warm-up and rest in proportion."""
    share = config.training.warmup_steps / config.training.steps
    settings = [
        f"training.steps={steps}",
        f"training.warmup_steps={round(share * steps)}",
        f"training.validate_every={steps}",
    ]
    return parse_config(config.model_dump(mode="json"), settings)


def require_same_trainings(planned: list[Run]) -> None:
    """Refuse a folder with trainings of another comparison; it may lie elsewhere than it was made.

    Raises:
        TrainingError: a run was begun with another configuration; its sections are named.
    """
    for run in planned:
        begun = run.begun()
        if begun is None:
            continue
        wanted = run.config
        if run.minutes is not None:
            wanted = with_steps(wanted, begun.training.steps)
        data = wanted.data.model_copy(update={"root": begun.data.root})
        wanted = wanted.model_copy(update={"data": data})
        require_same(begun, wanted, run.folder)
