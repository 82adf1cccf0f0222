-- name: make_link
-- A link that signs one person in, once.
INSERT INTO login_link (digest, person, role, units, expires_at)
VALUES (%(digest)s, %(person)s, %(role)s, %(units)s::text[], app_now() + make_interval(secs => %(seconds)s));

-- name: use_link
-- Spends a link; nothing comes back when it is unknown, old or spent.
UPDATE login_link SET used_at = app_now()
WHERE digest = %(digest)s AND used_at IS NULL AND expires_at > app_now()
RETURNING person, role, units;

-- name: open
-- A person is signed in.
INSERT INTO session (digest, person, role, units, csrf, expires_at)
VALUES (%(digest)s, %(person)s, %(role)s, %(units)s::text[], %(csrf)s, app_now() + make_interval(secs => %(seconds)s));

-- name: find
-- Who this is, while the session lasts.
SELECT person, role, units, csrf, expires_at FROM session WHERE digest = %(digest)s AND expires_at > app_now();

-- name: close
-- A person signs out.
DELETE FROM session WHERE digest = %(digest)s;

-- name: same_write
-- Lets one of several writes with the same key go on; the others are told so.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(key)s::text, 0)) AS mine;

-- name: known_answer
-- What a write with this key was answered.
SELECT digest, status, answer FROM idempotency WHERE key = %(key)s AND expires_at > app_now();

-- name: keep_answer
-- The answer of a write, for thirty days.
INSERT INTO idempotency (key, digest, status, answer, expires_at)
VALUES (%(key)s, %(digest)s, %(status)s, %(answer)s::jsonb, app_now() + interval '30 days')
ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, status = excluded.status, answer = excluded.answer,
  expires_at = excluded.expires_at
RETURNING answer;
