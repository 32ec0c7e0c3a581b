"""Archives that results are sent to. Sending the same result again leaves one of it there."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from medgan.errors import NetworkError
from medgan.node.config import SendConfig, StoreConfig, WebConfig
from medgan.node.instance import classes_of
from medgan.node.tls import client_context
from medgan.node.web import client_of, session_of, web_errors
from medgan.volumes import Modality

STORED = (0x0000, 0xB000, 0xB006, 0xB007)
"""Success, and warnings of an archive that has the instance (DICOM PS3.4 table B.2-1)."""

CONNECTION_SECONDS, ANSWER_SECONDS = 10.0, 120.0
MESSAGE_BYTES = 64_000_000
"""Instances that are put into one STOW-RS message."""


class Stopped(Exception):
    """The node is to stop; what was being sent is sent again when it starts."""


class Destination(Protocol):
    """An archive."""

    name: str

    def send(self, files: Sequence[Path], stopping: Callable[[], bool]) -> None:
        """Send all files.

        Raises:
            NetworkError: not all of them are stored.
            Stopped: ``stopping`` said so.
        """

    def check(self) -> None:
        """See whether the archive answers.

        Raises:
            NetworkError: it does not.
        """


def destinations(config: SendConfig, ae_title: str, modality: Modality) -> list[Destination]:
    """All archives that a configuration names.

    Args:
        config: where results go.
        ae_title: of the node.
        modality: of the results.

    Raises:
        ConfigError: certificates cannot be used, or a password is missing.
    """
    found: list[Destination] = []
    if config.store:
        found.append(StoreArchive(config.store, ae_title, modality))
    if config.web:
        found.append(WebArchive(config.web))
    return found


class StoreArchive:
    """An archive that takes C-STORE."""

    name = "store"

    def __init__(self, config: StoreConfig, ae_title: str, modality: Modality) -> None:
        self.config, self.ae_title, self.modality = config, ae_title, modality
        self._tls = (client_context(config.tls), config.address) if config.tls else None

    def send(self, files: Sequence[Path], stopping: Callable[[], bool]) -> None:
        """Send all files over one connection."""
        association = self._associate(classes_of(self.modality))
        try:
            for path in files:
                if stopping():
                    raise Stopped
                self._send_one(association, path)
        finally:
            association.release()

    def check(self) -> None:
        """C-ECHO."""
        association = self._associate([Verification])
        try:
            answer = association.send_c_echo()
        finally:
            association.release()
        if answer.get("Status") != 0:
            raise self._error("the archive does not answer a C-ECHO")

    def _associate(self, sop_classes: Sequence[str]) -> Association:
        entity = AE(self.ae_title)
        entity.connection_timeout = CONNECTION_SECONDS
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
        for sop_class in sop_classes:
            entity.add_requested_context(
                sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
            )
        config = self.config
        association = entity.associate(
            config.address, config.port, ae_title=config.ae_title, tls_args=self._tls
        )
        if association.is_established:
            return association
        if association.is_rejected:
            raise self._error(
                "the archive refuses the connection",
                f"Tell it the AE title {self.ae_title} and this machine's address",
            )
        raise self._error(
            "the archive cannot be reached", "Check address and port, and whether it runs"
        )

    def _send_one(self, association: Association, path: Path) -> None:
        try:
            status = association.send_c_store(path).get("Status")
        except ValueError as error:
            raise self._error(f"the archive takes no {self.modality} images") from error
        except RuntimeError:
            status = None
        if status is None:
            raise self._error("the connection to the archive was lost")
        if status not in STORED:
            raise self._error("the archive refuses an instance", measured=f"status {status:04X}")

    def _error(
        self, what: str, remedy: str | None = None, measured: str | None = None
    ) -> NetworkError:
        where = f"{self.config.ae_title} at {self.config.address}:{self.config.port}"
        return NetworkError(what, where=where, measured=measured, remedy=remedy)


class WebArchive:
    """An archive that takes STOW-RS."""

    name = "web"

    def __init__(self, config: WebConfig) -> None:
        self.config = config
        self._client = client_of(config, session_of(config))

    def send(self, files: Sequence[Path], stopping: Callable[[], bool]) -> None:
        """Send all files, some in a message."""
        for message in _messages(files):
            if stopping():
                raise Stopped
            with web_errors(self.config):
                answer = self._client.store_instances([pydicom.dcmread(path) for path in message])
                failed = answer.get("FailedSOPSequence") or ()
            if failed:
                raise NetworkError(
                    "the archive refuses instances",
                    where=self.config.url,
                    measured=f"{len(failed)} of {len(message)}",
                )

    def check(self) -> None:
        """Search for a single series."""
        with web_errors(self.config):
            self._client.search_for_series(limit=1)


def _messages(files: Sequence[Path]) -> Iterator[list[Path]]:
    message: list[Path] = []
    size = 0
    for path in files:
        length = path.stat().st_size
        if message and size + length > MESSAGE_BYTES:
            yield message
            message, size = [], 0
        message.append(path)
        size += length
    if message:
        yield message
