"""Where a poll stands: keyset paging on (SystemModstamp, Id), and a sweep from time to time.

A record may become visible after a later one (a long transaction), so the poll goes back by the overlap, judged by
the vendor's own clock. The cursor is JSON: `at`, `id` (where we are), `now` (the vendor's clock), `swept` (when the
last sweep began).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from concordat.errors import ResyncRequired, Unavailable

__all__ = ["Cursor", "soql_time"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Instants are ISO 8601 texts; an empty one means: not yet."""

    at: str = ""
    id: str = ""
    now: str = ""
    swept: str = ""

    @classmethod
    def of(cls, text: str | None) -> Cursor:
        """Read a cursor; None is the beginning. Raises `ResyncRequired`."""
        if not text:
            return cls()
        try:
            cursor = cls(**json.loads(text))
            for moment in (cursor.at, cursor.now, cursor.swept):
                _ = moment and datetime.fromisoformat(moment).astimezone(UTC)
        except (ValueError, TypeError, AttributeError) as error:
            raise ResyncRequired(f"{text[:80]!r} is no cursor of Salesforce's.") from error
        return cursor

    def text(self) -> str:
        """Write it."""
        return json.dumps(asdict(self))

    def begun(self, overlap: timedelta) -> Cursor:
        """Go back by the overlap when half of it has passed since the last sweep began."""
        if not self.at or not self.swept:
            return self
        now, swept = datetime.fromisoformat(self.now), datetime.fromisoformat(self.swept)
        if now - swept < overlap / 2:
            return self
        back = soql_time(swept - overlap)
        moved = {"at": back, "id": ""} if back < self.at else {}
        return replace(self, swept=self.now, **moved)

    def moved(self, rows: Sequence[Mapping[str, Any]], date: str) -> Cursor:
        """Go on behind the last of these rows; `date` is the vendor's clock."""
        now = vendor_now(date) or self.now
        here = replace(self, now=now, swept=self.swept or now)
        if not rows:
            return here
        try:
            at, ref = datetime.fromisoformat(rows[-1]["SystemModstamp"]), str(rows[-1]["Id"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("Salesforce answered a record without its stamp.") from error
        return replace(here, at=soql_time(at), id=ref)

    def where(self) -> str:
        """Give the condition for what comes after it; the beginning has none."""
        if not self.at:
            return ""
        if not self.id:
            return f" WHERE SystemModstamp >= {self.at}"
        return f" WHERE SystemModstamp > {self.at} OR (SystemModstamp = {self.at} AND Id > '{self.id}')"


def soql_time(at: datetime) -> str:
    """Write an instant as SOQL takes it; a fraction is kept, so that a page of one second always moves on."""
    fraction = f".{at.microsecond // 1000:03d}" if at.microsecond else ""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def vendor_now(date: str) -> str:
    """Read a `Date` header; an empty text when there is none."""
    try:
        return parsedate_to_datetime(date).isoformat()
    except (ValueError, TypeError):
        return ""
