"""The yardstick: one durable workflow per deal on DBOS, six steps, each one HTTP call to the lean system.

A process of its own, `python -m concordat.bench.durable`. Told `deals`, it runs them and says how long it took;
told none, it serves `POST /deals/{n}` on loopback until its standard input ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
from dbos import DBOS, DBOSConfig, SetWorkflowID
from fastapi import FastAPI

from concordat.bench.deals import records_of
from concordat.bench.serving import serve

__all__ = ["main"]

client: httpx.Client


@DBOS.step()
def put(object_: str, key: str, fields: Mapping[str, Any]) -> str:
    """One write at the target."""
    answer = client.post(f"/one/{object_}", content=orjson.dumps({"key": key, "fields": fields}))
    ref: str = orjson.loads(answer.raise_for_status().content)["ref"]
    return ref


@DBOS.step()
def ask(roles: list[Any]) -> bool:
    """One question."""
    answer = client.post("/ask", content=orjson.dumps([{"for": roles}]))
    return bool(orjson.loads(answer.raise_for_status().content)[0]["met"])


@DBOS.workflow()
def activate(n: int) -> str:
    """Carry one won deal into every system, step by step."""
    customer, agreed, deal = (record["fields"] for record in records_of(n))
    name = deal["name"]
    party = put("erp.client", f"D{n}-client", customer)
    document = {**agreed, "name": name, "client": party, "status": "active"}
    project = put("psa.project", f"D{n}-psa", document)
    put("erp.project", f"D{n}-erp", document)
    ask(deal["roles"])
    put("documents.workspace", f"D{n}-documents", {"name": name, "client_name": customer["name"]})
    put("chat.channel", f"D{n}-chat", {"name": name, "topic": f"Project for {customer['name']}"})
    return project


def main() -> None:
    """Do what the first line says."""
    global client  # noqa: PLW0603 - workflows are module-level functions, and so is what they call with
    told = orjson.loads(sys.stdin.buffer.readline())
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    client = httpx.Client(base_url=told["url"], trust_env=False, timeout=30, limits=limits)
    config: DBOSConfig = {
        "name": "yardstick",
        "system_database_url": told["database_url"],
        "max_executor_threads": told["threads"],
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    if "deals" in told:
        _say("ready")
        _say(_run(range(told["deals"])))
        sys.stdin.buffer.read()
    else:
        _serve()
    DBOS.destroy()
    client.close()


def _run(deals: range) -> Mapping[str, Any]:
    started = time.monotonic()
    handles = [DBOS.start_workflow(activate, n) for n in deals]
    for handle in handles:
        handle.get_result()
    return {"seconds": time.monotonic() - started, "deals": len(deals)}


def _serve() -> None:
    app = FastAPI()

    @app.post("/deals/{n}", status_code=202)
    def start(n: int) -> None:
        with SetWorkflowID(f"crm:O{n}"):
            DBOS.start_workflow(activate, n)

    serve(app, _say)


def _say(what: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
