-- name: lock_sources
-- The source records that stand behind these records or are among them, where more than one system holds the same
-- thing; locked in one order, so that two edits of one thing are judged one after the other.
SELECT r.id FROM record r WHERE r.id IN (
  SELECT l.owner_id FROM record t JOIN link l ON l.ref = t.ref AND l.connection = t.connection AND l.object = t.object
  WHERE t.id = ANY(%(ids)s::bigint[])
  UNION
  SELECT l.owner_id FROM link l JOIN record o ON o.connection = l.connection AND o.object = l.object AND o.ref = l.ref
  WHERE l.owner_id = ANY(%(ids)s::bigint[]) AND l.ref IS NOT NULL AND o.id <> l.owner_id)
ORDER BY r.id FOR NO KEY UPDATE OF r;

-- name: members
-- What each system holds of the things that stand behind these source records: the record itself, and the records of the
-- targets that were made from it. A record that has just changed comes with what it held before.
WITH things AS (
  SELECT DISTINCT l.owner_id, l.object, l.item FROM link l WHERE l.owner_id = ANY(%(sources)s::bigint[]) AND l.object = ANY(%(objects)s::text[])
), members AS (
  SELECT x.*, x.owner_id AS id, NULL::bigint AS link_id FROM things x WHERE x.item = ''
  UNION ALL
  SELECT x.*, r.id, l.id FROM things x
  JOIN link l ON l.owner_id = x.owner_id AND l.object = x.object AND l.item = x.item AND l.ref IS NOT NULL
  JOIN record r ON r.connection = l.connection AND r.object = l.object AND r.ref = l.ref AND r.id <> x.owner_id
)
SELECT m.owner_id, m.object, m.item, m.id, m.link_id, r.unit, r.connection, r.ref, r.version, r.url, r.fields, r.owned, r.provenance,
       r.revision, r.id = m.owner_id AS source, r.id = ANY(%(ids)s::bigint[]) AS touched, was.fields AS was
FROM members m JOIN record r ON r.id = m.id AND r.object = m.object AND NOT r.deleted
LEFT JOIN LATERAL (SELECT v.fields FROM record_version v WHERE v.record_id = r.id AND v.revision = r.revision - 1
                   AND r.id = ANY(%(ids)s::bigint[]) ORDER BY v.at DESC LIMIT 1) was ON true
ORDER BY m.owner_id, m.object, m.item, m.id;

-- name: own
-- What the planner reads in these source records instead of their own values, and whose each value is.
WITH told AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS t(id bigint, owned jsonb, provenance jsonb)
), kept AS (
  UPDATE record r SET owned = t.owned, provenance = t.provenance, revision = r.revision + (r.owned <> t.owned)::int
  FROM told t WHERE r.id = t.id RETURNING r.*
), changed AS (
  SELECT k.* FROM kept k JOIN record b ON b.id = k.id WHERE k.revision <> b.revision
), history AS (
  INSERT INTO record_version (record_id, revision, unit, version, fields, owned, extra, deleted, correlation_id, at)
  SELECT id, revision, unit, version, fields, owned, extra, deleted, %(correlation_id)s, app_now() FROM changed
), told_all AS (
  INSERT INTO event (id, unit, type, source, subject, data, correlation_id, traceparent, at)
  SELECT 'R' || id || '-' || revision, unit, object || '.owned', '/connections/' || connection, connection || ':' || ref,
         jsonb_build_object('version', version, 'owned', owned), %(correlation_id)s, %(traceparent)s, app_now() FROM changed
)
SELECT id, object FROM changed;

-- name: conflicts
-- Counts what systems ask of fields that they do not own. A round is an answer of ours that was overwritten; rounds
-- count from the owner's last word on. Says which of them have had their rounds.
INSERT INTO ownership AS o (owner_id, object, item, field, connection, unit, owner, holds, asked, seen, rounds, state, at)
SELECT t.owner_id, t.object, t.item, t.field, t.connection, t.unit, t.owner, t.holds, t.asked, jsonb_build_array(t.asked), 1,
       CASE t.fate WHEN 'raise' THEN 'raised' ELSE 'answered' END, app_now()
FROM jsonb_to_recordset(%(rows)s::jsonb)
     AS t(owner_id bigint, object text, item text, field text, connection text, unit text, owner text, holds jsonb, asked jsonb, fate text)
ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (owner_id, object, item, field, connection) DO UPDATE
SET holds = excluded.holds, asked = excluded.asked, owner = excluded.owner, at = excluded.at,
    seen = CASE WHEN o.seen @> excluded.seen THEN o.seen ELSE o.seen || excluded.seen END,
    rounds = CASE WHEN excluded.state = 'raised' THEN o.rounds WHEN o.holds = excluded.holds OR o.seen @> excluded.seen THEN o.rounds + 1 ELSE 1 END,
    state = CASE WHEN excluded.state = 'raised' THEN 'raised'
                 WHEN (o.holds = excluded.holds OR o.seen @> excluded.seen) AND o.rounds >= %(most)s THEN 'stopped' ELSE 'answered' END
