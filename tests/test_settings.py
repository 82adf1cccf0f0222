"""The firm's folder and the environment: all faults at once, with the way out."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from concordat.errors import Invalid, NotFound, UserError
from concordat.settings import Environment, duration, find_firm, load_firm, read_environment

pytestmark = pytest.mark.fast

GOOD = """
[firm]
name = "Northbeam Consulting"
unit = "NB-US"

[entities.NB-US]
currency = "USD"
zone = "America/New_York"
country = "US"
subdivision = "NY"

[entities.NB-DE]
currency = "EUR"
zone = "Europe/Berlin"
country = "DE"
opens = "08:30"
closes = 18:00:00

[connections.crm]
system = "salesforce"
url = "http://127.0.0.1:8501"
poll = "500 ms"
consumer_key = "northbeam"
private_key = { file = "secrets/crm.pem" }
tokens = [{ env = "CRM_TOKEN" }]

[connections.psa]
system = "kantata"
url = "https://psa.example"

[teams.finance]
title = "Finance"
calendar = "NB-DE"
email = "finance@northbeam.example"

[engine]
linger = "20 ms"
"""


def write(folder: Path, text: str) -> Path:
    (folder / "concordat.toml").write_text(text)
    return folder


def faults(folder: Path, text: str) -> str:
    with pytest.raises(Invalid) as refused:
        load_firm(write(folder, text))
    return str(refused.value)


def test_a_good_file_is_read(tmp_path: Path):
    firm = load_firm(write(tmp_path, GOOD))
    assert (firm.firm.unit, firm.folder, firm.state) == ("NB-US", tmp_path, tmp_path / ".concordat")
    assert (firm.entities["NB-US"].opens, firm.entities["NB-US"].closes) == (time(9), time(17, 30))
    assert (firm.entities["NB-DE"].opens, firm.entities["NB-DE"].closes) == (time(8, 30), time(18))
    assert [one.poll for one in firm.connections.values()] == [
        timedelta(milliseconds=500),
        timedelta(seconds=5),
    ]
    assert (firm.web.port, firm.engine.workers, firm.engine.linger) == (8484, 2, timedelta(milliseconds=20))
    assert firm.connections["crm"].vendor["private_key"] == {"file": "secrets/crm.pem"}


def test_secrets_are_read_when_they_are_needed(tmp_path: Path):
    firm = load_firm(write(tmp_path, GOOD))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "crm.pem").write_text("PEM\n")
    assert firm.settings("crm", variables={"CRM_TOKEN": "t"}) == {
        "url": "http://127.0.0.1:8501",
        "consumer_key": "northbeam",
        "private_key": "PEM",
        "tokens": ["t"],
    }


def test_a_missing_secret_says_whose_and_where(tmp_path: Path):
    firm = load_firm(write(tmp_path, GOOD))
    with pytest.raises(UserError, match=r"connections\.crm\.private_key takes its secret from .*crm\.pem: "):
        firm.settings("crm", variables={"CRM_TOKEN": "t"})
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "crm.pem").write_text("PEM")
    with pytest.raises(UserError, match=r"environment variable CRM_TOKEN, which is not set\. Set CRM_TOKEN"):
        firm.settings("crm", variables={})


def test_an_unknown_connection_has_a_near_name(tmp_path: Path):
    firm = load_firm(write(tmp_path, GOOD))
    with pytest.raises(NotFound, match=r"no connection crn\. Did you mean crm\?"):
        firm.settings("crn")


def test_every_fault_is_reported_at_once_with_its_place(tmp_path: Path):
    said = faults(
        tmp_path,
        """
        [firm]
        nam = "x"
        [entities.US]
        currency = "dollars"
        zone = "Mars/Olympus"
        country = "US"
        opens = "18:00"
        closes = "09:00"
        [connections.crm]
        system = "salesforce"
        pol = 5
        poll = "5"
        [egine]
        """,
    )
    assert "concordat.toml has 8 faults:" in said
    for line in (
        "firm.name: is missing",
        "firm.unit: is missing",
        "firm.nam: unknown key. Did you mean name?",
        "entities.US.currency: String should match pattern",
        "entities.US.zone: `Mars/Olympus` is no IANA time zone",
        "connections.crm.url: is missing",
        "connections.crm.poll: `5` is no duration; write it like `5 s`",
        "egine: unknown key. Did you mean engine?",
    ):
        assert line in said


def test_a_team_keeps_the_hours_of_an_entity_that_is_there(tmp_path: Path):
    said = faults(tmp_path, GOOD.replace('calendar = "NB-DE"', 'calendar = "NB-DK"'))
    assert "teams.finance.calendar: there is no entity NB-DK. Did you mean NB-DE?" in said


def test_a_day_closes_after_it_opens(tmp_path: Path):
    said = faults(tmp_path, GOOD.replace("closes = 18:00:00", "closes = 08:00:00"))
    assert "has 1 fault:\n  entities.NB-DE: a business day closes after it opens" in said


def test_a_file_that_is_no_toml_names_the_line(tmp_path: Path):
    assert "concordat.toml is not TOML: " in faults(tmp_path, "[firm\n")


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(NotFound, match=r"There is no folder .*/none\. Run `concordat init .*/none`"):
        load_firm(tmp_path / "none")
    with pytest.raises(NotFound, match=r"has no concordat\.toml\. Run `concordat init"):
        load_firm(tmp_path)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("5 s", timedelta(seconds=5)),
        ("500 ms", timedelta(milliseconds=500)),
        ("15 minutes", timedelta(minutes=15)),
        ("1 hour", timedelta(hours=1)),
        ("3 days", timedelta(days=3)),
        ("1.5h", timedelta(minutes=90)),
        (timedelta(seconds=1), timedelta(seconds=1)),
    ],
)
def test_a_duration_names_its_unit(text: object, length: timedelta):
    assert duration(text) == length


@pytest.mark.parametrize("text", ["5", "s", "-5 s", "5 lightyears", "", 5, None, "5 s 3 m"])
def test_what_is_no_duration_is_refused(text: object):
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)


def test_the_environment_is_read_in_one_place():
    seen = read_environment(
        {
            "CONCORDAT_DATABASE_URL": " postgresql://h/d ",
            "CONCORDAT_FIRM": "/firm",
            "CONCORDAT_TEST_ALL": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x",
            "HOME": "/root",
        }
    )
    assert seen == Environment(
        database_url="postgresql://h/d",
        firm="/firm",
        test_all=True,
        telemetry={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"},
    )
    assert read_environment({}) == Environment()
    assert find_firm(None, seen) == Path("/firm")
    assert find_firm(Path("named"), seen) == Path("named")
    assert find_firm(None, Environment()) == Path()
