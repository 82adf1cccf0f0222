"""What people do in Workday: `POST /__twin/do`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from concordat.twins.base import Twin
from concordat.twins.workday.people import JOB, People, Span

__all__ = ["add_acts"]

Said = Mapping[str, Any]


def add_acts(twin: Twin, people: People) -> None:
    """Name the acts."""
    desk = _Desk(twin, people)
    for name in ("hire", "change", "terminate", "rehire", "rescind", "book", "free"):
        twin.action(name)(getattr(desk, name))


class _Desk:
    """One person at the screen."""

    def __init__(self, twin: Twin, people: People) -> None:
        self.twin = twin
        self.people = people

    def hire(self, said: Said) -> Any:
        """`{name, id?, email?, type?, role?, grade?, company?, location?, weekly_hours?, hire_date?, …}`."""
        ref = str(said.get("id") or self.twin.fresh("workers"))
        self.twin.store.put("workers", ref, self.people.hired({**said, "id": ref}))
        return {"id": ref}

    def change(self, said: Said) -> Any:
        """`{worker, effective, role?, grade?, company?, …}`: a dated row, perhaps of the future."""
        record = self.people.worker(said["worker"])
        effective = date.fromisoformat(said["effective"]).isoformat()
        rows = list(record.fields["employments"])
        base = next((row for row in reversed(rows) if row["effective"] <= effective), rows[0])
        new = {**base, **{name: str(said[name]) for name in JOB if name in said}, "effective": effective}
        kept = [row for row in rows if row["effective"] != effective]
        rows = sorted([*kept, new], key=lambda row: str(row["effective"]))
        self.twin.store.put("workers", record.ref, {"employments": rows})
        return {"id": record.ref, "effective": effective}

    def rescind(self, said: Said) -> Any:
        """`{worker, effective}`: the dated row was never there."""
        record = self.people.worker(said["worker"])
        rows = [row for row in record.fields["employments"] if row["effective"] != said["effective"]]
        if not rows or len(rows) == len(record.fields["employments"]):
            raise LookupError(f"no row of {said['effective']} that can be rescinded")
        self.twin.store.put("workers", record.ref, {"employments": rows})
        return {"id": record.ref}

    def terminate(self, said: Said) -> Any:
        """`{worker, date}`: the last day."""
        record = self.people.worker(said["worker"])
        last = date.fromisoformat(said["date"]).isoformat()
        self.twin.store.put("workers", record.ref, {"termination_date": last})
        return {"id": record.ref}

    def rehire(self, said: Said) -> Any:
        """`{worker, hire_date, id?}`: the same person under a new Employee_ID."""
        record = self.people.worker(said["worker"])
        last = {name: record.fields["employments"][-1][name] for name in JOB}
        words = {**record.fields, **last, "termination_date": "", **said}
        words.pop("employments")
        words["id"] = str(said.get("id") or self.twin.fresh("workers"))
        words["universal_id"] = record.fields["universal_id"] or record.ref
        self.twin.store.put("workers", words["id"], self.people.hired(words))
        return {"id": words["id"]}

    def book(self, said: Said) -> Any:
        """`{worker, from, to, hours | minutes}`: takes from what is free, spread over the working days."""
        record = self.people.worker(said["worker"])
        span = Span(date.fromisoformat(said["from"]), date.fromisoformat(said["to"]))
        minutes = said["minutes"] if "minutes" in said else Decimal(str(said["hours"])) * 60
        fields = {
            "worker": record.ref,
            "from": span.start.isoformat(),
            "to": span.end.isoformat(),
            "minutes": str(minutes),
        }
        return {"id": self.twin.store.put("bookings", self.twin.fresh("bookings"), fields).ref}

    def free(self, said: Said) -> Any:
        """`{booking}` or `{worker}`: one booking, or all of a worker's, are gone."""
        store = self.twin.store
        known = list(store.all("bookings"))
        gone = [b.ref for b in known if b.ref == str(said.get("booking", ""))]
        gone += [b.ref for b in known if "worker" in said and b.fields["worker"] == str(said["worker"])]
        for ref in gone:
            store.remove("bookings", ref)
        return {"freed": gone}
