"""Which images of a series belong together: one stack, one echo, one time point."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from medgan.io.dicom.frames import Frame

ORIENTATION_TOLERANCE = 1e-4
"""Largest difference of a direction cosine within a stack: 0.03 mm over a 256 mm image."""

SPACING_TOLERANCE = 1e-4
"""Largest difference of a pixel spacing within a stack, relative."""

SAME_PLACE_MM = 0.01
"""Images nearer to each other than this lie at one place."""


@dataclass(frozen=True)
class Part:
    """Images that should form one volume, and what sets them apart within their series.

    Attributes:
        name: "" or such as "echo 2", "time 3", "b 1000", "localizer", "geometry 2".
        frames: in no particular order.
        leftover: whether it is a single image beside larger parts, which makes no volume.
    """

    name: str
    frames: tuple[Frame, ...]
    leftover: bool = False


def split(frames: Iterable[Frame]) -> list[Part]:
    """Split the images of one series into candidate volumes.

    Images of another matrix, orientation, pixel spacing, frame of reference, complex component,
    echo number or b-value never share a volume. Where several of the rest lie at one place, the
    attribute that parts them into stacks does so: type, time, echo time, and so on.

    Args:
        frames: of one study and series.
    """
    ordered = sorted(frames, key=lambda frame: (str(frame.path), frame.number or 0))
    scouts = _by_geometry(frame for frame in ordered if frame.localizer)
    images = _by_geometry(frame for frame in ordered if not frame.localizer)
    images.sort(key=len, reverse=True)
    parts = []
    for number, group in enumerate(scouts, 1):
        name = f"localizer {number}" if len(scouts) > 1 else "localizer"
        parts.append(Part(name, tuple(group)))
    for number, group in enumerate(images, 1):
        prefix = f"geometry {number}" if len(images) > 1 else ""
        parts += _by_kind(group, prefix)
    largest = max((len(part.frames) for part in parts if not _scout(part)), default=0)
    return [
        Part(part.name, part.frames, not _scout(part) and len(part.frames) == 1 < largest)
        for part in parts
    ]


def _scout(part: Part) -> bool:
    return part.name.startswith("localizer")


def _by_geometry(frames: Iterable[Frame]) -> list[list[Frame]]:
    """Images of one matrix, frame of reference, orientation and pixel spacing, within tolerance."""
    exact: dict[object, list[list[Frame]]] = defaultdict(list)
    for frame in frames:
        groups = exact[frame.matrix, frame.frame_of_reference]
        home = next((group for group in groups if _alike(group[0], frame)), None)
        if home is None:
            groups.append([frame])
        else:
            home.append(frame)
    return [group for groups in exact.values() for group in groups]


def _alike(a: Frame, b: Frame) -> bool:
    turned = _close(a.orientation, b.orientation, 0.0, ORIENTATION_TOLERANCE)
    return turned and _close(a.pixel_spacing, b.pixel_spacing, SPACING_TOLERANCE, 0.0)


def _close(
    a: tuple[float, ...] | None, b: tuple[float, ...] | None, relative: float, absolute: float
) -> bool:
    if a is None or b is None:
        return a is b
    return all(abs(x - y) <= absolute + relative * abs(x) for x, y in zip(a, b, strict=True))


def _by_kind(frames: list[Frame], prefix: str) -> list[Part]:
    kinds: dict[tuple[tuple[str, str], ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        kinds[frame.kind].append(frame)
    varying = {
        name
        for position, (name, _) in enumerate(frames[0].kind)
        if len({kind[position] for kind in kinds}) > 1
    }
    parts = []
    for kind, group in sorted(kinds.items(), key=lambda item: _sort_key(item[0])):
        words = [prefix, *(_word(name, value) for name, value in kind if name in varying)]
        parts += _by_label(group, " ".join(filter(None, words)))
    return parts


def _by_label(frames: list[Frame], prefix: str) -> list[Part]:
    """Part images that lie at one place by the fewest attributes that leave none together."""
    places = _places(frames)
    if places is None or len(set(places)) == len(places):
        return [Part(prefix, tuple(frames))]
    names = [name for name, _ in frames[0].labels]
    varying = [n for n in range(len(names)) if len({frame.labels[n] for frame in frames}) > 1]
    choices = [c for size in (1, 2) for c in combinations(varying, size)]
    for choice in choices:
        keys = [tuple(frame.labels[n] for n in choice) for frame in frames]
        if _parts_well(keys, places):
            return _labelled(frames, keys, prefix)
    return [Part(prefix, tuple(frames))]


def _parts_well(keys: Sequence[object], places: Sequence[int]) -> bool:
    """Whether no part has two images at one place, and not every part is a single image."""
    together = Counter(zip(keys, places, strict=True))
    largest = max(Counter(keys).values())
    return max(together.values()) == 1 and (largest > 1 or len(set(places)) == 1)


def _labelled(
    frames: Sequence[Frame], keys: Sequence[tuple[tuple[str, str], ...]], prefix: str
) -> list[Part]:
    order = sorted(set(keys), key=_sort_key)
    parts = []
    for number, key in enumerate(order, 1):
        group = tuple(frame for frame, own in zip(frames, keys, strict=True) if own == key)
        # The number, not the value: a time of day or a free text could identify the patient.
        words = [prefix, f"{key[0][0]} {number}"]
        parts.append(Part(" ".join(filter(None, words)), group))
    return parts


def _places(frames: Sequence[Frame]) -> list[int] | None:
    """A number for each image's place, equal for equal places; None where one is unknown."""
    positions = [frame.position for frame in frames]
    if any(position is None for position in positions):
        return None
    grid = np.array(positions, dtype=np.float64)
    # Along the direction of most spread neighbours in space are neighbours in order.
    axis = int(np.argmax(np.ptp(grid, axis=0)))
    order = np.argsort(grid[:, axis], kind="stable")
    places, number = [0] * len(frames), 0
    previous = order[0]
    for current in order:
        if np.abs(grid[current] - grid[previous]).max() > SAME_PLACE_MM:
            number += 1
        places[current], previous = number, current
    return places


def _word(name: str, value: str) -> str:
    return f"{name} {value.removesuffix('.0')}" if value else f"no {name}"


def _sort_key(pairs: Iterable[tuple[str, str]]) -> list[tuple[float, str]]:
    return [(_float(value), value) for _, value in pairs]


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
