-- name: of_handoffs
-- What was ever proposed for these handoffs' effects.
SELECT effect_id, digest, state FROM proposal WHERE handoff_id = ANY(%(ids)s::bigint[]) ORDER BY id;

-- name: void
-- What is proposed for these effects is not wanted any more: the source says something else now.
UPDATE proposal SET state = 'void', decided_at = app_now(), reason = 'the source was changed'
WHERE effect_id = ANY(%(effects)s::bigint[]) AND state = 'open' RETURNING effect_id, was;

-- name: void_withdrawn
-- Nobody changes what is withdrawn; what a proposal held is as it was.
WITH gone AS (
  UPDATE proposal SET state = 'void', decided_at = app_now(), reason = 'withdrawn'
  WHERE handoff_id = ANY(%(handoffs)s::bigint[]) AND state = 'open' RETURNING effect_id
)
UPDATE "case" c SET state = 'resolved', resolved_at = app_now(), resolution = 'withdrawn' FROM gone g
WHERE c.effect_id = g.effect_id AND c.kind = 'late_change' AND c.state <> 'resolved';

-- name: open
-- Proposes documents, each with what it would change and who changed the source, where the source says so.
INSERT INTO proposal AS p (unit, handoff_id, effect_id, step, item, digest, desired, changes, team, author, was, opened_at)
SELECT t.unit, t.handoff_id, t.effect_id, t.step, t.item, t.digest, t.desired,
       coalesce((SELECT jsonb_object_agg(k.key, jsonb_build_object('from', e.desired -> k.key, 'to', t.desired -> k.key))
                 FROM (SELECT jsonb_object_keys(e.desired || t.desired) AS key) k
                 WHERE coalesce(e.desired -> k.key, 'null') IS DISTINCT FROM coalesce(t.desired -> k.key, 'null')), '{}'),
       t.team, coalesce((SELECT r.extra ->> 'changed_by' FROM record r WHERE r.id = t.subject_id), ''),
       coalesce(nullif(t.was, ''), e.state), app_now()
FROM jsonb_to_recordset(%(rows)s::jsonb)
     AS t(unit text, handoff_id bigint, effect_id bigint, step text, item text, digest text, desired jsonb, team text, was text,
          subject_id bigint)
JOIN effect e ON e.id = t.effect_id
ORDER BY t.effect_id
RETURNING id, effect_id, changes;

-- name: hold
-- Effects that wait for a decision, or go back to what they were; their documents stay as they are.
WITH moved AS (
  UPDATE effect e SET state = t.state, waits_for = t.waits_for FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(waits)s::text[])
    AS t(id, state, waits_for)
  WHERE e.id = t.id AND (e.state, e.waits_for) IS DISTINCT FROM (t.state, t.waits_for) RETURNING e.id, e.state
)
DELETE FROM work w USING moved m WHERE w.effect_id = m.id AND m.state IN ('held', 'skipped');

-- name: list_open
-- Open proposals, oldest first, of one handoff or of all.
SELECT p.id, p.handoff_id, p.step, p.item, p.changes, p.team, p.author, p.state, p.decided_by, p.reason, p.opened_at, p.decided_at,
       h.title, h.contract, h.value_amount, h.value_currency
FROM proposal p JOIN handoff h ON h.id = p.handoff_id WHERE p.state = 'open' ORDER BY p.id LIMIT %(limit)s::int;

-- name: list_of
-- Every proposal of one handoff, newest first, decided or not.
SELECT p.id, p.handoff_id, p.step, p.item, p.changes, p.team, p.author, p.state, p.decided_by, p.reason, p.opened_at, p.decided_at,
       h.title, h.contract, h.value_amount, h.value_currency
FROM proposal p JOIN handoff h ON h.id = p.handoff_id WHERE p.handoff_id = %(id)s::bigint ORDER BY p.id DESC LIMIT 200;

-- name: find
-- One proposal with its handoff and the state of its effect.
SELECT p.id, p.handoff_id, p.effect_id, p.step, p.item, p.state, p.author, p.changes, p.unit, e.state AS effect_state
FROM proposal p JOIN effect e ON e.id = p.effect_id WHERE p.id = %(id)s::bigint;

-- name: decide
-- Somebody decided.
UPDATE proposal SET state = %(state)s, decided_by = %(person)s, reason = %(reason)s, decided_at = app_now()
WHERE id = %(id)s::bigint AND state = 'open' RETURNING id, effect_id;

-- name: write
-- An approved document is written: the next generation of the effect.
WITH moved AS (
  UPDATE effect e SET desired = p.desired, digest = p.digest, generation = e.generation + 1, state = 'ready', tries = 0, waits_for = '',
         error = '', error_class = '', failing_since = NULL, alerted_at = NULL, ready_at = app_now(), applied_at = NULL, verified_at = NULL
  FROM proposal p WHERE p.id = %(id)s::bigint AND e.id = p.effect_id RETURNING e.id, e.lane_id
)
INSERT INTO work AS w (effect_id, lane_id, due_at) SELECT id, lane_id, app_now() FROM moved
ON CONFLICT (effect_id) DO UPDATE SET due_at = excluded.due_at, fence = 0, worker = NULL, sending = false;

-- name: put_back
-- A change was declined: the effect is what it was before somebody was asked; what was to be read back is read back.
WITH moved AS (
  UPDATE effect e SET state = p.was, waits_for = '' FROM proposal p
  WHERE p.id = %(id)s::bigint AND e.id = p.effect_id AND e.state = 'held' RETURNING e.id, e.lane_id, e.state
)
INSERT INTO work (effect_id, lane_id, due_at) SELECT id, lane_id, app_now() FROM moved WHERE state = 'applied'
ON CONFLICT (effect_id) DO NOTHING;

-- name: skip
-- A person decided that this document of this effect shall not be written; another document asks again.
WITH gone AS (
  UPDATE effect SET state = 'skipped', waits_for = '', error = '', error_class = ''
  WHERE id = %(id)s::bigint AND state IN ('held', 'pending') RETURNING id, unit, handoff_id, step, item, digest, desired
), idle AS (
  DELETE FROM work w USING gone g WHERE w.effect_id = g.id
), void AS (
  UPDATE proposal p SET state = 'void', decided_at = app_now(), reason = 'skipped' FROM gone g WHERE p.effect_id = g.id AND p.state = 'open'
)
INSERT INTO proposal (unit, handoff_id, effect_id, step, item, digest, desired, team, was, state, decided_by, reason, opened_at, decided_at)
SELECT unit, handoff_id, id, step, item, digest, desired, %(person)s, 'skipped', 'declined', %(person)s, %(reason)s, app_now(), app_now()
FROM gone RETURNING effect_id;
