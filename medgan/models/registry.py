"""The one file that medgan takes from MLflow's registry of models.

A registered model holds code that MLflow runs when it serves it. medgan never does: it takes the
model file, which holds tensors and a card.
"""

import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from medgan.data.cache import default_cache_dir
from medgan.errors import ConfigError, ModelError
from medgan.io.files import content_sha256, make_folder, writing
from medgan.models.catalogue import SUFFIX
from medgan.models.mlflow_access import prepare_mlflow, store_errors, without_credentials
from medgan.models.model_file import FILE_NAME, REGISTRY

URI_VARIABLE = "MLFLOW_TRACKING_URI"
ARTIFACT = f"artifacts/{FILE_NAME}"
"""Where the model file lies in an MLflow model."""

SHA256_TAG = "medgan.model_sha256"

_UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says of a name or version, and of an alias, that it does not know."""

_NAME = re.compile(rf"{REGISTRY}(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def tracking_uri(given: str | None = None) -> str:
    """The server or database that holds the registry.

    Args:
        given: by the user; None: the environment variable MLFLOW_TRACKING_URI counts.

    Raises:
        ConfigError: neither names one.
    """
    uri = given or os.environ.get(URI_VARIABLE)
    if uri:
        return uri
    raise ConfigError(
        "no MLflow registry is named",
        remedy=f"Set {URI_VARIABLE} to http://HOST:PORT or sqlite:///FILE",
    )


def fetch(uri: str) -> Path:
    """Take a model file from the registry into medgan's cache.

    Args:
        uri: ``models:/name@alias`` or ``models:/name/version``.

    Returns:
        The file, named after its content.

    Raises:
        ConfigError: another kind of name, or no registry is named.
        OutputError: the registry cannot be reached.
        ModelError: it does not know the model, or holds none of medgan or another file than was
            registered.
    """
    found = _NAME.fullmatch(uri)
    if found is None:
        raise ConfigError(
            "not the name of a registered model",
            where=uri,
            limit=f"{REGISTRY}NAME@ALIAS or {REGISTRY}NAME/VERSION",
        )
    registry = tracking_uri()
    with store_errors(registry), TemporaryDirectory() as folder:
        file, registered = _downloaded(registry, found, Path(folder))
        sha256 = content_sha256(file)
        if registered not in (None, sha256):
            raise ModelError(
                "the registry holds another file than was registered",
                where=uri,
                measured=sha256,
                limit=registered,
                remedy="Register the model again",
            )
        kept = default_cache_dir() / "models" / f"{sha256}{SUFFIX}"
        make_folder(kept.parent)
        with writing(kept) as temporary:
            shutil.copyfile(file, temporary)
    return kept


def _downloaded(registry: str, named: re.Match[str], folder: Path) -> tuple[Path, str | None]:
    """The model file in a folder, and the hash that it was registered with."""
    prepare_mlflow()
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    client, name = MlflowClient(registry), named["name"]
    try:
        if named["alias"]:
            version = client.get_model_version_by_alias(name, named["alias"])
        else:
            version = client.get_model_version(name, named["version"])
    except MlflowException as error:
        if error.error_code not in _UNKNOWN:
            raise
        raise ModelError("the registry has no such model", where=named.string) from error
    place = client.get_model_version_download_uri(name, version.version)
    try:
        file = download_artifacts(
            artifact_uri=f"{place}/{ARTIFACT}", dst_path=str(folder), tracking_uri=registry
        )
    except (MlflowException, OSError) as error:
        raise ModelError(
            "the registered model has no file of medgan",
            where=named.string,
            measured=without_credentials(f"{type(error).__name__}: {error}", registry),
            limit=ARTIFACT,
            remedy="Register it with medgan export --to mlflow --register",
        ) from error
    return Path(file), version.tags.get(SHA256_TAG)
