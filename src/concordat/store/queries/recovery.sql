-- name: beat
-- This worker is alive.
UPDATE worker SET beat_at = clock_timestamp() WHERE id = %(worker)s RETURNING id;

-- name: join
-- A worker starts.
INSERT INTO worker (name, started_at, beat_at) VALUES (%(name)s, clock_timestamp(), clock_timestamp()) RETURNING id;

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
  DELETE FROM worker WHERE beat_at < clock_timestamp() - make_interval(secs => %(silence)s) AND id <> %(worker)s RETURNING id
)
UPDATE work w SET due_at = least(w.due_at, app_now()), worker = NULL
WHERE w.worker IN (SELECT id FROM dead)
   OR (w.worker IS NOT NULL AND NOT EXISTS (SELECT FROM worker k WHERE k.id = w.worker))
RETURNING w.effect_id;

-- name: stray
-- Work that lost its place: ready without a row in any lane. Finding one is a fault of ours, mended and counted.
INSERT INTO work (effect_id, lane_id, due_at)
SELECT e.id, e.lane_id, app_now() FROM effect e
WHERE e.state IN ('pending', 'in_doubt') AND e.lane_id IS NOT NULL AND NOT EXISTS (SELECT FROM work w WHERE w.effect_id = e.id)
ON CONFLICT DO NOTHING RETURNING effect_id;

-- name: overdue
-- What waits past its due time and nobody was told of, for one alert per cause and owner.
WITH late AS (
  UPDATE effect e SET alerted_at = app_now()
  WHERE e.state IN ('pending', 'held', 'in_doubt') AND e.due_at <= app_now() AND e.alerted_at IS NULL
  RETURNING e.id, e.unit, e.owner, CASE WHEN e.waits_for <> '' THEN e.waits_for ELSE e.error END AS cause, e.handoff_id
), priced AS (
  SELECT l.unit, l.owner, l.cause, count(*) AS items, array_agg(l.id ORDER BY l.id) AS effects FROM late l GROUP BY 1, 2, 3
), money AS (
  SELECT unit, owner, cause, jsonb_object_agg(value_currency, total::text) AS money FROM (
    SELECT l.unit, l.owner, l.cause, h.value_currency, sum(h.value_amount) AS total
    FROM (SELECT DISTINCT unit, owner, cause, handoff_id FROM late) l JOIN handoff h ON h.id = l.handoff_id
    WHERE h.value_currency IS NOT NULL GROUP BY 1, 2, 3, 4) sums GROUP BY 1, 2, 3
)
INSERT INTO alert (unit, kind, owner, cause, items, money, effects, raised_at)
SELECT p.unit, 'overdue', p.owner, p.cause, p.items, coalesce(m.money, '{}'), p.effects, app_now()
FROM priced p LEFT JOIN money m USING (unit, owner, cause)
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
     sessions AS (DELETE FROM session WHERE expires_at < app_now())
DELETE FROM login_link WHERE expires_at < app_now();

-- name: open_months
-- Partitions of this month and the two after it.
SELECT open_month((app_now() + make_interval(months => m))::date) FROM generate_series(0, 2) m;
