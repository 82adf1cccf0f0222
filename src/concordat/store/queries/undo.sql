-- name: standing
-- Every effect of these handoffs with the target object behind it, who else wants that object, and what was decided.
SELECT e.id, e.handoff_id, e.step, e.item, e.kind, e.state, e.digest, e.optional, e.owner, e.lane_id, e.answer,
       e.state = 'held' AND e.applied_at IS NULL AND coalesce((SELECT a.outcome = 'unknown' FROM attempt a
         WHERE a.effect_id = e.id ORDER BY a.at DESC LIMIT 1), false) AS unknown,
       l.connection, l.object, l.record_key, l.owner_id, h.subject_id,
       CASE WHEN l.state = 'linked' THEN l.ref END AS ref,
       (SELECT min(o.handoff_id) FROM effect o JOIN handoff p ON p.id = o.handoff_id
        WHERE e.kind = 'put' AND o.link_id = e.link_id AND o.handoff_id <> e.handoff_id AND o.kind = 'put'
          AND o.handoff_id IN (SELECT s.id FROM handoff s WHERE s.subject_id = l.owner_id
                               UNION ALL SELECT i.handoff_id FROM handoff_input i WHERE i.record_id = l.owner_id)
          AND o.state NOT IN ('superseded', 'undoing', 'undone', 'skipped')
          AND p.state NOT IN ('withdrawing', 'withdrawn', 'cancelled', 'adopted')) AS wanted_by,
       EXISTS (SELECT FROM "case" c WHERE c.handoff_id = e.handoff_id AND c.kind = 'withdrawn'
               AND c.facts @> jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('step', e.step, 'item', e.item)))
               AND c.state = 'resolved' AND c.resolution LIKE 'decided by %%'
               AND c.opened_at >= greatest(e.applied_at, h.withdrawn_at)) AS decided
FROM effect e JOIN handoff h ON h.id = e.handoff_id LEFT JOIN link l ON l.id = e.link_id
WHERE e.handoff_id = ANY(%(ids)s::bigint[])
ORDER BY e.handoff_id, e.id;

-- name: begin
-- Undoes effects: each becomes `undoing`, and a write of its own takes the next generation. From here on the target may
-- hold the undo, so its document is unknown until it is read back.
WITH asked AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
         AS t(effect_id bigint, step text, fields jsonb, digest text, after text, lane_id smallint, team text, due_at timestamptz)
), moved AS (
  UPDATE effect e SET state = 'undoing', generation = e.generation + 1, waits_for = '', error = '', error_class = ''
  FROM asked a WHERE e.id = a.effect_id AND e.state IN ('applied', 'verified', 'held', 'skipped', 'superseded')
  RETURNING e.id, e.unit, e.handoff_id, e.item, e.link_id, e.optional, e.generation
), resting AS (
  DELETE FROM work w USING moved m WHERE w.effect_id = m.id
), marked AS (
  UPDATE link l SET undone = a.fields, digest = '', verified = false
  FROM moved m JOIN asked a ON a.effect_id = m.id WHERE l.id = m.link_id
), made AS (
  INSERT INTO effect AS u (unit, handoff_id, step, item, kind, lane_id, link_id, after, optional, generation, desired, digest,
                           state, owner, due_at, ready_at)
  SELECT m.unit, m.handoff_id, a.step, m.item, 'undo', a.lane_id, m.link_id,
         coalesce(string_to_array(nullif(a.after, ''), ','), '{}'), m.optional, m.generation, a.fields, a.digest,
         CASE WHEN a.after = '' THEN 'ready' ELSE 'blocked' END, a.team, a.due_at, app_now()
  FROM moved m JOIN asked a ON a.effect_id = m.id
  ON CONFLICT (handoff_id, step, item) DO UPDATE
  SET lane_id = excluded.lane_id, link_id = excluded.link_id, after = excluded.after, optional = excluded.optional,
      generation = excluded.generation, desired = excluded.desired, digest = excluded.digest, state = excluded.state,
      owner = excluded.owner, due_at = excluded.due_at, ready_at = excluded.ready_at, tries = 0, waits_for = '', error = '',
      error_class = '', sent_at = NULL, settle_by = NULL, failing_since = NULL, alerted_at = NULL, applied_at = NULL,
      verified_at = NULL
  WHERE u.state NOT IN ('sending', 'in_doubt')
  RETURNING u.id, u.lane_id, u.state
)
INSERT INTO work AS w (effect_id, lane_id, due_at) SELECT id, lane_id, app_now() FROM made WHERE state = 'ready'
ON CONFLICT (effect_id) DO UPDATE SET due_at = excluded.due_at, fence = 0, worker = NULL, sending = false
RETURNING w.lane_id;

