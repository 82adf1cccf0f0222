"""The demo keeps its promises, whatever the seed, also when its process is killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kills", [0, 2])
def test_every_promise_holds(tmp_path: Path, kills: int):
    seed = random.SystemRandom().randrange(10_000)
    report = tmp_path / "r.json"
    command = [sys.executable, "-m", "concordat", "demo", "--headless", "--seed", str(seed), "--scale", "0.6"]
    done = subprocess.run(
        [*command, "--kill", str(kills), "--report", str(report)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}\n{done.stdout}\n{done.stderr}"
    result = json.loads(report.read_text())
    assert result["holds"], seed
    assert all(promise["holds"] and promise["evidence"] for promise in result["promises"])
    assert result["counts"]["kills"] == kills
    assert result["counts"]["made"]["psa.project"] == result["counts"]["deals"] == 8
