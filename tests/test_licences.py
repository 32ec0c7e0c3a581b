"""Nothing in the default install is under the GPL, and docs/licences.md lists all of it."""

import tomllib
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from medgan.cli import licences
from medgan.cli.licences import BUNDLED, closure, is_copyleft, licence_of, names_copyleft

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def default():
    return closure(PROJECT["dependencies"])


def test_the_default_install_is_free_of_copyleft(default):
    assert len(default) > len(PROJECT["dependencies"])
    assert [(i.name, i.licence) for i in default if not i.licence] == []
    assert [(i.name, i.licence) for i in default if is_copyleft(i.licence)] == []


def test_users_get_no_copyleft_with_any_extra():
    extras = PROJECT["optional-dependencies"].items()
    requirements = [line for name, lines in extras if name != "dev" for line in lines]
    assert [i.name for i in closure(requirements) if is_copyleft(i.licence)] == []


def test_what_wheels_bundle_under_copyleft_was_read_by_a_person(default):
    assert {i.name for i in default if names_copyleft(distribution(i.name))} == set(BUNDLED)


def test_the_page_lists_what_is_installed(default):
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if " | " in line]
    listed = {row[0]: row[1] for row in rows if len(row) == 3}
    del listed["package"]
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    # what is not pinned depends on the build of torch
    installed = {i.name: i.licence for i in default if i.name in pinned}
    assert listed == installed, "run `make docs`"
    assert all(f"* **{name}**: {found}." in PAGE for name, found in BUNDLED.items())
    assert all(
        f"| `{extra}` |" in PAGE for extra in PROJECT["optional-dependencies"].keys() - {"dev"}
    )


@pytest.mark.parametrize(
    ("licence", "copyleft"),
    [
        ("GPL-3.0-or-later", True),
        ("LGPLv3+", True),
        ("AGPL-3.0", True),
        ("GNU Lesser General Public License v2 (LGPLv2)", True),
        ("GNU Library or Lesser General Public License (LGPL)", True),
        ("GNU General Public License v3 or later", True),
        ("MIT AND LGPL-2.1-only", True),
        ("GPL-2.0 WITH Classpath-exception-2.0", True),
        ("MIT OR GPL-2.0-only", False),
        ("LGPL-3.0 OR GPL-2.0", True),
        # read by a person: what is in the brackets may not be all
        ("GPL-3.0 AND (MIT OR BSD-3-Clause)", True),
        ("MPL-2.0 AND MIT", False),
        ("Mozilla Public License 2.0 (MPL 2.0)", False),
        ("Apache Software License", False),
        ("BSL-1.0", False),
    ],
)
def test_copyleft_is_told_by_expressions_and_names(licence, copyleft):
    assert is_copyleft(licence) is copyleft


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License-Expression": "MIT", "License": "GPL"}, "MIT"),
        ({"License": "BSD\n 3-Clause"}, "BSD 3-Clause"),
        ({"License": "UNKNOWN", "Classifier": "License :: OSI Approved :: ISC"}, "ISC"),
        ({"License": "word " * 50, "Classifier": "License :: OSI Approved :: MIT"}, "MIT"),
        (
            {"License": "BSD", "Classifier": "License :: OSI Approved :: GNU GPL v2"},
            "BSD; GNU GPL v2",
        ),
        ({"Classifier": "Programming Language :: Python"}, ""),
    ],
)  # fmt: skip
def test_every_field_of_the_metadata_is_looked_at(fields, expected):
    message = Message()
    for name, value in fields.items():
        message[name] = value
    assert licence_of("anything", message) == expected


def test_requirements_are_followed_to_their_end(monkeypatch):
    class Stub:
        files = ()

        def __init__(self, name, *requires):
            self.requires = requires
            self.metadata = Message()
            self.metadata["License-Expression"] = f"licence of {name}"

    tree = {
        "a": ("B_b[fast]>=1", "never; sys_platform == 'nowhere'"),
        "b-b": ("c; extra == 'fast'", "d; extra == 'slow'", "a"),
        "c": (),
    }
    monkeypatch.setattr(licences, "distribution", lambda name: Stub(name, *tree[name]))
    found = {i.name: i for i in closure(["A>=2"])}
    assert found.keys() == {"a", "b-b", "c"}
    assert found["a"].required_by == ("b-b", "medgan")
    assert found["c"].licence == "licence of c"
