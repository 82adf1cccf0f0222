"""The page of the command line has every command with every option."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from concordat.cli.main import COMMANDS, load

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def commands() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        found = load(name)
        inner = getattr(found, "commands", None)
        if inner is None:
            yield name, found
        else:
            yield from ((f"{name} {each}", command) for each, command in inner.items())


def test_the_page_has_every_command_and_option():
    rows = re.findall(r"^\| `concordat ([a-z -]+?)(?: [A-Z\[].*?)?` \| .+ \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    told = {name: set(re.findall(r"--[\w-]+", options)) for name, options in rows}
    there = {
        name: {word for option in command.params for word in option.opts if word.startswith("--")}
        for name, command in commands()
    }
    assert told == {name: options - {"--help"} for name, options in there.items()}
