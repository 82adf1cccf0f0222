"""What the firm and its machine say: `concordat.toml` and the environment, which is read here alone."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from concordat.errors import Invalid, NotFound, UserError

__all__ = [
    "Budget",
    "Connection",
    "Engine",
    "Entity",
    "Environment",
    "Firm",
    "Identity",
    "Secret",
    "Team",
    "Web",
    "duration",
    "find_firm",
    "load_firm",
    "read_environment",
    "read_text",
]

FILE = "concordat.toml"
UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
WORDS = {"second": "s", "minute": "m", "hour": "h", "day": "d"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The environment variables that Concordat knows."""

    database_url: str = ""
    """`CONCORDAT_DATABASE_URL`; empty: the embedded server in the firm's folder."""
    firm: str = ""
    """`CONCORDAT_FIRM`: the firm's folder when no command names one."""
    test_all: bool = False
    """`CONCORDAT_TEST_ALL=1`: a skipped test is a failure."""
    test_postgres: str = ""
    """`CONCORDAT_TEST_POSTGRES=15`: run the tests on the machine's PostgreSQL of that release."""
    telemetry: Mapping[str, str] = field(default_factory=dict)
    """All `OTEL_*` variables, for OpenTelemetry's own exporters."""


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the process's environment, or the one that is given."""
    known = os.environ if variables is None else variables  # noqa: TID251 - the one place
    return Environment(
        database_url=known.get("CONCORDAT_DATABASE_URL", "").strip(),
        firm=known.get("CONCORDAT_FIRM", "").strip(),
        test_all=known.get("CONCORDAT_TEST_ALL", "") not in {"", "0"},
        test_postgres=known.get("CONCORDAT_TEST_POSTGRES", "").strip(),
        telemetry={name: value for name, value in known.items() if name.startswith("OTEL_")},
    )


def duration(text: Any) -> timedelta:
    """Read `5 s`, `500 ms`, `15 minutes`, `1 hour`; a number alone would not say its unit and is refused."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-z]+)", str(text).strip())
    unit = match and UNITS.get(WORDS.get(match[2].removesuffix("s"), match[2]))
    if not match or not unit:
        raise ValueError(f"`{text}` is no duration; write it like `5 s`, `15 minutes` or `1 hour`")
    return timedelta(**{unit: float(match[1])})


Duration = Annotated[timedelta, BeforeValidator(duration)]


class _Table(BaseModel):
    """A table of `concordat.toml`: frozen, strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Table):
    """`[firm]`: who this is."""

    name: str = Field(min_length=1, description="The firm's name, as people know it.")
    unit: str = Field(
        pattern=r"^[A-Za-z0-9-]+$",
        description="Code of the business unit that owns records nobody else claims.",
    )


class Entity(_Table):
    """`[entities.CODE]`: a legal entity with its money, its place and its office hours."""

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code of its books.")
    zone: str = Field(description="IANA time zone; its days and deadlines are counted there.")
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166 code; gives the public holidays.")
    subdivision: str = Field(default="", description="State or province with holidays of its own.")
    opens: time = Field(default=time(9), description="Start of a business day.")
    closes: time = Field(default=time(17, 30), description="End of a business day.")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"`{value}` is no IANA time zone such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _opens_first(self) -> Entity:
        if self.opens >= self.closes:
            raise ValueError("a business day closes after it opens")
        return self


class Secret(_Table):
    """A secret by reference: `{ env = "NAME" }` or `{ file = "secrets/x" }`, read when it is needed."""

    env: str = ""
    file: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> Secret:
        if bool(self.env) == bool(self.file):
            raise ValueError("a secret has either `env` or `file`")
        return self

    def reveal(self, folder: Path, *, what: str, variables: Mapping[str, str] | None = None) -> str:
        """Read the secret; a missing one is a `UserError` that says for what and where it was sought."""
        if self.env:
            known = os.environ if variables is None else variables  # noqa: TID251 - the one place
            if not known.get(self.env):
                raise UserError(
                    f"{what} takes its secret from the environment variable {self.env}, which is not set.",
                    remedy=f"Set {self.env}, or change concordat.toml.",
                )
            return known[self.env]
        path = folder / self.file
        try:
            return path.read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UserError(f"{what} takes its secret from {path}: {why}.", remedy="Write the file.") from error


class Budget(_Table):
    """`[connections.NAME.budget]`: how much a system may be called, over all processes together."""

    quota: int | None = Field(default=None, ge=1, description="Calls of one period; the last 20 % are for the urgent.")
    period: Duration = Field(default=timedelta(days=1), description="Length of the quota's window, from midnight UTC.")
    rate: float | None = Field(default=None, gt=0, description="Calls a second.")
    parallel: int | None = Field(default=None, ge=1, description="Calls side by side.")


