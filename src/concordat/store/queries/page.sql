-- What people and clients look at. Every list goes by keyset on an index and ends after a bounded stretch of it;
-- every count ends at ten thousand and one. All of it runs as the application, so units filter by themselves.

-- name: recent_handoffs
-- Newest first, within a bounded stretch of ids, so that a rare filter never walks the whole table.
SELECT id FROM handoff
WHERE id < %(before)s::bigint AND id >= %(floor)s::bigint
  AND (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s::text[]))
  AND (%(contract)s::text = '' OR contract = %(contract)s::text)
ORDER BY id DESC LIMIT %(limit)s::int;

-- name: oldest_handoffs
-- Oldest first, within a bounded stretch of ids.
SELECT id FROM handoff
WHERE id > %(after)s::bigint AND id <= %(ceiling)s::bigint
  AND (cardinality(%(states)s::text[]) = 0 OR state = ANY(%(states)s::text[]))
  AND (%(contract)s::text = '' OR contract = %(contract)s::text)
ORDER BY id LIMIT %(limit)s::int;

-- name: open_handoffs
-- Newest first among those that are not at rest: one probe of their own small index for each state.
SELECT h.id FROM unnest(%(states)s::text[]) AS wanted(state)
CROSS JOIN LATERAL (
  SELECT id FROM handoff
  WHERE state = wanted.state AND state NOT IN ('in_step', 'adopted', 'withdrawn', 'cancelled')
    AND id < %(before)s::bigint AND (%(contract)s::text = '' OR contract = %(contract)s::text)
  ORDER BY id DESC LIMIT %(limit)s::int) h
ORDER BY h.id DESC LIMIT %(limit)s::int;

-- name: oldest_open_handoffs
-- Oldest first among those that are not at rest.
SELECT h.id FROM unnest(%(states)s::text[]) AS wanted(state)
CROSS JOIN LATERAL (
  SELECT id FROM handoff
  WHERE state = wanted.state AND state NOT IN ('in_step', 'adopted', 'withdrawn', 'cancelled')
    AND id > %(after)s::bigint AND (%(contract)s::text = '' OR contract = %(contract)s::text)
  ORDER BY id LIMIT %(limit)s::int) h
ORDER BY h.id LIMIT %(limit)s::int;

-- name: found_handoffs
-- Handoffs behind any system's number: of the record itself, of a record they read, or of an object they made.
WITH known AS (
  SELECT record_id FROM identifier WHERE value = %(value)s::text
  UNION SELECT owner_id FROM link WHERE ref = %(ref)s::text
), reached AS (
  SELECT h.id FROM known k JOIN handoff h ON h.subject_id = k.record_id
  UNION SELECT i.handoff_id FROM known k JOIN handoff_input i ON i.record_id = k.record_id
)
SELECT h.id FROM reached r JOIN handoff h ON h.id = r.id
WHERE (cardinality(%(states)s::text[]) = 0 OR h.state = ANY(%(states)s::text[]))
  AND (%(contract)s::text = '' OR h.contract = %(contract)s::text)
ORDER BY h.id DESC LIMIT %(limit)s::int;

-- name: newest_handoff
-- Where a list that starts at the newest begins.
SELECT coalesce(max(id), 0) AS id FROM handoff;

-- name: handoff_rows
-- What a list says of each of these handoffs: its subject, client, money, progress and nearest clock.
SELECT h.id, h.unit, h.contract, h.version, h.state, h.title, h.waits_for, h.value_amount, h.value_currency,
       h.correlation_id, h.opened_at, h.changed_at, h.settled_at, h.subject_id,
       r.connection, r.object, r.ref, r.url, coalesce(r.fields ->> 'number', '') AS number,
       coalesce(r.fields ->> 'owner_name', '') AS person, coalesce(c.fields ->> 'name', '') AS client,
       k.title AS contract_title, k.owner AS contract_owner,
       s.name AS clock, s.due_at AS clock_due_at, s.met_at AS clock_met_at, s.breached_at AS clock_breached_at,
       s.warned_at AS clock_warned_at, e.effects, e.done, e.next_try, e.trouble
