"""The seed of a run: printed by every test, repeated with `CONCORDAT_OUTSIDE_SEED`."""

from __future__ import annotations

import os
import random
import secrets

__all__ = ["SEED", "VARIABLES", "chance_of"]

VARIABLES = {
    name: value
    for name, value in os.environ.items()  # noqa: TID251  these tests read nothing of the product, so not its settings
    if not name.startswith("CONCORDAT_")
}
"""The environment of the programs under test: the machine's, without what would change them."""


def _seed() -> int:
    said = os.environ.get("CONCORDAT_OUTSIDE_SEED", "")  # noqa: TID251  as above
    shared = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")  # noqa: TID251  one seed for all processes of a run
    if said:
        return int(said)
    return int(shared[:7], 16) if shared else secrets.randbelow(10**8)


SEED = _seed()


def chance_of(what: str) -> random.Random:
    """Give the chance of one test: the same for the same seed and name, whatever runs before it."""
    return random.Random(f"{SEED}:{what}")  # noqa: S311  repeatable on purpose
