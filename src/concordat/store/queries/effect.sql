-- name: of_handoffs
-- Present effects of handoffs that are planned again; their work rows are locked, so nobody sends meanwhile.
SELECT e.id, e.handoff_id, e.step, e.item, e.kind, e.digest, e.state, e.applied_at IS NOT NULL OR d.doubtful AS done, d.doubtful, l.digest AS holds,
       l.ref IS NOT NULL AS linked
FROM effect e LEFT JOIN link l ON l.id = e.link_id
CROSS JOIN LATERAL (SELECT e.state = 'held' AND coalesce((SELECT a.outcome IN ('unknown', 'ambiguous') FROM attempt a
                    WHERE a.effect_id = e.id ORDER BY a.at DESC, a.fence DESC LIMIT 1), false) AS doubtful) d
WHERE e.handoff_id = ANY(%(ids)s::bigint[])
ORDER BY e.id;

-- name: rivals
-- Steps of other contracts that put the same objects as these effects; whose documents are about to change do not count.
SELECT e.id, p.contract, o.step, o.desired, o.handoff_id
FROM effect e JOIN handoff h ON h.id = e.handoff_id JOIN link l ON l.id = e.link_id
JOIN LATERAL (SELECT s.id FROM handoff s WHERE s.subject_id = l.owner_id
              UNION SELECT i.handoff_id FROM handoff_input i WHERE i.record_id = l.owner_id) n ON true
JOIN handoff p ON p.id = n.id AND p.contract <> h.contract AND p.state NOT IN ('withdrawing', 'withdrawn', 'cancelled', 'adopted')
JOIN effect o ON o.handoff_id = p.id AND o.link_id = e.link_id AND o.kind = 'put'
  AND o.state IN ('applied', 'verified', 'ready', 'sending', 'in_doubt', 'pending', 'held')
WHERE e.id = ANY(%(ids)s::bigint[]) AND e.kind = 'put'
  AND NOT EXISTS (SELECT FROM dirty d WHERE (d.contract, d.subject_id) IN ((p.contract, p.subject_id), (h.contract, h.subject_id)))
ORDER BY e.id, o.id;

-- name: documents
-- The documents of these handoffs' effects, where single fields have a word of their own.
SELECT id, desired FROM effect WHERE handoff_id = ANY(%(ids)s::bigint[]) AND kind = 'put';

-- name: lock_work
-- Waits for claims in progress on these handoffs' effects and keeps new ones out.
SELECT w.effect_id FROM work w JOIN effect e ON e.id = w.effect_id
WHERE e.handoff_id = ANY(%(ids)s::bigint[]) ORDER BY w.effect_id FOR UPDATE OF w;

-- name: lanes
-- Every lane there is.
SELECT id, connection, object, operation FROM lane;

-- name: open_lanes
-- Lanes that a contract needs.
INSERT INTO lane (connection, object, operation)
SELECT t.connection, t.object, t.operation
FROM unnest(%(connections)s::text[], %(objects)s::text[], %(operations)s::text[]) AS t(connection, object, operation)
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: reserve_links
-- Reserves the identity of every target object before anything is created.
INSERT INTO link (unit, connection, object, owner_id, item, record_key)
SELECT DISTINCT ON (t.owner_id, t.connection, t.object, t.place) t.unit, t.connection, t.object, t.owner_id, t.place, t.record_key
FROM jsonb_to_recordset(%(rows)s::jsonb)
     AS t(unit text, connection text, object text, owner_id bigint, place text, record_key text)
ORDER BY t.owner_id, t.connection, t.object, t.place
ON CONFLICT (owner_id, connection, object, item) DO NOTHING;

