"""The demo: deals are won at Northbeam Consulting, things go wrong, and every system agrees at the end."""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from concordat.errors import NotReachable
from concordat.northbeam.board import Board
from concordat.northbeam.deals import Deal, Part, Plot, plot
from concordat.northbeam.folder import write_firm
from concordat.northbeam.outside import Books, RealErp, Twin
from concordat.northbeam.process import Up, poll
from concordat.northbeam.proof import KEPT, Seen, Shown, prove
from concordat.northbeam.settings import PORTS
from concordat.northbeam.twins import begin
from concordat.settings import load_firm

__all__ = ["Demo", "Watch", "Wish", "stage"]

PATIENCE = 120.0
"""Seconds that a single awaited thing may take; a connection that was down is probed once a minute."""
PER_KILL = 20.0
GLANCE = 0.5
"""Seconds between two looks while deals are being won."""
TEMPER: Mapping[str, Mapping[str, Any]] = {"kantata": {"search_lag": 2}, "slack": {"burst": 1000}}
"""The PSA's search lags two seconds behind its writes; the chat's limit per minute is not what a demo waits for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is asked of a demo."""

    folder: Path
    """Where the firm is written; new or empty."""
    seed: int = 1
    scale: float = 1.0
    erp: str = "netsuite"
    port: int = 0
    """The console's loopback port; 0 takes a free one."""
    kills: int = 0
    """How often `concordat up` is killed at a random moment and started again."""


class Watch(Protocol):
    """Who watches. Called from the demo's own thread, often; must not take long."""

    def said(self, text: str) -> None:
        """What is being done now."""

    def seen(self, board: Board) -> None:
        """How the deals stand."""


@dataclass(kw_only=True)
class Demo:
    """A firm on the stage: twins and `concordat up` run until `stage` ends."""

    wish: Wish
    plot: Plot
    up: Up
    twins: Mapping[str, Twin]
    """By connection; a real ERP is not among them."""
    real: Mapping[str, Books]
    hook: Mapping[str, str]
    watch: Watch
    board: Board
    chance: random.Random
    shown: Shown = field(default_factory=Shown)
    began: float = field(default_factory=time.monotonic)
    looked: float = 0.0

    # ── the story ─────────────────────────────────────────────────────────────────────────────────

    def play(self) -> None:
        """Win every deal, break things on the way, and wait until everything is in step.

        `NotReachable` says what was awaited when something did not come.
        """
        kills = sorted(self.chance.randrange(len(self.plot.won)) for _ in range(self.wish.kills))
        lost = self._lose_an_answer()
        outage = 0
        for number, deal in enumerate(self.plot.won):
            if deal.part is Part.OUTAGE and not outage:
                outage = self._strike()
            self._win(deal)
            for _ in range(kills.count(number)):
                self._kill()
        self._end_of_outage(outage)
        self._fill_in()
        self._converge()
        self.shown.lost = self.twins["psa"].fired(lost)
        self.shown.seconds = time.monotonic() - self.began

    def prove(self) -> dict[str, Any]:
        """Verify from outside only, and give the report."""
        self.watch.said("verifying from outside")
        tripled = [deal.id for deal in self.plot.of(Part.TRIPLED)]
        seen = Seen.of(self.up.api, self.twins, self.real, seeded=self.shown.seeded)
        promises = prove(self.plot, seen, self.shown, tripled=tripled)
        holds = all(promise["holds"] for promise in promises)
        counts = {**seen.counts(self.plot), "kills": self.up.kills, "seconds": round(self.shown.seconds, 1)}
        return {"holds": holds, "seed": self.wish.seed, "counts": counts, "promises": promises}

    def _win(self, deal: Deal) -> None:
        self.watch.said(f"{deal.number} is won: {deal.name}")
        times = 3 if deal.part is Part.TRIPLED else 1
        if times > 1:
            self.twins["crm"].hooks(self.hook, times)
        self.twins["crm"].do("win_deal", id=deal.id)
        if times > 1:
            self.twins["crm"].hooks(self.hook, 1)
        if time.monotonic() - self.looked > GLANCE:
            self._look()

    def _lose_an_answer(self) -> int:
        """The PSA will make one project and drop the connection before it answers."""
        (deal,) = self.plot.of(Part.LOST)
        title = re.escape(deal.name.rpartition(": ")[2]) + '"'
        return self.twins["psa"].fault(
            kind="commit_then_drop", object="workspaces", operation="create", key=title, times=1
        )

    def _strike(self) -> int:
        self.watch.said("HR goes down")
        return self.twins["hr"].fault(kind="status", status=503)

    def _end_of_outage(self, fault: int) -> None:
        """Heal HR once what is staffed from there waits where people can see it."""
        struck = [deal.id for deal in self.plot.of(Part.OUTAGE)]
        self._await("staffing to wait for HR in the open", lambda: self._waits(struck))
        self.watch.said("HR is back")
        self.twins["hr"].heal(fault)

    def _waits(self, deals: Sequence[str]) -> bool:
        steps = [self.board.step(deal, "staffing") for deal in deals]
        waiting = [step for step in steps if step and step["state"] == "pending" and step["waits_for"]]
        self.shown.waited = [dict(step) for step in waiting]
        return len(waiting) == len(deals)

    def _fill_in(self) -> None:
        """Fill in what the incomplete deal lacks, once its case names all of it."""
        (deal,) = self.plot.of(Part.INCOMPLETE)
        self._await(f"a case to name what {deal.number} lacks", lambda: self._named(deal.id))
        self.watch.said(f"what {deal.number} lacked is filled in")
        for object_, id_, fields in self.plot.filled:
            self.twins["crm"].do("fill", object=object_, id=id_, fields=fields)

    def _named(self, deal: str) -> bool:
        whole = self.board.whole(deal)
        self.shown.missing = [dict(missing) for missing in whole["missing"]] if whole else []
        return len(self.shown.missing) >= len(self.plot.filled)

    def _converge(self) -> None:
        self._await("every handoff to be in step", lambda: self.board.settled(self.plot))

    def _kill(self) -> None:
        """Kill the process at a random moment of its work, and start it again."""
        time.sleep(self.chance.uniform(0.0, 1.5))
        self.watch.said("`concordat up` is killed and started again")
        self.up.kill()
        self.up.start().wait()

    # ── waiting ───────────────────────────────────────────────────────────────────────────────────

    def _await(self, what: str, met: Any) -> None:
        self.watch.said(f"waiting for {what}")
        within = PATIENCE + PER_KILL * self.wish.kills
        try:
            poll(what, lambda: self._look() and met(), within=within, every=0.15)
        except NotReachable as error:
            error.remedy = f"What stands still: {self.board.open_ones(self.plot)}. Log: {self.up.log}."
            raise

    def _look(self) -> bool:
        """Read how everything stands; False while the firm does not answer."""
        answered = self.board.read(self.up)
        self.looked = time.monotonic()
        self.watch.seen(self.board)
        return answered


