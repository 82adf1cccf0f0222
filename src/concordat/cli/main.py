"""The `concordat` command: groups, exit codes, and one clear sentence for every mistake."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from concordat import __version__
from concordat.cli import bench, case, contract, db, demo, firm, handoff, serve, twin
from concordat.cli.screen import fail
from concordat.errors import ConcordatError, UserError

__all__ = ["app", "main"]

app = typer.Typer(
    name="concordat",
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


demo.add_to(app)
firm.add_to(app)
serve.add_to(app)
app.command("bench", help=bench.HELP)(bench.bench)
app.add_typer(contract.app, name="contract")
app.add_typer(handoff.app, name="handoff")
app.add_typer(case.app, name="case")
app.add_typer(db.app, name="db")
app.add_typer(twin.app, name="twin")


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
