from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from concordat.bench import activation
from concordat.bench.deals import records_of
from concordat.bench.lean import BULK, SINGLE, LeanConnector, Way
from concordat.bench.machine import Spent, cpu_seconds, machine
from concordat.bench.report import Bar, Report, percentile
from concordat.bench.rig import Child, Rig
from concordat.cli.bench import BENCHES, bench
from concordat.core.objects import parse
from concordat.errors import NotFound
from concordat.sdk.spec import CallContext, WriteIntent

CTX = CallContext(correlation_id="c1")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    target = Child.start("concordat.bench.target")
    yield f"http://127.0.0.1:{target.said}"
    target.end()
    assert target.process.returncode == 0


def connector(url: str, way: Way = BULK, name: str = "erp") -> Iterator[LeanConnector]:
    made = LeanConnector(url, connection=name, way=way)
    made._http.send(CTX, "POST", "/reset", json={"deals": 7, "page": 3}, write=True)
    yield made
    made.close()


@pytest.fixture
def erp(url: str) -> Iterator[LeanConnector]:
    yield from connector(url)


@pytest.fixture
def single(url: str) -> Iterator[LeanConnector]:
    yield from connector(url, SINGLE)


@pytest.fixture
def crm(url: str) -> Iterator[LeanConnector]:
    yield from connector(url, name="crm")


def intent(n: int, name: str = "Deal") -> WriteIntent:
    return WriteIntent(object="client", record_key=f"K{n}", write_key=f"K{n}-1", fields={"name": f"{name} {n}"})


@pytest.mark.parametrize("n", [0, 1, 4711])
def test_the_deals_are_sound_records(n: int):
    for record in records_of(n):
        assert not parse(record["object"], record["fields"]).faults


def test_the_lean_target_upserts_and_counts_every_write(erp: LeanConnector):
    first = erp.write([intent(1), intent(2)], CTX)
    again = erp.write([intent(1, "Other")], CTX)
    assert [r.disposition for r in [*first, *again]] == ["created", "created", "updated"]
    assert again[0].ref == first[0].ref
    [found] = erp.find("client", ["K1"], CTX)["K1"]
    assert found.fields == {"name": "Other 1"}
    assert [o.record_key for o in erp.fetch("client", [r.ref or "" for r in first], CTX)] == ["K1", "K2"]
    assert erp._call(CTX, "/ledger", {})["keys"] == {"K1": 2, "K2": 1}


def test_one_record_a_call_reaches_the_same_objects(single: LeanConnector, erp: LeanConnector):
    [written] = single.write([intent(3)], CTX)
    assert written.disposition == "created"
    assert erp._call(CTX, "/one/erp.client/read", {"ref": written.ref})["key"] == "K3"


def test_the_lean_source_gives_every_deal_with_its_parents_in_pages(crm: LeanConnector):
    cursor, refs, more = None, [], True
    while more:
        page = crm.changes("opportunity", cursor, CTX)
        cursor, more = page.cursor, page.more
        refs += [(r.object, r.ref) for r in page.records]
    assert len(refs) == 21
    assert refs[:3] == [("client", "C0"), ("contract", "K0"), ("opportunity", "O0")]
    assert [r.ref for r in crm.fetch_source("opportunity", ["O5"], CTX)] == ["C5", "K5", "O5"]
    assert crm.changes("opportunity", cursor, CTX).records == []


def test_an_unknown_path_is_refused_and_the_connection_lives_on(erp: LeanConnector):
    assert erp._http.send(CTX, "POST", "/nowhere", json={}, write=False, allow={400}).status == 400
    erp.ping(CTX)


def test_percentiles_are_values_that_were_measured():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([], 0.5) == 0.0


def test_a_report_keeps_its_names():
    report = Report(
        name="x", holds=True, ratio=2, value=3, unit="u", yardstick={}, bar=Bar(ratio=1), machine=machine(), versions={}
    )
    promised = {"name", "holds", "ratio", "value", "unit", "yardstick", "bar", "machine", "versions"}
    assert promised <= report.as_json().keys()


def test_processor_time_of_a_tree_grows(erp: LeanConnector):
    child = Child.start("concordat.bench.target")
    spent = Spent({"child": [child.process.pid]})
    assert cpu_seconds([child.process.pid]) > 0
    assert spent.since()["child"] >= 0
    child.end()


def test_help_names_every_benchmark_and_an_unknown_one_is_a_sentence():
    assert all(f"**{name}**" in (bench.__doc__ or "") for name in BENCHES)
    app = typer.Typer()
    app.command()(bench)
    result = CliRunner().invoke(app, ["speed"])
    assert isinstance(result.exception, NotFound)
    assert "activation-single" in str(result.exception)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["bulk", "single", "single-read"])
def test_every_deal_is_activated_exactly_once(way: str):
    said: list[str] = []
    with Rig.open() as rig:
        ran = activation.run_engine(rig, way, 12, said.append)
    assert ran.faults == ()
    assert ran.deals == 12
    assert said
