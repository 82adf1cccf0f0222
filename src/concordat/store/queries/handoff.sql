-- name: take_dirty
-- Takes the marks of subjects that must be planned again; a mark set meanwhile comes back as a new row.
DELETE FROM dirty d
USING (SELECT contract, subject_id FROM dirty WHERE due_at <= app_now() AND contract = ANY(%(contracts)s::text[])
       ORDER BY due_at, contract, subject_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) due
WHERE (d.contract, d.subject_id) = (due.contract, due.subject_id)
RETURNING d.contract, d.subject_id, d.correlation_id, d.traceparent;

-- name: mark_again
-- Asks for another plan after a wait: a parent is not readable yet, a brake may have been released.
INSERT INTO dirty AS d (contract, subject_id, due_at, correlation_id, traceparent)
SELECT t.contract, t.subject_id, app_now() + make_interval(secs => t.wait), t.correlation_id, ''
FROM unnest(%(contracts)s::text[], %(subjects)s::bigint[], %(waits)s::float8[], %(correlations)s::text[])
     AS t(contract, subject_id, wait, correlation_id)
ORDER BY 1, 2
ON CONFLICT (contract, subject_id) DO UPDATE SET due_at = least(d.due_at, excluded.due_at);

-- name: mark_contract
-- Plans every known subject of one contract again (a contract was activated or released).
INSERT INTO dirty AS d (contract, subject_id, due_at, correlation_id)
SELECT %(contract)s, r.id, app_now(), %(correlation_id)s FROM record r WHERE r.object = %(object)s
ORDER BY r.id
ON CONFLICT (contract, subject_id) DO UPDATE SET due_at = least(d.due_at, excluded.due_at);

-- name: records_by_id
-- Records as the planner sees them: with the values of other systems of record where those hold.
SELECT id, unit, connection, object, ref, fields || owned AS fields, changed_at, deleted, revision FROM record WHERE id = ANY(%(ids)s::bigint[]);

-- name: records_by_ref
-- Related records by the reference that a field holds.
SELECT r.id, r.unit, r.connection, r.object, r.ref, r.fields || r.owned AS fields, r.changed_at, r.deleted, r.revision
FROM unnest(%(connections)s::text[], %(objects)s::text[], %(refs)s::text[]) AS t(connection, object, ref)
JOIN record r ON r.connection = t.connection AND r.object = t.object AND r.ref = t.ref;

-- name: lock_handoffs
-- Handoffs of these subjects, locked in one order so that planners and settlers never wait in a circle.
SELECT h.id, h.contract, h.version, h.subject_id, h.state, h.plan_digest, extract(epoch FROM app_now() - h.opened_at)::float8 AS age
FROM handoff h JOIN unnest(%(contracts)s::text[], %(subjects)s::bigint[]) AS t(contract, subject_id)
  ON h.subject_id = t.subject_id AND h.contract = t.contract
ORDER BY h.id FOR UPDATE OF h;

-- name: open_handoffs
-- One handoff per subject and contract; the same one again when the subject is won again.
INSERT INTO handoff (unit, contract, version, subject_id, state, title, waits_for, value_amount, value_currency, plan_digest,
                     correlation_id, traceparent, opened_at, changed_at)
SELECT t.unit, t.contract, t.version, t.subject_id, t.state, t.title, t.waits_for, t.amount, t.currency, t.digest,
       t.correlation_id, t.traceparent, app_now(), app_now()
FROM unnest(%(units)s::text[], %(contracts)s::text[], %(versions)s::int[], %(subjects)s::bigint[], %(states)s::text[],
            %(titles)s::text[], %(waits)s::text[], %(amounts)s::numeric[], %(currencies)s::text[], %(digests)s::text[],
            %(correlations)s::text[], %(traces)s::text[])
     AS t(unit, contract, version, subject_id, state, title, waits_for, amount, currency, digest, correlation_id, traceparent)
RETURNING id, contract, subject_id;

-- name: renew_handoffs
-- What a new plan says of handoffs that exist.
UPDATE handoff h SET state = t.state, title = t.title, waits_for = t.waits_for, value_amount = t.amount,
       value_currency = t.currency, plan_digest = t.digest, changed_at = app_now(), settled_at = NULL,
       withdrawn_at = CASE WHEN t.state NOT IN ('withdrawing', 'withdrawn') THEN NULL
                           WHEN h.state IN ('withdrawing', 'withdrawn') THEN h.withdrawn_at ELSE app_now() END
FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(titles)s::text[], %(waits)s::text[], %(amounts)s::numeric[],
            %(currencies)s::text[], %(digests)s::text[])
     AS t(id, state, title, waits_for, amount, currency, digest)
WHERE h.id = t.id;

-- name: keep_inputs
-- Which records a handoff reads; says which of them are new to it.
INSERT INTO handoff_input (record_id, handoff_id)
SELECT DISTINCT t.record_id, t.handoff_id FROM unnest(%(records)s::bigint[], %(handoffs)s::bigint[]) AS t(record_id, handoff_id)
ORDER BY 1, 2
ON CONFLICT DO NOTHING RETURNING record_id, handoff_id;

-- name: steady
-- Records that are still as they were read, kept so until the commit; one that somebody changes at this moment is not.
SELECT r.id FROM record r JOIN unnest(%(ids)s::bigint[], %(revisions)s::int[]) AS t(id, revision)
  ON t.id = r.id AND t.revision = r.revision
FOR SHARE OF r SKIP LOCKED;

-- name: lock_for_settling
-- Locks the handoffs of these effects, in the same order as every planner.
SELECT h.id, h.state FROM handoff h WHERE h.id = ANY(%(ids)s::bigint[]) ORDER BY h.id FOR UPDATE;

-- name: stopped
-- Handoffs of which nothing more may be sent: withdrawn, or without an answer to a rule.
SELECT h.id FROM handoff h WHERE h.id = ANY(%(ids)s::bigint[])
  AND (h.state IN ('withdrawing', 'withdrawn', 'cancelled')
       OR EXISTS (SELECT FROM "case" c WHERE c.handoff_id = h.id AND c.kind IN ('missing', 'unknown') AND c.state <> 'resolved'));

-- name: standing
-- Handoffs of which something stands in a target, or may.
SELECT DISTINCT e.handoff_id FROM effect e JOIN handoff h ON h.id = e.handoff_id LEFT JOIN link l ON l.id = e.link_id
WHERE e.handoff_id = ANY(%(ids)s::bigint[]) AND e.kind = 'put'
  AND (e.state IN ('sending', 'in_doubt', 'applied', 'verified', 'undoing') OR e.applied_at IS NOT NULL
       OR (l.owner_id = h.subject_id AND l.state <> 'reserved'));

-- name: cancel
-- Somebody stopped this handoff; no change of the source moves it.
UPDATE handoff SET state = 'cancelled', waits_for = %(says)s, changed_at = app_now(), settled_at = NULL WHERE id = %(id)s::bigint;

-- name: take_on
-- An adopted handoff is written from now on: what was only compared becomes what is put, and is planned anew.
WITH moved AS (
  UPDATE effect e SET kind = 'put', state = 'superseded', lane_id = n.id, waits_for = '', error = '', error_class = ''
  FROM lane a JOIN lane n ON n.connection = a.connection AND n.object = a.object AND n.operation = 'put'
  WHERE e.handoff_id = %(id)s::bigint AND e.kind = 'adopt' AND a.id = e.lane_id AND e.state NOT IN ('sending', 'in_doubt')
  RETURNING e.id
), idle AS (
  DELETE FROM work w USING moved m WHERE w.effect_id = m.id
)
UPDATE handoff SET state = 'waiting', waits_for = 'its next plan', changed_at = app_now()
WHERE id = %(id)s::bigint AND state = 'adopted' RETURNING id;

-- name: resume
-- A handoff that somebody stopped is planned again.
UPDATE handoff SET state = 'waiting', waits_for = 'its next plan', changed_at = app_now() WHERE id = %(id)s::bigint AND state = 'cancelled';

-- name: stop_clocks
-- The promises of withdrawn handoffs run no further; what was met or broken stays on record.
DELETE FROM service_level WHERE handoff_id = ANY(%(ids)s::bigint[]) AND met_at IS NULL AND breached_at IS NULL;

-- name: derive_states
-- The state of a handoff follows from its required effects, by this one statement.
UPDATE handoff h
SET state = s.state, waits_for = s.waits_for, changed_at = app_now(),
    settled_at = CASE WHEN s.state = 'in_step' THEN coalesce(h.settled_at, app_now()) END
