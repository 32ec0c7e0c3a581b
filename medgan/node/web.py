"""What fetching from and sending to a DICOMweb server share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from dicomweb_client import DICOMwebClient

from medgan.errors import ConfigError, MedganError, NetworkError
from medgan.node.config import WebConfig

SECONDS = (10.0, 120.0)
"""To connect, and between two pieces of an answer."""


def client_of(server: WebConfig) -> DICOMwebClient:
    """A client that knows the user and whom to trust.

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
    client = DICOMwebClient(server.url, session=session, timeout=SECONDS)
    # The node tries again by itself, and must be able to stop meanwhile.
    client.set_http_retry_params(retry=False)
    return client


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
