"""Effects that are stored already: verified ones of years past, or pending ones of which nothing is due."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from concordat.bench.report import Say
from concordat.bench.rig import Rig
from concordat.store.database import Database

__all__ = ["EACH", "store"]

EACH = 6
"""Effects of one handoff."""
CHUNK = 20_000
"""Handoffs of one transaction: a person sees progress, and memory stays flat."""
CONTRACT = (
    """INSERT INTO contract (name, version, text, digest, title, owner, state, activated_at)
    VALUES ('stored', 1, '', 'stored', 'Stored', 'sales-operations', 'active', now()) ON CONFLICT DO NOTHING""",
    """INSERT INTO lane (connection, object, operation) VALUES ('erp', 'client', 'put'), ('erp', 'project', 'put'),
    ('psa', 'project', 'put'), ('documents', 'workspace', 'put'), ('chat', 'channel', 'put'),
    ('hr', 'availability', 'check')
    ON CONFLICT DO NOTHING""",
)
# Of each handoff five writes and one question. Pending work is due in a year, its service level in two.
ROWS = (
    """INSERT INTO record (unit, connection, object, ref, version, fields, digest, correlation_id, read_at)
    SELECT 'NB-US', 'crm', 'opportunity', 'S' || n, '1',
           jsonb_build_object('name', 'Stored ' || n, 'number', 'S-' || n),
           md5(n::text), 'c' || n, now() FROM generate_series(%(first)s::int, %(last)s::int) n""",
    """CREATE TEMPORARY TABLE lately ON COMMIT DROP AS SELECT r.id AS record_id, r.fields ->> 'name' AS title
    FROM generate_series(%(first)s::int, %(last)s::int) n
    JOIN record r ON r.connection = 'crm' AND r.object = 'opportunity' AND r.ref = 'S' || n""",
    "ANALYZE lately",  # without it the planner believes in a handful of rows, and joins them one by one
    """INSERT INTO identifier (unit, value, record_id) SELECT 'NB-US', lower(title), record_id FROM lately""",
    """INSERT INTO handoff (unit, contract, version, subject_id, state, title, waits_for, correlation_id, opened_at,
                         changed_at, settled_at)
    SELECT 'NB-US', 'stored', 1, record_id, CASE WHEN %(pending)s THEN 'waiting' ELSE 'in_step' END, title,
           CASE WHEN %(pending)s THEN 'Workday is down' ELSE '' END, 'c', now(), now(),
           CASE WHEN NOT %(pending)s THEN now() END
    FROM lately""",
    "ANALYZE handoff",
    """INSERT INTO handoff_input (record_id, handoff_id)
    SELECT record_id, h.id FROM lately JOIN handoff h ON h.subject_id = record_id AND h.contract = 'stored'""",
    """INSERT INTO service_level (handoff_id, name, unit, until, owner, started_at, warn_at, due_at, met_at)
    SELECT h.id, 'activated', 'NB-US', 'activated', 'sales-operations', now(), now() + interval '1 year',
           now() + interval '2 years', CASE WHEN NOT %(pending)s THEN now() END
    FROM lately JOIN handoff h ON h.subject_id = record_id AND h.contract = 'stored'""",
    """INSERT INTO link (unit, connection, object, owner_id, record_key, state, ref, linked_at, verified)
    SELECT 'NB-US', l.connection, l.object, record_id, 'S-' || record_id || '-' || l.id,
           CASE WHEN %(pending)s THEN 'reserved' ELSE 'linked' END, CASE WHEN NOT %(pending)s THEN 'S' || record_id END,
           CASE WHEN NOT %(pending)s THEN now() END, NOT %(pending)s
    FROM lately CROSS JOIN lane l WHERE l.operation = 'put'""",
    "ANALYZE link",
    """INSERT INTO effect (unit, handoff_id, step, kind, lane_id, link_id, desired, digest, state, tries,
                        waits_for, owner, due_at, ready_at, sent_at, applied_at, verified_at)
    SELECT 'NB-US', h.id, l.connection || '_' || l.object,
           CASE l.operation WHEN 'put' THEN 'put' ELSE 'check' END, l.id, k.id,
           '{"name": "Stored"}', 'd', CASE WHEN %(pending)s THEN 'pending' ELSE 'verified' END, 1,
           CASE WHEN %(pending)s THEN 'Workday is down' ELSE '' END, 'sales-operations', now() + interval '1 year',
           now(), now(), CASE WHEN NOT %(pending)s THEN now() END, CASE WHEN NOT %(pending)s THEN now() END
    FROM lately JOIN handoff h ON h.subject_id = record_id AND h.contract = 'stored' CROSS JOIN lane l
    LEFT JOIN link k ON k.owner_id = record_id AND k.connection = l.connection AND k.object = l.object AND k.item = ''
    WHERE l.operation = 'put' OR l.connection = 'hr'""",
    "ANALYZE effect",
    """INSERT INTO work (effect_id, lane_id, due_at, link_id)
    SELECT e.id, e.lane_id, now() + interval '1 year', e.link_id FROM lately
    JOIN handoff h ON h.subject_id = record_id AND h.contract = 'stored' JOIN effect e ON e.handoff_id = h.id
    WHERE %(pending)s""",
    """INSERT INTO attempt (effect_id, fence, unit, act, outcome, ref, ms, at)
    SELECT e.id, e.id, 'NB-US', 'write', CASE WHEN %(pending)s THEN 'failed' ELSE 'created' END, 'S', 40, now()
    FROM lately JOIN handoff h ON h.subject_id = record_id AND h.contract = 'stored'
    JOIN effect e ON e.handoff_id = h.id""",
)


def store(rig: Rig, db: Database, effects: int, say: Say, *, pending: bool = False) -> int:
    """Store about so many effects in bulk, six for each handoff; says how many there are then."""
    handoffs = max(effects // EACH, 1)
    with rig.superuser(str(conninfo_to_dict(db.dsn)["dbname"])) as conn:
        for statement in CONTRACT:
            conn.execute(statement)
        for first in range(1, handoffs + 1, CHUNK):
            last = min(first + CHUNK - 1, handoffs)
            say(f"storing {last * EACH} of {handoffs * EACH} {'pending ' if pending else ''}effects")
            with conn.transaction():
                for statement in ROWS:
                    conn.execute(statement, {"first": first, "last": last, "pending": pending}, prepare=False)
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")
        row = conn.execute("SELECT count(*) FROM effect").fetchone()
    return int(row[0]) if row else 0