-- name: insert
-- New effects, each with the link it writes; those that may be sent at once enter their lane, or are taken under a lease
-- and a fence by who has a turn there: at most one per target object, and only where nothing was written yet.
WITH turn AS (
  SELECT t.lane_id, t.room, t.settle_window FROM unnest(%(turns)s::smallint[], %(rooms)s::int[], %(windows)s::float8[])
         AS t(lane_id, room, settle_window)
  JOIN lane l ON l.id = t.lane_id LEFT JOIN breaker b ON b.connection = l.connection WHERE coalesce(b.failures, 0) = 0
), asked AS (
  SELECT t.*, l.id AS link_id, u.settle_window,
         u.room >= row_number() OVER (PARTITION BY t.lane_id, t.state ORDER BY t.handoff_id) AND t.state = 'ready'
         AND (t.kind = 'check' OR (t.kind = 'put' AND l.state = 'reserved'
              AND NOT EXISTS (SELECT FROM work o WHERE o.link_id = l.id AND o.sending)
              AND row_number() OVER (PARTITION BY l.id, t.state ORDER BY t.handoff_id) = 1)) AS taken
  FROM jsonb_to_recordset(%(rows)s::jsonb)
       AS t(unit text, handoff_id bigint, step text, item text, kind text, lane_id smallint, owner_id bigint, connection text,
            object text, place text, after text, optional boolean, desired jsonb, digest text, state text, team text,
            due_at timestamptz)
  LEFT JOIN link l ON l.owner_id = t.owner_id AND l.connection = t.connection AND l.object = t.object AND l.item = t.place
                   AND t.kind IN ('put', 'adopt')
  LEFT JOIN turn u ON u.lane_id = t.lane_id
), made AS (
  INSERT INTO effect (unit, handoff_id, step, item, kind, lane_id, link_id, after, optional, desired, digest, state, owner,
                      due_at, ready_at, sent_at, settle_by, tries)
  SELECT unit, handoff_id, step, item, kind, lane_id, link_id, coalesce(string_to_array(nullif(after, ''), ','), '{}'), optional, desired, digest,
         CASE WHEN taken THEN 'sending' ELSE state END, team, due_at, CASE WHEN state <> 'blocked' THEN app_now() END,
         CASE WHEN taken THEN app_now() END, CASE WHEN taken THEN app_now() + make_interval(secs => settle_window) END,
         coalesce(taken, false)::int
  FROM asked
  RETURNING id, handoff_id, step, item, lane_id, link_id, state, settle_by
), working AS (
  INSERT INTO work (effect_id, lane_id, due_at, fence, worker, link_id, sending)
  SELECT id, lane_id, app_now() + CASE WHEN state = 'sending' THEN interval '10 minutes' ELSE interval '0' END,
         CASE WHEN state = 'sending' THEN nextval('fence') ELSE 0 END, CASE WHEN state = 'sending' THEN %(worker)s::bigint END,
         CASE WHEN state = 'sending' THEN link_id END, state = 'sending'
  FROM made WHERE state IN ('ready', 'sending')
  RETURNING effect_id, lane_id, fence, sending
)
SELECT m.id, w.lane_id, m.handoff_id, m.step, m.item, m.settle_by, w.fence
FROM working w JOIN made m ON m.id = w.effect_id WHERE w.sending
UNION ALL
SELECT DISTINCT NULL::bigint, lane_id, NULL::bigint, NULL, NULL, NULL::timestamptz, NULL::bigint FROM working WHERE NOT sending;