FROM handoff h
JOIN record r ON r.id = h.subject_id
JOIN contract k ON k.name = h.contract AND k.version = h.version
LEFT JOIN LATERAL (  -- a probe for each row of the page: joined as a table, all clients would be read
  SELECT fields FROM record
  WHERE connection = split_part(r.fields ->> 'client', ':', 1) AND object = 'client'
    AND ref = substr(r.fields ->> 'client', strpos(r.fields ->> 'client', ':') + 1) LIMIT 1) c ON true
LEFT JOIN LATERAL (
  SELECT name, due_at, met_at, breached_at, warned_at FROM service_level
  WHERE handoff_id = h.id ORDER BY met_at IS NOT NULL, due_at LIMIT 1) s ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS effects,
         count(*) FILTER (WHERE x.state IN ('applied', 'verified', 'skipped', 'superseded', 'undone')) AS done,
         min(w.due_at) FILTER (WHERE x.state IN ('pending', 'in_doubt', 'ready')) AS next_try,
         coalesce(min(x.error) FILTER (WHERE x.state = 'held'), '') AS trouble
  FROM effect x LEFT JOIN work w ON w.effect_id = x.id WHERE x.handoff_id = h.id) e
WHERE h.id = ANY(%(ids)s::bigint[])
ORDER BY h.id DESC;

-- name: effects
-- The effects of one handoff, each with the object it makes and when it is looked at next.
SELECT e.id, e.step, e.item, e.kind, e.after, e.optional, e.generation, e.state, e.tries, e.waits_for, e.owner,
       e.due_at, e.error, e.error_class, e.ready_at, e.sent_at, e.settle_by, e.applied_at, e.verified_at,
       e.failing_since, coalesce(n.connection, '') AS connection, coalesce(n.object, '') AS object,
       coalesce(n.operation, '') AS operation, l.record_key, l.ref, l.url, l.state AS link_state, l.differs,
       w.due_at AS next_at
FROM effect e
LEFT JOIN lane n ON n.id = e.lane_id
LEFT JOIN link l ON l.id = e.link_id
LEFT JOIN work w ON w.effect_id = e.id
WHERE e.handoff_id = %(id)s::bigint
ORDER BY e.id LIMIT 500;

-- name: attempts
-- The newest calls made for these effects.
SELECT effect_id, act, outcome, error_class, error, ref, items, ms, worker, at
FROM attempt WHERE effect_id = ANY(%(effects)s::bigint[])
ORDER BY at DESC, effect_id LIMIT 500;

-- name: cases_of_handoff
-- The cases of one handoff, open ones first.
SELECT id, unit, kind, contract, handoff_id, effect_id, subject, title, facts, owner, state, amount, currency,
       opened_at, last_at, due_at, resolved_at, resolution
FROM "case" WHERE handoff_id = %(id)s::bigint
ORDER BY state = 'resolved', opened_at DESC, id DESC LIMIT 100;

-- name: clocks_of_handoff
-- The service levels of one handoff.
SELECT name, until, owner, started_at, warn_at, due_at, met_at, warned_at, breached_at
FROM service_level WHERE handoff_id = %(id)s::bigint ORDER BY due_at, name;

-- name: events_of_handoff
-- What was published for one handoff.
SELECT id, type, source, at FROM event WHERE handoff_id = %(id)s::bigint ORDER BY at, id LIMIT 100;

-- name: numbers_of_record
-- Every number that people know a record by.
SELECT value FROM identifier WHERE record_id = %(record)s::bigint ORDER BY value LIMIT 20;

-- name: lock_handoff
-- One handoff that a person is about to move.
SELECT id, unit, contract, subject_id, state, correlation_id, traceparent FROM handoff
WHERE id = %(id)s::bigint FOR UPDATE;

