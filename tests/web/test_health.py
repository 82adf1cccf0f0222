"""Health means progress, and is for this machine alone."""

from __future__ import annotations

import httpx

from tests.web.conftest import Site


def test_the_process_says_that_it_is_alive(site: Site):
    assert httpx.get(f"{site.url}/healthz").json() == {"alive": True}


def test_without_a_worker_it_is_not_ready_and_says_why(site: Site):
    answer = httpx.get(f"{site.url}/readyz")
    assert answer.status_code == 503
    told = {check["name"]: check["holds"] for check in answer.json()["checks"]}
    assert told == {"database": True, "migrations": True, "worker": False}


def test_with_a_beating_worker_it_is_ready(site: Site):
    site.deals.rows("INSERT INTO worker (name, started_at, beat_at) VALUES ('w', now(), now()) RETURNING id")
    assert httpx.get(f"{site.url}/readyz").json()["holds"] is True
    site.deals.rows("UPDATE worker SET beat_at = now() - interval '1 minute' RETURNING id")
    assert httpx.get(f"{site.url}/readyz").status_code == 503


def test_a_proxys_caller_gets_none_of_it(site: Site):
    for path in ("/healthz", "/readyz", "/metrics"):
        assert httpx.get(site.url + path, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 404


def test_the_figures_are_the_text_format_and_tell_progress(site: Site):
    site.deals.psa.fail("write", _rejected())
    site.deals.take(*site.deals.won())
    site.deals.plan()
    before = httpx.get(f"{site.url}/metrics").text
    assert 'concordat_lane_depth{connection="psa",object="project",operation="put"} 1' in before
    assert 'concordat_effects_open{state="ready"} 3' in before
    site.run()
    after = httpx.get(f"{site.url}/metrics").text
    assert 'concordat_effects_open{state="held"} 1' in after
    assert 'concordat_cases_open{kind="refused"} 1' in after
    for line in after.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


def _rejected() -> Exception:
    from concordat.errors import Rejected

    return Rejected('the name is "refused"\n')
