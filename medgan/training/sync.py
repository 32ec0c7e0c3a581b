"""A run folder's mirror in MLflow brought up to date, during the training or long after it."""

from pathlib import Path

from medgan.errors import ConfigError
from medgan.models.mlflow_access import store_errors
from medgan.training.run_folder import RunFolder
from medgan.training.run_mirror import RunMirror, Synced, store_uri


def sync_run(folder: Path) -> Synced:
    """Bring the MLflow store of a run up to date, from its folder alone.

    A second call sends nothing. A store that never saw the run gets all of it.

    Args:
        folder: of the run; ``tracking`` in its ``config.yaml`` names the store.

    Raises:
        TrainingError: not a run folder.
        ConfigError: tracking is off in its configuration.
        OutputError: the store cannot be reached.
    """
    config = RunFolder(folder).config()
    if not config.tracking.enabled:
        raise ConfigError(
            "tracking is off",
            where=folder / "config.yaml",
            remedy="Set tracking.enabled to true there, and tracking.uri if there is a server",
        )
    with store_errors(store_uri(config, folder)):
        return RunMirror.open(config, folder).catch_up()