-- name: change
-- What a new plan does to effects that exist: the next generation of their desired document, or a hold. A document for
-- another owner (the deal belongs to another client now) is for another target object.
WITH asked AS (
  SELECT * FROM unnest(%(ids)s::bigint[], %(desired)s::jsonb[], %(digests)s::text[], %(states)s::text[], %(steps)s::int[], %(waits)s::text[],
                       %(afters)s::text[], %(optionals)s::boolean[], %(teams)s::text[], %(dues)s::timestamptz[],
                       %(owners)s::bigint[], %(connections)s::text[], %(objects)s::text[], %(places)s::text[])
         AS t(id, desired, digest, state, step, waits_for, after, optional, team, due_at, owner_id, connection, object, place)
), changed AS (
  UPDATE effect e SET desired = a.desired, digest = a.digest, state = a.state, generation = e.generation + a.step, tries = 0,
         waits_for = a.waits_for, error = '', error_class = '', failing_since = NULL, alerted_at = NULL,
         after = coalesce(string_to_array(nullif(a.after, ''), ','), '{}'), optional = a.optional, owner = a.team, due_at = a.due_at,
         link_id = CASE WHEN e.link_id IS NOT NULL THEN (
           SELECT l.id FROM link l WHERE l.owner_id = a.owner_id AND l.connection = a.connection AND l.object = a.object
                                     AND l.item = a.place) END,
         ready_at = CASE WHEN a.state = 'ready' THEN app_now() ELSE e.ready_at END,
         applied_at = CASE WHEN a.state IN ('ready', 'blocked') THEN NULL ELSE e.applied_at END,
         verified_at = CASE WHEN a.state IN ('ready', 'blocked') THEN NULL ELSE e.verified_at END
  FROM asked a WHERE e.id = a.id
  RETURNING e.id, e.lane_id, e.state
), resting AS (
  DELETE FROM work w USING changed c WHERE w.effect_id = c.id AND c.state <> 'ready'
)
INSERT INTO work AS w (effect_id, lane_id, due_at)
SELECT id, lane_id, app_now() FROM changed WHERE state = 'ready' AND lane_id IS NOT NULL
ON CONFLICT (effect_id) DO UPDATE SET due_at = excluded.due_at, fence = 0, worker = NULL, sending = false
RETURNING w.lane_id;

-- name: any_due
-- Whether one lane has anything to do now.
SELECT EXISTS (SELECT FROM work WHERE lane_id = %(lane)s AND due_at <= app_now()) AS due;

-- name: take_due
-- Locks due work of one lane, unless its connection is down. A statement of its own: `claim` must read effects as they
-- are once these rows are locked.
SELECT w.effect_id, coalesce(b.failures, 0) > 0 AS failing
FROM work w JOIN lane l ON l.id = w.lane_id LEFT JOIN breaker b ON b.connection = l.connection
WHERE w.lane_id = %(lane)s AND w.due_at <= app_now() AND (%(probing)s OR b.state IS DISTINCT FROM 'open')
ORDER BY w.due_at, w.effect_id LIMIT %(limit)s FOR UPDATE OF w SKIP LOCKED;

