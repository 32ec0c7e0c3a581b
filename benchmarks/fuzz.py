"""What medgan makes of hostile files: thousands of spoiled images in every format.

Each input is a small sound image spoiled as its number and the seed say, see ``mutations.py`` in
the folder of tests. It is read, and every fourth one is converted too, in a process that may die.
It must end in a volume or in a typed error, within 10 s and 2 GB, and change nothing outside the
folder for results. Prints Markdown tables; exits with 1 where anything else happened.

    python benchmarks/fuzz.py [--count 6000] [--seed 0] [--jobs 2] [--only NUMBER] [--json FILE]
"""

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import queue
import resource
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import nibabel as nib
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from hostile_seeds import FORMATS, Seed, seeds
from mutations import Mutant, mutant

from medgan.errors import MedganError
from medgan.io import read_volume
from medgan.io.batch.job import Format, Options
from medgan.io.batch.planning import Request, plan
from medgan.io.dicom import index_folder, read_series
from medgan.io.metaimage import data_file
from medgan.volumes import Volume

LONGEST_SECONDS = 10.0
LARGEST_BYTES = 2e9
PATIENCE_SECONDS = 60.0
"""After which a process is killed; longer than ``LONGEST_SECONDS`` to measure by how much."""

ADDRESS_SPACE = 8 * 2**30
"""Of a process, so that a defect harms nobody else on the machine."""

CONVERTED = 4
"""One in so many inputs of a format is converted too."""

SECRET = b"secret!" * 4096


@dataclass(frozen=True)
class Verdict:
    """What became of an input.

    Attributes:
        number: of the input.
        format: of the input.
        change: what had been done to it.
        seed: name of the sound image.
        header: whether its header was accepted, so that the pixels were looked at.
        outcome: "read", "skipped" as no image, or the type of the error.
        seconds: for reading, and for converting if that took longer.
        peak_bytes: of memory that was in use at one time, all of the process included.
        faults: what must not happen.
    """

    number: int
    format: str
    change: str
    seed: str
    header: bool = False
    outcome: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    faults: tuple[str, ...] = ()


@dataclass
class Examination:
    """An input under way in a folder of its own, ``root``; the image lies two folders below."""

    mutant: Mutant
    root: Path
    header: bool = False
    outcome: str = "skipped"
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def run(self) -> Verdict:
        """Read the input, convert it where it is its turn, and judge."""
        place = self.root / "outer" / "in"
        main = self.mutant.write(place)
        for folder in (self.root, self.root / "outer"):
            (folder / "secret.raw").write_bytes(SECRET)
        _reset_peak()
        before = _peak_bytes()
        self._guarded(lambda: self._read(main))
        # To convert hundreds of megabytes of zeros takes long, but is no hang.
        bomb = self.mutant.change.endswith("bomb")
        if self.mutant.number // len(FORMATS) % CONVERTED == 0 and not bomb:
            self._convert(place)
        peak = _peak_bytes()
        if self.mutant.must_be_refused and self.outcome == "read":
            self.faults.append("read voxels of a file that is none of its own")
        if self.seconds > LONGEST_SECONDS:
            self.faults.append(f"took {self.seconds:.1f} s")
        # what the process held before is not the input's doing
        if peak - before > LARGEST_BYTES:
            self.faults.append(f"took {(peak - before) / 1e9:.2f} GB of memory")
        facts = self.mutant
        return Verdict(
            facts.number, facts.format, facts.change, facts.seed, self.header, self.outcome,
            self.seconds, peak, tuple(self.faults),
        )  # fmt: skip

    def _guarded(self, work: Callable[[], object]) -> None:
        """Do something that may raise a MedganError and nothing else."""
        start = time.monotonic()
        try:
            work()
        except MedganError as error:
            self.outcome = type(error).__name__
        except Exception as error:
            self.outcome = f"defect {type(error).__name__}"
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}:{last.lineno}"
            self.faults.append(f"{type(error).__name__} at {place}")
        self.seconds = max(self.seconds, time.monotonic() - start)

    def _read(self, main: Path) -> None:
        if self.mutant.format == "dicom":
            self._read_dicom(main)
            return
        self.header = _header_passes(main)
        self._require_sound(read_volume(main))
        self.outcome = "read"

    def _read_dicom(self, main: Path) -> None:
        """Every volume of the folder; the outcome is that of the one with the spoiled file."""
        outcomes = []
        for entry in index_folder(main.parent).entries:
            try:
                self._require_sound(read_series(entry).volume)
                outcome = "read"
            except MedganError as error:
                outcome = type(error).__name__
            if main in entry.paths:
                self.header = self.header or bool(entry.modality)
                outcomes.append(outcome)
        self.outcome = max(outcomes, default="skipped", key=lambda outcome: outcome == "read")

    def _require_sound(self, volume: Volume) -> None:
        if not np.isfinite(volume.array).all():
            self.faults.append("gave values that are not finite")

    def _convert(self, place: Path) -> None:
        before = _snapshot(self.root)
        target = self.root / "outer" / "out"
        to: Format = "dicom" if self.mutant.format != "dicom" else "nifti"
        # Names from headers only where they are hostile on purpose.
        names = "{patient_id}/{description}/{series}{part}"
        template = names if self.mutant.change == "texts" else None
        request = Request(place, target, Options(to), template=template)
        outcome = self.outcome
        self._guarded(lambda: [*plan(request)])
        if not self.outcome.startswith("defect"):
            self.outcome = outcome
        if (after := _snapshot(self.root, without=target)) != before:
            changed = set(after.items()) ^ set(before.items())
            self.faults.append(f"changed {len(changed)} files outside the folder for results")
        if any(path.is_symlink() or path.name.startswith(".") for path in target.rglob("*")):
            self.faults.append("left something unfinished, or a link")
        if any(SECRET[:700] in path.read_bytes() for path in target.rglob("*") if path.is_file()):
            self.faults.append("copied a file that is none of its own")


