"""Client, project and contract line as NetSuite records, both ways, by one table of fields per object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from concordat.connectors.netsuite.facts import NetSuiteSettings
from concordat.errors import Rejected
from concordat.sdk.spec import JsonObject, Observed, WriteIntent

__all__ = ["Kind", "kinds"]

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One canonical field: where NetSuite keeps it and how its value crosses over."""

    name: str
    field: str
    column: str = ""
    """SuiteQL's column; empty: the field in lower case."""
    out: Callable[[Any], Any] = lambda value: value
    back: Callable[[str], Any] = lambda value: value
    day: bool = False
    also: str = ""
    """A field of NetSuite's own that gets the same, and that NetSuite may change for reasons of its own."""

    @property
    def selected(self) -> str:
        """What SELECT asks for; a date must be asked for in ISO form, or it comes in the account's."""
        column = self.column or self.field.lower()
        return f"TO_CHAR({column}, 'YYYY-MM-DD') AS {column}" if self.day else column

    @property
    def answered(self) -> str:
        """The name in the answer, always lower case."""
        return self.column or self.field.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One canonical object as a NetSuite record type."""

    object: str
    type: str
    columns: tuple[Column, ...]
    settings: NetSuiteSettings
    money: Mapping[str, str]
    """Canonical field of money to script id."""
    currency: Column | None
    """Where the currency of the record's money is kept."""
    base: str

    def body(self, fields: JsonObject, *, fresh: bool) -> dict[str, Any]:
        """Translate a document; one that is emptied is null, which NetSuite takes for deleting the field.

        A `fresh` record that names no entity gets the connection's own subsidiary; one that is there keeps its.
        """
        written = [(c, _crossed(c, fields[c.name])) for c in self.columns if c.name in fields]
        said = {field: value for c, value in written for field in (c.field, c.also) if field}
        said.update(self._amounts(fields))
        said.update(self._currency(fields))
        if fresh and self.object != "contract_line" and "subsidiary" not in said and self.settings.subsidiary:
            said["subsidiary"] = self._subsidiary(self.settings.subsidiary)
        return said

    def acted(self, intent: WriteIntent) -> dict[str, Any]:
        """Translate what is to be done to a record, and what it carries along."""
        if intent.operation == "put":
            return self.body(intent.fields, fresh=intent.ref is None)
        acts: Mapping[str, Callable[[], dict[str, Any]]] = {
            "archive": lambda: {"isInactive": True},
            "hold": lambda: self._status("on_hold"),
            "reactivate": lambda: {
                "isInactive": False,
                **(self._status("active") if self.object == "project" else {}),
            },
        }
        return acts[intent.operation]()

    def selected(self) -> str:
        """Give the columns of SELECT."""
        fixed = ["id", "externalid", "isinactive"]
        stamp = "TO_CHAR(SYS_EXTRACT_UTC(lastmodifieddate), 'YYYY-MM-DD HH24:MI:SS') AS changed"
        own = [c.selected for c in (*self.columns, *self._hidden) if c.answered not in fixed]
        return ", ".join([*fixed, stamp, *own, *self.money.values()])

    def fields(self, row: Row) -> dict[str, Any]:
        """Translate a row back; a column that is absent is null."""
        seen = {c.name: _back(c, row.get(c.answered)) for c in self.columns}
        currency = _back(self.currency, row.get(self.currency.answered)) if self.currency else None
        for name, script in self.money.items():
            amount = row.get(script)
            seen[name] = {"amount": str(amount), "currency": currency} if amount is not None else None
        return seen

    def observed(self, row: Row) -> Observed:
        """Translate a row into what was seen."""
        ref = str(row["id"])
        return Observed(
            ref=ref,
            record_key=str(row.get("externalid") or ""),
            fields=self.fields(row),
            version=stamp(row),
            url=self.url(ref),
            archived=row.get("isinactive") == "T",
        )

    def url(self, ref: str) -> str:
        """Where a person sees it."""
        return f"{self.base}{PAGES[self.type]}?id={ref}"

    def named(self, path: str) -> str:
        """Give the canonical name of a field that an error names, or that name when there is none."""
        names = {field: c.name for c in self.columns for field in (c.field, c.also) if field} | {
            script: name for name, script in self.money.items()
        }
        words = [part.partition("[")[0] for part in path.split(".")]
        return next((names[word] for word in words if word in names), path)

    @property
    def _hidden(self) -> tuple[Column, ...]:
        return (self.currency,) if self.currency and self.currency not in self.columns else ()

    def _amounts(self, fields: JsonObject) -> dict[str, Any]:
        return {script: _amount(name, fields[name]) for name, script in self.money.items() if name in fields}

    def _currency(self, fields: JsonObject) -> dict[str, Any]:
        """All money of a record is in one currency, which follows the money when it is not said by itself."""
        said = [(name, fields[name]["currency"]) for name in self.money if fields.get(name)]
        if said and fields.get("currency", "said by the money") is None:
            raise Rejected(f"The {self.object} has money in {said[0][1]}, and no currency.", field="currency")
        stated = fields.get("currency") or (said[0][1] if said else None)
        for name, currency in said:
            if currency != stated:
                raise Rejected(f"{name} is in {currency}, the {self.object} in {stated}.", field=name)
        return {self.currency.field: _crossed(self.currency, stated)} if stated and self.currency else {}

    def _status(self, word: str) -> dict[str, Any]:
        return {"entityStatus": _looked_up("statuses", self.settings.statuses)(word)}

    def _subsidiary(self, entity: str) -> Any:
        return _looked_up("subsidiaries", self.settings.subsidiaries)(entity)


