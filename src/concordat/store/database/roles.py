"""The four roles: who owns, who works, who serves, who audits; and the database that they meet in."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

from concordat.errors import NotReachable, UserError
from concordat.store.database.connection import MIGRATING, conninfo
from concordat.store.database.faults import translated

__all__ = [
    "APP",
    "AUDIT_READER",
    "ENGINE",
    "OWNER",
    "ROLES",
    "bootstrap",
    "passwords_from",
    "refuse_dangerous_role",
]

OWNER = "concordat_owner"
ENGINE = "concordat_engine"
APP = "concordat_app"
AUDIT_READER = "concordat_audit_reader"
ROLES = (OWNER, ENGINE, APP, AUDIT_READER)

POWERLESS = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"


def passwords_from(secret: str) -> Mapping[str, str]:
    """Derive the four passwords from one secret, so that every machine with the secret knows them."""
    return {role: hmac.new(secret.encode(), role.encode(), hashlib.sha256).hexdigest() for role in ROLES}


def bootstrap(dsn_admin: str, database: str, passwords: Mapping[str, str]) -> str:
    """Make the roles and the database where they are missing; return the database's address without a login.

    Safe to repeat and to race. Raises `NotReachable` if the server is not there, `UserError` with the SQL to
    run if the administrator's login may not do it.
    """
    admin = _Administrator(dsn=dsn_admin, database=database, passwords=passwords)
    with translated(), admin.session(admin.maintenance()) as conn:
        conn.execute("SELECT pg_advisory_lock(hashtext('concordat.bootstrap'))")
        try:
            admin.make_roles(conn)
            admin.make_database(conn)
        except psycopg.errors.InsufficientPrivilege as error:
            raise _may_not(conn, database) from error
    with translated(), admin.session(database) as conn:
        admin.open_doors(conn)
    return _without_login(dsn_admin, database)


@dataclass(frozen=True, kw_only=True)
class _Administrator:
    dsn: str
    database: str
    passwords: Mapping[str, str]

    def session(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        info = make_conninfo(conninfo(self.dsn, limits=MIGRATING, name="concordat bootstrap"), dbname=database)
        return psycopg.connect(info, autocommit=True, row_factory=tuple_row)

    def maintenance(self) -> str:
        """Name a database that is sure to exist: the address's own, or `postgres`."""
        named = str(conninfo_to_dict(self.dsn).get("dbname") or "postgres")
        for name in (named, "postgres"):
            try:
                self.session(name).close()
            except psycopg.OperationalError as error:
                if name == "postgres" or "does not exist" not in str(error):
                    raise
            else:
                return name
        raise NotReachable("The server has neither the named database nor `postgres`.")

    def make_roles(self, conn: psycopg.Connection[tuple[Any, ...]]) -> None:
        for role in ROLES:
            known = conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            if known and self._lets_in(role):
                continue
            act = sql.SQL("ALTER ROLE {} PASSWORD {}" if known else f"CREATE ROLE {{}} {POWERLESS} PASSWORD {{}}")
            # The server gets the verifier and never the password, which its log might show.
            verifier = conn.pgconn.encrypt_password(
                self.passwords[role].encode(), role.encode(), b"scram-sha-256"
            ).decode()
            conn.execute(act.format(sql.Identifier(role), sql.Literal(verifier)))

    def _lets_in(self, role: str) -> bool:
        """Say whether the password is right already; a wrong database still proves the login."""
        info = make_conninfo(self.dsn, user=role, password=self.passwords[role], dbname="postgres", connect_timeout=5)
        try:
            psycopg.connect(info).close()
        except psycopg.OperationalError as error:
            return "permission denied for database" in str(error)
        return True

    def make_database(self, conn: psycopg.Connection[tuple[Any, ...]]) -> None:
        name = sql.Identifier(self.database)
        if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database]).fetchone():
            conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))
            conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(OWNER)))
        grant_connect(conn, self.database)

    def open_doors(self, conn: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Let the owner make tables where the database was made by somebody else."""
        asked = "SELECT has_schema_privilege(%s, 'public', 'CREATE')"
        row = conn.execute(asked, [OWNER]).fetchone()
        if row and not row[0]:
            conn.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))


def grant_connect(conn: psycopg.Connection[Any], database: str) -> None:
    """Only the four roles may enter; the engine and the application may make temporary tables."""
    name = sql.Identifier(database)
    working, all_ = (
        sql.SQL(", ").join(map(sql.Identifier, (ENGINE, APP))),
        sql.SQL(", ").join(map(sql.Identifier, ROLES)),
    )
    conn.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, all_))
    conn.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(name, working))


def _may_not(conn: psycopg.Connection[Any], database: str) -> UserError:
    who = conn.info.user
    made = "\n".join(f"  CREATE ROLE {role} {POWERLESS};" for role in ROLES)
    return UserError(
        f"The login {who} may not create roles or databases, and Concordat needs four roles and {database}.",
        remedy=f"Let an administrator run `ALTER ROLE {who} CREATEROLE CREATEDB;`, or:\n{made}\n"
        f"  GRANT {', '.join(ROLES)} TO {who} WITH ADMIN OPTION;\n"
        f"  CREATE DATABASE {database} OWNER {OWNER};",
    )


def _without_login(dsn: str, database: str) -> str:
    known = conninfo_to_dict(dsn)
    kept = {key: value for key, value in known.items() if key not in {"user", "password", "passfile"}}
    return make_conninfo("", **{**kept, "dbname": database})


DANGEROUS = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls,
       EXISTS (SELECT FROM pg_class c
               WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
                 AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owns
FROM pg_roles r WHERE r.rolname IN (session_user, current_user)
"""


def refuse_dangerous_role(conn: psycopg.Connection[Any]) -> None:
    """Refuse to serve as a role that policies cannot hold: a superuser, BYPASSRLS, or an owner of tables."""
    for name, super_, bypasses, owns in conn.cursor(row_factory=tuple_row).execute(DANGEROUS):
        faults = [
            word
            for word, holds in (
                ("is a superuser", super_),
                ("has BYPASSRLS", bypasses),
                ("owns tables", owns),
            )
            if holds
        ]
        if faults:
            raise UserError(
                f"The database role {name} {' and '.join(faults)}: row-level security would not hold for it.",
                remedy=f"Serve as {ENGINE} or {APP}; `concordat db migrate` makes them.",
            )
