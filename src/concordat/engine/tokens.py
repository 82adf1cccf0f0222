"""The vault of tokens in PostgreSQL: one fetcher per credential over all processes, kept before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from concordat.errors import Contended, NotReachable, Unavailable
from concordat.sdk.vault import Kept
from concordat.store.database import Connection, Database
from concordat.store.queries import QUERIES

__all__ = ["TokenVault"]


@dataclass(frozen=True, kw_only=True)
class TokenVault:
    """Keeps sealed tokens; what is in them it cannot read. See `concordat.sdk.vault.Vault`."""

    db: Database
    holder: str

    def read(self, name: str, /) -> Kept:
        """What is kept now."""
        with self._asked() as conn:
            row = conn.execute(QUERIES.token.read, {"name": name}).fetchone()
        return Kept(generation=row["generation"], sealed=row["sealed"]) if row else Kept()

    def claim(self, name: str, seconds: float, /) -> bool:
        """Whether this process alone may fetch now."""
        with self._asked() as conn:
            told = {"name": name, "holder": self.holder, "seconds": seconds}
            return conn.execute(QUERIES.token.claim, told).fetchone() is not None

    def save(self, name: str, generation: int, sealed: str, /) -> bool:
        """Keep the next generation, unless somebody else did."""
        with self._asked() as conn:
            told = {"name": name, "holder": self.holder, "generation": generation, "sealed": sealed}
            return conn.execute(QUERIES.token.save, told).fetchone() is not None

    def release(self, name: str, /) -> None:
        """End this process's claim without a token."""
        with self._asked() as conn:
            conn.execute(QUERIES.token.release, {"name": name, "holder": self.holder})

    @contextmanager
    def _asked(self) -> Iterator[Connection]:
        try:
            with self.db.engine() as conn:
                yield conn
        except (NotReachable, Contended) as error:
            raise Unavailable(f"the kept tokens cannot be asked for: {error}") from error