-- name: stuck_effects
-- The effects that a replay may move, with what speaks against it: a decision that is awaited, a call whose outcome is unknown.
SELECT e.id, e.step, e.item, e.state, e.after, e.lane_id,
       EXISTS (SELECT FROM "case" c WHERE c.handoff_id = e.handoff_id AND c.effect_id = e.id
               AND c.kind = 'late_change' AND c.state <> 'resolved') AS undecided,
       e.state = 'held' AND coalesce((SELECT a.outcome = 'unknown' FROM attempt a WHERE a.effect_id = e.id
               ORDER BY a.at DESC LIMIT 1), false) AS unknown
FROM effect e WHERE e.handoff_id = %(id)s::bigint ORDER BY e.id FOR UPDATE OF e;

-- name: release_effects
-- Held and waiting effects are due now, with fresh patience.
WITH freed AS (
  UPDATE effect SET state = 'ready', tries = 0, waits_for = '', error = '', error_class = '', failing_since = NULL,
         alerted_at = NULL, ready_at = app_now()
  WHERE id = ANY(%(effects)s::bigint[]) AND state IN ('held', 'pending') AND lane_id IS NOT NULL
  RETURNING id, lane_id, step
), working AS (
  INSERT INTO work AS w (effect_id, lane_id, due_at) SELECT id, lane_id, app_now() FROM freed
  ON CONFLICT (effect_id) DO UPDATE SET due_at = excluded.due_at, fence = 0, worker = NULL, sending = false
)
SELECT id, step FROM freed ORDER BY id;

-- name: mark_handoff
-- Plans one handoff again.
INSERT INTO dirty AS d (contract, subject_id, due_at, correlation_id, traceparent)
VALUES (%(contract)s, %(subject)s, app_now(), %(correlation_id)s, %(traceparent)s)
ON CONFLICT (contract, subject_id) DO UPDATE SET due_at = least(d.due_at, excluded.due_at);

-- name: note
-- Who did what to which thing.
INSERT INTO audit (unit, person, act, object, before, after, at)
VALUES (%(unit)s, %(person)s, %(act)s, %(object)s, %(before)s::jsonb, %(after)s::jsonb, app_now());

-- name: freshest_beat
-- How long ago, in seconds, any worker was last heard of.
SELECT extract(epoch FROM app_now() - max(beat_at))::float8 AS silence FROM worker;

-- name: lane_figures
-- For each lane: how much is open, how late the next of it is, and how long the oldest of the next ones waits.
SELECT n.connection, n.object, n.operation, d.depth, f.overdue::float8 AS overdue, f.waiting::float8 AS waiting
FROM lane n
CROSS JOIN LATERAL (SELECT count(*) AS depth FROM (SELECT FROM work WHERE lane_id = n.id LIMIT 10001) x) d
CROSS JOIN LATERAL (
  SELECT coalesce(greatest(extract(epoch FROM app_now() - min(x.due_at)), 0), 0) AS overdue,
         coalesce(extract(epoch FROM app_now() - min(coalesce(e.failing_since, e.ready_at))), 0) AS waiting
  FROM (SELECT effect_id, due_at FROM work WHERE lane_id = n.id ORDER BY due_at, effect_id LIMIT 500) x
  JOIN effect e ON e.id = x.effect_id WHERE e.state <> 'applied') f
ORDER BY n.connection, n.object, n.operation;

-- name: effect_figures
-- Open effects by state: those with work in a lane, and those held for a person. Each is a row of its own to look up,
-- so counting ends sooner than elsewhere.
SELECT state, count(*) AS many FROM (
  SELECT e.state FROM (SELECT effect_id FROM work ORDER BY effect_id LIMIT 2001) w JOIN effect e ON e.id = w.effect_id
  WHERE e.state <> 'held'
  UNION ALL (SELECT state FROM effect WHERE waiting AND state = 'held' LIMIT 2001)
) open GROUP BY state ORDER BY state;

-- name: open_handoff_figures
-- Handoffs that are not at rest, by contract and state, with the money that hangs on them.
SELECT contract, state, value_currency AS currency, count(*) AS many, sum(value_amount) AS amount FROM (
  SELECT contract, state, value_currency, value_amount FROM handoff
  WHERE state NOT IN ('in_step', 'adopted', 'withdrawn', 'cancelled') ORDER BY state, id LIMIT 10001) h
