-- name: read
-- What is kept of one credential.
SELECT generation, sealed FROM token WHERE name = %(name)s;

-- name: claim
-- One process at a time may fetch; who died fetching is in nobody's way for long.
INSERT INTO token AS t (name, holder, claimed_until) VALUES (%(name)s, %(holder)s, app_now() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, claimed_until = excluded.claimed_until
WHERE t.claimed_until IS NULL OR t.claimed_until <= app_now()
RETURNING generation;

-- name: save
-- Keeps the next generation by whoever fetched it, unless somebody else did: compare and swap.
UPDATE token SET generation = generation + 1, sealed = %(sealed)s, holder = '', claimed_until = NULL, saved_at = app_now()
WHERE name = %(name)s AND generation = %(generation)s AND holder = %(holder)s RETURNING generation;

-- name: release
-- Fetched nothing: the next one may try.
UPDATE token SET holder = '', claimed_until = NULL WHERE name = %(name)s AND holder = %(holder)s;
