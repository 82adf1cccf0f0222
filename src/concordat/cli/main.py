"""The `concordat` command: groups, exit codes, and one clear sentence for every mistake."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from concordat import __version__
from concordat.cli.screen import fail
from concordat.errors import ConcordatError, UserError

__all__ = ["COMMANDS", "app", "load", "main"]

# Where each command is, and the line of it that `concordat --help` shows.
COMMANDS = {
    "demo": (
        "demo:demo",
        "Run Northbeam Consulting: deals are won, projects activate in every system, an outage strikes and heals.",
    ),
    "init": ("init:init", "Write a firm that runs against the twins: Northbeam Consulting, with contracts to change."),
    "check": (
        "check:check",
        "Report every fault of every contract at once: where it is, what is wrong, what to write instead.",
    ),
    "up": (
        "up:up",
        "Run everything in one process: hooks, API and console on loopback, and a worker. Ends on Ctrl-C or SIGTERM.",
    ),
    "worker": (
        "worker:worker",
        "Run one more worker, on this host or another, against the same database. Ends on Ctrl-C or SIGTERM.",
    ),
    "web": ("up:web", "Run hooks, API and console without a worker; workers run elsewhere."),
    "login": ("login:login", "Print a one-time link to the console, good for 15 minutes."),
    "bench": (
        "bench:bench",
        "Measure speed on this machine against a yardstick in the same run; exit 1 when a bar is missed.",
    ),
    "prove": (
        "prove:prove",
        "Try to break the engine's promises with seeded faults and crashes; exit 1 when one is broken.",
    ),
    "contract": ("contract:app", "Contracts: list, show, release a brake."),
    "handoff": ("handoff:app", "Handoffs: list, show, replay, undo, decide."),
    "case": ("case:app", "Cases: list, show, decide."),
    "db": ("db:app", "The database: migrations and their state."),
    "twin": ("twin:app", "Twins: programs that answer as the vendors' systems do."),
}


class Called(TyperGroup):
    """A group that imports the module of a command when it is called, and none to show help."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command as Typer does, and put the real one in place of its line of help."""
        name, line, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else line, rest


def load(name: str) -> Any:
    """One command of `COMMANDS`, with everything that it imports."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"concordat.cli.{module}"), attribute)
    one = typer.Typer(rich_markup_mode="markdown")
    if isinstance(found, typer.Typer):
        one.add_typer(found, name=name)
    else:
        one.command(name)(found)
    return get_group(one).commands[name]


app = typer.Typer(
    name="concordat",
    cls=Called,
    help="Keeps the CRM, PSA, HR and ERP of a professional-services firm in agreement, by contract.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Start with `concordat demo`, or `concordat init my-firm`. "
    "Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 not reachable.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"concordat {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Keeps the systems of a professional-services firm in agreement, by contract."""


def _line() -> None:
    """Stands in the help for a command that is not imported yet."""


for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_line)


def main() -> None:
    """Run the command line; a user's mistake is a sentence and an exit code, never a stack trace."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        fail(error)
        sys.exit(error.exit_code)
    except ConcordatError as error:
        fail(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
