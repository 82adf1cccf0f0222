"""Bad days of machines: a worker told to stop, a database restarted, a full disk, a clock that is a day off."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.outside.books import Before, await_in_step, written_once
from tests.outside.chance import VARIABLES
from tests.outside.conftest import MakeFirm
from tests.outside.firm import Firm, concordat
from tests.outside.story import Story, crm_records
from tests.outside.wait import until

WITHIN = 15.0
"""Seconds in which work goes on after a worker or the database is there again."""
MEBI = 1024 * 1024


def several(make_firm: MakeFirm, story: Story, *, workers: int = 2) -> Firm:
    """A firm whose web and workers are programs of their own."""
    firm = make_firm().play()
    firm.twins["hr"].seed(story.people())
    firm.another("web", "--port", firm.ports["web"])
    until("the web to answer", (firm.folder / ".concordat" / "api.token").exists, within=60)
    for _ in range(workers):
        firm.another("worker", "--log-level", "warning")
    if workers:
        until("the workers to be at work", firm.api.ready, within=60)
    return firm


def ends(firm: Firm) -> Sequence[Mapping[str, Any]]:
    """How everything that was ever accepted has ended, by connection."""
    told = concordat("db", "status", "--deliveries", "--json", "--firm", firm.folder, **firm.env)
    return json.loads(told.stdout) if told.returncode == 0 else []


def settled(firm: Firm) -> bool:
    """Whether every delivery has ended, and the ends add up to what was accepted."""
    rows = ends(firm)
    four = sum(row[end] for row in rows for end in ("applied", "superseded", "duplicate", "case"))
    return four > 0 and four == sum(row["accepted"] for row in rows)


# ── a worker is told to stop ──────────────────────────────────────────────────────────────────────


def test_a_worker_that_is_told_to_stop_finishes_and_hands_over(
    make_firm: MakeFirm, story: Story, chance: random.Random
) -> None:
    firm = several(make_firm, story)
    deals = story.deals(8)
    before = Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    slow = firm.twins["psa"].fault("latency", seconds=0.7, operation="create")
    firm.crm("win_deal", ids=[deal.id for deal in deals])
    until("the work to be under way", lambda: firm.twins["psa"].fired(slow) >= 1, within=30, every=0.02)
    worker = chance.choice([p for p in firm.programs if p.name.startswith("worker")])
    os.kill(worker.pid, signal.SIGTERM)
    until("it to end by itself", lambda: not worker.runs, within=20)
    assert worker._process is not None
    assert worker._process.returncode == 0, worker.said()[-2000:]
    firm.twins["psa"].heal(slow)
    await_in_step(firm, deals, within=WITHIN + 15)
    written_once(firm, before, deals)
    attempts = [a for whole in firm.api.wholes() for one in whole["steps"] for a in one["attempts"]]
    assert "resolve" not in {a["act"] for a in attempts}, "nothing was left in doubt"


# ── the database is restarted ─────────────────────────────────────────────────────────────────────


class Server:
    """The firm's database server: crashed, and started again as it was."""

    def __init__(self, firm: Firm) -> None:
        (self.file,) = firm.databases()
        self.pid = int(self.file.read_text().split()[0])
        self.command = Path(f"/proc/{self.pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
        self.owner = Path(f"/proc/{self.pid}").stat().st_uid
        self.log = firm.folder / "logs" / "postgres.log"
        self.again: subprocess.Popen[bytes] | None = None

    def crash(self) -> None:
        """SIGQUIT: as when the power fails."""
        os.kill(self.pid, signal.SIGQUIT)
        until("the database to be gone", lambda: not _lives(self.pid), within=20)

    def start(self) -> None:
        """Start it as it was started before."""
        self.file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.again = subprocess.Popen(
                self.command,
                user=self.owner,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )


@contextmanager
def server_of(firm: Firm) -> Iterator[Server]:
    """The server, ended with the test if it was started again."""
    server = Server(firm)
    try:
        yield server
    finally:
        if server.again is not None:
            for program in firm.programs:
                program.stop()
            server.again.send_signal(signal.SIGQUIT)
            server.again.wait(30)


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_all_goes_on_after_the_database_crashed_under_load(
    make_firm: MakeFirm, story: Story, chance: random.Random
) -> None:
    firm = several(make_firm, story)
    deals = story.deals(10)
    before = Before(firm)
    firm.twins["crm"].seed(crm_records(deals))
    slow = firm.twins["psa"].fault("latency", seconds=0.3, operation="create")
    firm.crm("win_deal", ids=[deal.id for deal in deals])
    until("the work to be under way", lambda: firm.twins["psa"].fired(slow) >= 1, within=30, every=0.02)
    with server_of(firm) as server:
        server.crash()
        time.sleep(chance.uniform(1, 10))
        firm.twins["psa"].heal(slow)
        server.start()
        began = time.monotonic()
        until("the web to be ready again", firm.api.ready, within=WITHIN)
        await_in_step(firm, deals, within=60)
        print(f"in step {time.monotonic() - began:.1f} s after the database was there again")  # noqa: T201
        written_once(firm, before, deals)
        assert all(program.runs for program in firm.programs if program.name.startswith(("web", "worker")))
        until("every delivery to end", lambda: settled(firm), within=30)


# ── the disk is full ──────────────────────────────────────────────────────────────────────────────


@contextmanager
def small_disk(place: Path, *, mebi: int) -> Iterator[Path]:
    """A disk of that size at `place`; skipped where mounting is not permitted."""
    place.mkdir(mode=0o755)
    options = f"size={mebi}m,mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_is_an_answer_within_five_seconds_and_loses_nothing(
    make_firm: MakeFirm, story: Story, chance: random.Random
) -> None:
    firm = make_firm()
    with small_disk(firm.folder / ".concordat", mebi=360) as disk:
        firm.play()
        firm.twins["hr"].seed(story.people())
        firm.begin()
        deals = story.deals(3)
        before = Before(firm)
        firm.twins["crm"].seed(crm_records(deals))
        filler = disk / "filler"
        _fill(filler, shutil.disk_usage(disk).free)
        accepted, refused = [], 0
        for n in range(400):
            body = {
                "event": f"full-{n}",
                "object": "Account",
                "ids": [deals[0].account["Id"]],
                "pad": chance.randbytes(50_000).hex(),
            }
            began = time.monotonic()
            status = firm.api.push(body).status_code
            assert time.monotonic() - began < 5, "an answer within five seconds"
            assert status in (202, 503)
            accepted += [n] if status == 202 else []
            refused += status == 503
            if refused >= 5:
                break
        assert refused >= 5, "the disk was never full"
        filler.unlink()
        until("the firm to work again", firm.api.ready, within=60)
        firm.crm("win_deal", ids=[deal.id for deal in deals])
        await_in_step(firm, deals, within=60)
        written_once(firm, before, deals)
        until("every delivery to end", lambda: settled(firm), within=60)
        total = sum(row["accepted"] for row in ends(firm))
        assert total >= len(accepted), "nothing that was acknowledged is lost"
        firm.close()


