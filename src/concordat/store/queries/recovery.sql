-- name: agenda
-- Everything that waits here and in how many seconds it is due, in one round trip: hints by connection, sweeps that are
-- due, the next plan, and the earliest work of each lane; one index probe each, however much waits.
SELECT 'hints' AS kind, connection, '' AS object, 0 AS lane, extract(epoch FROM min(due_at) - app_now())::float8 AS wait
FROM hint GROUP BY connection
UNION ALL
SELECT 'sweep', connection, object, 0, 0 FROM cursor WHERE next_at <= app_now()
UNION ALL
SELECT 'plan', '', '', 0, extract(epoch FROM min(due_at) - app_now())::float8 FROM dirty
WHERE contract = ANY(%(contracts)s::text[]) HAVING min(due_at) IS NOT NULL
UNION ALL
SELECT 'lane', l.connection, l.object, l.id, extract(epoch FROM w.due_at - app_now())::float8 FROM lane l
CROSS JOIN LATERAL (SELECT due_at FROM work WHERE lane_id = l.id ORDER BY due_at LIMIT 1) w;

-- name: beat
-- This worker is alive.
UPDATE worker SET beat_at = app_now() WHERE id = %(worker)s RETURNING id;

-- name: join
-- A worker starts.
INSERT INTO worker (name, started_at, beat_at) VALUES (%(name)s, app_now(), app_now()) RETURNING id;

-- name: leave
-- A worker ends in order.
DELETE FROM worker WHERE id = %(worker)s;

-- name: workers
-- Everybody who is thought to be at work.
SELECT id, name FROM worker;

-- name: bury
-- These workers are known to be dead; their work is taken over at the next look, without waiting for silence.
UPDATE worker SET beat_at = '-infinity' WHERE id = ANY(%(ids)s::bigint[]);

-- name: take_over
-- Work of workers that have not been heard of is due at once; what they were sending is then looked up, never repeated.
WITH dead AS (
  DELETE FROM worker WHERE beat_at < app_now() - make_interval(secs => %(silence)s) AND id <> %(worker)s RETURNING id
)
UPDATE work w SET due_at = least(w.due_at, app_now()), worker = NULL
WHERE w.worker IS NOT NULL
  AND (w.worker IN (SELECT id FROM dead) OR NOT EXISTS (SELECT FROM worker k WHERE k.id = w.worker))
RETURNING w.effect_id;

-- name: stray
-- Work that lost its place: open without a row in any lane. Finding one is a fault of ours, mended and counted.
INSERT INTO work (effect_id, lane_id, due_at, link_id, sending)
SELECT e.id, e.lane_id, app_now(), e.link_id, e.state = 'in_doubt' FROM effect e
WHERE e.waiting AND e.state IN ('pending', 'in_doubt') AND e.lane_id IS NOT NULL AND NOT EXISTS (SELECT FROM work w WHERE w.effect_id = e.id)
UNION
SELECT e.id, e.lane_id, app_now(), e.link_id, e.state = 'sending' FROM handoff h JOIN effect e ON e.handoff_id = h.id
WHERE h.state IN ('planned', 'converging', 'waiting', 'partial', 'withdrawing') AND e.state IN ('ready', 'sending') AND e.lane_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM work w WHERE w.effect_id = e.id)
ON CONFLICT DO NOTHING RETURNING effect_id;

-- name: overdue
-- One alert per cause and owner: at the first due time it takes all that waits for that cause, and while it stands what comes due later joins it.
WITH due AS (
  SELECT DISTINCT unit, owner, CASE WHEN waits_for <> '' THEN waits_for ELSE error END AS cause FROM effect
  WHERE waiting AND due_at <= app_now() AND alerted_at IS NULL
), late AS (
  UPDATE effect e SET alerted_at = app_now() FROM due d
  WHERE e.waiting AND e.due_at IS NOT NULL AND e.alerted_at IS NULL
    AND e.unit = d.unit AND e.owner = d.owner AND CASE WHEN e.waits_for <> '' THEN e.waits_for ELSE e.error END = d.cause
  RETURNING e.id, d.unit, d.owner, d.cause
), standing AS (
  SELECT DISTINCT ON (a.unit, a.owner, a.cause) a.unit, a.owner, a.cause, a.id, a.effects FROM alert a JOIN due d USING (unit, owner, cause)
  WHERE EXISTS (SELECT FROM effect e WHERE e.id = ANY(a.effects) AND e.alerted_at IS NOT NULL AND e.waiting
                AND CASE WHEN e.waits_for <> '' THEN e.waits_for ELSE e.error END = a.cause)
  ORDER BY a.unit, a.owner, a.cause, a.id DESC
), whole AS (
  SELECT l.unit, l.owner, l.cause, s.id AS alert, ARRAY(SELECT unnest(coalesce(s.effects, '{}')) UNION SELECT unnest(array_agg(l.id)) ORDER BY 1) AS effects
  FROM late l LEFT JOIN standing s USING (unit, owner, cause) GROUP BY l.unit, l.owner, l.cause, s.id, s.effects
), priced AS (
  SELECT unit, owner, cause, jsonb_object_agg(value_currency, total::text) AS money FROM (
    SELECT x.unit, x.owner, x.cause, h.value_currency, sum(h.value_amount) AS total
    FROM (SELECT DISTINCT w.unit, w.owner, w.cause, e.handoff_id FROM whole w JOIN effect e ON e.id = ANY(w.effects)) x
    JOIN handoff h ON h.id = x.handoff_id WHERE h.value_currency IS NOT NULL GROUP BY 1, 2, 3, 4) sums GROUP BY 1, 2, 3
), grown AS (
  UPDATE alert a SET items = cardinality(w.effects), effects = w.effects, money = coalesce(p.money, '{}')
  FROM whole w LEFT JOIN priced p USING (unit, owner, cause) WHERE a.id = w.alert
)
INSERT INTO alert (unit, kind, owner, cause, items, money, effects, raised_at)
SELECT w.unit, 'overdue', w.owner, w.cause, cardinality(w.effects), coalesce(p.money, '{}'), w.effects, app_now()
FROM whole w LEFT JOIN priced p USING (unit, owner, cause) WHERE w.alert IS NULL
RETURNING id, unit, owner, cause, items, money;

-- name: clocks
-- Service levels that passed their warning or their due time.
UPDATE service_level SET warned_at = CASE WHEN warn_at <= app_now() THEN coalesce(warned_at, app_now()) ELSE warned_at END,
       breached_at = CASE WHEN due_at <= app_now() THEN app_now() END
WHERE met_at IS NULL AND breached_at IS NULL AND (due_at <= app_now() OR (warn_at <= app_now() AND warned_at IS NULL))
RETURNING handoff_id, name, owner, breached_at;

-- name: tidy
-- Removes what has expired.
WITH keys AS (DELETE FROM delivery_key WHERE expires_at < app_now()),
     answers AS (DELETE FROM idempotency WHERE expires_at < app_now()),
     sessions AS (DELETE FROM session WHERE expires_at < app_now()),
     hopeless AS (DELETE FROM hint WHERE failures > 15)
DELETE FROM login_link WHERE expires_at < app_now();

-- name: open_months
-- Partitions of this month and the two after it.
SELECT open_month((app_now() + make_interval(months => m))::date) FROM generate_series(0, 2) m;
