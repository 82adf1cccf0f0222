-- name: keep_delivery
-- Stores the raw bytes; a key that was seen before makes it a duplicate, which is kept and counted too. One that
-- cannot be read is a case, one that tells of nothing is superseded; any other is received until its hints were read.
WITH fresh AS (
  INSERT INTO delivery_key (connection, key, expires_at)
  VALUES (%(connection)s, %(key)s, app_now() + interval '30 days')
  ON CONFLICT DO NOTHING RETURNING true
)
INSERT INTO delivery (unit, connection, kind, state, hints, key, headers, body, note, correlation_id, traceparent, received_at)
VALUES (%(unit)s, %(connection)s, %(kind)s, CASE WHEN NOT EXISTS (SELECT FROM fresh) THEN 'duplicate'
          WHEN %(unreadable)s THEN 'case' WHEN %(hints)s = 0 THEN 'superseded' ELSE 'received' END,
        %(hints)s, %(key)s, %(headers)s, %(body)s, %(note)s, %(correlation_id)s, %(traceparent)s, app_now())
RETURNING id, received_at, state <> 'duplicate' AS fresh;

-- name: count_refusal
-- A push that proves nothing is counted, never stored.
INSERT INTO refusal (connection, reason, times, last_at) VALUES (%(connection)s, %(reason)s, 1, app_now())
ON CONFLICT (connection, reason) DO UPDATE SET times = refusal.times + 1, last_at = excluded.last_at;

-- name: leave_hints
-- Marks source records to be read again; many hints for one record are one read.
INSERT INTO hint (connection, object, ref, due_at, correlation_id, traceparent, hinted_at)
SELECT t.connection, t.object, t.ref, app_now(), %(correlation_id)s, %(traceparent)s, clock_timestamp()
FROM unnest(%(connections)s::text[], %(objects)s::text[], %(refs)s::text[]) AS t(connection, object, ref)
ORDER BY 1, 2, 3
ON CONFLICT (connection, object, ref) DO UPDATE
SET due_at = least(hint.due_at, excluded.due_at), hinted_at = excluded.hinted_at;

-- name: leave_delivered_hints
-- The hints of one push; it ends when all of them have been read.
WITH hinted AS (
  INSERT INTO hint (connection, object, ref, due_at, correlation_id, traceparent, hinted_at)
  SELECT t.connection, t.object, t.ref, app_now(), %(correlation_id)s, %(traceparent)s, clock_timestamp()
  FROM unnest(%(connections)s::text[], %(objects)s::text[], %(refs)s::text[]) AS t(connection, object, ref)
  ORDER BY 1, 2, 3
  ON CONFLICT (connection, object, ref) DO UPDATE
  SET due_at = least(hint.due_at, excluded.due_at), hinted_at = excluded.hinted_at
)
INSERT INTO delivery_hint (connection, object, ref, delivery_id, received_at)
SELECT t.connection, t.object, t.ref, %(delivery)s::bigint, %(received_at)s::timestamptz
FROM unnest(%(connections)s::text[], %(objects)s::text[], %(refs)s::text[]) AS t(connection, object, ref)
WHERE %(delivery)s::bigint IS NOT NULL;

-- name: claim_hints
-- Takes due hints of one connection for thirty seconds; who dies leaves them to the next. `told`: a push waits for it.
UPDATE hint h SET due_at = app_now() + interval '30 seconds', tries = h.tries + 1
FROM (SELECT connection, object, ref FROM hint WHERE connection = %(connection)s AND due_at <= app_now()
      ORDER BY due_at, object, ref LIMIT %(limit)s FOR UPDATE SKIP LOCKED) due
WHERE (h.connection, h.object, h.ref) = (due.connection, due.object, due.ref)
RETURNING h.object, h.ref, h.hinted_at, h.tries, h.failures, h.correlation_id, h.traceparent,
          EXISTS (SELECT FROM delivery_hint d WHERE d.connection = h.connection AND d.object = h.object AND d.ref = h.ref) AS told;

-- name: drop_hints
-- What was read is done, unless a newer hint came meanwhile. The pushes that waited for it end: of several that told of
-- one record the last is applied and supersedes the others; one that told of several records ends with the last of them.
WITH read AS (
  SELECT * FROM unnest(%(objects)s::text[], %(refs)s::text[], %(hinted)s::timestamptz[], %(ends)s::text[])
         AS t(object, ref, hinted_at, ended)
), gone AS (
  DELETE FROM hint h USING read t
  WHERE h.connection = %(connection)s AND h.object = t.object AND h.ref = t.ref AND h.hinted_at = t.hinted_at
  RETURNING h.object, h.ref, t.ended
), answered AS (
  DELETE FROM delivery_hint d USING gone g WHERE d.connection = %(connection)s AND d.object = g.object AND d.ref = g.ref
  RETURNING d.delivery_id, d.received_at, d.object, d.ref, g.ended
), told AS (
  SELECT delivery_id, received_at, count(*) AS many, bool_or(ended = 'case') AS unfit, bool_or(ended = 'applied' AND newest) AS applied
  FROM (SELECT a.*, delivery_id = max(delivery_id) OVER (PARTITION BY object, ref) AS newest FROM answered a) each
  GROUP BY delivery_id, received_at
)
UPDATE delivery d SET hints = d.hints - t.many,
  outcome = CASE WHEN t.unfit OR d.outcome = 'case' THEN 'case' WHEN t.applied THEN 'applied' ELSE d.outcome END,
  state = CASE WHEN d.hints > t.many THEN d.state WHEN t.unfit OR d.outcome = 'case' THEN 'case'
               WHEN t.applied THEN 'applied' ELSE d.outcome END
