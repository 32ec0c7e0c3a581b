"""No patient in two places."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from medgan.errors import DataError


def require_disjoint(groups: Mapping[str, Sequence[Path]]) -> None:
    """Refuse scans that stand in more than one group, under whatever name.

    Args:
        groups: files by what they are for ("training", "evaluation").

    Raises:
        DataError: two groups hold a file of the same content; both groups are named.
    """
    seen: dict[str, tuple[str, Path]] = {}
    for group, paths in groups.items():
        for path in paths:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            other, first = seen.setdefault(digest, (group, path))
            if other != group:
                raise DataError(
                    f"the same scan is used for {other} and for {group}",
                    where=path,
                    measured=f"same content as {first.name}",
                    remedy="Give every patient to one of them",
                )
