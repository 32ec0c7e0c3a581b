"""What of medgan's requirements is installed, by the metadata of its own installation."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement

from medgan.cli.findings import Check

_OWN = "medgan"
_DEVELOPMENT = ("dev",)
"""Extras that no user needs."""


def requirements(extra: str = "") -> dict[str, Requirement]:
    """What medgan requires, by name.

    Args:
        extra: what this extra adds; by default what every installation has.

    Returns:
        Nothing where medgan runs from a folder without being installed.
    """
    try:
        lines = requires(_OWN) or []
    except PackageNotFoundError:
        return {}
    found = {}
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always != bool(extra) and (always or (marker and marker.evaluate({"extra": extra}))):
            found[requirement.name] = requirement
    return found


def extras() -> list[str]:
    """The extras that a user may want, sorted."""
    try:
        names = metadata(_OWN).get_all("Provides-Extra", [])
    except PackageNotFoundError:
        return []
    return sorted(set(names) - set(_DEVELOPMENT))


def check_extras() -> Iterator[Check]:
    """For each extra whether all of it is there."""
    for extra in extras():
        missing = [name for name, wanted in requirements(extra).items() if not _has(wanted)]
        if missing:
            remedy = f'pip install "{_OWN}[{extra}]", if you need it'
            yield Check(f"extra {extra}", "note", f"not installed: {', '.join(missing)}", remedy)
        else:
            yield Check(f"extra {extra}", "ok", "installed")


def _has(wanted: Requirement) -> bool:
    try:
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except PackageNotFoundError:
        return False
