"""What fetching from and sending to a DICOMweb server share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from dicomweb_client import DICOMwebClient

from medgan.errors import ConfigError, FileError, MedganError, NetworkError
from medgan.node.config import WebConfig
from medgan.node.instance import MB

SECONDS = (10.0, 120.0)
"""To connect, and between two pieces of an answer."""


def session_of(server: WebConfig) -> requests.Session:
    """A session that knows the user and whom to trust.

    Raises:
        ConfigError: the environment variable of the password is not set.
    """
    session = requests.Session()
    if server.user is not None and server.password_variable is not None:
        password = os.environ.get(server.password_variable)
        if password is None:
            raise ConfigError(
                "the environment variable of the password is not set",
                where=server.password_variable,
            )
        session.auth = (server.user, password)
    if server.ca:
        session.verify = str(server.ca)
    return session


def client_of(server: WebConfig, session: requests.Session) -> DICOMwebClient:
    """A client that leaves trying again to the node."""
    client = DICOMwebClient(server.url, session=session, timeout=SECONDS)
    # The node tries again by itself, and must be able to stop meanwhile.
    client.set_http_retry_params(retry=False)
    return client


class Meter:
    """Ends an answer that sends far more than an instance may have, before memory ends.

    Args:
        session: whose answers are metered.
        max_instance_mb: an answer ends at twice as much since ``begin``.
    """

    def __init__(self, session: requests.Session, max_instance_mb: float) -> None:
        self.max_instance_mb = max_instance_mb
        self.count = 0
        session.hooks["response"].append(self._metered)

    def begin(self) -> None:
        """Count anew: what came so far has been taken."""
        self.count = 0

    def require(self, size: int, allowance: float = 1.0) -> None:
        """Refuse so many bytes.

        Raises:
            FileError: they are more than ``allowance`` instances may have.
        """
        if size > allowance * self.max_instance_mb * MB:
            raise FileError(
                "an instance is too large",
                measured=f"{size / MB:.1f} MB",
                limit=f"{self.max_instance_mb:g} MB",
                remedy="Raise max_instance_mb",
            )

    def _metered(self, response: requests.Response, *_: object, **__: object) -> None:
        chunks = response.iter_content

        def counted(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            self.begin()
            for chunk in chunks(*args, **kwargs):
                # a piece may hold many small instances
                self.require(self.count, 2.0)
                self.count += len(chunk)
                yield chunk

        # requests reads every body by this method, in pieces or whole
        response.iter_content = counted  # type: ignore[method-assign]


@contextmanager
def web_errors(server: WebConfig) -> Iterator[None]:
    """Turn whatever goes wrong with a server into a NetworkError that names no UID.

    Raises:
        NetworkError: instead of all but errors of medgan.
    """
    try:
        yield
    except MedganError:
        raise
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else "no status"
        raise NetworkError(
            "the DICOMweb server answers with an error", where=server.url, measured=code
        ) from None
    except requests.RequestException as error:
        raise NetworkError(
            "the DICOMweb server cannot be reached",
            where=server.url,
            measured=type(error).__name__,
            remedy="Check the address, and whether the server runs",
        ) from None
    except Exception as error:
        # What a server sends may make a parser raise anything.
        raise NetworkError(
            "the DICOMweb server's answer cannot be understood",
            where=server.url,
            measured=type(error).__name__,
        ) from None
