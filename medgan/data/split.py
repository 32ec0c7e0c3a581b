"""No patient in two places: splits by patient, and a check for leaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from medgan.errors import DataError
from medgan.io.files import content_sha256

SPLIT_STREAM = 6

Patient = TypeVar("Patient")


@dataclass(frozen=True)
class Split(Generic[Patient]):
    """Who is trained on and who only validates."""

    training: tuple[Patient, ...]
    validation: tuple[Patient, ...]


def split_patients(patients: Sequence[Patient], share: float, seed: int) -> Split[Patient]:
    """Keep a share of the patients for validation, drawn by ``seed``.

    Args:
        patients: one entry a patient, in a fixed order.
        share: of them to keep, rounded; at least one where it is not 0.
        seed: another one draws others.

    Raises:
        DataError: nobody would be left to train on.
    """
    kept = max(1, round(share * len(patients))) if share and patients else 0
    if kept and kept == len(patients):
        raise DataError(
            "no patient is left to train on",
            measured=f"{len(patients)} in all, {kept} for validation",
            remedy="Lower data.validation_share, or add scans",
        )
    order = np.random.default_rng([seed, SPLIT_STREAM]).permutation(len(patients))
    chosen = set(order[:kept].tolist())
    return Split(
        tuple(p for i, p in enumerate(patients) if i not in chosen),
        tuple(p for i, p in enumerate(patients) if i in chosen),
    )


def require_disjoint(groups: Mapping[str, Sequence[Path]]) -> None:
    """Refuse scans that stand in more than one group, under whatever name.

    Args:
        groups: files or DICOM folders by what they are for ("training", "evaluation").

    Raises:
        DataError: two groups hold a scan of the same content; both groups are named.
    """
    seen: dict[str, tuple[str, Path]] = {}
    for group, paths in groups.items():
        for path in paths:
            digest = content_sha256(path)
            other, first = seen.setdefault(digest, (group, path))
            if other != group:
                raise DataError(
                    f"the same scan is used for {other} and for {group}",
                    where=path,
                    measured=f"same content as {first.name}",
                    remedy="Give every patient to one of them",
                )
