"""One suite that every connector passes, driven by what the connector declares about itself.

A connector's test is short; every declared object and operation gives its own test:

    @pytest.fixture
    def bench() -> Iterator[Bench]:
        with start_twins(["acme"]) as twins:
            connector = SPEC.connect(AcmeSettings(url=twins["acme"].url, token="t"), connection="psa")
            yield Bench(
                connector=connector,
                examples={"project": lambda n: {"name": f"Project {n}", "currency": "EUR"}},
                held=lambda object_: len(twins["acme"].state(VENDOR_WORD[object_])),
                advance=twins["acme"].advance,
                sources={"client": ["17"]},
            )
            connector.close()

    @pytest.mark.parametrize("check", checks(SPEC.facts), ids=str)
    def test_conforms(check: Check, bench: Bench):
        check(bench)

A check that does not hold raises `Unfit` with one sentence. A waiver (`waivers={"match client": "reason"}`)
turns a failing check into a pass, and a passing one into `Unfit`, so that no waiver outlives its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from concordat.errors import Duplicate, Rejected, VendorError
from concordat.sdk.spec import (
    CallContext,
    Connector,
    JsonObject,
    ObjectFacts,
    Observed,
    PromiseClass,
    SystemFacts,
    WriteIntent,
    WriteResult,
)

__all__ = ["Bench", "Check", "Unfit", "checks", "same"]

UNKNOWN = "no_such_field"


class Unfit(AssertionError):  # noqa: N818  reads as the verdict it is
    """The connector does not do what it declares."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A connector and the system it speaks to, ready for the suite."""

    connector: Connector
    examples: Mapping[str, Callable[[int], JsonObject]] = field(default_factory=dict)
    """Canonical object to its n-th valid document; names the fields that are then read back. n is 1, 2, 3, …"""
    held: Callable[[str], int] = lambda _object: 0
    """How many records of a canonical object the system holds now."""
    advance: Callable[[timedelta], object] = lambda _lag: None
    """Move the system's clock: lets a lagging search catch up."""
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Source object to vendor ids that reading from the beginning must give."""
    waivers: Mapping[str, str] = field(default_factory=dict)
    """Check (as its test id says) to the reason why it cannot hold."""
    ctx: CallContext = field(default_factory=lambda: CallContext(correlation_id="conformance", timeout=20))

    def intent(self, object_: str, number: int, **changes: Any) -> WriteIntent:
        """Make the n-th example an intent with a key of its own."""
        key = f"CC-{object_.upper().replace('_', '-')[:16]}-{number}"
        values: dict[str, Any] = {"fields": self.examples[object_](number), **changes}
        return WriteIntent(object=object_, record_key=key, write_key=f"{key}-1", **values)

    def write(self, *intents: WriteIntent) -> Sequence[WriteResult]:
        """Write, a failed call counting as the failure of each."""
        try:
            results = self.connector.write(intents, self.ctx)
        except VendorError as error:
            return [WriteResult(error=error)] * len(intents)
        _must(len(results) == len(intents), f"{len(intents)} intents had {len(results)} results")
        return results

    def written(self, intent: WriteIntent) -> str:
        """Write one, which must succeed; gives its ref."""
        (result,) = self.write(intent)
        _must(result.error is None, f"the write failed: {result.error!r}")
        _must(bool(result.ref), "a successful write has no ref")
        return str(result.ref)


@dataclass(frozen=True, slots=True)
class Check:
    """One test: call it with the bench."""

    name: str
    object: str
    run: Callable[[Bench, str], None]

    def __str__(self) -> str:
        return f"{self.name} {self.object}".strip()

    def __call__(self, bench: Bench) -> None:
        """Raise `Unfit` when it does not hold."""
        reason = bench.waivers.get(str(self))
        try:
            self.run(bench, self.object)
        except (Unfit, VendorError):
            if reason is None:
                raise
            return
        if reason is not None:
            raise Unfit(f"the waiver of {str(self)!r} ({reason}) is obsolete: the check holds")


def checks(facts: SystemFacts) -> list[Check]:
    """Give every check that these facts call for."""
    found = [Check("answers a ping", "", lambda bench, _object: bench.connector.ping(bench.ctx))]
    for object_ in sorted(facts.sources):
        found += [Check(name, object_, run) for name, run in SOURCE.items()]
    for object_, about in sorted(facts.targets.items()):
        found += [Check(name, object_, run) for name, (run, applies) in TARGET.items() if applies(about)]
    return found


# -- targets


def _creates(bench: Bench, object_: str) -> None:
    before = bench.held(object_)
    (result,) = bench.write(bench.intent(object_, 1))
    _must(result.error is None, f"the write failed: {result.error!r}")
    _must(result.disposition == "created", f"a new record is {result.disposition!r}, not 'created'")
    _must(bench.held(object_) == before + 1, "one write did not make one record")


def _one_key_one_record(bench: Bench, object_: str) -> None:
    before, intent = bench.held(object_), bench.intent(object_, 1)
    ref = bench.written(intent)
    (again,) = bench.write(intent)
    _must(again.error is None or isinstance(again.error, Duplicate), f"the repeat ended as {again.error!r}")
    _must(again.error is not None or again.ref == ref, "the repeat gave another ref")
    _must(bench.held(object_) == before + 1, "the same key made two records")


def _finds(bench: Bench, object_: str) -> None:
    intent = bench.intent(object_, 1)
    ref = bench.written(intent)
    bench.advance(_facts(bench, object_).search_lag)
    found = bench.connector.find(object_, [intent.record_key, "CC-NOBODY"], bench.ctx)
    _must(set(found) == {intent.record_key}, f"find gave the keys {sorted(found)}")
    refs = [observed.ref for observed in found[intent.record_key]]
    _must(refs == [ref], f"find gave {refs}, not the ref {ref} that was written")


def _reads_back(bench: Bench, object_: str) -> None:
    intent = bench.intent(object_, 1)
    _compare(intent.fields, _fetched(bench, object_, bench.written(intent)))


def _updates(bench: Bench, object_: str) -> None:
    intent = bench.intent(object_, 1)
    ref, count = bench.written(intent), bench.held(object_)
    change = bench.intent(object_, 1, fields=bench.examples[object_](2), ref=ref)
    _must(bench.written(change) == ref, "an update gave another ref")
    _must(bench.held(object_) == count, "an update made a record")
    _compare(change.fields, _fetched(bench, object_, ref))


def _empties(bench: Bench, object_: str) -> None:
    """A field that is emptied is empty at the target, or the refusal names it: it is never passed over."""
    intent = bench.intent(object_, 1)
    ref = bench.written(intent)
    for name in sorted(intent.fields):
        (result,) = bench.write(bench.intent(object_, 1, fields={**intent.fields, name: None}, ref=ref))
        if isinstance(result.error, Rejected):
            _must(result.error.field == name, f"emptying {name} was refused for {result.error.field!r}")
        else:
            _must(result.error is None, f"emptying {name} ended as {result.error!r}")
            seen = _fetched(bench, object_, ref).fields.get(name)
            _must(seen is None or seen is False, f"{name} was emptied and reads {seen!r}")
        bench.written(bench.intent(object_, 1, fields=intent.fields, ref=ref))
    _compare(intent.fields, _fetched(bench, object_, ref))


def _rejects_unknown(bench: Bench, object_: str) -> None:
    before = bench.held(object_)
    (result,) = bench.write(_spoilt(bench, object_, 1))
    _must(isinstance(result.error, Rejected), f"an unknown field ended as {result.error!r}, not Rejected")
    _must(bench.held(object_) == before, "a rejected write made a record")


def _batch(bench: Bench, object_: str) -> None:
    about, before = _facts(bench, object_), bench.held(object_)
    intents = [bench.intent(object_, number) for number in range(1, min(about.write_batch, 4))]
    intents.insert(1, _spoilt(bench, object_, 9))
    results = bench.write(*intents)
    bad = [number for number, result in enumerate(results) if result.error is not None]
    wanted = list(range(len(intents))) if about.atomic_batch else [1]
    _must(bad == wanted, f"members {bad} of the batch failed, not {wanted}")
    _must(bench.held(object_) - before == len(intents) - len(bad), "the batch's answers are not what it made")


def _operations(bench: Bench, object_: str) -> None:
    for number, operation in enumerate(sorted(_facts(bench, object_).operations - {"put"}), 1):
        intent = bench.intent(object_, number)
        ref = bench.written(intent)
        act = bench.intent(object_, number, operation=operation, ref=ref, fields={})
        for turn in ("", " again"):
            (result,) = bench.write(act)
            _must(result.error is None, f"{operation}{turn} failed: {result.error!r}")


def _fetch_nothing(bench: Bench, object_: str) -> None:
    ref = bench.written(bench.intent(object_, 1))
    nobody = ref[:-1] + ("8" if ref.endswith("9") else "9")
    observed = bench.connector.fetch(object_, [nobody], bench.ctx)
    _must(not observed, f"fetch of {nobody!r}, which nobody wrote, gave {observed}")


def _matches(bench: Bench, object_: str) -> None:
    intent = bench.intent(object_, 1)
    ref = bench.written(intent)
    bench.advance(_facts(bench, object_).search_lag)
    refs = [observed.ref for observed in bench.connector.match(object_, intent.fields, bench.ctx)]
    _must(ref in refs, f"match gave {refs}, without the record that was written")


def _always(_about: ObjectFacts) -> bool:
    return True


def _unique(about: ObjectFacts) -> bool:
    return about.promise is PromiseClass.A


def _readable(about: ObjectFacts) -> bool:
    return about.promise is not PromiseClass.D or about.find != "no"


TARGET: Mapping[str, tuple[Callable[[Bench, str], None], Callable[[ObjectFacts], bool]]] = {
    "creates": (_creates, _always),
    "one key, one record": (_one_key_one_record, _unique),
    "finds": (_finds, lambda about: about.find != "no"),
    "reads back": (_reads_back, _readable),
    "updates": (_updates, _readable),
    "empties": (_empties, _readable),
    "rejects an unknown field": (_rejects_unknown, _always),
    "answers per member": (_batch, lambda about: about.write_batch > 1),
    "does its operations": (_operations, lambda about: about.operations > {"put"}),
    "fetches nothing": (_fetch_nothing, _readable),
    "matches": (_matches, _readable),
}


# -- sources


def _reads_all(bench: Bench, object_: str) -> None:
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(10_000):
        page = bench.connector.changes(object_, cursor, bench.ctx)
        for record in page.records:
            _plain(record.fields, f"{record.object} {record.ref}")
            seen |= {record.ref} if record.object == object_ else set()
        _must(page.cursor != cursor or not page.more, "there is more, but the cursor stands still")
        cursor = page.cursor
        if not page.more:
            break
    missing = sorted(set(bench.sources.get(object_, ())) - seen)
    _must(not missing, f"reading from the beginning skipped {missing}")


def _reads_one(bench: Bench, object_: str) -> None:
    wanted = list(bench.sources.get(object_, ()))
    records = bench.connector.fetch_source(object_, wanted, bench.ctx)
    refs = [record.ref for record in records if record.object == object_]
    _must(sorted(refs) == sorted(wanted), f"fetch_source gave {refs}, asked for {wanted}")
    for record in records:
        _plain(record.fields, f"{record.object} {record.ref}")
        _must(bool(record.version), f"{record.object} {record.ref} has no version")


SOURCE: Mapping[str, Callable[[Bench, str], None]] = {
    "reads all": _reads_all,
    "reads one": _reads_one,
}


# -- judging


def same(wanted: Any, got: Any) -> bool:
    """Say whether a value read back is the one written: money by amount, references by id, numbers by value."""
    if isinstance(wanted, Mapping) and "amount" in wanted:
        equal = isinstance(got, Mapping) and _number(wanted["amount"]) == _number(got.get("amount"))
        return equal and wanted.get("currency") == got.get("currency")
    if isinstance(wanted, Mapping) and "ref" in wanted:
        ref = got.get("ref") if isinstance(got, Mapping) else got
        return wanted["ref"] is None or str(ref).rpartition(":")[2] == str(wanted["ref"])
    if isinstance(wanted, list | tuple):
        return isinstance(got, list | tuple) and len(wanted) == len(got) and all(map(same, wanted, got))
    return wanted == got or (_number(wanted) is not None and _number(wanted) == _number(got))


def _compare(wanted: JsonObject, observed: Observed) -> None:
    _plain(observed.fields, observed.ref)
    differ = {
        name: (value, observed.fields.get(name))
        for name, value in wanted.items()
        if not same(value, observed.fields.get(name))
    }
    _must(not differ, f"written and read back differ: {differ}")


def _fetched(bench: Bench, object_: str, ref: str) -> Observed:
    found = bench.connector.fetch(object_, [ref], bench.ctx)
    _must([observed.ref for observed in found] == [ref], f"fetch of {ref} gave {found}")
    return found[0]


def _spoilt(bench: Bench, object_: str, number: int) -> WriteIntent:
    return bench.intent(object_, number, fields={**bench.examples[object_](number), UNKNOWN: "x"})


def _facts(bench: Bench, object_: str) -> ObjectFacts:
    return bench.connector.facts.targets[object_]


def _plain(value: Any, place: str) -> None:
    if isinstance(value, Mapping):
        for name, member in value.items():
            _plain(member, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for member in value:
            _plain(member, place)
    else:
        _must(value is None or isinstance(value, str | int), f"{place} is {value!r}: not a plain JSON value")


def _number(value: Any) -> Decimal | None:
    if isinstance(value, str) and value.lstrip("-")[:1] == "0" and value.lstrip("-")[1:2].isdigit():
        return None  # a code: 0410 is not 410
    try:
        return Decimal(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except InvalidOperation:
        return None


def _must(holds: bool, says: str) -> None:  # noqa: FBT001  an assertion
    if not holds:
        raise Unfit(says)
