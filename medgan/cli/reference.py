"""The references of commands and of configurations, written from themselves (``make docs``)."""

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from medgan.cli.configuration import configuration
from medgan.cli.main import CONTEXT, VERBS, WIDTH, app, load
from medgan.io.files import write_text

_HEAD = """\
# Command reference

Written by `make docs` from the commands themselves. Every verb exits with 0 on full success, with 1
when something in a batch failed and with 2, after one message, when it was given something that it
cannot use.
"""


def reference() -> str:
    """The help of the program and of every verb, as Markdown."""
    commands: dict[str, Any] = {"medgan": typer.main.get_command(app)}
    for verb in VERBS:
        command = load(verb)
        commands[f"medgan {verb}"] = command
        if isinstance(command, TyperGroup):
            commands |= {f"medgan {verb} {name}": own for name, own in command.commands.items()}
    sections = [_HEAD]
    for name, command in commands.items():
        context = typer.Context(command, info_name=name, terminal_width=WIDTH, **CONTEXT)
        sections.append(f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(sections)


PAGES = {"cli.md": reference, "configuration.md": configuration}
"""Name of a page -> what is in it."""


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        write_text(page, PAGES[page.name]())
