"""What a twin holds and what was written to it: records, indexes, the ledger, and the twin's own clock."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from concordat.twins.wire import dump

__all__ = ["Clock", "Entry", "Record", "Store"]

Fields = dict[str, Any]


class Clock:
    """A twin's own time: real time plus an offset, or frozen."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        """Aware UTC."""
        return self._frozen or self._real() + self._offset

    def move(self, by: timedelta) -> None:
        """Go forward (or back) by this much."""
        if self._frozen:
            self._frozen += by
        else:
            self._offset += by

    def set(self, at: datetime, *, frozen: bool = False) -> None:
        """Stand at this instant; frozen, or running on from it."""
        self._offset = at.astimezone(UTC) - self._real()
        self._frozen = at.astimezone(UTC) if frozen else None

    def run(self) -> None:
        """Thaw: run on from where it stands."""
        if self._frozen:
            self.set(self._frozen)

    @staticmethod
    def _real() -> datetime:
        return datetime.now(UTC)  # noqa: TID251  a twin has a clock of its own, as the vendor it plays


@dataclass(slots=True)
class Record:
    """One record: its fields now, and before the last write (for searches that lag)."""

    ref: str
    fields: Fields
    created_at: datetime
    changed_at: datetime
    version: int = 1
    before: Fields | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One committed write."""

    seq: int
    at: str
    object: str
    key: str
    operation: str
    digest: str
    idempotency_key: str
    ref: str

    def as_json(self) -> dict[str, Any]:
        """Show it."""
        return asdict(self)


@dataclass(slots=True)
class _Index:
    by_value: dict[Any, dict[str, None]] = field(default_factory=dict)
    of_ref: dict[str, Any] = field(default_factory=dict)

    def put(self, ref: str, value: Any) -> None:
        self.drop(ref)
        if value is not None:
            self.by_value.setdefault(value, {})[ref] = None
            self.of_ref[ref] = value

    def drop(self, ref: str) -> None:
        value = self.of_ref.pop(ref, None)
        if value is not None:
            self.by_value[value].pop(ref, None)


class Store:
    """Records by object and id, indexes on the fields that are searched, and the ledger. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ledger: list[Entry] = []
        self._objects: dict[str, dict[str, Record]] = {}
        self._indexes: dict[tuple[str, str], _Index] = {}
        self._lock = threading.RLock()
        self._seq = itertools.count(1)

    def objects(self) -> list[str]:
        """Give the objects that hold records."""
        return sorted(name for name, records in self._objects.items() if records)

    def all(self, object_: str) -> Iterator[Record]:
        """Give every record in the order of creation."""
        return iter(list(self._objects.get(object_, {}).values()))

    def get(self, object_: str, ref: str) -> Record | None:
        """Give one record by its id."""
        return self._objects.get(object_, {}).get(ref)

    def where(self, object_: str, name: str, value: Any) -> list[Record]:
        """Give records whose field equals the value, by an index that is made on first use."""
        with self._lock:
            index = self._indexes.get((object_, name)) or self._build(object_, name)
            records = self._objects.get(object_, {})
            return [records[ref] for ref in index.by_value.get(value, ())]

    def put(self, object_: str, ref: str, fields: Mapping[str, Any], *, replace: bool = False) -> Record:
        """Store without the ledger: create, or merge into what is there (`replace`: instead of it)."""
        with self._lock:
            now = self.clock.now()
            records = self._objects.setdefault(object_, {})
            record = records.get(ref)
            if record is None:
                record = records[ref] = Record(ref, dict(fields), now, now)
            else:
                record.before = record.fields
                record.fields = dict(fields) if replace else {**record.fields, **fields}
                record.changed_at, record.version = now, record.version + 1
            self._reindex(object_, record)
            return record

    def remove(self, object_: str, ref: str) -> Record | None:
        """Take a record away."""
        with self._lock:
            for (indexed, _), index in self._indexes.items():
                if indexed == object_:
                    index.drop(ref)
            return self._objects.get(object_, {}).pop(ref, None)

    def note(
        self,
        object_: str,
        operation: str,
        *,
        key: str,
        ref: str,
        fields: Mapping[str, Any],
        idempotency_key: str,
    ) -> Entry:
        """Write one line of the ledger."""
        with self._lock:
            entry = Entry(
                seq=next(self._seq),
                at=self.clock.now().isoformat().replace("+00:00", "Z"),
                object=object_,
                key=key,
                operation=operation,
                digest=hashlib.sha256(dump(dict(sorted(fields.items())))).hexdigest()[:16],
                idempotency_key=idempotency_key,
                ref=ref,
            )
            self.ledger.append(entry)
            return entry

    def _build(self, object_: str, name: str) -> _Index:
        index = self._indexes[object_, name] = _Index()
        for record in self._objects.get(object_, {}).values():
            index.put(record.ref, record.fields.get(name))
        return index

    def _reindex(self, object_: str, record: Record) -> None:
        for (indexed, name), index in self._indexes.items():
            if indexed == object_:
                index.put(record.ref, record.fields.get(name))
