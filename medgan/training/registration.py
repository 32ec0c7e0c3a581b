"""Models put into MLflow's registry, where every verb finds them again."""

from dataclasses import dataclass
from pathlib import Path

from medgan.io.files import content_sha256
from medgan.models.mlflow_access import store_errors
from medgan.models.model_file import REGISTRY
from medgan.models.registry import ARTIFACT, SHA256_TAG
from medgan.training.result_tracking import KIND_TAG
from medgan.training.tracking_store import TrackingStore

ALIAS = "champion"
"""What points at the version registered last."""

_PLACE = "model"


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes:
        name: of the model.
        version: counted by the registry.
        uri: by which every verb finds it, until another version is registered.
        run_id: of the run that holds its files.
    """

    name: str
    version: str
    uri: str
    run_id: str


def register_model(store: TrackingStore, folder: Path, name: str) -> Registered:
    """Send the folder of an MLflow model to a store and make it a model's next version.

    Args:
        store: where to; its registry is used, too.
        folder: from ``medgan.models.export.to_mlflow``.
        name: of the model, made where it is new; ``ALIAS`` moves to the new version.

    Raises:
        OutputError: the store cannot be reached, or refuses the name.
    """
    from mlflow.exceptions import MlflowException

    sha256, client = content_sha256(folder / ARTIFACT), store.client
    with store_errors(store.uri):
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {KIND_TAG: "export", SHA256_TAG: sha256}
        run = client.create_run(store.experiment_id, run_name="export", tags=tags)
        run_id = str(run.info.run_id)
        client.log_artifacts(run_id, str(folder), _PLACE)
        client.set_terminated(run_id)
        made = client.create_model_version(
            name, f"{run.info.artifact_uri}/{_PLACE}", run_id, tags={SHA256_TAG: sha256}
        )
        client.set_registered_model_alias(name, ALIAS, made.version)
    return Registered(name, str(made.version), f"{REGISTRY}{name}@{ALIAS}", run_id)
