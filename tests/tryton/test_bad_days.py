"""Bad days on the socket before a real Tryton: whatever happens to a call, one of each remains, as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from concordat.core.agree import disagreements
from concordat.sdk.spec import WriteIntent
from concordat.tryton_server import Tryton
from concordat.twins.server import start_proxy
from tests.settling import CTX, settle
from tests.tryton.documents import CLIENT
from tests.tryton.running import call, connector, key

pytestmark = pytest.mark.slow
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"kind": "commit_then_drop"},
    {"kind": "commit_then_504"},
    {"kind": "drop_before_commit"},
    {"kind": "truncate_body"},
    {"kind": "html_error_page", "status": 200, "commit": True},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 200, "body": {"error": ["ConcurrencyException", "changed"]}, "key": "write"},
)


@pytest.mark.parametrize("seed", range(3))
def test_one_of_each_remains_and_says_what_it_should(tryton: Tryton, seed: int) -> None:
    keys = [key() for _ in range(8)]
    refs: dict[str, str] = {}
    with start_proxy(tryton.access.url, system="tryton", seed=seed) as twins:
        erp = connector(tryton, url=twins["tryton"].url)
        erp.ping(call())
        for number, fault in enumerate(FAULTS):
            if (number + seed) % 4:
                twins["tryton"].fault(**fault, rate=0.12)
        for generation in (0, 1):
            wanted = {
                key: WriteIntent(
                    object="client",
                    record_key=key,
                    write_key=f"{key}-{generation}",
                    fields=document(number + generation),
                    ref=refs.get(key),
                )
                for number, key in enumerate(keys)
            }
            refs |= settle(erp, wanted)
        assert sum(fault.fired for fault in twins["tryton"].twin.faults) > 3
        erp.close()
    direct = connector(tryton)
    found = direct.find("client", keys, CTX)
    assert {key: [seen.ref for seen in several] for key, several in found.items()} == {
        key: [ref] for key, ref in refs.items()
    }
    for number, name in enumerate(keys):
        assert disagreements(document(number + 1), found[name][0].fields) == {}
    direct.close()


def document(number: int) -> dict[str, Any]:
    """The n-th document; every other one is without a phone."""
    return {**CLIENT, "name": f"Client {number}", "phone": f"+49 30 {number:04d}" if number % 2 else None}