-- name: claim
-- Takes locked work under a lease and a fence, and marks what will be written as being sent. At most one effect per
-- target object; a second one looks again shortly. Says what each row asks for; work of an effect at rest goes.
WITH seen AS MATERIALIZED (
  SELECT e.*, l.ref, l.record_key, l.digest AS link_digest, l.verified AS link_verified, l.state AS link_state, l.url AS link_url,
         l.wrote, l.undone,
         row_number() OVER (PARTITION BY coalesce(e.link_id, -e.id) ORDER BY e.state NOT IN ('sending', 'in_doubt'), e.state = 'ready', e.id) AS rank,
         EXISTS (SELECT FROM work o WHERE o.link_id = e.link_id AND o.sending AND o.effect_id <> e.id) AS busy
  FROM unnest(%(ids)s::bigint[]) AS due(effect_id)
  JOIN effect e ON e.id = due.effect_id LEFT JOIN link l ON l.id = e.link_id
), sorted AS MATERIALIZED (
  SELECT s.*, CASE
    WHEN s.state NOT IN ('ready', 'pending', 'sending', 'in_doubt', 'applied') THEN 'drop'
    WHEN s.kind = 'undo' AND s.state IN ('ready', 'pending')
     AND NOT EXISTS (SELECT FROM effect o WHERE o.handoff_id = s.handoff_id AND o.step = substr(s.step, 6) AND o.item = s.item
                     AND o.state = 'undoing') THEN 'drop'
    WHEN s.state IN ('ready', 'pending') AND s.kind = 'put' AND s.link_state <> 'reserved' AND s.link_digest = s.digest THEN 'unchanged'
    WHEN s.rank > 1 OR s.busy THEN 'later'
    WHEN s.state = 'applied' THEN 'verify'
    WHEN s.kind IN ('check', 'look') THEN 'ask'
    WHEN s.kind = 'adopt' THEN 'adopt'
    WHEN s.state IN ('sending', 'in_doubt') THEN 'resolve'
    ELSE 'write' END AS act
  FROM seen s
), dropped AS (
  DELETE FROM work w USING sorted s WHERE w.effect_id = s.id AND s.act = 'drop'
), leased AS (
  UPDATE work w SET fence = nextval('fence'), worker = CASE WHEN s.act <> 'later' THEN %(worker)s::bigint END,
         link_id = s.link_id, sending = s.act IN ('write', 'ask', 'adopt', 'resolve') OR (w.sending AND s.act = 'later'),
         due_at = app_now() + CASE WHEN s.act = 'later' THEN interval '150 milliseconds' ELSE interval '10 minutes' END
  FROM sorted s WHERE w.effect_id = s.id AND s.act <> 'drop'
  RETURNING w.effect_id, w.fence
), sent AS (
  UPDATE effect e SET state = CASE WHEN s.act = 'resolve' THEN 'in_doubt' ELSE 'sending' END,
         sent_at = CASE WHEN s.act = 'resolve' THEN e.sent_at ELSE app_now() END,
         settle_by = CASE WHEN s.act = 'resolve' THEN e.settle_by ELSE app_now() + make_interval(secs => %(settle_window)s) END,
         tries = e.tries + 1,
         waits_for = CASE WHEN s.act = 'resolve' AND e.waits_for = '' THEN 'no certain answer came; it is looked up' ELSE e.waits_for END
  FROM sorted s WHERE e.id = s.id AND s.act IN ('write', 'ask', 'adopt', 'resolve')
)
SELECT s.id, s.unit, s.handoff_id, s.step, s.item, s.kind, s.act, s.optional, s.generation, s.desired, s.digest, s.tries,
       s.link_id, s.ref, s.record_key, s.owner, s.link_verified, s.link_url, s.wrote, s.undone, s.failing_since, s.settle_by, s.applied_at,
       l.fence, h.contract, h.version, h.correlation_id, h.traceparent, h.title, h.value_amount, h.value_currency,
       app_now() AS now, %(failing)s::boolean AS failing
FROM sorted s JOIN leased l ON l.effect_id = s.id JOIN handoff h ON h.id = s.handoff_id
ORDER BY s.id;

-- name: refs
-- What the targets call the objects that a desired document refers to.
SELECT owner_id, connection, object, item, ref, url FROM link
WHERE owner_id = ANY(%(owners)s::bigint[]) AND ref IS NOT NULL;

