"""`/healthz`, `/readyz`, `/metrics`: for this machine's supervisor and scraper, without a login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from concordat.operations.health import Figures, figures, readiness
from concordat.store.database import Database
from concordat.web.edge import bounded, is_local
from concordat.web.problems import Problem, Refused

__all__ = ["exposition", "router"]


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True)

    alive: bool = Field(description="Always true: a dead process says nothing.")


class Checked(BaseModel):
    """One thing that must be so."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="`database`, `migrations`, `worker`, `lanes` or `calls`.")
    holds: bool
    says: str = Field(description="One sentence.")


class Ready(BaseModel):
    """Whether work goes on here."""

    model_config = ConfigDict(frozen=True)

    holds: bool = Field(description="True only if every check holds.")
    checks: Sequence[Checked]


def _local(request: Request) -> None:
    if not is_local(request):
        raise Refused(404, "There is nothing at this address.")


def router(db: Database) -> APIRouter:
    """Serve the three; only to callers on this machine."""
    routes = APIRouter(tags=["health"], dependencies=[Depends(_local)])

    @routes.get("/healthz", summary="Say that the process is alive")
    async def alive() -> Alive:
        return Alive(alive=True)

    @routes.get(
        "/readyz",
        summary="Say whether work can go on: database, migrations, a worker that beats",
        responses={503: {"description": "Something does not hold; the body says what.", "model": Ready}},
    )
    @bounded
    def ready(response: Response) -> Ready:
        checks = readiness(db)
        holds = all(check.holds for check in checks)
        response.status_code = 200 if holds else 503
        told = [Checked(name=c.name, holds=c.holds, says=_public(c.name, c.holds, c.says)) for c in checks]
        return Ready(holds=holds, checks=told)

    @routes.get(
        "/metrics",
        summary="Figures of progress for a scraper, in Prometheus' text format",
        response_class=Response,
        responses={
            200: {"description": "The figures.", "content": {"text/plain": {}}},
            503: {"description": "The database does not answer.", "model": Problem},
        },
    )
    @bounded
    def metrics() -> Response:
        return Response(exposition(figures(db)), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _public(name: str, holds: bool, says: str) -> str:  # noqa: FBT001 - a pure choice between sentences
    return says if holds or name != "database" else "It does not answer; the log says why."


# ── the text format (prometheus.io, exposition formats, version 0.0.4) ────────────────────────────


def exposition(found: Figures) -> str:
    """Write all figures, each with its help and type."""
    lines: list[str] = []
    for name, kind, says, samples in _families(found):
        lines += [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


Samples = list[tuple[Mapping[str, Any], Any]]


def _families(found: Figures) -> Iterator[tuple[str, str, str, Samples]]:
    lanes = [({k: row[k] for k in ("connection", "object", "operation")}, row) for row in found.lanes]
    yield (
        "concordat_lane_waiting_seconds", "gauge", "Age of the oldest open effect among the next of a lane.",
        [(lane, row["waiting"]) for lane, row in lanes],
    )  # fmt: skip
    yield (
        "concordat_lane_overdue_seconds", "gauge", "How late the next due work of a lane is; it stays near zero.",
        [(lane, row["overdue"]) for lane, row in lanes],
    )  # fmt: skip
    yield (
        "concordat_lane_depth", "gauge", "Open effects of a lane; counting ends at 10001.",
        [(lane, row["depth"]) for lane, row in lanes],
    )  # fmt: skip
    yield (
        "concordat_effects_open", "gauge", "Open effects by state; counting ends at 2001.",
        [({"state": row["state"]}, row["many"]) for row in found.effects],
    )  # fmt: skip
    yield (
        "concordat_breaker_open", "gauge", "1 while a connection is down and only probed.",
        [({"connection": row["connection"]}, int(row["state"] == "open")) for row in found.breakers],
    )  # fmt: skip
    yield from _more(found)


def _more(found: Figures) -> Iterator[tuple[str, str, str, Samples]]:
    open_: dict[tuple[str, str], int] = {}
    for row in found.handoffs:
        key = (row["contract"], row["state"])
        open_[key] = open_.get(key, 0) + row["many"]
    yield (
        "concordat_handoffs_open", "gauge", "Handoffs not at rest; counting ends at 10001.",
        [({"contract": contract, "state": state}, many) for (contract, state), many in open_.items()],
    )  # fmt: skip
    yield (
        "concordat_deliveries_last_hour", "gauge", "Deliveries of the last hour by end; counting ends at 10001.",
        [({"connection": r["connection"], "state": r["state"]}, r["many"]) for r in found.deliveries],
    )  # fmt: skip
    yield (
        "concordat_refusals_total", "counter", "Pushes that proved nothing and were only counted.",
        [({"connection": r["connection"], "reason": r["reason"]}, r["times"]) for r in found.refusals],
    )  # fmt: skip
    yield (
        "concordat_cases_open", "gauge", "Open cases by kind; counting ends at 10001.",
        [({"kind": row["kind"]}, row["many"]) for row in found.cases],
    )  # fmt: skip
    yield from _budgets(found)
    single = {
        "concordat_workers": ("Workers heard of in the last 15 seconds.", "workers"),
        "concordat_subjects_to_plan": ("Subjects marked to be planned; counting ends at 10001.", "dirty"),
        "concordat_hints_to_read": ("Records hinted and not read back yet; counting ends at 10001.", "hints"),
        "concordat_clocks_late": ("Service levels past due and not marked yet.", "late_clocks"),
        "concordat_effects_about": ("Rows in the table of effects, as the planner estimates.", "effects_about"),
    }
    for name, (says, column) in single.items():
        yield name, "gauge", says, [({}, found.rest.get(column, 0))]


def _budgets(found: Figures) -> Iterator[tuple[str, str, str, Samples]]:
    named = [({"connection": row["connection"]}, row) for row in found.budgets]
    limited = [(label, row) for label, row in named if row["quota"]]
    yield (
        "concordat_calls_total", "counter", "Calls to a connection, by all processes.",
        [(label, row["calls"]) for label, row in named],
    )  # fmt: skip
    yield (
        "concordat_calls_per_second", "gauge", "Present pace of calls to a connection.",
        [(label, round(row["pace"], 4)) for label, row in named],
    )  # fmt: skip
    yield (
        "concordat_quota_calls", "gauge", "Calls that a connection allows in its present period.",
        [(label, row["quota"]) for label, row in limited],
    )  # fmt: skip
    yield (
        "concordat_quota_used_calls", "gauge", "Calls of the present period that are used or leased.",
        [(label, row["used"]) for label, row in limited],
    )  # fmt: skip
    yield (
        "concordat_quota_runs_out_seconds", "gauge", "Until the quota is used up at this pace; absent if it lasts.",
        [(label, (row["runs_out_at"] - row["at"]).total_seconds()) for label, row in limited if row["runs_out_at"]],
    )  # fmt: skip
    yield (
        "concordat_calls_blocked_seconds", "gauge", "Until a connection that asked for patience is called again.",
        [(label, row["blocked_for"]) for label, row in named if row["blocked_for"]],
    )  # fmt: skip


def _labels(labels: Mapping[str, Any]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