FROM told t WHERE d.id = t.delivery_id AND d.received_at = t.received_at;

-- name: fail_hints
-- References that fail alone are asked for again, soon at first; from the last try on they are a case, and are asked
-- for seldom, for about a week. The pushes that waited for them end with the case.
WITH failed AS (
  UPDATE hint h SET failures = h.failures + 1,
         due_at = app_now() + CASE WHEN h.failures + 1 < %(tries)s THEN interval '1 second' * power(2, h.failures)
                  ELSE least(interval '1 day', interval '15 minutes' * power(2, least(h.failures + 1 - %(tries)s, 10))) END
  FROM unnest(%(objects)s::text[], %(refs)s::text[]) AS t(object, ref)
  WHERE h.connection = %(connection)s AND h.object = t.object AND h.ref = t.ref
  RETURNING h.object, h.ref, h.failures
), answered AS (
  DELETE FROM delivery_hint d USING failed f
  WHERE f.failures >= %(tries)s AND d.connection = %(connection)s AND d.object = f.object AND d.ref = f.ref
  RETURNING d.delivery_id, d.received_at
), told AS (
  SELECT delivery_id, received_at, count(*) AS many FROM answered GROUP BY delivery_id, received_at
)
UPDATE delivery d SET hints = d.hints - t.many, outcome = 'case',
  state = CASE WHEN d.hints > t.many THEN d.state ELSE 'case' END
FROM told t WHERE d.id = t.delivery_id AND d.received_at = t.received_at;

-- name: worth
-- The money of what hangs on a source record, for a case about it.
SELECT h.value_amount AS amount, h.value_currency AS currency
FROM record r JOIN LATERAL (SELECT h.* FROM handoff h WHERE h.subject_id = r.id
                            UNION ALL SELECT h.* FROM handoff_input i JOIN handoff h ON h.id = i.handoff_id WHERE i.record_id = r.id) h ON true
WHERE r.connection = %(connection)s AND r.object = %(object)s AND r.ref = %(ref)s AND h.value_currency IS NOT NULL
ORDER BY h.value_amount DESC, h.id LIMIT 1;

-- name: postpone_hints
-- A source that is down is asked again later, with growing patience up to a minute.
UPDATE hint h SET due_at = app_now() + least(interval '1 minute', interval '1 second' * power(2, least(h.tries, 6)))
FROM unnest(%(objects)s::text[], %(refs)s::text[]) AS t(object, ref)
WHERE h.connection = %(connection)s AND h.object = t.object AND h.ref = t.ref;

