"""A database as it is after years of work: filled in bulk by its owner, in the shape that the engine leaves."""

from __future__ import annotations

from concordat.bench.report import Say
from concordat.bench.rig import CONTRACT
from concordat.store.database import Database

__all__ = ["CASES", "EFFECTS", "OTHER", "UNIT", "fill"]

EFFECTS, CASES = 1_000_000, 100_000
STEPS = 6
UNIT, OTHER = "NB-US", "NB-DE"
"""Nine of ten rows are of the first unit; the reader sees it alone."""

# Of twenty handoffs fourteen are in step, two wait, two are broken, one is on its way, one was adopted. An open effect
# is the third of its handoff. Numbers are spread by multiplication: neighbours in a table are strangers in time.
HANDOFFS = (
    """CREATE TEMPORARY TABLE state AS SELECT * FROM unnest(ARRAY['in_step','in_step','in_step','in_step','in_step',
    'in_step','in_step','in_step','in_step','in_step','in_step','in_step','in_step','in_step','waiting','waiting',
    'partial','partial','converging','adopted']) WITH ORDINALITY AS s(state, n)""",
    """INSERT INTO record (unit, connection, object, ref, version, fields, digest, url, correlation_id, read_at)
    SELECT CASE WHEN n %% 10 = 0 THEN %(other)s ELSE %(unit)s END, 'crm', 'client', 'C' || n, '1',
           jsonb_build_object('name', 'Client ' || n, 'number', 'K-' || n), md5(n::text), '', 'c' || n, now()
    FROM generate_series(0, %(handoffs)s / 10) n""",
    """INSERT INTO record (unit, connection, object, ref, version, fields, digest, url, correlation_id, read_at)
    SELECT CASE WHEN n %% 10 = 0 THEN %(other)s ELSE %(unit)s END, 'crm', 'opportunity', 'O' || n, '1',
           jsonb_build_object('name', 'Deal ' || n, 'number', 'D-' || n, 'client', 'crm:C' || n / 10, 'owner_name',
           'Ada ' || n %% 50, 'amount', jsonb_build_object('amount', n || '.00', 'currency', 'EUR')),
           md5(n::text), 'https://crm.example/' || n, 'c' || n, now()
    FROM generate_series(1, %(handoffs)s) n""",
    """INSERT INTO identifier (unit, value, record_id)
    SELECT unit, v, id FROM record, unnest(ARRAY[lower(ref), lower(fields ->> 'number')]) v WHERE v IS NOT NULL""",
    """INSERT INTO handoff (unit, contract, version, subject_id, state, title, waits_for, value_amount, value_currency,
                         correlation_id, opened_at, changed_at, settled_at)
    SELECT r.unit, %(contract)s, 1, r.id, s.state, r.fields ->> 'name',
           CASE WHEN s.state = 'waiting' THEN 'Workday is down' ELSE '' END, 1000 + r.id,
           (ARRAY['EUR', 'USD', 'GBP'])[1 + r.id %% 3], r.correlation_id,
           now() - (%(handoffs)s + %(clients)s - r.id) * interval '2 seconds',
           now() - (%(handoffs)s + %(clients)s - r.id) * interval '1 second',
           CASE WHEN s.state IN ('in_step', 'adopted') THEN now() END
    FROM record r JOIN state s ON s.n = 1 + (r.id * 7919) %% 20 WHERE r.object = 'opportunity' ORDER BY r.id""",
    """INSERT INTO handoff_input (record_id, handoff_id) SELECT subject_id, id FROM handoff""",
    """INSERT INTO service_level (handoff_id, name, unit, until, owner, started_at, warn_at, due_at, met_at,
                               breached_at)
    SELECT id, 'activated', unit, 'activated', 'sales-operations', opened_at, opened_at + interval '10 minutes',
           opened_at + interval '15 minutes', settled_at,
           CASE WHEN settled_at IS NULL AND id %% 2 = 0 THEN opened_at + interval '16 minutes' END FROM handoff""",
)
EFFECTS_ = (
    """INSERT INTO lane (connection, object, operation) SELECT c, o, 'put' FROM unnest(
    ARRAY['erp', 'psa', 'erp', 'hr', 'documents', 'chat'], ARRAY['client', 'project', 'project', 'availability',
    'workspace', 'channel']) AS x(c, o) ON CONFLICT DO NOTHING""",
    """CREATE TEMPORARY TABLE step AS SELECT x.n, x.step, x.kind, l.id AS lane_id, l.connection, l.object FROM unnest(
    ARRAY['client_in_erp', 'project_in_psa', 'project_in_erp', 'staffing', 'workspace', 'channel'],
    ARRAY['put', 'put', 'put', 'check', 'put', 'put'], ARRAY['erp', 'psa', 'erp', 'hr', 'documents', 'chat'],
    ARRAY['client', 'project', 'project', 'availability', 'workspace', 'channel'])
    WITH ORDINALITY AS x(step, kind, connection, object, n) JOIN lane l USING (connection, object)""",
    """INSERT INTO link (unit, connection, object, owner_id, record_key, state, ref, url, linked_at, verified)
    SELECT h.unit, s.connection, s.object, h.subject_id, 'CC-' || h.id || '-' || s.n, 'linked', s.object || '-' || h.id,
           'https://target.example/' || h.id, now(), true
    FROM handoff h CROSS JOIN step s WHERE s.kind = 'put' ORDER BY h.id, s.n""",
    """INSERT INTO effect (unit, handoff_id, step, kind, lane_id, link_id, desired, digest, state, tries, waits_for,
                        owner, error, due_at, ready_at, sent_at, applied_at, verified_at, failing_since)
    SELECT h.unit, h.id, s.step, s.kind, s.lane_id, l.id, '{"name": "Deal"}', 'd', w.state, 1,
           CASE WHEN w.state = 'pending' THEN 'Workday is down' ELSE '' END, 'sales-operations',
           CASE WHEN w.state = 'held' THEN 'the name is refused' ELSE '' END, h.opened_at + interval '1 day',
           h.opened_at, h.opened_at, h.opened_at, h.opened_at, CASE WHEN w.state = 'pending' THEN h.opened_at END
    FROM handoff h CROSS JOIN step s
    CROSS JOIN LATERAL (SELECT CASE WHEN s.n <> 3 OR h.state IN ('in_step', 'adopted') THEN 'verified'
                               WHEN h.state = 'waiting' THEN 'pending' WHEN h.state = 'partial' THEN 'held'
                               ELSE 'ready' END AS state) w
    LEFT JOIN link l ON l.owner_id = h.subject_id AND l.connection = s.connection AND l.object = s.object
    ORDER BY h.id, s.n""",
    """INSERT INTO work (effect_id, lane_id, due_at, link_id)
    SELECT id, lane_id, now() + interval '1 hour', link_id FROM effect WHERE state IN ('pending', 'ready')""",
    """INSERT INTO attempt (effect_id, fence, unit, act, outcome, error, ref, items, ms, at)
    SELECT id, id, unit, 'write', CASE WHEN state = 'verified' THEN 'created' ELSE 'failed' END, error, 'r', 1, 40,
           ready_at FROM effect""",
)
REST = (
    """INSERT INTO "case" (unit, kind, contract, handoff_id, effect_id, subject, title, facts, owner, state, amount,
                        currency, opened_at, last_at, due_at, resolved_at)
    SELECT e.unit, (ARRAY['refused', 'held', 'missing', 'late_change'])[1 + n %% 4], %(contract)s, e.handoff_id, e.id,
           'crm:O' || n, 'Deal ' || e.handoff_id || ' is stopped: the name is refused', '{}',
           (ARRAY['sales-operations', 'finance', 'delivery'])[1 + n %% 3],
           CASE WHEN n %% 10 < 2 THEN 'resolved' ELSE 'open' END, 1000 + n, (ARRAY['EUR', 'USD', 'GBP'])[1 + n %% 3],
           now() - n * interval '3 seconds', now() - n * interval '1 second', now() + (n %% 7 - 3) * interval '1 hour',
           CASE WHEN n %% 10 < 2 THEN now() END
    FROM generate_series(1, %(cases)s) n
    JOIN effect e ON e.id = 1 + (n::bigint * 7919) %% (SELECT max(id) FROM effect)""",
    """INSERT INTO alert (unit, kind, owner, cause, items, money, raised_at)
    SELECT %(unit)s, 'down', 'integration', 'Workday is down', 10, '{"EUR": "1000.00"}', now() - n * interval '1 minute'
    FROM generate_series(1, 5000) n""",
    """INSERT INTO delivery (unit, connection, kind, state, key, body, correlation_id, received_at)
    SELECT %(unit)s, 'crm', 'push', 'applied', 'k' || n, 'x', 'c' || n, now() - n * interval '1 second'
    FROM generate_series(1, %(cases)s) n""",
    """INSERT INTO event (id, unit, type, source, subject, handoff_id, correlation_id, at)
    SELECT 'E' || id, unit, 'project.activated', '/handoffs', 'crm:O', id, correlation_id, changed_at FROM handoff""",
    """INSERT INTO breaker (connection, state, failures, ok_at)
    SELECT DISTINCT connection, 'closed', 0, now() FROM lane""",
)


def fill(db: Database, say: Say, *, scale: float = 1.0) -> None:
    """Fill a migrated database in which the contract is active; a million effects at scale 1."""
    handoffs = max(int(EFFECTS * scale) // STEPS, 100)
    values = {
        "handoffs": handoffs,
        "clients": handoffs // 10,
        "cases": max(int(CASES * scale), 100),
        "unit": UNIT,
        "other": OTHER,
        "contract": CONTRACT,
    }
    with db.owner() as conn:
        for word, statements in (("handoffs", HANDOFFS), ("effects", EFFECTS_), ("cases and the rest", REST)):
            say(f"filling {word}")
            for statement in statements:
                conn.execute(statement, values, prepare=False)
    with db.session("concordat_owner") as conn:
        say("letting the database look at itself")
        conn.execute("SET statement_timeout = '10min'")
        conn.execute("VACUUM ANALYZE")