FROM (
  SELECT i.id AS handoff_id,
         CASE WHEN bool_or(kind = 'adopt') THEN 'adopted'
              WHEN bool_or(state = 'held') THEN 'partial'
              WHEN bool_or(state = 'pending') THEN 'waiting'
              WHEN coalesce(bool_and(state IN ('applied', 'verified', 'skipped', 'superseded', 'undone')), true) THEN 'in_step'
              WHEN bool_and(state IN ('blocked', 'ready') AND tries = 0) THEN 'planned'
              ELSE 'converging' END AS state,
         coalesce(min(waits_for) FILTER (WHERE state IN ('pending', 'held', 'in_doubt') AND waits_for <> ''), '') AS waits_for
  FROM unnest(%(ids)s::bigint[]) AS i(id) LEFT JOIN effect e ON e.handoff_id = i.id AND NOT e.optional
  GROUP BY i.id
) s
WHERE h.id = s.handoff_id AND h.state NOT IN ('withdrawing', 'withdrawn', 'cancelled')
  AND NOT EXISTS (SELECT FROM "case" c WHERE c.handoff_id = h.id AND c.kind IN ('missing', 'unknown', 'brake') AND c.state <> 'resolved')
  AND (h.state, h.waits_for) IS DISTINCT FROM (s.state, s.waits_for);

-- name: start_service_levels
-- Starts the clocks of new handoffs.
INSERT INTO service_level (handoff_id, name, unit, until, owner, started_at, warn_at, due_at)
SELECT t.handoff_id, t.name, t.unit, t.until, t.owner, app_now(), t.warn_at, t.due_at
FROM unnest(%(handoffs)s::bigint[], %(names)s::text[], %(units)s::text[], %(untils)s::text[], %(owners)s::text[],
            %(warns)s::timestamptz[], %(dues)s::timestamptz[]) AS t(handoff_id, name, unit, until, owner, warn_at, due_at)
ON CONFLICT DO NOTHING;

-- name: brake_count
-- What one contract did in the last window of `per` seconds, before these; the window before this one counts as far as
-- it reaches into that time.
INSERT INTO brake AS b (contract, since) VALUES (%(contract)s, app_now())
ON CONFLICT (contract) DO UPDATE
SET since = CASE WHEN app_now() < b.since + make_interval(secs => %(per)s) THEN b.since
                 WHEN app_now() < b.since + make_interval(secs => 2 * %(per)s) THEN b.since + make_interval(secs => %(per)s) ELSE app_now() END,
    subjects = CASE WHEN app_now() < b.since + make_interval(secs => %(per)s) THEN b.subjects ELSE 0 END,
    money = CASE WHEN app_now() < b.since + make_interval(secs => %(per)s) THEN b.money ELSE 0 END,
    subjects_before = CASE WHEN app_now() < b.since + make_interval(secs => %(per)s) THEN b.subjects_before
                           WHEN app_now() < b.since + make_interval(secs => 2 * %(per)s) THEN b.subjects ELSE 0 END,
    money_before = CASE WHEN app_now() < b.since + make_interval(secs => %(per)s) THEN b.money_before
                        WHEN app_now() < b.since + make_interval(secs => 2 * %(per)s) THEN b.money ELSE 0 END
RETURNING coalesce(released_until > app_now(), false) AS released,
  subjects + ceil(subjects_before * greatest(0, 1 - extract(epoch FROM app_now() - since) / %(per)s))::int AS subjects,
  money + money_before * greatest(0, 1 - extract(epoch FROM app_now() - since) / %(per)s)::numeric AS money;

-- name: brake_add
-- What one contract does now; `stopped`: it would do more, and a person releases the rest.
UPDATE brake SET subjects = subjects + %(subjects)s, money = money + %(money)s,
       stopped_at = CASE WHEN %(stopped)s THEN coalesce(stopped_at, app_now()) END
WHERE contract = %(contract)s;

-- name: brake_release
-- A person lets one contract run past its brake for a while.
INSERT INTO brake AS b (contract, since, released_until, released_by)
VALUES (%(contract)s, app_now(), app_now() + make_interval(hours => %(hours)s), %(person)s)
ON CONFLICT (contract) DO UPDATE
SET released_until = excluded.released_until, released_by = excluded.released_by, stopped_at = NULL;
