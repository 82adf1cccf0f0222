"""`Idempotency-Key`: a write that is sent again is answered again, not done again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel

from concordat.operations.sessions import Person
from concordat.store.database import Connection, Database, json_text
from concordat.store.queries import QUERIES
from concordat.web.problems import Refused

__all__ = ["Key", "Once"]

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Your own name for this write: the same key and body get the stored answer for 30 days.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Once:
    """One write by one person under one key."""

    db: Database
    person: Person
    key: str | None
    digest: str

    @classmethod
    def of(cls, request: Request, person: Person, key: str | None, body: BaseModel) -> Once:
        """Tell a write by method, address and body."""
        said = f"{request.method} {request.url.path}\n{body.model_dump_json()}"
        db: Database = request.app.state.door.db
        return cls(db=db, person=person, key=key, digest=hashlib.sha256(said.encode()).hexdigest())

    def run(self, status: int, work: Callable[[Connection], BaseModel]) -> Response:
        """Do the work and keep its answer in one transaction, or give the answer that was kept.

        The same key with another body is 422; a copy that runs at this moment is 409. A failure is not kept.
        """
        with self.db.app(self.person.units) as conn:
            if self.key is None:
                return _answer(status, work(conn).model_dump_json())
            key = _digest(self.person.name, self.person.role, *self.person.units, self.key)
            if not (conn.execute(QUERIES.session.same_write, {"key": key}).fetchone() or {})["mine"]:
                raise Refused(409, "A write with this key runs at this moment.", remedy="Ask again shortly.")
            known = conn.execute(QUERIES.session.known_answer, {"key": key}).fetchone()
            if known is not None:
                return self._known(known["digest"], known["status"], json_text(known["answer"]))
            text = work(conn).model_dump_json()
            kept = {"key": key, "digest": self.digest, "status": status, "answer": text}
            row = conn.execute(QUERIES.session.keep_answer, kept).fetchone() or {}
            return _answer(status, json_text(row["answer"]))

    def _known(self, digest: str, status: int, text: str) -> Response:
        if digest != self.digest:
            raise Refused(422, "This key was used for another write.", remedy="Take a new key for a new write.")
        return _answer(status, text, again=True)


def _digest(*words: str) -> str:
    """Whose key it is: an answer is kept for who asked, and for what they could see then."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _answer(status: int, text: str, *, again: bool = False) -> Response:
    headers = {"Idempotency-Replayed": "true"} if again else {}
    return Response(text, status, headers=headers, media_type="application/json")
