"""Workday's Reports-as-a-Service as far as Concordat uses them: two custom reports and the token endpoint.

Sources: singer-io/tap-workday `client.py`; the RaaS OpenAPI at apis.io; knowledgelib's RaaS page; the notes on
rate limits of api-evangelist/workday-business-processes (citing developer.workday.com). Behaviour that bites:

* `GET /ccx/service/customreport2/{tenant}/{owner}/{report}?format=json&Prompt=…` with Basic or Bearer;
  the answer is `{"Report_Entry": [...]}`. There is no pagination.
* All values are text, truth is "1" and "0"; a column that is empty is left out of its row.
* Rows are effective-dated: a hire or a change entered today may hold from next month on. A row keeps its
  moment of entry when it comes into force, so a report by moment of entry alone misses that day.
* A last day is entered beforehand: the worker is active until it is over, and no moment of entry marks the day after.
* A report longer than one answer is cut off and says so, by Report_Has_More_Rows and Report_Total_Rows (src:
  schemas.apis.io, workday-reporting ReportResponse); `partial_batch` leaves `members` of the rows out (with `more`:
  false the total alone tells).
* A rehire is the same person (Universal_ID) with a new Employee_ID; a rescinded row was never there.
* Too many calls: 429 without Retry-After; SOAP says the same with a 500 and a fault in XML, and so does RaaS
  behind some gateways. A missing permission is a 404.
* An id that is nobody's is no empty answer but a refusal of the whole request, "is not a valid ID value for type"
  (src: errdex.pages.dev, invalid-id-value-reference-type, of SOAP; that a prompt says the same is unsure).
* Several instances in one prompt are `Prompt!Type=A!B` [unsure].

The reports (their names are options `workers_report`, `availability_report`):

* Concordat_Workers, prompts `Updated_From` (moment), `Workers!Employee_ID`: one row per worker as of today,
  with all dated rows in `Employment_group`.
* Concordat_Availability, prompts `From_Date`, `To_Date`: one row per worker and week that touches the dates.

Options: `tenant`, `owner`, `user`, `password`, `client_id`, `client_secret`, `refresh_token`, `token_seconds`,
`workers_report`, `availability_report`, `per_minute`. Faults of its own: `quota_exhausted` (429; with
`"soap": true` the 500), `partial_batch`, `schema_drift` (`fields` are left out), `stale_read`, `token_expires_after`,
`clock_skew`. Acts: hire, change, terminate, rehire, rescind, book, free.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from concordat.twins.base import Call, Refuse, Reply, Twin
from concordat.twins.workday.acts import add_acts
from concordat.twins.workday.people import People
from concordat.twins.workday.reports import availability, workers

__all__ = ["make"]

DEFAULTS: Mapping[str, Any] = {
    "tenant": "northbeam",
    "owner": "ISU_Concordat",
    "user": "ISU_Concordat",
    "password": "concordat-password",
    "client_id": "concordat",
    "client_secret": "concordat-secret",
    "refresh_token": "concordat-refresh",
    "token_seconds": 3600,
    "workers_report": "Concordat_Workers",
    "availability_report": "Concordat_Availability",
    "per_minute": 0,
}
XML = {"content-type": "text/xml;charset=UTF-8"}
THROTTLED = (
    b'<?xml version="1.0"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/">'
    b"<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:Server.processingFault</faultcode>"
    b"<faultstring>Too many concurrent requests. Please try again later.</faultstring>"
    b"</SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
)


def make(options: Mapping[str, Any]) -> Twin:
    """Build the twin."""
    twin = Twin("workday", {**DEFAULTS, **options})
    people = People(twin)
    twin.make_ref = lambda object_, number: f"{1000 + number}" if object_ == "workers" else f"{number}"
    twin.seeded = lambda object_, fields: people.hired(fields) if object_ == "workers" else fields
    twin.no_route = lambda _call: _error(404, "The requested resource does not exist.").reply
    _Tenant(twin, people).add()
    add_acts(twin, people)
    return twin


def _error(status: int, message: str) -> Refuse:
    return Refuse(status, {"error": message, "errors": []})


class _Tenant:
    """The doors of one tenant."""

    def __init__(self, twin: Twin, people: People) -> None:
        self.twin = twin
        self.people = people
        self.minute = ("", 0)

    def add(self) -> None:
        """Open them."""
        twin = self.twin
        twin.guard(self._guard)
        twin.route("POST", "/ccx/oauth2/{tenant}/token", operation="token", open=True)(self._token)
        path = "/ccx/service/customreport2/{tenant}/{owner}/{report}"
        twin.route("GET", path, object="reports", operation="read")(self._report)

    def _token(self, call: Call) -> Reply:
        """Refresh: the token for integrations does not expire and does not rotate."""
        said = self.twin.options
        pair = f"{said['client_id']}:{said['client_secret']}"
        if call.headers.get("authorization") != _basic(pair):
            return Reply({"error": "invalid_client"}, 401)
        form = call.form
        if form.get("grant_type") != "refresh_token" or form.get("refresh_token") != said["refresh_token"]:
            return Reply({"error": "invalid_grant"}, 400)
        life = int(said["token_seconds"])
        token = self.twin.tokens.issue(lifetime=timedelta(seconds=life))
        body = {"access_token": token, "token_type": "Bearer", "expires_in": life}
        return Reply({**body, "refresh_token": said["refresh_token"]})

    def _guard(self, call: Call) -> None:
        said = self.twin.options
        basic = call.headers.get("authorization") == _basic(f"{said['user']}:{said['password']}")
        if not basic and not self.twin.tokens.good(self.twin.bearer(call)):
            raise _error(401, "invalid username or password")
        fault = self.twin.fault("quota_exhausted", call)
        if fault is not None and fault.args.get("soap"):
            raise Refuse(500, THROTTLED, XML)
        if fault is not None or self._too_many():
            raise _error(429, "Too many requests.")

    def _too_many(self) -> bool:
        most = int(self.twin.options["per_minute"])
        now = self.twin.clock.now().isoformat(timespec="minutes")
        self.minute = (now, self.minute[1] + 1 if self.minute[0] == now else 1)
        return bool(most) and self.minute[1] > most

    def _report(self, call: Call) -> Reply:
        """Run a report; one that is not shared with us looks as if it did not exist."""
        said, params = self.twin.options, call.params
        if (params["tenant"], params["owner"]) != (said["tenant"], said["owner"]):
            raise _error(404, "The requested resource does not exist.")
        if call.query.get("format") != "json":
            raise _error(400, "This twin answers format=json alone.")
        rows = self._rows(params["report"], call.query)
        fault = self.twin.fault("schema_drift", call)
        gone = set(fault.args.get("fields", ())) if fault else set()
        shown = [{k: v for k, v in row.items() if v not in ("", []) and k not in gone} for row in rows]
        return Reply(self._cut(call, shown))

    def _cut(self, call: Call, rows: list[dict[str, Any]]) -> dict[str, Any]:
        fault = self.twin.fault("partial_batch", call)
        if fault is None or not rows:
            return {"Report_Entry": rows}
        gone = {int(n) % len(rows) for n in fault.args.get("members", [-1])}
        kept = [row for number, row in enumerate(rows) if number not in gone]
        more = {"Report_Has_More_Rows": True} if fault.args.get("more", True) else {}
        return {"Report_Entry": kept, "Report_Total_Rows": len(rows), **more}

    def _rows(self, report: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        runs = {
            self.twin.options["workers_report"]: workers,
            self.twin.options["availability_report"]: availability,
        }
        if report not in runs:
            raise _error(404, "The requested resource does not exist.")
        try:
            return runs[report](self.people, query)
        except (ValueError, KeyError) as error:
            raise _error(400, f"Invalid prompt value: {error}") from error


def _basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