-- name: keep_records
-- Merges what a source holds now: never an older version over a newer one. A change leaves a version behind and an
-- event in the journal; who must be planned again is `mark_readers`. One that is newer and yet the same is told of where
-- we have just answered its system about a field: our answer was overwritten before it was seen.
WITH incoming AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
         AS t(object text, ref text, version text, fields jsonb, extra jsonb, digest text, url text, deleted boolean,
              changed_at timestamptz)
  ORDER BY object, ref
), before AS (
  SELECT r.object, r.ref, r.digest, r.deleted FROM record r
  JOIN incoming i ON r.connection = %(connection)s AND r.object = i.object AND r.ref = i.ref
), kept AS (
  INSERT INTO record AS r (unit, connection, object, ref, version, fields, extra, digest, url, deleted, correlation_id,
                           traceparent, changed_at, read_at)
  SELECT %(unit)s, %(connection)s, object, ref, version, fields, extra, digest, url, deleted, %(correlation_id)s,
         %(traceparent)s, changed_at, app_now() FROM incoming
  ON CONFLICT (connection, object, ref) DO UPDATE
  SET version = excluded.version, fields = excluded.fields, extra = excluded.extra, digest = excluded.digest,
      url = excluded.url, deleted = excluded.deleted, changed_at = excluded.changed_at, read_at = excluded.read_at,
      correlation_id = excluded.correlation_id, traceparent = excluded.traceparent,
      revision = r.revision + (excluded.digest <> r.digest OR excluded.deleted <> r.deleted)::int
  WHERE excluded.version COLLATE "C" > r.version COLLATE "C"
     OR (excluded.version = r.version AND (excluded.digest, excluded.deleted) IS DISTINCT FROM (r.digest, r.deleted))
  RETURNING r.id, r.object, r.ref, r.revision, r.version, r.fields, r.extra, r.digest, r.deleted
), changed AS (
  SELECT k.* FROM kept k LEFT JOIN before b ON b.object = k.object AND b.ref = k.ref
  WHERE b.ref IS NULL OR b.digest <> k.digest OR b.deleted <> k.deleted
), history AS (
  INSERT INTO record_version (record_id, revision, unit, version, fields, extra, deleted, correlation_id, at)
  SELECT id, revision, %(unit)s, version, fields, extra, deleted, %(correlation_id)s, app_now() FROM changed
), told AS (
  INSERT INTO event (id, unit, type, source, subject, data, correlation_id, traceparent, at)
  SELECT 'R' || id || '-' || revision, %(unit)s,
         object || CASE WHEN deleted THEN '.deleted' WHEN revision = 1 THEN '.created' ELSE '.changed' END,
         '/connections/' || %(connection)s, %(connection)s || ':' || ref,
         jsonb_build_object('version', version), %(correlation_id)s, %(traceparent)s, app_now() FROM changed
)
SELECT id, object, ref, NULL::text[] AS answered FROM changed
UNION ALL
SELECT k.id, k.object, k.ref, o.fields FROM kept k
CROSS JOIN LATERAL (SELECT array_agg(field) AS fields FROM ownership WHERE owner_id = k.id AND connection = %(connection)s AND state = 'answered') o
WHERE o.fields IS NOT NULL AND NOT EXISTS (SELECT FROM changed c WHERE c.id = k.id);

-- name: mark_readers
-- One dirty mark per handoff that is about these records or reads them. A statement of its own, after the change: a
-- plan that read the old record has then either kept its input where this sees it, or finds the record locked.
INSERT INTO dirty AS d (contract, subject_id, due_at, correlation_id, traceparent)
SELECT DISTINCT ON (contract, subject_id) contract, subject_id, app_now(), %(correlation_id)s, %(traceparent)s FROM (
  SELECT s.contract, c.id AS subject_id FROM unnest(%(ids)s::bigint[], %(objects)s::text[]) AS c(id, object)
  JOIN unnest(%(contracts)s::text[], %(subjects)s::text[]) AS s(contract, object) ON s.object = c.object
  UNION ALL
  SELECT h.contract, h.subject_id FROM handoff_input i JOIN handoff h ON h.id = i.handoff_id
  WHERE i.record_id = ANY(%(ids)s::bigint[])
) touched ORDER BY contract, subject_id
ON CONFLICT (contract, subject_id) DO UPDATE SET due_at = least(d.due_at, excluded.due_at);

-- name: older
-- Which of these versions are older than what is known.
SELECT r.object, r.ref FROM unnest(%(objects)s::text[], %(refs)s::text[], %(versions)s::text[]) AS t(object, ref, version)
JOIN record r ON r.connection = %(connection)s AND r.object = t.object AND r.ref = t.ref
WHERE r.version COLLATE "C" > t.version COLLATE "C";

-- name: keep_numbers
-- Every number that people know a record by.
INSERT INTO identifier (unit, value, record_id)
SELECT %(unit)s, t.value, r.id
FROM unnest(%(objects)s::text[], %(refs)s::text[], %(values)s::text[]) AS t(object, ref, value)
JOIN record r ON r.connection = %(connection)s AND r.object = t.object AND r.ref = t.ref
ORDER BY t.value, r.id
ON CONFLICT DO NOTHING;

-- name: claim_cursor
-- One process at a time sweeps a source; the claim ends by itself after two minutes.
UPDATE cursor SET next_at = app_now() + interval '2 minutes'
WHERE connection = %(connection)s AND object = %(object)s AND next_at <= app_now()
RETURNING position;

-- name: move_cursor
-- The sweep got this far; the next one is due at `every` seconds from now.
UPDATE cursor SET position = %(position)s, read_at = app_now(), error = '', next_at = app_now() + make_interval(secs => %(every)s)
WHERE connection = %(connection)s AND object = %(object)s;

-- name: fail_cursor
-- The source did not answer; what it said is shown, and it is asked again.
UPDATE cursor SET error = %(error)s, next_at = app_now() + make_interval(secs => %(every)s)
WHERE connection = %(connection)s AND object = %(object)s;

-- name: open_cursor
-- A source that is new starts at its beginning.
INSERT INTO cursor (connection, object, next_at) VALUES (%(connection)s, %(object)s, app_now()) ON CONFLICT DO NOTHING;

-- name: hurry_cursor
-- Sweep this connection's sources now (after an outage, or when a person asks).
UPDATE cursor SET next_at = app_now() WHERE connection = %(connection)s;

-- name: next_cursor
-- When the next sweep is due.
SELECT min(next_at) FROM cursor;
