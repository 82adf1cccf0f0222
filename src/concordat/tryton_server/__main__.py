"""`python -m concordat.tryton_server up --folder F --port P`: the real ERP beside a demo or a test.

`up` prints one line of JSON (url, database, user, password, companies) when the server answers, says its progress
on the error stream, and stays until SIGTERM or Ctrl-C. `prepare` does the slow part of the first start and
ends. Exit code 3 when it cannot start, 1 when it dies, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from dataclasses import asdict
from datetime import date
from pathlib import Path

from concordat.errors import UserError
from concordat.tryton_server.server import Tryton


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        if asked.command == "prepare":
            return _prepare(asked)
        if asked.folder is None:
            parser.error("up needs --folder: where the ERP keeps its data")
        return _up(asked, over)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _prepare(asked: argparse.Namespace) -> int:
    """Start once in a folder that is thrown away: what was slow stays in the cache."""
    with tempfile.TemporaryDirectory(prefix="concordat-tryton-", ignore_cleanup_errors=True) as folder:
        _start(asked, Path(folder)).stop()
    return 0


def _up(asked: argparse.Namespace, over: threading.Event) -> int:
    with _start(asked, asked.folder) as tryton:
        sys.stdout.write(json.dumps(asdict(tryton.access)) + "\n")
        sys.stdout.flush()
        return _watch(tryton, over)


def _start(asked: argparse.Namespace, folder: Path) -> Tryton:
    return Tryton.start(
        folder,
        port=asked.port,
        postgres=asked.postgres,
        today=asked.date,
        cache=asked.cache,
        fresh=asked.fresh,
        progress=_tell,
    )


def _watch(tryton: Tryton, over: threading.Event) -> int:
    while not over.wait(0.5):
        if not tryton.alive():
            sys.stderr.write("Tryton ended by itself.\n")
            return 1
    return 0


def _tell(text: str, fraction: float) -> None:
    sys.stderr.write(f"{fraction:4.0%} {text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m concordat.tryton_server", description=__doc__)
    parser.add_argument("command", choices=["up", "prepare"])
    parser.add_argument("--folder", type=Path, help="where the ERP keeps its data and its log")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--postgres", help="address of a PostgreSQL to use instead of an embedded one")
    parser.add_argument("--date", type=date.fromisoformat, help="a day of the year whose books are open")
    parser.add_argument("--cache", type=Path, help="where the environment and the template are kept")
    parser.add_argument("--fresh", action="store_true", help="forget the folder's data and begin anew")
    return parser


if __name__ == "__main__":
    sys.exit(main())