RETURNING owner_id, object, item, field, connection, rounds, state;

-- name: agreed
-- These systems hold what the owner holds. Rounds are kept: an automation agrees until it strikes again.
UPDATE ownership o SET state = 'agreed', at = app_now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS t(owner_id bigint, object text, item text, field text, connection text)
WHERE o.owner_id = t.owner_id AND o.object = t.object AND o.item = t.item AND o.field = t.field AND o.connection = t.connection
  AND o.state <> 'agreed'
RETURNING o.owner_id, o.object, o.item, o.field, o.connection;

-- name: carried_anyway
-- Writes of such a value that a person was asked about, and that its system has come to hold without us.
UPDATE effect e SET state = 'superseded', waits_for = '' FROM link l, lane n, jsonb_to_recordset(%(rows)s::jsonb) AS t(owner_id bigint, object text, connection text, fields text[])
WHERE l.owner_id = t.owner_id AND l.object = t.object AND l.connection = t.connection AND e.link_id = l.id AND e.handoff_id IN (
        SELECT h.id FROM handoff h WHERE h.subject_id = l.owner_id UNION ALL SELECT i.handoff_id FROM handoff_input i WHERE i.record_id = l.owner_id)
  AND e.kind = 'carry' AND e.state = 'held' AND n.id = e.lane_id AND n.connection = t.connection
  AND ARRAY(SELECT jsonb_object_keys(e.desired)) <@ t.fields
RETURNING e.id;

-- name: open_conflicts
-- What a person looks at, or has to, of these things.
SELECT owner_id, object, item, field, connection FROM ownership WHERE owner_id = ANY(%(sources)s::bigint[]) AND state IN ('raised', 'stopped');

-- name: answerable
-- The handoff in whose name a value of these things may be written: the oldest that is at work, of the contract that
-- says whose the field is. An adopted or withdrawn one writes nothing.
SELECT DISTINCT ON (h.owner_id, h.contract) h.owner_id, h.contract, h.id, h.title, h.value_amount, h.value_currency FROM (
  SELECT w.subject_id AS owner_id, w.contract, w.id, w.title, w.value_amount, w.value_currency, w.state FROM handoff w
  WHERE w.subject_id = ANY(%(sources)s::bigint[])
  UNION ALL
  SELECT i.record_id, w.contract, w.id, w.title, w.value_amount, w.value_currency, w.state
  FROM handoff_input i JOIN handoff w ON w.id = i.handoff_id WHERE i.record_id = ANY(%(sources)s::bigint[])) h
WHERE h.state NOT IN ('adopted', 'withdrawing', 'withdrawn', 'cancelled')
ORDER BY h.owner_id, h.contract, h.id;

-- name: carry
-- Writes that bring a value of the system of record to a system that holds another one. One that is on its way is left
-- alone: what comes of it is judged when it is read back.
WITH wanted AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb)
         AS t(unit text, handoff_id bigint, step text, item text, lane_id smallint, link_id bigint, owner_id bigint, connection text,
              object text, record_key text, ref text, url text, desired jsonb, digest text, owner text)
), own AS (
  INSERT INTO link AS l (unit, connection, object, owner_id, item, record_key, state, ref, url, linked_at)
  SELECT DISTINCT ON (owner_id, connection, object) unit, connection, object, owner_id, 'source', record_key, 'linked', ref, url, app_now()
  FROM wanted WHERE link_id IS NULL ORDER BY owner_id, connection, object
  ON CONFLICT (owner_id, connection, object, item) DO UPDATE SET digest = ''
  RETURNING l.id, l.owner_id, l.connection, l.object
), forget AS (
  UPDATE link l SET digest = '', verified = false FROM wanted w WHERE l.id = w.link_id
), made AS (
  INSERT INTO effect AS e (unit, handoff_id, step, item, kind, lane_id, link_id, optional, desired, digest, state, owner, ready_at)
  SELECT w.unit, w.handoff_id, w.step, w.item, 'carry', w.lane_id, coalesce(w.link_id, o.id), true, w.desired, w.digest, 'ready', w.owner, app_now()
  FROM wanted w LEFT JOIN own o ON o.owner_id = w.owner_id AND o.connection = w.connection AND o.object = w.object
  ORDER BY w.handoff_id, w.step, w.item
  ON CONFLICT (handoff_id, step, item) DO UPDATE
  SET desired = excluded.desired, digest = excluded.digest, state = 'ready', generation = e.generation + 1, tries = 0, waits_for = '',
      error = '', error_class = '', failing_since = NULL, alerted_at = NULL, applied_at = NULL, verified_at = NULL, ready_at = app_now()
  WHERE e.state NOT IN ('sending', 'in_doubt')
  RETURNING e.id, e.lane_id
)
INSERT INTO work AS w (effect_id, lane_id, due_at) SELECT id, lane_id, app_now() FROM made
ON CONFLICT (effect_id) DO UPDATE SET due_at = excluded.due_at, fence = 0, worker = NULL, sending = false;
