"""Asynchronous requests: accepted as a job, carried out one record after another, asked for its result later.

Sources: ns-online-help subsect_161278579295 (202, job), subsect_161252896355 (task), subsect_164494900632
(idempotency key); docs.mulesoft.com netsuite-rest batch (100 records of one type, a result per record). One
task per record is our reading of that page; Oracle shows only jobs of one record.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concordat.twins.base import Call, Refuse, Reply, Twin
from concordat.twins.netsuite.schema import problem

__all__ = ["BASE", "Jobs", "items"]

BASE = "/services/rest/async/v1/job"
MOST = 100
Work = Callable[[], Reply]


@dataclass(slots=True)
class Job:
    """One accepted request. `results` are the replies that each record would have got by itself."""

    id: str
    results: Sequence[Reply]
    failed: bool
    polls_left: int


class Jobs:
    """The jobs of the account. Option `job_polls` (1): how often a job is still pending when asked."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def accept(self, call: Call, works: Sequence[Work]) -> Reply:
        """Take up to 100 records; the same idempotency key again is a Conflict naming the first job."""
        key = call.headers.get("x-netsuite-idempotency-key", "")
        if key and key in self._keys:
            refusal = problem(
                400, "IDEMPOTENCY_ERROR", "A request with this idempotency key was sent.", title="Conflict"
            )
            raise Refuse(400, refusal.reply.data, {"Location": f"{BASE}/{self._keys[key]}"})
        if len(works) > MOST:
            raise problem(400, "INVALID_CONTENT", f"More than {MOST} records in one request.", path="items")
        job = self._made(call, works)
        if key:
            self._keys[key] = job.id
        return Reply(None, 202, {"Preference-Applied": "respond-async", "Location": f"{BASE}/{job.id}"})

    def _made(self, call: Call, works: Sequence[Work]) -> Job:
        fault = self._twin.fault("accepted_then_failed", call)
        failed = fault is not None
        results = [] if failed else [_carried_out(work) for work in works]
        job = Job(str(next(self._numbers)), results, failed, int(self._twin.options.get("job_polls", 1)))
        self._jobs[job.id] = job
        return job

    def status(self, call: Call) -> Reply:
        """Answer GET job/{id}."""
        job = self._of(call)
        done = job.polls_left <= 0
        job.polls_left -= 1
        self_ = f"http://{call.headers.get('host', '')}{BASE}/{job.id}"
        said: dict[str, Any] = {
            "links": [{"rel": "self", "href": self_}],
            "completed": done,
            "id": job.id,
            "progress": ("failed" if job.failed else "succeeded") if done else "pending",
            "task": {"links": [{"rel": "self", "href": f"{self_}/task"}]},
        }
        return Reply(said)

    def tasks(self, call: Call) -> Reply:
        """Answer GET job/{id}/task: one task per record."""
        job = self._of(call)
        base = f"http://{call.headers.get('host', '')}{BASE}/{job.id}/task"
        items = [
            {"id": str(n), "links": [{"rel": "self", "href": f"{base}/{n}"}]} for n in range(1, len(job.results) + 1)
        ]
        said = {
            "count": len(items),
            "hasMore": False,
            "items": items,
            "offset": 0,
            "totalResults": len(items),
        }
        return Reply(said)

    def task(self, call: Call) -> Reply:
        """Answer GET job/{id}/task/{task}."""
        result = self._result(call)
        base = f"http://{call.headers.get('host', '')}{call.path}"
        progress = "succeeded" if result.status < 400 else "failed"
        links = [{"rel": "related", "href": f"{base}/result"}, {"rel": "self", "href": base}]
        return Reply({"links": links, "completed": True, "id": call.params["task"], "progress": progress})

    def result(self, call: Call) -> Reply:
        """Answer GET job/{id}/task/{task}/result as the record's own request would have been answered."""
        return self._result(call)

    def _of(self, call: Call) -> Job:
        job = self._jobs.get(call.params["id"])
        if job is None:
            raise problem(404, "NONEXISTENT_ID", "The job does not exist.", path="id")
        return job

    def _result(self, call: Call) -> Reply:
        results = self._of(call).results
        number = int(call.params["task"]) if call.params["task"].isdigit() else 0
        if not 1 <= number <= len(results):
            raise problem(404, "NONEXISTENT_ID", "The task does not exist.", path="task")
        return results[number - 1]


def _carried_out(work: Work) -> Reply:
    try:
        return work()
    except Refuse as refusal:
        return refusal.reply


def items(said: Any) -> Sequence[Mapping[str, Any]]:
    """Give the records of a collection request."""
    found = said.get("items") if isinstance(said, Mapping) else None
    if not isinstance(found, list):
        raise problem(400, "INVALID_CONTENT", "The request body has no items.", path="items")
    return found