-- name: wait_for_others
-- Claimed work that refers to an object which another effect is about to make in the same target waits for it, visibly.
WITH lacking AS (
  SELECT DISTINCT ON (t.id) t.id, format('the %%s of %%s in %%s', t.object, coalesce(nullif(t.name, ''), 'another deal'), t.system) AS waits_for
  FROM unnest(%(ids)s::bigint[], %(owners)s::bigint[], %(systems)s::text[], %(objects)s::text[], %(items)s::text[], %(names)s::text[])
       AS t(id, owner_id, system, object, item, name)
  LEFT JOIN link l ON l.owner_id = t.owner_id AND l.connection = t.system AND l.object = t.object AND l.item = t.item
  WHERE l.ref IS NULL AND (EXISTS (SELECT FROM effect o WHERE o.handoff_id IN (
                                    SELECT h.id FROM handoff h WHERE h.subject_id = l.owner_id
                                    UNION ALL SELECT i.handoff_id FROM handoff_input i WHERE i.record_id = l.owner_id)
                                  AND o.link_id = l.id AND o.id <> t.id AND o.kind = 'put'
                                  AND o.state IN ('blocked', 'ready', 'sending', 'in_doubt', 'pending', 'held'))
    -- Nothing is reserved yet, but somebody makes such objects there, and what it hangs on is still to be planned or lacks something.
    OR (l.id IS NULL AND EXISTS (SELECT FROM lane n WHERE n.connection = t.system AND n.object = t.object AND n.operation = 'put')
        AND (EXISTS (SELECT FROM handoff h WHERE h.subject_id = t.owner_id AND h.state IN ('planned', 'waiting', 'converging'))
             OR EXISTS (SELECT FROM dirty d WHERE d.subject_id = t.owner_id))))
  ORDER BY t.id, t.object
), again AS (
  UPDATE work w SET due_at = app_now() + interval '2 seconds', worker = NULL, sending = false FROM lacking k WHERE w.effect_id = k.id
)
UPDATE effect e SET state = 'pending', waits_for = k.waits_for, tries = greatest(e.tries - 1, 0) FROM lacking k
WHERE e.id = k.id RETURNING e.id, e.handoff_id;

-- name: settle
-- Keeps what became of claimed work, for those whose fence still holds: state, link, attempt and the next look.
WITH answer AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
         AS t(effect_id bigint, fence bigint, state text, wait float8, waits_for text, error text, error_class text, ref text,
              url text, version text, digest text, act text, outcome text, ms integer, differs jsonb, items integer,
              filled text[], timed boolean)
), mine AS MATERIALIZED (
  SELECT a.*, e.handoff_id, e.link_id, e.unit, e.step, e.kind FROM answer a
  JOIN work w ON w.effect_id = a.effect_id AND w.fence = a.fence
  JOIN effect e ON e.id = a.effect_id
  FOR UPDATE OF w
), moved AS (
  UPDATE effect e SET state = m.state, waits_for = m.waits_for, error = m.error, error_class = m.error_class,
         applied_at = CASE WHEN m.state IN ('applied', 'verified') THEN coalesce(e.applied_at, app_now()) ELSE e.applied_at END,
         verified_at = CASE WHEN m.state = 'verified' THEN app_now() ELSE e.verified_at END,
         failing_since = CASE WHEN m.state IN ('applied', 'verified') OR m.outcome = 'not met' THEN NULL
                              ELSE coalesce(e.failing_since, app_now()) END
  FROM mine m WHERE e.id = m.effect_id
), rested AS (
  DELETE FROM work w USING mine m WHERE w.effect_id = m.effect_id AND m.wait IS NULL
), again AS (
  UPDATE work w SET due_at = app_now() + make_interval(secs => m.wait), worker = NULL, sending = m.state = 'in_doubt'
  FROM mine m WHERE w.effect_id = m.effect_id AND m.wait IS NOT NULL
), linked AS (
  UPDATE link l SET ref = m.ref, url = m.url, version = m.version, differs = m.differs, linked_at = coalesce(l.linked_at, app_now()),
         digest = CASE WHEN m.state IN ('applied', 'verified') THEN m.digest ELSE '' END, verified = m.state = 'verified',
         wrote = CASE WHEN l.wrote = '{}' THEN m.filled WHEN l.wrote @> m.filled THEN l.wrote ELSE ARRAY(SELECT unnest(l.wrote) UNION SELECT unnest(m.filled)) END,
         undone = CASE WHEN m.kind = 'put' AND m.state IN ('applied', 'verified') THEN NULL ELSE l.undone END,
         state = CASE WHEN m.act = 'adopt' THEN 'adopted' WHEN l.state = 'adopted' THEN l.state ELSE 'linked' END
  FROM mine m WHERE l.id = m.link_id AND m.ref <> '' AND m.act <> 'unchanged'
), doubted AS (
  UPDATE link l SET digest = '', verified = false,
         wrote = CASE WHEN l.wrote = '{}' THEN m.filled WHEN l.wrote @> m.filled THEN l.wrote ELSE ARRAY(SELECT unnest(l.wrote) UNION SELECT unnest(m.filled)) END
  FROM mine m WHERE l.id = m.link_id AND m.ref = '' AND m.state IN ('in_doubt', 'held') AND l.state <> 'reserved'
), kept AS (
  INSERT INTO attempt (effect_id, fence, unit, act, outcome, error_class, error, digest, ref, items, ms, worker, at)
  SELECT effect_id, fence, unit, act, outcome, error_class, error, digest, nullif(ref, ''), items, ms, %(worker)s, app_now() FROM mine
), clocks AS (
  UPDATE service_level s SET met_at = app_now() FROM mine m
  WHERE m.timed AND s.handoff_id = m.handoff_id AND s.until = m.step AND s.met_at IS NULL AND m.state IN ('applied', 'verified')
)
SELECT effect_id FROM mine;