def _header_passes(main: Path) -> bool:
    """Whether nibabel, or medgan's first look at a MetaImage or NRRD, accepts the header."""
    try:
        if main.suffix in (".nii", ".gz"):
            nib.load(main)
        else:
            data_file(main)
    except Exception:
        return False
    return True


def _snapshot(root: Path, without: Path | None = None) -> dict[str, str]:
    """Digests by name of all files below a folder."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and not (without and path.is_relative_to(without))
    }


def _reset_peak() -> None:
    """Source: Linux, proc(5): 5 resets VmHWM."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def serve(connection: Connection, seed: int) -> None:
    """Examine the inputs whose numbers come in, until None does; runs in a process of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    logging.disable()
    sound: list[Seed] = seeds()
    connection.send(None)
    while (number := connection.recv()) is not None:
        spoiled = mutant(number, seed, sound)
        connection.send(Verdict(number, spoiled.format, spoiled.change, spoiled.seed))
        root = Path(tempfile.mkdtemp(prefix="medgan-fuzz-"))
        try:
            connection.send(Examination(spoiled, root).run())
        finally:
            shutil.rmtree(root)


class Examiner:
    """A process that examines inputs, started anew where one of them ends it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._process: BaseProcess | None = None

    def examine(self, number: int) -> Verdict:
        """The verdict on an input; that its process died or had to be killed is one, too."""
        if self._process is None:
            self._start()
        self._pipe.send(number)
        begun = self._pipe.recv()
        try:
            if self._pipe.poll(PATIENCE_SECONDS):
                return self._pipe.recv()
            fault = f"took more than {PATIENCE_SECONDS:g} s"
        except (EOFError, ConnectionError):
            assert self._process is not None
            self._process.join()
            fault = f"killed its process: exit code {self._process.exitcode}"
        self.stop()
        return replace(begun, outcome="defect", faults=(fault,))

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self._seed), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None


def examine(numbers: Sequence[int], seed: int, jobs: int) -> Iterator[Verdict]:
    """The verdicts on inputs, in the order in which they are done."""
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Verdict | BaseException] = queue.SimpleQueue()
    for number in [*numbers, *jobs * [None]]:
        waiting.put(number)

    def work() -> None:
        examiner = Examiner(seed)
        try:
            while (number := waiting.get()) is not None:
                done.put(examiner.examine(number))
        except BaseException as error:
            done.put(error)
        finally:
            examiner.stop()

    for _ in range(jobs):
        threading.Thread(target=work, daemon=True).start()
    for _ in numbers:
        verdict = done.get()
        if isinstance(verdict, BaseException):
            raise verdict
        yield verdict


def print_tables(verdicts: Sequence[Verdict]) -> None:
    """How many inputs of each format passed the header, were read and were refused, and by what."""
    print("| format | inputs | header passes | read | refused | skipped | slowest | most memory |")
    print("|---" * 8 + "|")
    for form in FORMATS:
        own = [verdict for verdict in verdicts if verdict.format == form]
        if not own:
            continue
        count = Counter(v.outcome if v.outcome in ("read", "skipped") else "refused" for v in own)
        passed = sum(verdict.header for verdict in own)
        cells = [
            form, len(own), f"{passed} ({passed / len(own):.0%})", count["read"], count["refused"],
            count["skipped"], f"{max(v.seconds for v in own):.1f} s",
            f"{max(v.peak_bytes for v in own) / 1e6:.0f} MB",
        ]  # fmt: skip
        print("|", " | ".join(map(str, cells)), "|")
    print("\n| refused with |", " | ".join(FORMATS), "|")
    print("|---" * (len(FORMATS) + 1) + "|")
    kinds = Counter(v.outcome for v in verdicts if v.outcome not in ("read", "skipped"))
    for kind, _ in kinds.most_common():
        counts = [sum(v.outcome == kind and v.format == form for v in verdicts) for form in FORMATS]
        print(f"| `{kind}` |", " | ".join(map(str, counts)), "|")


def main() -> None:
    """Examine inputs, print the tables, and name every input that did what must not happen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this input and no other")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the verdicts, for programs")
    options = parser.parse_args()
    numbers = range(options.count) if options.only is None else [options.only]
    start, verdicts = time.monotonic(), []
    for verdict in examine(numbers, options.seed, options.jobs):
        verdicts.append(verdict)
        for fault in verdict.faults:
            print(
                f"seed {options.seed} number {verdict.number}: {verdict.format}, {verdict.change} "
                f"of {verdict.seed}: {fault}",
                file=sys.stderr,
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts]))
    print_tables(verdicts)
    faulty = sum(bool(verdict.faults) for verdict in verdicts)
    print(f"\n{len(verdicts)} inputs, seed {options.seed}: {faulty} did what must not happen.")
    print(f"{time.monotonic() - start:.0f} s with {options.jobs} processes.", file=sys.stderr)
    sys.exit(bool(faulty))


if __name__ == "__main__":
    main()
