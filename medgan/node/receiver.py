"""C-STORE and C-ECHO from known peers: an instance is on the disk before it is acknowledged."""

import ipaddress
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from ssl import SSLContext
from typing import Any
from weakref import WeakKeyDictionary

from pydicom import Dataset
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from medgan.errors import FileError, NetworkError, OutputError
from medgan.node.config import PeerConfig, ReceiveConfig
from medgan.node.instance import MB, Claim, OtherInstance, classes_of
from medgan.node.journal import Journal
from medgan.node.queue import Queue
from medgan.node.tls import server_context

log = logging.getLogger(__name__)

# Source: DICOM PS3.4 table B.2-1 and PS3.7 annex C.
SUCCESS, OUT_OF_RESOURCES, OTHER_CLASS, CANNOT_UNDERSTAND, FAILURE = (
    0x0000, 0xA700, 0xA900, 0xC000, 0x0110,
)  # fmt: skip
REJECTED_FOR_GOOD, BY_THE_USER, CALLING_TITLE_UNKNOWN = 0x01, 0x01, 0x03
"""Source: DICOM PS3.8 table 9-21."""

IDLE_SECONDS = 60.0
"""Silence after which a connection is closed."""
HANDSHAKE_SECONDS = 5.0
"""Time for the encryption of a connection to begin, while which no other one is taken."""


class Receiver:
    """The listening side of a node.

    Args:
        config: who may connect, and where.
        ae_title: of the node.
        queue: takes the instances.
        journal: of the node.
    """

    def __init__(
        self, config: ReceiveConfig, ae_title: str, queue: Queue, journal: Journal
    ) -> None:
        self.config, self.queue, self.journal = config, queue, journal
        self._pending: WeakKeyDictionary[Association, int] = WeakKeyDictionary()
        self._entity = AE(ae_title)
        self._entity.maximum_pdu_size = config.max_pdu
        self._entity.maximum_associations = config.max_associations
        self._entity.network_timeout = IDLE_SECONDS
        self._entity.require_called_aet = True
        self._entity.add_supported_context(Verification)
        for sop_class in classes_of(queue.modality):
            self._entity.add_supported_context(sop_class, AllTransferSyntaxes)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen as long as the block lasts; connections that are open at its end are aborted.

        Raises:
            ConfigError: the certificates cannot be used.
            NetworkError: the port is taken, or the address is not one of this machine.
        """
        config = self.config
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_DATA_RECV, self._on_data),
            (evt.EVT_DIMSE_RECV, self._on_message),
            (evt.EVT_C_STORE, self._on_store),
        ]
        try:
            server = _Server(
                self._entity,
                (str(config.address), config.port),
                self._entity.ae_title,
                self._entity.supported_contexts,
                evt_handlers=handlers,
            )
        except OSError as error:
            raise cannot_listen(str(config.address), config.port, error) from error
        server.peers = config.peers
        server.encryption = server_context(config.tls) if config.tls else None
        thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
        thread.start()
        log.info("%s listens on %s:%d", self._entity.ae_title, config.address, config.port)
        try:
            yield
        finally:
            server.shutdown()
            for association in server.active_associations:
                association.abort()

    def _on_request(self, event: Event) -> None:
        """Refuse who calls by a title that is not that of a peer at this address."""
        association = event.assoc
        title = str(getattr(association.requestor.primitive, "calling_ae_title", "")).strip()
        address = association.requestor.address
        if any(peer.ae_title == title for peer in _peers_at(self.config.peers, address)):
            return
        self.journal.note("receiver", f"refused a connection from {address}: unknown AE title")
        association.acse.send_reject(REJECTED_FOR_GOOD, BY_THE_USER, CALLING_TITLE_UNKNOWN)
        association.kill()

    def _on_data(self, event: Event) -> None:
        """End a connection that sends far more than an instance may have, before memory ends."""
        count = self._pending.get(event.assoc, 0) + len(event.data)
        self._pending[event.assoc] = count
        if count > 2 * self.config.max_instance_mb * MB:
            self.journal.note("receiver", "aborted a connection: far above max_instance_mb")
            event.assoc.abort(block=False)

    def _on_message(self, event: Event) -> None:
        self._pending[event.assoc] = 0

    def _on_store(self, event: Event) -> int | Dataset:
        try:
            return self._store(event)
        except OtherInstance as error:
            return self._refused(OTHER_CLASS, error)
        except FileError as error:
            return self._refused(CANNOT_UNDERSTAND, error)
        except OutputError as error:
            return self._refused(OUT_OF_RESOURCES, error)
        except Exception as error:
            self.journal.defect("receiver", error)
            return FAILURE

    def _store(self, event: Event) -> int:
        request: Any = event.request
        content = event.encoded_dataset()
        if len(content) > self.config.max_instance_mb * MB:
            raise OutputError(
                "an instance is too large",
                measured=f"{len(content) / MB:.1f} MB",
                limit=f"{self.config.max_instance_mb:g} MB",
            )
        claim = Claim(str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID))
        self.queue.receive(content, claim)
        return SUCCESS

    def _refused(self, status: int, error: FileError | OutputError) -> Dataset:
        self.journal.note("receiver", error)
        answer = Dataset()
        answer.Status = status
        answer.ErrorComment = error.what[:64]
        return answer


class _Server(ThreadedAssociationServer):
    """Takes connections from addresses of peers only: not a byte of others is read."""

    peers: tuple[PeerConfig, ...] = ()
    encryption: SSLContext | None = None

    def shutdown(self) -> None:
        # Its own parent expects to have been started by pynetdicom.
        BaseServer.shutdown(self)
        self.server_close()

    def get_request(self) -> Any:
        assert self.socket is not None
        connection, address = self.socket.accept()
        try:
            if not _peers_at(self.peers, address[0]):
                raise ConnectionRefusedError
            if self.encryption:
                connection.settimeout(HANDSHAKE_SECONDS)
                connection = self.encryption.wrap_socket(connection, server_side=True)
            connection.settimeout(IDLE_SECONDS)
        except OSError as error:
            # What is raised here ends this connection and not the server.
            connection.close()
            log.info("closed a connection from %s: %s", address[0], type(error).__name__)
            raise
        return connection, address


def _peers_at(peers: tuple[PeerConfig, ...], address: str) -> list[PeerConfig]:
    place = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(place, "ipv4_mapped", None) or place
    return [peer for peer in peers if mapped in peer.address]


def cannot_listen(address: str, port: int, error: OSError) -> NetworkError:
    """Why a port cannot be listened on."""
    return NetworkError(
        "cannot listen there",
        where=f"{address}:{port}",
        measured=error.strerror or type(error).__name__,
        remedy="Choose another port, or stop the program that has it",
    )


def port_is_free(address: str, port: int) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        NetworkError: it is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise cannot_listen(address, port, error) from error
