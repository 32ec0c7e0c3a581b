"""Encrypted connections: contexts of both sides from the same three files."""

import ssl

from medgan.errors import ConfigError
from medgan.node.config import TlsConfig


def server_context(tls: TlsConfig) -> ssl.SSLContext:
    """For connections that others open; they must show a certificate, too.

    Raises:
        ConfigError: a file is missing or is no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _load(context, tls)


def client_context(tls: TlsConfig) -> ssl.SSLContext:
    """For connections that the node opens; the other side's certificate must name its address.

    Raises:
        ConfigError: a file is missing or is no certificate or key.
    """
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)


def _load(context: ssl.SSLContext, tls: TlsConfig) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_refuse_to_ask)
        context.load_verify_locations(tls.ca)
    except (OSError, ValueError) as error:
        raise ConfigError(
            "the certificates cannot be used",
            where=f"{tls.certificate}, {tls.key}, {tls.ca}",
            measured=getattr(error, "strerror", None) or type(error).__name__,
            remedy="They must be PEM files, the key without a passphrase",
        ) from error
    return context


def _refuse_to_ask() -> str:
    raise ValueError("the key has a passphrase")
