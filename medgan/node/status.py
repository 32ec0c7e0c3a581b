"""The status page: JSON over HTTP, in which nothing identifies a patient."""

import json
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any

from medgan import __version__
from medgan.inference.translator import Translator
from medgan.node.config import StatusConfig
from medgan.node.item import STATES, Item
from medgan.node.journal import Journal
from medgan.node.queue import GB, Queue
from medgan.node.receiver import cannot_listen

log = logging.getLogger(__name__)

MOST_ITEMS = 500
"""Series that are listed, the latest ones."""


class Status:
    """What a node has to say of itself.

    Args:
        translator: its model.
        queue: of the node.
        journal: of the node.
    """

    def __init__(self, translator: Translator, queue: Queue, journal: Journal) -> None:
        self.translator, self.queue, self.journal = translator, queue, journal
        self._start = time.monotonic()

    def document(self) -> dict[str, Any]:
        """The page."""
        items = self.queue.items()
        counts = Counter(item.state for item in items)
        model, config = self.translator.model, self.queue.config
        return {
            "medgan": __version__,
            "uptime_seconds": round(time.monotonic() - self._start, 1),
            "model": {
                "name": str(model.card.provenance.get("name", "")),
                "sha256": model.sha256,
                "direction": f"{self.translator.source} to {self.translator.target}",
                "licence": model.card.licence,
                "intended_use": model.card.intended_use,
            },
            "counts": {state: counts[state] for state in STATES},
            "disk": {
                "used_gb": round(self.queue.used / GB, 3),
                "max_gb": config.max_gb,
                "free_gb": round(shutil.disk_usage(config.folder).free / GB, 3),
                "min_free_gb": config.min_free_gb,
            },
            "errors": [asdict(trouble) for trouble in self.journal.troubles()],
            "series": [_described(item) for item in reversed(items[-MOST_ITEMS:])],
        }

    @contextmanager
    def served(self, config: StatusConfig) -> Iterator[None]:
        """Serve the page as long as the block lasts.

        Raises:
            NetworkError: the port is taken, or the address is not one of this machine.
        """
        address = (str(config.address), config.port)
        kind = _Server6 if config.address.version == 6 else ThreadingHTTPServer
        try:
            server = kind(address, _handler(self))
        except OSError as error:
            raise cannot_listen(*address, error) from error
        thread = threading.Thread(target=server.serve_forever, name="status", daemon=True)
        thread.start()
        log.info("status page on http://%s:%d/", *address)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


class _Server6(ThreadingHTTPServer):
    address_family = AF_INET6


def _handler(status: Status) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0

        def do_GET(self) -> None:
            if self.path != "/":
                self.send_error(404)
                return
            body = json.dumps(status.document(), indent=2).encode() + b"\n"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def version_string(self) -> str:
            return "medgan"

        def log_message(self, format: str, *arguments: Any) -> None:
            """Keep quiet: whoever watches a node asks every few seconds."""

    return Handler


def _described(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "state": item.state,
        "since": datetime.fromtimestamp(item.since, UTC).isoformat(timespec="seconds"),
        "instances": item.instances,
        "expected": item.expected,
        "sent": list(item.sent),
        "error": item.error,
        "note": item.note,
    }
