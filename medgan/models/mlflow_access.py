"""The way to MLflow: quiet, with short waits, and nothing secret in a message."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from medgan.errors import OutputError

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow's own 7 retries of 120 s each kept a training waiting for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def prepare_mlflow() -> None:
    """Settle what MLflow reads when it is imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # the library is chatty about its database migrations on first use
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.ERROR)


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises into a message without credentials.

    Raises:
        OutputError: the store cannot be reached or refuses what it is sent.
    """
    prepare_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise OutputError(
            "the tracking server cannot be used",
            where=without_credentials(uri, uri),
            measured=explain(error, uri),
            remedy="Start it, or correct its URI; what it has missed can be sent again",
        ) from error


def explain(error: Exception, uri: str) -> str:
    """What MLflow says, in one line and without the credentials of the URI."""
    return without_credentials(" ".join(str(error).split()), uri) or type(error).__name__


def without_credentials(text: str, uri: str) -> str:
    """A text less the user name and the password that stand in a URI."""
    secret = urlsplit(uri).netloc.rpartition("@")[0]
    return text.replace(f"{secret}@", "") if secret else text
