"""What stands in the target of a batch, and whether it can be kept or replaced."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from medgan import __version__
from medgan.errors import OutputError
from medgan.io import split_suffix
from medgan.io.batch.job import Options
from medgan.io.batch.manifest import Key, Record
from medgan.io.studies import Source


def fingerprint(source: Source, root: Path, options: Options) -> str:
    """A hash of all that a result follows from.

    It covers names, sizes and times of change of the source's files, the part of the series, the
    options and medgan's version, not the content of the files: a source is compared with an earlier
    batch without being read.
    """
    files = []
    for path in sorted(set(source.paths)):
        status = path.stat()
        files.append((path.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns))
    key = hashlib.sha256(options.key or b"").hexdigest()
    facts = [files, source.part, {**asdict(options), "key": key}, __version__]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def sidecar_path(result: Path) -> Path:
    """Where the sidecar of a file lies: its name with the ending ``.json``."""
    return result.with_name(f"{split_suffix(result)[0]}.json")


def extent(result: Path) -> tuple[int, int]:
    """Number and total size in bytes of the files that a result consists of."""
    files = [result] if result.is_file() else [file for file in result.rglob("*") if file.is_file()]
    return len(files), sum(file.stat().st_size for file in files)


class Standing:
    """The results of earlier batches in a target.

    Args:
        target: folder of the results.
        records: of its manifest.
    """

    def __init__(self, target: Path, records: Mapping[Key, Record]) -> None:
        self.target = target
        self.records = records
        self._makers: dict[str, list[Record]] = defaultdict(list)
        for record in records.values():
            self._makers[record.output].append(record)
        self._sidecars = {sidecar_path(target / output) for output in self._makers if output}

    def keeps(self, record: Record) -> bool:
        """Whether a finished result is there with as many files and bytes as its record says."""
        result = self.target / record.output
        beside = result.is_dir() or sidecar_path(result).is_file()
        finished = record.status in ("converted", "repaired")
        return finished and beside and extent(result) == (record.files, record.bytes)

    def require_replaceable(self, output: str, *, overwrite: bool) -> None:
        """Refuse to take the place of what no batch has made.

        Args:
            output: the result, relative to the target.
            overwrite: files of others may be replaced; folders never.

        Raises:
            OutputError: something of others is there.
        """
        result = self.target / output
        if result.is_dir() and not self._made_folder(result, self._makers[output]):
            raise OutputError(
                "is a folder with files that medgan did not write",
                where=output,
                remedy="Move it away, or convert into another folder",
            )
        if result.is_dir() or overwrite:
            return
        beside = sidecar_path(result)
        if (result.exists() and not self._makers[output]) or (
            beside.exists() and beside not in self._sidecars
        ):
            raise OutputError(
                "is there already, or its .json is, and medgan did not make it",
                where=output,
                remedy="Use --overwrite to replace it, or choose another folder",
            )

    def _made_folder(self, result: Path, makers: Iterable[Record]) -> bool:
        """A folder takes its place in one piece: that of a killed batch is whole, too."""
        found = extent(result)
        return any(
            record.status == "pending" or found == (record.files, record.bytes) for record in makers
        )
