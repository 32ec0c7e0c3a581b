"""A folder of LUNA16, genuine or made in its form: scans, findings, lungs, folds.

Looked for in the folder and below: ``<seriesuid>.mhd`` (or .mha) in ``subset0`` to ``subset9`` or
anywhere else, lung masks of the same names in ``seg-lungs*``, ``annotations.csv`` and
``annotations_excluded.csv``. What is wrong with one scan is a ``Problem`` and the rest goes on.
"""

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.errors import DataError, FileError, MedganError
from medgan.io.luna16 import Row, contains, read_grid, read_rows, uid_of

__all__ = ["Fold", "Luna16", "Luna16Scan", "Nodule", "Problem"]

ANNOTATIONS = "annotations.csv"
EXCLUDED = "annotations_excluded.csv"
_SUBSET = re.compile(r"subset(\d+)")
_MASKS = "seg-lungs"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Why a scan, or an annotation, is left out.

    Attributes:
        uid: series UID.
        what: the fault in one clause.
        where: the file, relative to the folder where it lies in it.
    """

    uid: str
    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Fold:
    """One round of a cross-validation: a subset is tested, the others are learned from."""

    number: int
    train: tuple[Luna16Scan, ...]
    test: tuple[Luna16Scan, ...]


@dataclass(frozen=True)
class Luna16:
    """The scans of a folder that can be used, and why others cannot.

    Attributes:
        root: the folder.
        scans: ordered by subset and series UID.
        problems: scans left out and annotations without a scan, in the order found.
    """

    root: Path
    scans: tuple[Luna16Scan, ...]
    problems: tuple[Problem, ...]

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        *,
        subsets: Collection[int] | None = None,
        annotations: Path | None = None,
        excluded: Path | None = None,
    ) -> "Luna16":
        """Find scans and their findings; of the images only the headers are read.

        A scan is left out when its header cannot be used, its voxels are not beside it, its series
        UID occurs twice, or a nodule lies off it or has no size. Annotations without a scan are a
        problem too, unless ``subsets`` leaves scans out. Scans without annotations have no nodules.

        Args:
            root: the folder.
            subsets: numbers of those to take; None: every scan.
            annotations: None: the annotations.csv in the folder or one level below.
            excluded: None: the annotations_excluded.csv found likewise; it may be missing.

        Raises:
            FileError: no such folder, no annotations, a table that is not one.
            DataError: no usable scan; a number in a table that is not finite.
        """
        root = Path(root)
        if not root.is_dir():
            raise FileError("no such folder", where=root)
        annotations = annotations or _required_table(root, ANNOTATIONS)
        nodules, findings = _by_scan(annotations), _by_scan(excluded or _table(root, EXCLUDED))
        files = _Files.below(root)
        scans, problems = [], []
        for uid, paths in files.scans.items():
            if subsets is not None and not {_subset(path) for path in paths} & set(subsets):
                continue
            first = paths[0]
            found = nodules.get(uid, ()), findings.get(uid, ())
            scan = Luna16Scan(uid, first, _subset(first), *found, files.masks.get(uid))
            fault = _fault(scan) if len(paths) == 1 else "the series UID occurs more than once"
            if fault is None:
                scans.append(scan)
            else:
                problems.append(Problem(uid, fault, ", ".join(_name(p, root) for p in paths)))
        if subsets is None:
            problems += [
                Problem(uid, "annotated, but there is no scan", _name(annotations, root))
                for uid in nodules
                if uid not in files.scans
            ]
        return cls(root, tuple(sorted(scans, key=_order)), ())._without(problems)

    def with_lungs(self) -> "Luna16":
        """The scans whose voxels can be read and that have lungs; reads every one of them.

        Raises:
            DataError: none is left.
        """
        problems = []
        for scan in self.scans:
            try:
                scan.read()
                scan.lungs()
            except MedganError as error:
                problems.append(Problem(scan.uid, _said(error), _name(scan.path, self.root)))
        return self._without(problems)

    def folds(self) -> tuple[Fold, ...]:
        """Cross-validation by subset, one fold for each, in the order of their numbers.

        Source: the procedure of LUNA16: each subset is tested once by what the others taught.

        Raises:
            DataError: fewer than two subsets, or scans outside of subsets.
        """
        numbers = sorted({scan.subset for scan in self.scans if scan.subset is not None})
        outside = sum(scan.subset is None for scan in self.scans)
        if len(numbers) < 2 or outside:
            raise DataError(
                "folds are made of subsets",
                where=self.root,
                measured=f"{len(numbers)} subset(s), {outside} scan(s) outside of them",
                limit="2 or more, none outside",
                remedy="Put the scans into folders subset0, subset1, ...",
            )
        return tuple(
            Fold(
                number,
                tuple(scan for scan in self.scans if scan.subset != number),
                tuple(scan for scan in self.scans if scan.subset == number),
            )
            for number in numbers
        )

    def _without(self, problems: list[Problem]) -> "Luna16":
        for problem in problems:
            _log.warning("left out: %s", problem)
        bad = {problem.uid for problem in problems}
        kept = tuple(scan for scan in self.scans if scan.uid not in bad)
        if not kept:
            raise DataError(
                "no usable scan",
                where=self.root,
                measured=problems[0] if problems else "no .mhd or .mha file",
                remedy="Scans lie in it as subset0/<seriesuid>.mhd with their .raw or .zraw",
            )
        return replace(self, scans=kept, problems=(*self.problems, *problems))


@dataclass(frozen=True)
class _Files:
    """Files by series UID: images, and masks of lungs."""

    scans: Mapping[str, list[Path]]
    masks: Mapping[str, Path]

    @classmethod
    def below(cls, root: Path) -> "_Files":
        scans: defaultdict[str, list[Path]] = defaultdict(list)
        masks = {}
        for path in _images(root):
            if any(part.startswith(_MASKS) for part in path.relative_to(root).parts[:-1]):
                masks[uid_of(path)] = path
            else:
                scans[uid_of(path)].append(path)
        return cls(scans, masks)


def _images(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        # What begins with a dot is being written.
        if path.suffix.lower() in {".mhd", ".mha"} and not path.name.startswith("."):
            yield path


def _fault(scan: Luna16Scan) -> str | None:
    try:
        grid = read_grid(scan.path)
    except MedganError as error:
        return _said(error)
    positions = np.reshape([nodule.position_mm for nodule in scan.nodules], (-1, 3))
    off = np.count_nonzero(~contains(grid, positions))
    if off:
        return f"{off} of {len(scan.nodules)} annotation(s) lie off the scan"
    if any(nodule.diameter_mm <= 0 for nodule in scan.nodules):
        return "a nodule has no diameter"
    repeats = [n for n, times in Counter(n.position_mm for n in scan.nodules).items() if times > 1]
    return f"{len(repeats)} nodule(s) annotated twice" if repeats else None


def _said(error: MedganError) -> str:
    """The error without its place, which stands beside it."""
    return error.what if error.measured is None else f"{error.what} (measured {error.measured})"


def _by_scan(path: Path | None) -> dict[str, tuple[Nodule, ...]]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in read_rows(path, "diameter_mm") if path else ():
        rows[row.uid].append(row)
    return {
        uid: tuple(Nodule(row.position_mm, row.value) for row in mine) for uid, mine in rows.items()
    }


def _table(root: Path, name: str) -> Path | None:
    """In the folder itself, else in one below, as the archives of LUNA16 unpack."""
    return next(
        (path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if path.is_file()), None
    )


def _required_table(root: Path, name: str) -> Path:
    path = _table(root, name)
    if path is None:
        raise FileError(f"no {name} in this folder", where=root, remedy="Give it by name")
    return path


def _subset(path: Path) -> int | None:
    match = _SUBSET.fullmatch(path.parent.name)
    return int(match[1]) if match else None


def _order(scan: Luna16Scan) -> tuple[float, str]:
    return (float("inf") if scan.subset is None else scan.subset, scan.uid)


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