-- name: ask
-- Asks targets what people have put on objects that are to be undone; an answer of an earlier withdrawal is asked anew.
WITH asked AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
         AS t(effect_id bigint, step text, fields jsonb, digest text, lane_id smallint, team text, due_at timestamptz)
), made AS (
  INSERT INTO effect AS u (unit, handoff_id, step, item, kind, lane_id, optional, desired, digest, state, owner, due_at, ready_at)
  SELECT e.unit, e.handoff_id, a.step, e.item, 'look', a.lane_id, e.optional, a.fields, a.digest, 'ready', a.team, a.due_at, app_now()
  FROM asked a JOIN effect e ON e.id = a.effect_id
  ON CONFLICT (handoff_id, step, item) DO UPDATE
  SET desired = excluded.desired, state = 'ready', answer = NULL, tries = 0, waits_for = '', error = '', error_class = '',
      ready_at = excluded.ready_at, due_at = excluded.due_at, failing_since = NULL, alerted_at = NULL, applied_at = NULL, verified_at = NULL
  WHERE u.state IN ('undone', 'superseded')
  RETURNING u.id, u.lane_id
)
INSERT INTO work AS w (effect_id, lane_id, due_at) SELECT id, lane_id, app_now() FROM made
ON CONFLICT (effect_id) DO UPDATE SET due_at = excluded.due_at, fence = 0, worker = NULL, sending = false
RETURNING w.lane_id;

-- name: let_go
-- What stands in no target and is not wanted any more.
WITH gone AS (
  UPDATE effect SET state = 'undone', waits_for = '', error = '', error_class = ''
  WHERE id = ANY(%(ids)s::bigint[]) AND state IN ('applied', 'verified', 'held', 'skipped') RETURNING id
)
DELETE FROM work w USING gone g WHERE w.effect_id = g.id;

-- name: take_back
-- Undos and questions that are not wanted any more: the subject is wanted again. What is on its way is left to settle.
WITH gone AS (
  UPDATE effect SET state = CASE WHEN state IN ('applied', 'verified') THEN 'undone' ELSE 'superseded' END, waits_for = ''
  WHERE id = ANY(%(ids)s::bigint[]) AND kind IN ('undo', 'look')
    AND state IN ('blocked', 'ready', 'pending', 'held', 'applied', 'verified') RETURNING id
), idle AS (
  DELETE FROM work w USING gone g WHERE w.effect_id = g.id
)
SELECT id FROM gone;

-- name: finish
-- What these undos undid is undone.
UPDATE effect e SET state = 'undone', waits_for = '' FROM effect u
WHERE u.id = ANY(%(ids)s::bigint[]) AND u.kind = 'undo' AND u.state IN ('applied', 'verified')
  AND e.handoff_id = u.handoff_id AND e.step = substr(u.step, 6) AND e.item = u.item AND e.state = 'undoing';

-- name: keep_answers
-- What targets said people have put on objects.
UPDATE effect e SET answer = t.answer FROM unnest(%(ids)s::bigint[], %(answers)s::jsonb[]) AS t(id, answer)
WHERE e.id = t.id AND e.kind = 'look';

-- name: plan_again
-- Plans the subjects of these handoffs once more.
INSERT INTO dirty AS d (contract, subject_id, due_at, correlation_id, traceparent)
SELECT h.contract, h.subject_id, app_now(), h.correlation_id, h.traceparent FROM handoff h WHERE h.id = ANY(%(ids)s::bigint[])
ORDER BY h.contract, h.subject_id
ON CONFLICT (contract, subject_id) DO UPDATE SET due_at = least(d.due_at, excluded.due_at);

-- name: close
-- A handoff is withdrawn when nothing of it is on its way and nobody has to decide any more.
UPDATE handoff h SET state = s.state, waits_for = s.waits_for, changed_at = app_now(),
       settled_at = CASE WHEN s.state = 'withdrawn' THEN coalesce(h.settled_at, app_now()) END
FROM (
  SELECT i.id, coalesce(min(e.waits_for) FILTER (WHERE e.waits_for <> ''), '') AS waits_for,
         CASE WHEN count(e.id) = 0 AND NOT EXISTS (
           SELECT FROM "case" c WHERE c.handoff_id = i.id AND c.kind IN ('withdrawn', 'held', 'refused') AND c.state <> 'resolved')
           THEN 'withdrawn' ELSE 'withdrawing' END AS state
  FROM unnest(%(ids)s::bigint[]) AS i(id)
  LEFT JOIN effect e ON e.handoff_id = i.id AND e.state IN ('blocked', 'ready', 'sending', 'in_doubt', 'pending', 'held', 'undoing')
  GROUP BY i.id
) s
WHERE h.id = s.id AND h.state = 'withdrawing' AND (h.state, h.waits_for) IS DISTINCT FROM (s.state, s.waits_for);