def _fill(file: Path, free: int) -> None:
    """Leave a little room."""
    with file.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(free - 3 * MEBI, MEBI))


# ── a clock that is off ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hours", [26, -26])
def test_a_worker_whose_clock_is_off_changes_nothing(make_firm: MakeFirm, story: Story, hours: int) -> None:
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("a clock that is off needs faketime: apt-get install faketime")
    firm = several(make_firm, story, workers=0)
    command = [faketime, "-f", f"{hours:+d}h", sys.executable, "-m", "concordat", "worker", "--firm", str(firm.folder)]
    with (firm.folder / "logs" / "skewed.log").open("ab") as log:
        skewed = subprocess.Popen(
            command,
            env={**VARIABLES, "DONT_FAKE_MONOTONIC": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until("the worker to be at work", firm.api.ready, within=60)
        deals = story.deals(3)
        before = Before(firm)
        firm.twins["crm"].seed(crm_records(deals))
        firm.crm("win_deal", ids=[deal.id for deal in deals])
        await_in_step(firm, deals, within=60)
        written_once(firm, before, deals)
        assert not firm.api.alerts()
        steps = [one for whole in firm.api.wholes() for one in whole["steps"]]
        stamps = [a["at"] for one in steps for a in one["attempts"]]
        today = time.strftime("%Y-%m-%d", time.gmtime())
        assert stamps
        assert all(stamp.startswith(today) for stamp in stamps) or time.gmtime().tm_hour in (0, 23)
    finally:
        os.killpg(skewed.pid, signal.SIGTERM)
        skewed.wait(30)
