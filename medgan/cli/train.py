"""``medgan train``: from a configuration to a run folder, or on from where one stopped."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from medgan.errors import ConfigError


def command(
    config: Annotated[Path | None, typer.Argument(help="YAML file; configs/ has them.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. training.steps=500")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder to make; runs/<name> by default.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Run folder to continue.")] = None,
) -> None:
    """Train a model, or resume a run with no other argument.

    Runs in one process, or unchanged in several on one or more machines, each with a batch of
    training.batch: torchrun --nproc-per-node 2 -m medgan train CONFIG, or accelerate launch.

    Example: medgan train configs/mr_to_ct_head.yaml training.warmup_steps=400 training.steps=500
    """
    if resume is not None:
        if config or overrides or out:
            raise ConfigError("--resume takes no other argument", where=resume)
    elif config is None:
        raise ConfigError("nothing to train", remedy="Give a configuration, or --resume RUN")

    from medgan.cli.progress import training_progress
    from medgan.config import load_config
    from medgan.recipes import training
    from medgan.training.processes import Processes
    from medgan.training.run_folder import RunFolder

    if resume is not None:
        settings = RunFolder(resume).config()
        with training_progress(settings.training.steps, again=_again(resume)) as on_step:
            training.resume(resume, on_step)
    else:
        assert config is not None
        settings = load_config(config, overrides or ())
        run = out or Path("runs") / settings.name
        with training_progress(settings.training.steps, again=_again(run)) as on_step:
            training.train(settings, run, on_step)
    Processes().leave()


def _again(run: Path) -> str:
    return f"medgan train --resume {shlex.quote(str(run))}"
