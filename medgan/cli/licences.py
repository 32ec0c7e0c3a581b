"""The licences of all that ``pip install medgan`` installs (``make docs``).

Looked up in the metadata of what is installed: a licence expression, else classifiers, else the
name in the old field. What metadata does not say, or says in a way that must be read by a person,
stands here with what that person found.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageMetadata, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from medgan.io.files import write_text

COPYLEFT = re.compile(r"\b[AL]?GPL|GNU (Lesser |Library |Affero )?General Public", re.IGNORECASE)
"""What tells the GPL, the LGPL and the AGPL, also in their full names."""

READ = {
    "huey": "MIT",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "skops": "MIT",
}
"""Licences that no field of the metadata tells, read in the project's own licence file."""

BUNDLED = {
    "gitdb": "nothing; the remark is about two files of its tests, which the wheel does not hold",
    "matplotlib": "FreeType, which leaves the choice between its own licence and the GPL",
    "numpy": "libgfortran, under the GPL with the exception for runtime libraries, and "
    "libquadmath, under the LGPL: libraries of their own that can be exchanged, as the LGPL asks",
    "pillow": "FreeType, as matplotlib; of xz only liblzma, to which the GPL does not apply",
    "pyarrow": "nothing; an exception of LLVM's licence names the GPL",
    "scikit-learn": "libgomp, under the GPL with the exception for runtime libraries",
    "scipy": "libgfortran and libquadmath, as numpy",
    "setuptools": "autocommand, under the LGPL, as source; only its own tools use it. Required by "
    "torch, never imported by medgan",
    "torch": "libgomp, as scikit-learn; the GPL's text is that of tests which the wheel does not "
    "hold, and an exception of LLVM's licence names the GPL",
}
"""Distribution -> what its wheel bundles, where a licence file in it names the GPL or the LGPL."""

_PYTHON = re.compile(r"previously distributed under the GNU General Public License")
"""Of Python's own licence, which many wheels quote; it is not under the GPL."""

_HEAD = """\
# Licences of what medgan installs

medgan itself is under Apache-2.0. Here is everything that `pip install medgan` brings along, on
Linux with the CPU build of torch, at the versions of `constraints.txt`. `make docs` writes it from
the packages' own metadata; `tests/test_licences.py` follows the same requirements and fails where
one is under the GPL, the LGPL or the AGPL without another choice, or does not say. The CUDA build
of torch also brings NVIDIA's libraries, which are not open source.

MPL-2.0 (certifi, tqdm) asks that changes to their own files are published; medgan changes none.
"""

_BUNDLED_HEAD = """\
## What wheels bundle

A wheel may hold other libraries beside the project's own code. The licence files of these name the
GPL or the LGPL. What stands behind it, read by a person:
"""

_EXTRAS_HEAD = """\
## Extras

What each extra adds to that. The extra `dev` holds tools that medgan is tested with and that no
user needs; codespell among them is under the GPL.
"""

_NAMES = re.compile(
    r"GNU (Lesser |Library |Affero )?(General Public Licen|L?GPL)|\bA?L?GPL.?v?[23]", re.I
)
_LICENCE_FILE = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)
_LONGEST = 60
"""Characters beyond which the old field holds a licence's text instead of its name."""


@dataclass(frozen=True)
class Installed:
    """A distribution of the closure.

    Attributes:
        name: in its canonical form.
        licence: as its metadata, or a person, say; empty where neither does.
        required_by: canonical names.
    """

    name: str
    licence: str
    required_by: tuple[str, ...]


def closure(requirements: Iterable[str]) -> list[Installed]:
    """All that requirements bring along on this machine, sorted by name.

    Args:
        requirements: of medgan, as in pyproject.toml.

    Raises:
        PackageNotFoundError: something required is not installed.
    """
    found: dict[str, Distribution] = {}
    parents: dict[str, set[str]] = {}
    seen = set()
    waiting = [("medgan", Requirement(text)) for text in requirements]
    while waiting:
        parent, requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        parents.setdefault(name, set()).add(parent)
        key = (name, frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found[name] = distribution(name)
        waiting += ((name, below) for below in _required(found[name], requirement.extras))
    return [
        Installed(name, licence_of(name, found[name].metadata), tuple(sorted(parents[name])))
        for name in sorted(found)
    ]


def _required(installed: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, installed.requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in {"", *extras}):
            yield requirement


def licence_of(name: str, metadata: PackageMetadata) -> str:
    """The licence by `READ`, else by the metadata of a distribution.

    Args:
        name: canonical.
        metadata: as ``importlib.metadata`` gives it.
    """
    if name in READ:
        return READ[name]
    for expression in metadata.get_all("License-Expression", []):
        return str(expression)
    classifiers = [value for value in metadata.get_all("Classifier", []) if "License ::" in value]
    kind = " and ".join(value.rpartition(" :: ")[2] for value in classifiers)
    old = " ".join("".join(metadata.get_all("License", [])).split())
    if len(old) > _LONGEST or old in ("UNKNOWN", "LICENSE"):
        old = ""
    # where both speak and differ the stricter one must not be lost
    if old and COPYLEFT.search(kind):
        return f"{old}; {kind}"
    return old or kind


def is_copyleft(licence: str) -> bool:
    """Whether a licence is the GPL, the LGPL or the AGPL and leaves no other choice.

    Args:
        licence: an expression, of which every part of an OR is a choice, or a name. With brackets
            around the choice it counts as none: it has to be read by a person.
    """
    choices = [licence] if "(" in licence else licence.split(" OR ")
    return all(COPYLEFT.search(choice) for choice in choices)


def names_copyleft(installed: Distribution) -> bool:
    """Whether a licence file names the GPL, as it does where a wheel bundles something under it."""
    for file in installed.files or ():
        if _LICENCE_FILE.search(file.name) and file.suffix not in (".py", ".pyc"):
            path = Path(str(file.locate()))
            text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
            if _NAMES.search(_PYTHON.sub("", text)):
                return True
    return False


def page(project: Mapping[str, Any]) -> str:
    """The list of licences as Markdown.

    Args:
        project: the table ``project`` of pyproject.toml.
    """
    default = closure(project["dependencies"])
    lines = [_HEAD, "| package | licence | needed by |", "|---|---|---|"]
    lines += [f"| {i.name} | {i.licence} | {', '.join(i.required_by)} |" for i in default]
    lines += ["", _BUNDLED_HEAD]
    lines += [f"* **{i.name}**: {BUNDLED[i.name]}." for i in default if i.name in BUNDLED]
    lines += ["", _EXTRAS_HEAD, "| extra | adds |", "|---|---|"]
    known = {i.name for i in default}
    for extra, requirements in project["optional-dependencies"].items():
        if extra != "dev":
            added = [i for i in closure(requirements) if i.name not in known]
            shown = (f"{i.name} ({i.licence or 'not stated'})" for i in added)
            lines.append(f"| `{extra}` | {', '.join(shown)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with Path("pyproject.toml").open("rb") as file:
        write_text(sys.argv[1], page(tomllib.load(file)["project"]))