GROUP BY contract, state, value_currency ORDER BY contract, state, value_currency;

-- name: breaker_figures
-- Every connection that was ever called, and whether it answers.
SELECT connection, state, failures, opened_at, probe_at, reason, ok_at FROM breaker ORDER BY connection;

-- name: delivery_figures
-- Deliveries among the newest ten thousand, of the last hour, by connection and state.
SELECT connection, state, count(*) AS many FROM (
  SELECT connection, state, received_at FROM delivery
  WHERE id > (SELECT coalesce(max(id), 0) FROM delivery) - 10001 ORDER BY id DESC) d
WHERE received_at > app_now() - interval '1 hour' GROUP BY connection, state ORDER BY connection, state;

-- name: delivery_ends
-- How everything that was ever accepted has ended: the four ends and what is still received add up to all of it.
-- It reads the whole of an index that grows for ever: for a person who asks, never for a scraper.
SELECT connection, count(*) AS accepted,
       count(*) FILTER (WHERE state = 'applied') AS applied, count(*) FILTER (WHERE state = 'superseded') AS superseded,
       count(*) FILTER (WHERE state = 'duplicate') AS duplicate, count(*) FILTER (WHERE state = 'case') AS "case",
       count(*) FILTER (WHERE state = 'received') AS received
FROM delivery GROUP BY connection ORDER BY connection;

-- name: refusal_figures
-- Pushes that proved nothing, ever.
SELECT connection, reason, times, last_at FROM refusal ORDER BY connection, reason;

-- name: case_figures
-- Open cases by kind.
SELECT kind, count(*) AS many FROM (SELECT kind FROM "case" WHERE state <> 'resolved' LIMIT 10001) c
GROUP BY kind ORDER BY kind;

-- name: rest_figures
-- Workers alive, subjects to plan, and hints to read.
SELECT (SELECT count(*) FROM worker WHERE beat_at > app_now() - interval '15 seconds') AS workers,
       (SELECT count(*) FROM (SELECT FROM dirty LIMIT 10001) d) AS dirty,
       (SELECT count(*) FROM (SELECT FROM hint LIMIT 10001) h) AS hints,
       (SELECT count(*) FROM (SELECT FROM service_level WHERE met_at IS NULL AND breached_at IS NULL
                              AND due_at <= app_now() LIMIT 10001) s) AS late_clocks,
       (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'effect'::regclass) AS effects_about;

-- name: clock_now
-- The transaction's clock.
SELECT app_now() AS now;

-- name: arrived
-- What was opened in the last day, among the newest ten thousand, by contract and state.
SELECT contract, state, count(*) AS many FROM (
  SELECT contract, state, opened_at FROM handoff
  WHERE id > (SELECT coalesce(max(id), 0) FROM handoff) - 10001 ORDER BY id DESC) h
WHERE opened_at > app_now() - interval '1 day' GROUP BY contract, state ORDER BY contract, state;

-- name: late_handoffs
-- How many of the thousand oldest open handoffs passed a service level.
SELECT count(DISTINCT s.handoff_id) AS many FROM (
  SELECT id FROM handoff WHERE state NOT IN ('in_step', 'adopted', 'withdrawn', 'cancelled') ORDER BY state, id LIMIT 1001) h
JOIN service_level s ON s.handoff_id = h.id AND s.met_at IS NULL AND s.due_at <= app_now();

-- name: case_money
-- Open cases with the money that hangs on them, by currency; counting ends at ten thousand and one.
SELECT currency, count(*) AS many, sum(amount) AS amount,
       count(*) FILTER (WHERE due_at <= app_now()) AS late FROM (
  SELECT currency, amount, due_at FROM "case" WHERE state <> 'resolved' ORDER BY opened_at, id LIMIT 10001) c
GROUP BY currency ORDER BY currency;

-- name: urgent_cases
-- The open cases that are due first, among the thousand oldest.
SELECT id FROM (SELECT id, due_at, opened_at FROM "case" WHERE state <> 'resolved' ORDER BY opened_at, id LIMIT 1000) c
ORDER BY due_at NULLS LAST, opened_at, id LIMIT %(limit)s::int;

