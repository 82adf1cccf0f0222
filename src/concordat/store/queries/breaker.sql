-- name: failing
-- Connections whose last calls failed; those that are down say when the next probe is due.
SELECT connection, state, probe_at, reason FROM breaker WHERE failures > 0;

-- name: probe
-- Lets one worker try a connection that is down; the next try is a minute away.
UPDATE breaker SET probe_at = app_now() + interval '1 minute'
WHERE connection = %(connection)s AND state = 'open' AND probe_at <= app_now() RETURNING connection;

-- name: not_tried
-- The probe was not used; whoever has something to try may take it now.
UPDATE breaker SET probe_at = app_now() WHERE connection = %(connection)s AND state = 'open';

-- name: fail
-- A call found the connection down; the third in a row opens the breaker.
INSERT INTO breaker AS b (connection, failures, reason) VALUES (%(connection)s, 1, %(reason)s)
ON CONFLICT (connection) DO UPDATE SET failures = b.failures + 1, reason = excluded.reason,
  state = CASE WHEN b.failures + 1 >= %(most)s THEN 'open' ELSE b.state END,
  opened_at = CASE WHEN b.failures + 1 >= %(most)s THEN coalesce(b.opened_at, app_now()) ELSE b.opened_at END,
  probe_at = CASE WHEN b.failures + 1 >= %(most)s THEN coalesce(b.probe_at, app_now() + make_interval(secs => %(first_probe)s)) ELSE b.probe_at END
RETURNING state;

-- name: close
-- The connection answers again: everything that waited for it is due now.
WITH closed AS (
  UPDATE breaker SET state = 'closed', failures = 0, opened_at = NULL, probe_at = NULL, reason = '', ok_at = app_now()
  WHERE connection = %(connection)s AND failures > 0 RETURNING connection
), woken AS (
  UPDATE work w SET due_at = app_now() FROM lane l, effect e, closed c
  WHERE l.connection = c.connection AND w.lane_id = l.id AND w.worker IS NULL AND e.id = w.effect_id
    AND e.state IN ('pending', 'ready') AND w.due_at > app_now()
)
UPDATE hint h SET due_at = app_now() FROM closed c WHERE h.connection = c.connection;

-- name: held_back
-- Handoffs with something ready for a connection that is down; a thousand effects at a time.
SELECT DISTINCT handoff_id FROM (
  SELECT e.handoff_id FROM lane l JOIN work w ON w.lane_id = l.id JOIN effect e ON e.id = w.effect_id
  WHERE l.connection = %(connection)s AND w.worker IS NULL AND w.due_at <= app_now() AND e.state = 'ready' LIMIT 1000) ready;

-- name: hold_back
-- What is ready for a connection that is down waits visibly. Work that somebody takes at this moment is left alone.
WITH free AS MATERIALIZED (
  SELECT w.effect_id FROM lane l JOIN work w ON w.lane_id = l.id JOIN effect e ON e.id = w.effect_id
  WHERE l.connection = %(connection)s AND w.worker IS NULL AND w.due_at <= app_now() AND e.state = 'ready'
    AND e.handoff_id = ANY(%(handoffs)s::bigint[])
  ORDER BY w.effect_id FOR UPDATE OF w SKIP LOCKED
), waiting AS (
  UPDATE effect e SET state = 'pending', waits_for = %(waits_for)s, failing_since = coalesce(e.failing_since, app_now())
  FROM free f WHERE e.id = f.effect_id AND e.state = 'ready'
  RETURNING e.id
)
UPDATE work w SET due_at = greatest(%(probe_at)s, app_now()) FROM waiting x WHERE w.effect_id = x.id;
