"""How the slow steps tell where they are, and how an outside program is run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from concordat.errors import NotReachable

Progress = Callable[[str, float], None]
"""`progress(text, fraction)`: what is being done now, and how much of the whole is behind us (0 to 1)."""


def silent(text: str, fraction: float) -> None:
    """Tell nobody."""


def within(progress: Progress, low: float, high: float) -> Progress:
    """Report a step's own 0 to 1 as a part of the whole."""

    def report(text: str, fraction: float) -> None:
        progress(text, low + (high - low) * fraction)

    return report


def run(command: Sequence[str | Path], *, what: str, remedy: str = "", seconds: float = 900) -> str:
    """Run a program to its end and return what it said; a failure becomes one sentence with its last words.

    `NotReachable` when it fails, is missing, or takes longer than `seconds`.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotReachable(f"{what} took longer than {seconds:.0f} s.", remedy=remedy) from error
    except OSError as error:
        raise NotReachable(f"{what} failed: {error}.", remedy=remedy) from error
    if done.returncode != 0:
        raise NotReachable(f"{what} failed: {last_words(done.stderr or done.stdout)}", remedy=remedy)
    return done.stdout


def last_words(text: str, lines: int = 5) -> str:
    """Give the end of a program's output, where the reason stands."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:])
