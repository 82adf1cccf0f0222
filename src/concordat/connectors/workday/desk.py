"""One connection's calls to Workday: a report with its prompts in, rows out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from concordat.connectors.workday.errors import translate
from concordat.connectors.workday.facts import WorkdaySettings
from concordat.errors import Rejected, Unavailable
from concordat.sdk.auth import Anonymous, Basic, CachedToken, RefreshToken, token_errors
from concordat.sdk.rest import Auth, Http
from concordat.sdk.spec import CallContext
from concordat.sdk.timing import left, timed

__all__ = ["Desk", "Row", "text"]

Row = Mapping[str, Any]


class Desk:
    """The calls."""

    def __init__(self, settings: WorkdaySettings, connection: str) -> None:
        self.settings = settings
        self.connection = connection
        self._tokens = Http(settings.url, Anonymous(), connection=connection, errors=token_errors)
        self._http = Http(settings.url, self._auth(), connection=connection, errors=translate)

    def close(self) -> None:
        """Close the pools."""
        self._tokens.close()
        self._http.close()

    def run(self, ctx: CallContext, report: str, prompts: Mapping[str, str]) -> list[Row]:
        """Run one report. A cut-off or foreign answer is `Unavailable`: half a report is no report."""
        said = self.settings
        parts = "/".join(quote(part, safe="") for part in (said.tenant, said.owner, report))
        path = f"/ccx/service/customreport2/{parts}"
        answer = self._http.send(ctx, "GET", path, params={"format": "json", **prompts}, write=False)
        rows = answer.json.get("Report_Entry") if isinstance(answer.json, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise Unavailable(f"{self.connection}: {report} answered without Report_Entry")
        self._whole(answer.json, rows, report)
        return rows

    def _whole(self, head: Mapping[str, Any], rows: Sequence[Row], report: str) -> None:
        """Refuse a report that Workday cut off (src: schemas.apis.io, workday-reporting ReportResponse)."""
        total = str(head.get("Report_Total_Rows") or "")
        short = total.isdigit() and int(total) > len(rows)
        if short or str(head.get("Report_Has_More_Rows") or "").lower() in {"1", "true"}:
            many = f"{len(rows)} of {total or 'more'} rows"
            raise Unavailable(f"{self.connection}: {report} was cut off after {many}; narrow it, or its `slice_weeks`")

    def run_all(self, ctx: CallContext, report: str, prompts: Sequence[Mapping[str, str]]) -> list[Row]:
        """Run one report several times, within the time of one call."""
        ctx = timed(ctx)
        return [row for one in prompts for row in self.run(left(ctx), report, one)]

    def _auth(self) -> Auth:
        said = self.settings
        if said.user:
            return Basic(said.user, said.password.get_secret_value())
        source = RefreshToken(
            http=self._tokens,
            path=said.token_path or f"/ccx/oauth2/{quote(said.tenant, safe='')}/token",
            client_id=said.client_id,
            client_secret=said.client_secret.get_secret_value(),
            refresh_token=said.refresh_token.get_secret_value(),
        )
        return CachedToken(source)


def text(row: Row, column: str, *, report: str = "") -> str:
    """Give a column as text; an empty one is left out of its row. With `report` it must be there."""
    value = row.get(column)
    if report and (value is None or value == ""):
        says = f"The report {report} gives a row without {column}: compare its columns with the connector's page."
        raise Rejected(says, code="column", field=column)
    return "" if value is None else str(value)
