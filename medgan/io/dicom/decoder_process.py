"""A process that decodes compressed frames, restarted when one of them kills it."""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgan.io.dicom.decode_worker import LENGTH, message
from medgan.io.dicom.errors import DecodingFailed

SILENCE_SECONDS = 10.0
"""A frame that takes longer is given up; a 2048 x 2048 JPEG 2000 frame takes 0.3 s."""

WORKER = Path(__file__).with_name("decode_worker.py")

_CHUNK = 1 << 20


class DecoderProcess:
    """One child process, started at the first frame and used by one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def decode(
        self, syntax: str, pixels: dict[str, Any], frame: bytes, where: object
    ) -> NDArray[Any]:
        """Decode one frame.

        Args:
            syntax: UID of the transfer syntax.
            pixels: the image pixel module by pydicom's names.
            frame: compressed.
            where: the file, for the error.

        Returns:
            (rows, columns), an integer type, as stored: neither masked nor rescaled.

        Raises:
            DecodingFailed: damaged pixels; the decoder crashed, hung or ran out of memory.
        """
        request = message({"syntax": syntax, "pixels": pixels}, frame)
        with self._lock:
            try:
                answer = self._exchange(request)
            except (OSError, EOFError, TimeoutError) as error:
                self.stop()
                hung = isinstance(error, TimeoutError)
                raise _failed("took too long" if hung else "crashed", where) from error
        head, _, content = answer.partition(b"\n")
        facts = json.loads(head)
        if "error" in facts:
            raise _failed(f"refused it ({facts['error']})", where)
        if facts["shape"] != [pixels["rows"], pixels["columns"]]:
            raise _failed("gave an image of another size", where)
        return np.frombuffer(content, facts["dtype"]).reshape(facts["shape"])

    def stop(self) -> None:
        """End the child process; the next frame starts another."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _exchange(self, request: bytes) -> bytes:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        deadline = time.monotonic() + SILENCE_SECONDS
        # The child reads a whole request before it answers: writing cannot block for long.
        process.stdin.write(request)
        process.stdin.flush()
        head = _read(process.stdout.fileno(), LENGTH.size, deadline)
        return _read(process.stdout.fileno(), LENGTH.unpack(head)[0], deadline)

    def _running(self) -> subprocess.Popen[bytes]:
        # A forked child must not share its parent's pipes.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Threads' stacks would count against the limit of memory.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            self._owner = os.getpid()
        return self._process


def _read(pipe: int, size: int, deadline: float) -> bytes:
    content = bytearray()
    while len(content) < size:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(pipe, min(_CHUNK, size - len(content)))
        if not part:
            raise EOFError
        content += part
    return bytes(content)


def _failed(what: str, where: object) -> DecodingFailed:
    return DecodingFailed(
        f"the compressed pixels cannot be decoded: the decoder {what}",
        where=where,
        limit=f"{SILENCE_SECONDS:g} s a frame",
        remedy="Copy the file anew from its source, or have the archive send it uncompressed",
    )


DECODER = DecoderProcess()
"""Used by all readers of this process."""

atexit.register(DECODER.stop)
