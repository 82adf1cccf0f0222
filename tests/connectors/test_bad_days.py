"""Bad days: every call of a connector may be lost, cut, refused or answered by a stranger, and one of each remains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc.jwk import ECKey
from tests.settling import CTX, settle

from concordat.connectors import msgraph, netsuite, slack
from concordat.core.agree import disagreements
from concordat.sdk.spec import Connector, WriteIntent
from concordat.twins.server import TwinHandle, start_twins

pytestmark = pytest.mark.slow

KEY = ECKey.generate_key("P-256")
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"kind": "commit_then_drop"},
    {"kind": "commit_then_504"},
    {"kind": "drop_before_commit"},
    {"kind": "truncate_body"},
    {"kind": "html_error_page", "status": 200, "commit": True},
    {"kind": "html_error_page", "status": 502},
    {"kind": "status", "status": 503, "headers": {"Retry-After": "1"}},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
    {"kind": "quota_exhausted"},
    {"kind": "partial_batch", "status": 504, "commit": True},
    {"kind": "lock_storm"},
)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One system: how to reach it, what is written there, and what it holds."""

    system: str
    object: str
    held: str
    connect: Callable[[str], Connector]
    document: Callable[[int], dict[str, Any]]
    ours: Callable[[Mapping[str, Any]], bool]
    options: Mapping[str, Any]


def _netsuite(url: str) -> Connector:
    settings = netsuite.NetSuiteSettings.model_validate(
        {
            "account": "1234567", "url": url, "client_id": "concordat", "certificate_id": "cert-1",
            "private_key": KEY.as_pem(private=True).decode(), "algorithm": "ES256", "subsidiaries": {"NB-US": "1"},
            "subsidiary": "NB-US",
        }
    )  # fmt: skip
    made: Connector = netsuite.SPEC.connect(settings, connection="erp")
    return made


def _msgraph(url: str) -> Connector:
    said = {"tenant": "contoso", "client_id": "concordat", "client_secret": "secret", "drive": "b!drive1"}
    settings = msgraph.GraphSettings.model_validate({**said, "url": url, "login": url})
    made: Connector = msgraph.SPEC.connect(settings, connection="documents")
    return made


def _slack(url: str) -> Connector:
    said = {"token": "xoxb-twin", "user_token": "xoxp-twin", "url": f"{url}/api"}
    made: Connector = slack.SPEC.connect(slack.SlackSettings.model_validate(said), connection="chat")
    return made


GROUNDS = (
    Ground(
        system="netsuite",
        object="client",
        held="customer",
        connect=_netsuite,
        document=lambda n: {"name": f"Client {n}", "phone": f"+{n}", "billing_email": None, "entity": "NB-US"},
        ours=lambda row: bool(row.get("externalId")),
        options={"public_key": KEY.as_pem(private=False).decode()},
    ),
    Ground(
        system="msgraph",
        object="workspace",
        held="driveItems",
        connect=_msgraph,
        document=lambda n: {"name": f"Work {n}", "client_name": None, "project_name": None, "locked": n % 2 == 0},
        ours=lambda row: "(CC-" in str(row["name"]),
        options={},
    ),
    Ground(
        system="slack",
        object="channel",
        held="channels",
        connect=_slack,
        document=lambda n: {"name": f"Work {n}", "topic": f"Topic {n}", "archived": n % 2 == 0},
        ours=lambda _row: True,
        options={"limits": False},
    ),
)


@pytest.fixture(params=GROUNDS, ids=lambda ground: ground.system)
def ground(request: pytest.FixtureRequest) -> Ground:
    found: Ground = request.param
    return found


@pytest.fixture
def twin(ground: Ground, seed: int) -> Iterator[TwinHandle]:
    with start_twins([ground.system], options={ground.system: ground.options}, seed=seed) as twins:
        yield twins[ground.system]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_one_of_each_remains_and_says_what_it_should(ground: Ground, twin: TwinHandle, seed: int) -> None:
    connector = ground.connect(twin.url)
    batch = connector.facts.targets[ground.object].write_batch
    for number, fault in enumerate(FAULTS):
        if (number + seed) % 3:
            twin.fault(**fault, rate=0.12)
    keys = [f"CC-BADDAY{number:02d}AAAAAAAAAAAAAAAAA{number:02d}" for number in range(8)]
    refs: dict[str, str] = {}
    for generation in (0, 1):
        wanted = {
            key: WriteIntent(
                object=ground.object,
                record_key=key,
                write_key=f"{key}-{generation}",
                fields=ground.document(number + generation),
                ref=refs.get(key),
            )
            for number, key in enumerate(keys)
        }
        size = min(batch, 4)

        for at in range(0, len(keys), size):
            refs |= settle(connector, {key: wanted[key] for key in keys[at : at + size]})
    assert sum(fault.fired for fault in twin.twin.faults) > 10
    twin.heal()
    held = [row for row in twin.state(ground.held) if ground.ours(row)]
    assert len(held) == len(keys)
    assert [line["operation"] for line in twin.ledger(ground.held)].count("create") == len(keys)
    for number, key in enumerate(keys):
        (seen,) = connector.find(ground.object, [key], CTX)[key]
        assert seen.ref == refs[key]
        assert disagreements(ground.document(number + 1), seen.fields) == {}
    connector.close()
