"""Tokens that all processes share: one fetches, the others take what it got; kept encrypted, before it is used.

The key is made from the credential that the connection is configured with, which is never in the database: who has the
database alone has no token. A credential that changes makes what was kept unreadable, and a new token is fetched.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from concordat.errors import Unavailable

__all__ = ["Kept", "Safe", "Vault", "installed", "use_vault"]

CLAIMED_FOR = 12.0
"""Seconds that one process has to fetch a token; after that another one may."""
LOOK_AGAIN = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What the vault holds of one credential. `generation` 0: nothing yet."""

    generation: int = 0
    sealed: str = ""


class Vault(Protocol):
    """Where tokens are kept for all processes. Every method raises `Unavailable` when it cannot be asked."""

    def read(self, name: str, /) -> Kept:
        """What is kept now."""

    def claim(self, name: str, seconds: float, /) -> bool:
        """Whether this process alone may fetch now."""

    def save(self, name: str, generation: int, sealed: str, /) -> bool:
        """Keep the next generation, unless somebody else did; ends the claim. Durable when it returns."""

    def release(self, name: str, /) -> None:
        """End this process's claim without a token."""


_vault: list[Vault] = []


def use_vault(vault: Vault) -> Callable[[], None]:
    """Share tokens by this vault from now on; returns what ends it."""
    _vault.append(vault)
    return lambda: _vault.remove(vault)


def installed() -> Vault | None:
    """The vault in use, if there is one."""
    return _vault[-1] if _vault else None


@dataclass(frozen=True, kw_only=True)
class Safe:
    """One credential's place in a vault."""

    vault: Vault
    name: str
    secret: bytes

    def read(self) -> tuple[int, Mapping[str, Any]]:
        """Generation and content; empty when there is none, or none that this credential can read."""
        kept = self.vault.read(self.name)
        if not kept.sealed:
            return kept.generation, {}
        try:
            plain = jwe.decrypt_compact(kept.sealed, self._key()).plaintext or b"{}"
            found: Mapping[str, Any] = json.loads(plain)
        except (JoseError, ValueError):
            return kept.generation, {}
        return kept.generation, found

    def only_one(
        self,
        good: Callable[[Mapping[str, Any]], bool],
        fetch: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        until: float,
    ) -> Mapping[str, Any]:
        """Content that is `good`: what another process kept, or what this one fetches alone and keeps before its use.

        `fetch` is given what is kept. Waits for another process that fetches, at most `until` on the monotonic clock.
        """
        while True:
            generation, content = self.read()
            if good(content):
                return content
            if self.vault.claim(self.name, CLAIMED_FOR):
                kept = self._fetched(good, fetch, generation)
                if kept is not None:
                    return kept
            elif time.monotonic() > until:
                raise Unavailable("Another process has been fetching this token for too long.")
            time.sleep(LOOK_AGAIN)

    def _fetched(
        self,
        good: Callable[[Mapping[str, Any]], bool],
        fetch: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        generation: int,
    ) -> Mapping[str, Any] | None:
        """Fetch under the claim; None when somebody else kept a token meanwhile."""
        saved = False
        try:
            now, content = self.read()
            if now != generation and good(content):
                return content
            fresh = fetch(content)
            saved = self.vault.save(self.name, now, self._seal(fresh))
            return fresh if saved else None
        finally:
            if not saved:
                self.vault.release(self.name)

    def _seal(self, content: Mapping[str, Any]) -> str:
        header = {"alg": "dir", "enc": "A256GCM"}
        return jwe.encrypt_compact(header, json.dumps(dict(content)).encode(), self._key())

    def _key(self) -> OctKey:
        digest = hashlib.sha256(b"concordat token\x00" + self.name.encode() + b"\x00" + self.secret).digest()
        return OctKey.import_key(digest)