-- name: unblock
-- Frees the effects whose steps before them are done; an event is published in the same breath. Who has a turn in a lane
-- takes them at once, as `insert` does.
WITH turn AS (
  SELECT t.lane_id, t.room, t.settle_window FROM unnest(%(turns)s::smallint[], %(rooms)s::int[], %(windows)s::float8[])
         AS t(lane_id, room, settle_window)
  JOIN lane l ON l.id = t.lane_id LEFT JOIN breaker b ON b.connection = l.connection WHERE coalesce(b.failures, 0) = 0
), member AS MATERIALIZED (
  SELECT e.id, e.handoff_id, e.step, e.state, e.kind, e.lane_id, e.link_id, e.after, e.optional AND e.state IN ('held', 'pending') AS let
  FROM effect e WHERE e.handoff_id = ANY(%(handoffs)s::bigint[])
), undone AS (
  SELECT handoff_id, array_agg(step) FILTER (WHERE NOT let) AS steps, array_agg(id) FILTER (WHERE let) AS let FROM member
  WHERE state NOT IN ('applied', 'verified', 'skipped', 'superseded', 'undone') GROUP BY handoff_id
), freed AS (
  SELECT e.id, e.lane_id, e.link_id, e.kind FROM member e JOIN undone u ON u.handoff_id = e.handoff_id
  WHERE e.state = 'blocked' AND NOT coalesce(e.after && u.steps, false)
    AND (u.let IS NULL OR NOT EXISTS (
      SELECT FROM effect p JOIN link l ON l.id = p.link_id AND l.ref IS NULL
      WHERE p.id = ANY(u.let) AND p.step = ANY(e.after) AND EXISTS (
        SELECT FROM effect w CROSS JOIN jsonb_each(w.desired) AS d
        WHERE w.id = e.id AND d.value -> '$ref' ->> 'object' = l.object AND (d.value -> '$ref' ->> 'owner')::bigint = l.owner_id)))
), chosen AS (
  SELECT f.id, u.settle_window, coalesce(
           u.room >= row_number() OVER (PARTITION BY f.lane_id ORDER BY f.id)
           AND (f.kind = 'check' OR (f.kind = 'put' AND l.state = 'reserved'
                AND NOT EXISTS (SELECT FROM work o WHERE o.link_id = l.id AND o.sending)
                AND row_number() OVER (PARTITION BY l.id ORDER BY f.id) = 1)), false) AS taken
  FROM freed f LEFT JOIN turn u ON u.lane_id = f.lane_id LEFT JOIN link l ON l.id = f.link_id
), moved AS (
  UPDATE effect e SET state = CASE WHEN e.kind = 'emit' THEN 'verified' WHEN f.taken THEN 'sending' ELSE 'ready' END, ready_at = app_now(),
         sent_at = CASE WHEN f.taken THEN app_now() ELSE e.sent_at END, tries = e.tries + f.taken::int,
         settle_by = CASE WHEN f.taken THEN app_now() + make_interval(secs => f.settle_window) ELSE e.settle_by END,
         applied_at = CASE WHEN e.kind = 'emit' THEN app_now() END, verified_at = CASE WHEN e.kind = 'emit' THEN app_now() END
  FROM chosen f WHERE e.id = f.id
  RETURNING e.*, f.taken
), working AS (
  INSERT INTO work (effect_id, lane_id, due_at, fence, worker, link_id, sending)
  SELECT id, lane_id, app_now() + CASE WHEN taken THEN interval '10 minutes' ELSE interval '0' END,
         CASE WHEN taken THEN nextval('fence') ELSE 0 END, CASE WHEN taken THEN %(worker)s::bigint END,
         CASE WHEN taken THEN link_id END, taken
  FROM moved WHERE kind <> 'emit'
  RETURNING effect_id, fence
), told AS (
  INSERT INTO event (id, unit, type, source, subject, handoff_id, data, correlation_id, traceparent, at)
  SELECT 'E' || m.id || '-' || m.generation, m.unit, m.desired ->> 'event', '/handoffs/' || h.contract, h.id::text, h.id,
         m.desired, h.correlation_id, h.traceparent, app_now()
  FROM moved m JOIN handoff h ON h.id = m.handoff_id WHERE m.kind = 'emit'
), clocks AS (
  UPDATE service_level s SET met_at = app_now() FROM moved m
  WHERE m.kind = 'emit' AND s.handoff_id = m.handoff_id AND s.until = m.step AND s.met_at IS NULL
)
SELECT g.lane_id, g.kind, g.contract, g.version, g.step, m.id, m.unit, m.handoff_id, m.item,
       CASE m.kind WHEN 'check' THEN 'ask' ELSE 'write' END AS act, m.optional, m.generation, m.desired, m.digest, m.tries - 1 AS tries,
       l.record_key, l.ref, l.url AS link_url, l.verified AS link_verified, l.wrote, m.owner, m.failing_since, m.settle_by, m.applied_at,
       w.fence, h.correlation_id, h.traceparent, h.title, h.value_amount, h.value_currency, app_now() AS now