class Connection(BaseModel):
    """`[connections.NAME]`: one system. Keys other than the ones named here are the connector's own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    system: str = Field(min_length=1, description="Which connector: salesforce, kantata, workday, …")
    url: str = Field(pattern=r"^https?://\S+$", description="Where it is.")
    poll: Duration = Field(default=timedelta(seconds=5), description="How often changes are asked for.")
    reads: tuple[str, ...] = Field(default=(), description="Objects whose records are read from here as the source.")
    settle: Duration | None = Field(
        default=None,
        description="After this time a call without an answer has written nothing; never longer than the "
        "connector's own, and right only for a system known to be that quick, such as a twin.",
    )
    budget: Budget | None = Field(
        default=None, description="What the vendor allows, over all processes; what is not said is learnt from answers."
    )

    @property
    def vendor(self) -> Mapping[str, Any]:
        """Give the connector's own settings as they are written, secrets still references."""
        return self.model_extra or {}

    def resolved(self, folder: Path, *, name: str, variables: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Give `url` and the connector's own settings, secrets read. A missing one is a `UserError`."""
        settings = {"url": self.url, **self.vendor}
        return {
            key: _reveal(value, folder, what=f"connections.{name}.{key}", variables=variables)
            for key, value in settings.items()
        }


def _reveal(value: Any, folder: Path, *, what: str, variables: Mapping[str, str] | None) -> Any:
    """Read the secrets in a value, however deep they are."""
    if isinstance(value, list):
        return [_reveal(item, folder, what=what, variables=variables) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() in ({"env"}, {"file"}):
        return Secret(**value).reveal(folder, what=what, variables=variables)
    return {key: _reveal(item, folder, what=f"{what}.{key}", variables=variables) for key, item in value.items()}


class Team(_Table):
    """`[teams.NAME]`: people who own fields and cases."""

    title: str = Field(min_length=1)
    calendar: str = Field(default="", description="The entity whose business hours count for its deadlines.")
    email: str = Field(default="", pattern=r"^$|^[^@\s]+@[^@\s]+$")


class Web(_Table):
    """`[web]`: the console and the API."""

    port: int = Field(default=8484, ge=0, le=65535, description="Loopback port; 0 takes a free one.")


class Engine(_Table):
    """`[engine]`: how the work is done."""

    workers: int = Field(default=2, ge=1, le=64, description="Threads that drain lanes in one process.")
    linger: Duration = Field(default=timedelta(milliseconds=50), description="How long changes gather before planning.")


class Firm(_Table):
    """A firm: its folder and what `concordat.toml` in it says."""

    folder: Path
    firm: Identity
    entities: Mapping[str, Entity] = Field(min_length=1)
    connections: Mapping[str, Connection] = Field(default_factory=dict)
    teams: Mapping[str, Team] = Field(default_factory=dict)
    web: Web = Web()
    engine: Engine = Engine()

    @property
    def state(self) -> Path:
        """Name the folder for what Concordat itself keeps: the embedded database, its passwords."""
        return self.folder / ".concordat"

    def settings(self, connection: str, *, variables: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Give a connection's settings with its secrets read. Raises `NotFound` or `UserError`."""
        found = self.connections.get(connection)
        if found is None:
            raise NotFound(f"{FILE} has no connection {connection}.", remedy=_nearest(connection, self.connections))
        return found.resolved(self.folder, name=connection, variables=variables)


def find_firm(named: Path | None, environment: Environment) -> Path:
    """Choose the firm's folder: the one named, else `CONCORDAT_FIRM`, else the present folder."""
    return named or Path(environment.firm or ".")


def load_firm(path: Path) -> Firm:
    """Read a firm's folder. Raises `NotFound` without one, `Invalid` with every fault of the file at once."""
    folder = path.resolve()
    file = folder / FILE
    if not file.is_file():
        what = f"{folder} has no {FILE}" if folder.is_dir() else f"There is no folder {folder}"
        raise NotFound(f"{what}.", remedy=f"Run `concordat init {path}` to make a firm, or name one with --firm.")
    text = read_text(file)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{file} is not TOML: {error}.", remedy="Mend that line.") from error
    return _validated(table, folder, file)


def read_text(file: Path) -> str:
    """Read a file that a person wrote. One that cannot be read, or is no UTF-8, is a `UserError`."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror}.", remedy="Mend the file or its rights, or remove it."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text: byte {error.start}.", remedy="Save it as UTF-8.") from error


def _validated(table: Mapping[str, Any], folder: Path, file: Path) -> Firm:
    faults = ["folder: the file says it by where it is"] if "folder" in table else []
    try:
        firm = Firm(**{**table, "folder": folder})
    except ValidationError as error:
        faults += [_fault(detail) for detail in error.errors()]
    else:
        faults += [*_team_faults(firm)]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise Invalid(f"{file} has {count}:\n{lines}\n", remedy="Mend them and try again.")
    return firm


def _team_faults(firm: Firm) -> Iterable[str]:
    for name, team in firm.teams.items():
        if team.calendar and team.calendar not in firm.entities:
            hint = _nearest(team.calendar, firm.entities)
            yield f"teams.{name}.calendar: there is no entity {team.calendar}. {hint}".rstrip()


def _fault(detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "the file"
    if detail["type"] == "extra_forbidden":
        known = _known_keys(detail["loc"])
        return f"{place}: unknown key. {_nearest(str(detail['loc'][-1]), known)}".rstrip()
    if detail["type"] == "missing":
        return f"{place}: is missing"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"


TABLES: Mapping[str, type[BaseModel]] = {
    "firm": Identity,
    "entities": Entity,
    "connections": Connection,
    "teams": Team,
    "web": Web,
    "engine": Engine,
}


def _known_keys(place: tuple[int | str, ...]) -> Iterable[str]:
    table = TABLES.get(str(place[0])) if len(place) > 1 else None
    return table.model_fields if table else TABLES


def _nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant, or which there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Known: {', '.join(names)}." if names else ""