TYPES = {"client": "customer", "project": "job", "contract_line": "projectTask"}
PAGES = {
    "customer": "/app/common/entity/custjob.nl",
    "job": "/app/accounting/project/project.nl",
    "projectTask": "/app/accounting/project/projecttask.nl",
}


def stamp(row: Row) -> str:
    """Give the version: an ISO instant in UTC."""
    return str(row.get("changed", "")).replace(" ", "T") + "Z" if row.get("changed") else ""


def kinds(settings: NetSuiteSettings) -> Mapping[str, Kind]:
    """Build the three kinds of one account."""
    slug = settings.account.lower().replace("_", "-")
    base = settings.url.rstrip("/") or f"https://{slug}.app.netsuite.com"
    columns = {"client": _client(settings), "project": _project(settings), "contract_line": _line(settings)}
    money = {"client": (), "project": ("contract_value", "budget_cost"), "contract_line": ("amount",)}
    own = Column(name="currency", field=settings.custom("contract_line.currency"))
    shared = next(c for c in columns["project"] if c.name == "currency")
    return {
        name: Kind(
            object=name,
            type=TYPES[name],
            columns=columns[name],
            settings=settings,
            money={field: settings.custom(f"{name}.{field}") for field in money[name]},
            currency={"project": shared, "contract_line": own}.get(name),
            base=base,
        )
        for name in columns
    }


def _client(settings: NetSuiteSettings) -> tuple[Column, ...]:
    return (
        Column(name="name", field="companyName"),
        Column(name="number", field="entityId"),
        Column(name="phone", field="phone"),
        Column(name="billing_email", field="email"),
        Column(name="country", field=settings.custom("client.country")),
        Column(name="tax_id", field=settings.custom("client.tax_id")),
        Column(name="tax_status", field=settings.custom("client.tax_status")),
        _mapped("currency", "currency", "currencies", settings.currencies),
        _mapped("payment_terms", "terms", "terms", settings.terms),
        _mapped("entity", "subsidiary", "subsidiaries", settings.subsidiaries),
    )


def _project(settings: NetSuiteSettings) -> tuple[Column, ...]:
    return (
        Column(name="name", field="companyName"),
        Column(name="number", field="entityId"),
        Column(name="client", field="parent", column="customer", out=_reference, back=_referred),
        Column(name="budget_hours", field=settings.custom("project.budget_hours"), out=_decimal),
        Column(name="start_date", field="startDate", day=True),
        Column(name="end_date", field="projectedEndDate", day=True),
        _mapped("currency", "currency", "currencies", settings.currencies),
        _mapped("status", "entityStatus", "statuses", settings.statuses),
        _mapped("entity", "subsidiary", "subsidiaries", settings.subsidiaries),
    )


def _line(settings: NetSuiteSettings) -> tuple[Column, ...]:
    """NetSuite computes a task's own dates from its plan, its hours from who is assigned; the contract's are custom.

    The hours are also the estimated work: a task without any is saved as a milestone (ns-online-help section_N3184256).
    """
    hours = settings.custom("contract_line.budget_hours")
    return (
        Column(name="name", field="title"),
        Column(name="project", field="project", out=_reference, back=_referred),
        Column(name="status", field="isInactive", out=_held, back=lambda flag: "on_hold" if flag == "T" else "active"),
        Column(name="budget_hours", field=hours, out=_decimal, also="estimatedWork"),
        Column(name="start_date", field=settings.custom("contract_line.start_date"), day=True),
        Column(name="end_date", field=settings.custom("contract_line.end_date"), day=True),
    )


def _mapped(name: str, field: str, setting: str, values: Mapping[str, str]) -> Column:
    words = {id_: word for word, id_ in values.items()}
    return Column(name=name, field=field, out=_looked_up(setting, values), back=lambda id_: words.get(id_, id_))


def _looked_up(setting: str, values: Mapping[str, str]) -> Callable[[Any], Any]:
    def look(value: Any) -> Any:
        if value not in values:
            raise Rejected(f"No internal id for {value!r}: add it to `{setting}` of this connection.", code=setting)
        return {"id": values[value]}

    return look


def _crossed(column: Column, value: Any) -> Any:
    try:
        return None if value is None else column.out(value)
    except Rejected as error:
        raise Rejected(error.message, code=error.code, field=column.name) from error


def _back(column: Column, value: Any) -> Any:
    return None if value is None else column.back(str(value))


def _held(word: Any) -> bool:
    """Hold a task: NetSuite knows not started, in progress and completed, so one on hold is inactive."""
    if word not in {"active", "on_hold"}:
        raise Rejected(f"A project task in NetSuite is active or on hold, never {word!r}.")
    return bool(word == "on_hold")


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise Rejected(f"{value!r} is no number.") from error


def _amount(name: str, value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value["amount"]))
    except (InvalidOperation, KeyError, TypeError) as error:
        raise Rejected(f"{name} is no amount of money: {value!r}.", field=name) from error


def _reference(value: Any) -> dict[str, str]:
    ref = value.get("ref") if isinstance(value, Mapping) else value
    if not ref:
        raise Rejected("What it refers to is not in NetSuite yet.")
    return {"id": str(ref)}


def _referred(value: str) -> dict[str, str]:
    return {"ref": value}
