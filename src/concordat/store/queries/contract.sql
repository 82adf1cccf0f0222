-- name: find
-- One version of a contract.
SELECT name, version, digest, state FROM contract WHERE name = %(name)s AND version = %(version)s;

-- name: retire_others
-- Only one version of a name is active.
UPDATE contract SET state = 'retired' WHERE name = %(name)s AND version <> %(version)s AND state = 'active';

-- name: activate
-- Publishes a version, or makes a retired one active again.
INSERT INTO contract (name, version, text, digest, title, owner, state, activated_at)
VALUES (%(name)s, %(version)s, %(text)s, %(digest)s, %(title)s, %(owner)s, 'active', app_now())
ON CONFLICT (name, version) DO UPDATE SET state = 'active', activated_at = app_now();

-- name: list_all
-- Every version, with its handoffs counted by state (the counting stops being exact above ten thousand a state).
SELECT c.name, c.version, c.title, c.owner, c.state, c.activated_at,
       coalesce((SELECT jsonb_object_agg(s.state, s.many) FROM (
         SELECT h.state, count(*) AS many FROM (
           SELECT state FROM handoff WHERE contract = c.name AND version = c.version LIMIT 10001) h GROUP BY h.state) s), '{}') AS handoffs
FROM contract c ORDER BY c.name, c.version DESC;

-- name: show
-- One version with its text; the active one when none is named.
SELECT name, version, title, owner, state, activated_at, digest, text FROM contract
WHERE name = %(name)s AND (version = %(version)s OR (%(version)s::int IS NULL AND state = 'active'));