-- name: open_cases
-- Open cases, newest first, behind a place in that order.
SELECT id FROM "case"
WHERE state <> 'resolved' AND (opened_at, id) < (%(opened)s::timestamptz, %(id)s::bigint)
ORDER BY opened_at DESC, id DESC LIMIT %(limit)s::int;

-- name: open_cases_of_owner
-- Open cases of one owner, and of one kind if it is named: an index of their own, so that a rare one is found at once.
SELECT id FROM "case"
WHERE state <> 'resolved' AND owner = %(owner)s::text AND (opened_at, id) < (%(opened)s::timestamptz, %(id)s::bigint)
  AND (%(kind)s::text = '' OR kind = %(kind)s::text)
ORDER BY opened_at DESC, id DESC LIMIT %(limit)s::int;

-- name: open_cases_of_kind
-- Open cases of one kind.
SELECT id FROM "case"
WHERE state <> 'resolved' AND kind = %(kind)s::text AND (opened_at, id) < (%(opened)s::timestamptz, %(id)s::bigint)
ORDER BY opened_at DESC, id DESC LIMIT %(limit)s::int;

-- name: case_rows
-- Everything about these cases, newest first.
SELECT id, unit, kind, contract, handoff_id, effect_id, subject, title, facts, owner, state, amount, currency,
       opened_at, last_at, due_at, resolved_at, resolution
FROM "case" WHERE id = ANY(%(ids)s::bigint[]) ORDER BY opened_at DESC, id DESC;

-- name: case_owners
-- Who owns open cases, among the ten thousand oldest.
SELECT owner, count(*) AS many FROM (
  SELECT owner FROM "case" WHERE state <> 'resolved' ORDER BY opened_at, id LIMIT 10001) c
GROUP BY owner ORDER BY owner;

-- name: alerts
-- Alerts, newest first, behind a place in that order.
SELECT id, unit, kind, owner, cause, items, money, raised_at FROM alert
WHERE (raised_at, id) < (%(raised)s::timestamptz, %(id)s::bigint)
ORDER BY raised_at DESC, id DESC LIMIT %(limit)s::int;

-- name: deliveries
-- What came in, newest first, within a bounded stretch of ids.
SELECT id, unit, connection, kind, state, octet_length(body) AS bytes, note, correlation_id, received_at FROM delivery
WHERE id < %(before)s::bigint AND id >= %(floor)s::bigint
  AND (%(connection)s::text = '' OR connection = %(connection)s::text)
ORDER BY id DESC LIMIT %(limit)s::int;

-- name: newest_delivery
-- Where a list of deliveries begins.
SELECT id FROM delivery ORDER BY id DESC LIMIT 1;

-- name: waits_of_connections
-- What is open for each connection, of the units one may see, looking at the next few hundred of each lane.
SELECT n.connection, count(e.id) AS open_effects, count(e.id) >= 250 AS capped,
       coalesce(extract(epoch FROM app_now() - min(coalesce(e.failing_since, e.ready_at))
                        FILTER (WHERE e.state <> 'applied')), 0)::float8 AS waiting
FROM lane n
LEFT JOIN LATERAL (SELECT effect_id FROM work WHERE lane_id = n.id ORDER BY due_at, effect_id LIMIT 250) w ON true
LEFT JOIN effect e ON e.id = w.effect_id
GROUP BY n.connection ORDER BY n.connection;

-- name: cursors
-- How far each source has been read.
SELECT connection, object, read_at, next_at, error FROM cursor ORDER BY connection, object;

-- name: pulse
-- Three numbers that move whenever something happens; nothing of any unit.
SELECT (SELECT last_value FROM fence) AS calls, (SELECT last_value FROM handoff_id_seq) AS handoffs,
       (SELECT last_value FROM case_id_seq) AS cases, (SELECT last_value FROM delivery_id) AS deliveries;

-- name: contracts
-- Every version, newest first within its name.
SELECT name, version, title, owner, state, activated_at FROM contract ORDER BY name, version DESC;