# ── the stage ─────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def stage(wish: Wish, watch: Watch) -> Iterator[Demo]:
    """Write the firm, start its twins and `concordat up`, seed the story; at the end of the block all of it ends."""
    story, ports = plot(wish.seed, scale=wish.scale), _ports(wish.port)
    folder = wish.folder
    with ExitStack() as stack:
        watch.said(f"writing the firm Northbeam Consulting to {folder}")
        write_firm(folder, erp=wish.erp, ports=ports)
        firm = load_firm(folder)
        up = Up(firm, logs=folder / "logs")
        stack.callback(up.stop)
        watch.said("starting the twins")
        running = stack.enter_context(begin(firm, more=TEMPER, seed=wish.seed, progress=watch.said))
        twins = {one.connection: stack.enter_context(Twin(one.url)) for one in running if one.system != "tryton"}
        real = {
            one.connection: stack.enter_context(RealErp(firm.settings(one.connection)))
            for one in running
            if one.connection not in twins
        }
        books: dict[str, Books] = {**twins, **real}
        systems = {one.system: one.connection for one in running if one.connection in twins}
        _seed(story, {system: twins[name] for system, name in systems.items()})
        watch.said("starting `concordat up`")
        secret = str(firm.settings("crm")["push_secret"])
        demo = Demo(
            wish=wish,
            plot=story,
            up=up.start(),
            twins=twins,
            real=real,
            hook={"url": f"{up.url}/hooks/crm", "secret": secret},
            watch=watch,
            board=Board(),
            chance=random.Random(f"demo:{wish.seed}"),  # noqa: S311  repeatable on purpose
        )
        demo.shown.seeded = {name: _contents(book, name) for name, book in books.items()}
        up.wait()
        yield demo


def _seed(story: Plot, twins: Mapping[str, Twin]) -> None:
    for system, objects in story.seeds.items():
        if system in twins:
            twins[system].seed(objects)


def _contents(book: Books, connection: str) -> dict[str, set[str]]:
    """Give the ids that a target holds, by vendor object."""
    return {kept: {str(row["id"]) for row in book.state(kept)} for kept in KEPT.get(connection, {}).values()}


def _ports(console: int) -> dict[str, int]:
    """Give free loopback ports, and the console's own; `NotReachable` when that one is in use."""
    with ExitStack() as held:  # held together until all are found, so none is found twice
        socks = {name: held.enter_context(_bound(console if name == "web" else 0)) for name in PORTS}
        return {name: int(sock.getsockname()[1]) for name, sock in socks.items()}


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError as error:
        sock.close()
        raise NotReachable(
            f"Port {port} on 127.0.0.1 is in use or not allowed.",
            remedy="Choose another with --port, or end what uses it.",
        ) from error
    return sock
