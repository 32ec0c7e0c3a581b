"""The viewer NiiVue, as a JavaScript module that a page can carry within itself."""

import gzip
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from medgan.errors import ConfigError

PACKAGE = "ipyniivue"

_CLASS = re.compile(r'"Creating new Niivue instance"\).{0,200}?=new ([\w$]+)\(', re.DOTALL)
"""Where the widget makes its one viewer: the name of the class, whatever a minifier called it."""


@dataclass(frozen=True)
class NiiVue:
    """The program.

    Attributes:
        module: gzip of an ES module that exports the class ``Niivue``.
        version: of the package it was taken from.
        licence: its text, which goes wherever the program goes.
    """

    module: bytes
    version: str
    licence: str


@cache
def niivue() -> NiiVue:
    """NiiVue from the installed package ipyniivue, made for Jupyter, without Jupyter.

    The package holds it as the module of a widget, which keeps the class to itself; one line is
    added that exports it.

    Raises:
        ConfigError: the package is missing, or is not built as it was when this was written.
    """
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise ConfigError(
            "the viewer of the report is not installed",
            where=PACKAGE,
            remedy="pip install ipyniivue",
        ) from error
    path = Path(str(package.locate_file(f"{PACKAGE}/static/widget.js")))
    widget = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = _CLASS.search(widget)
    licence = _licence(package)
    if found is None or licence is None:
        raise ConfigError(
            "this version of the viewer is packed in another way",
            where=PACKAGE,
            measured=package.version,
            remedy="pip install ipyniivue==2.4.4",
        )
    code = f"{widget}\nexport {{ {found[1]} as Niivue }};\n"
    return NiiVue(gzip.compress(code.encode(), 9, mtime=0), package.version, licence)


def _licence(package: Distribution) -> str | None:
    for file in package.files or ():
        if file.name.startswith("LICENSE"):
            return file.read_text(encoding="utf-8")
    return None
