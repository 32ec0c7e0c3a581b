"""Train a translator between two folders of pictures, and measure both directions."""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from medgan.config import TrainConfig
from medgan.errors import DataError
from medgan.inference.picture_batch import plan_pictures
from medgan.inference.pictures import PictureTranslator, translate_file
from medgan.io.files import output_errors, write_json
from medgan.io.pictures import read_picture
from medgan.metrics.extractor import FeatureExtractor
from medgan.metrics.features import EFFICIENTNET, extractor_named
from medgan.metrics.set_comparison import MIN_COMPARED
from medgan.metrics.set_evaluation import SetOptions, compare_sets
from medgan.metrics.set_variants import ATTENTIONGAN
from medgan.models.model_file import Direction
from medgan.recipes.picture_material import picture_settings, spread, test_pictures
from medgan.recipes.runs import mirror, train_or_resume
from medgan.recipes.training import OnStep
from medgan.report.html import write_report
from medgan.report.pictures import PictureDirection, ShownPicture, picture_report

SHOWN = 4
"""Test pictures of each domain in the report."""

LEAST_TEST = 2 * MIN_COMPARED
"""Test pictures a domain needs: the floor compares its two halves."""

NAMES: dict[Direction, str] = {"forward": "A to B", "backward": "B to A"}

T = TypeVar("T")

_log = logging.getLogger(__name__)


def run(
    config: TrainConfig,
    out: Path,
    *,
    features: str = EFFICIENTNET,
    on_step: OnStep | None = None,
) -> dict[Direction, dict[str, Any]]:
    """Train (or finish training), translate the test pictures both ways, measure, report.

    Real and made pictures are compared in the size of the model. Beside FID and KID with their
    floor stands, by its name, what the evaluation script published with AttentionGAN prints.

    Args:
        config: the training.
        out: run folder; one that exists is resumed, one that has ended is only evaluated.
        features: see ``medgan.metrics.features.extractor_named``.
        on_step: called after every logged step.

    Returns:
        The documents of ``compare_sets``; also in ``out`` as ``distances.json``, the pictures as
        ``translations/forward/`` and ``translations/backward/``, all of it in ``report.html``.

    Raises:
        ConfigError: no ``data.images``, or unknown features.
        FileError: a folder is missing or empty, a picture is damaged, or weights are missing.
        DataError: too few test pictures to measure.
        MedganError: as ``training.train``.
    """
    tests = test_pictures(picture_settings(config))
    _require_enough(tests)
    # weights that are missing are told before the training, not after it
    extractor = extractor_named(features)
    train_or_resume(config, out, on_step)
    measured: dict[Direction, PictureDirection] = {
        "forward": _measure(config, out, "forward", tests, extractor),
        "backward": _measure(config, out, "backward", tests[::-1], extractor),
    }
    documents = {way: dict(direction.distances) for way, direction in measured.items()}
    write_json(out / "distances.json", documents)
    facts = {"steps": config.training.steps, "training seed": config.training.seed}
    title = f"Pictures translated both ways: {config.name}"
    write_report(out / "report.html", picture_report(title, list(measured.values()), facts))
    mirror(config, out)
    return documents


def _measure(
    config: TrainConfig,
    out: Path,
    direction: Direction,
    tests: Sequence[tuple[Path, ...]],
    extractor: FeatureExtractor,
) -> PictureDirection:
    """Translate the first of the test sets and compare the results with the second."""
    source, target = tests
    translator = PictureTranslator.load(out, direction)
    folder = out / "translations" / direction
    shown = _translate(translator, source[0].parent, folder)
    rows_and_columns = config.preparation.matrix
    channels = config.network.channels[1 if direction == "forward" else 0]
    with TemporaryDirectory(prefix="medgan-real-") as real:
        for number, path in enumerate(target):
            picture = read_picture(path, channels, rows_and_columns)
            upright = picture[0] if channels == 1 else np.moveaxis(picture, 0, -1)
            np.save(Path(real) / f"{number:06}.npy", upright)
        options = SetOptions(people=False, kid_variant=ATTENTIONGAN, seed=config.training.seed)
        document = compare_sets(Path(real), folder, extractor, options)
    return PictureDirection(NAMES[direction], document, shown)


def _translate(translator: PictureTranslator, source: Path, folder: Path) -> list[ShownPicture]:
    """Translate a folder; what it held of other pictures goes."""
    batch = plan_pictures(translator, source, folder)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in set(folder.glob("*.png")) - set(batch.targets):
            path.unlink()
    chosen = set(spread(batch.sources, SHOWN))
    shown = []
    for path, target in zip(batch.sources, batch.targets, strict=True):
        made = translate_file(translator, path, target)
        if path in chosen:
            shown.append(ShownPicture(made.source, made.image, made.attention))
    return shown


def _require_enough(tests: Sequence[tuple[Path, ...]]) -> None:
    """Refuse before the training what the measurement after it would refuse."""
    for paths in tests:
        if len(paths) < LEAST_TEST:
            raise DataError(
                "too few test pictures to measure",
                where=paths[0].parent,
                measured=len(paths),
                limit=f"at least {LEAST_TEST}",
                remedy="Add some, or only train, with `medgan train`",
            )