FROM (SELECT DISTINCT x.lane_id, x.kind, h.contract, h.version, x.step, CASE WHEN x.taken THEN x.id END AS taken
      FROM moved x JOIN handoff h ON h.id = x.handoff_id) g
LEFT JOIN moved m ON m.id = g.taken LEFT JOIN working w ON w.effect_id = m.id
LEFT JOIN link l ON l.id = m.link_id LEFT JOIN handoff h ON h.id = m.handoff_id
ORDER BY m.id;

-- name: supersede
-- These effects are not wanted any more before they were sent.
WITH gone AS (DELETE FROM work w USING effect e WHERE w.effect_id = e.id AND e.id = ANY(%(ids)s::bigint[]))
UPDATE effect SET state = 'superseded', waits_for = '' WHERE id = ANY(%(ids)s::bigint[])
  AND state IN ('blocked', 'ready', 'pending', 'held');

-- name: supersede_unsent
-- Whatever these handoffs have not sent yet is not wanted any more.
WITH gone AS (
  UPDATE effect e SET state = 'superseded', waits_for = '' WHERE e.handoff_id = ANY(%(handoffs)s::bigint[])
  AND e.kind NOT IN ('undo', 'look') AND (e.state IN ('blocked', 'ready', 'pending') OR (e.state = 'held' AND e.applied_at IS NULL
    AND coalesce((SELECT a.outcome NOT IN ('unknown', 'ambiguous') FROM attempt a WHERE a.effect_id = e.id ORDER BY a.at DESC, a.fence DESC LIMIT 1), true)))
  RETURNING e.id
), idle AS (
  DELETE FROM work w USING gone g WHERE w.effect_id = g.id
)
SELECT id FROM gone;
