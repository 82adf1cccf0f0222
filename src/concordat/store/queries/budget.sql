-- name: declare
-- What the firm says of its connections; what was learnt meanwhile stays where the firm says nothing.
INSERT INTO budget AS b (connection, quota, period, rate, parallel, said, resets_at, refilled_at, paced_at)
SELECT t.connection, t.quota, make_interval(secs => coalesce(t.period, 86400)), t.rate, t.parallel,
       jsonb_strip_nulls(jsonb_build_object('quota', t.quota, 'rate', t.rate, 'parallel', t.parallel)),
       date_trunc('day', app_now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
         + make_interval(secs => coalesce(t.period, 86400)) * ceil((extract(epoch FROM app_now() - date_trunc('day', app_now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') + 0.001)
                                                                   / coalesce(t.period, 86400)),
       app_now(), app_now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS t(connection text, quota bigint, period float8, rate float8, parallel integer)
ORDER BY t.connection
ON CONFLICT (connection) DO UPDATE
SET quota = coalesce(excluded.quota, CASE WHEN b.said ? 'quota' THEN NULL ELSE b.quota END), period = excluded.period,
    rate = coalesce(excluded.rate, CASE WHEN b.said ? 'rate' THEN NULL ELSE b.rate END),
    parallel = coalesce(excluded.parallel, CASE WHEN b.said ? 'parallel' THEN NULL ELSE b.parallel END), said = excluded.said;

-- name: lease
-- Calls that one process may make: within the quota of the window, the rate, and what is not blocked. What is left of
-- an earlier lease of the same window comes back; what a refusal taught of a window ends with it. The last part of a quota, and of a second, is for the urgent.
WITH b AS MATERIALIZED (
  SELECT b.*, app_now() AS at, greatest(2, b.rate / 2) AS burst,
         CASE WHEN app_now() < b.resets_at OR b.learnt ->> 'quota' = 'sforce-limit-info' THEN b.quota ELSE (b.said ->> 'quota')::bigint END AS most,
         CASE WHEN app_now() < b.resets_at THEN b.resets_at
              ELSE b.resets_at + b.period * ceil((extract(epoch FROM app_now() - b.resets_at) + 0.001) / extract(epoch FROM b.period)) END AS ends
  FROM budget b WHERE b.connection = %(connection)s FOR UPDATE
), w AS (
  SELECT b.*, CASE WHEN ends <> resets_at THEN 0 ELSE greatest(used - CASE WHEN %(window)s::timestamptz = ends THEN %(returned)s::bigint ELSE 0 END, 0) END AS spent,
         least(burst, tokens + greatest(extract(epoch FROM at - refilled_at), 0) * rate) AS filled,
         floor(most * CASE %(priority)s::int WHEN 0 THEN 1.0 WHEN 1 THEN 0.9 ELSE 0.8 END)::bigint AS mine
  FROM b
), g AS (
  SELECT w.*, CASE WHEN blocked_until > at THEN 0 ELSE greatest(0, least(%(asked)s::bigint,
           CASE WHEN most IS NOT NULL THEN least(mine - spent, greatest(1, (mine - spent) / 8)) END,
           CASE WHEN rate IS NOT NULL THEN floor(filled - burst * CASE %(priority)s::int WHEN 0 THEN 0 WHEN 1 THEN 0.25 ELSE 0.5 END)::bigint END)) END AS granted
  FROM w
)
UPDATE budget d SET used = g.spent + g.granted, resets_at = g.ends, tokens = coalesce(g.filled - g.granted, 0),
       refilled_at = greatest(d.refilled_at, g.at), quota = g.most
FROM g WHERE d.connection = g.connection
RETURNING g.granted, g.ends AS resets_at, extract(epoch FROM g.ends - g.at)::float8 AS ends_in,
          coalesce(g.mine - g.spent <= 0, false) AS spent_up, g.rate, g.most AS quota,
          greatest(extract(epoch FROM g.blocked_until - g.at), 0)::float8 AS blocked_for;

-- name: lock
-- One process after the other asks for its share: a statement of its own, so that the next one sees what was given.
SELECT parallel FROM budget WHERE connection = %(connection)s FOR UPDATE;

-- name: share
-- Calls side by side that one process may make; what others hold is left to them, and all come to an equal share.
WITH b AS MATERIALIZED (
  SELECT connection, parallel FROM budget WHERE connection = %(connection)s
), others AS (
  SELECT coalesce(sum(slots), 0) AS taken, count(*) AS holders FROM budget_share
  WHERE connection = %(connection)s AND holder <> %(holder)s AND until > app_now()
)
INSERT INTO budget_share AS s (connection, holder, slots, until)
SELECT b.connection, %(holder)s, greatest(least(%(wanted)s::int, greatest(1, b.parallel / (o.holders + 1)), b.parallel - o.taken), %(flying)s::int, 0),
       app_now() + interval '12 seconds'
FROM b, others o
ON CONFLICT (connection, holder) DO UPDATE SET slots = excluded.slots, until = excluded.until
RETURNING slots;

-- name: unshare
-- A process ends: its calls side by side are free for the others, and what it leased and did not use comes back.
WITH back AS (
  UPDATE budget b SET used = greatest(b.used - t.returned, 0)
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS t(connection text, returned bigint, ends timestamptz)
  WHERE b.connection = t.connection AND b.resets_at = t.ends
)
DELETE FROM budget_share WHERE holder = %(holder)s;

-- name: beat
-- Keeps what one process did since its last beat: the pace of each connection, and its share while calls are in flight.
-- Says what holds now. Limits that were learnt, and not said by the firm, are tried again after a quiet minute.
WITH told AS (
  SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS t(connection text, made bigint, unleased bigint, flying integer)
), renewed AS (
  UPDATE budget_share s SET until = app_now() + interval '12 seconds' FROM told t
  WHERE s.connection = t.connection AND s.holder = %(holder)s AND t.flying > 0
), stale AS (
  DELETE FROM budget_share WHERE until < app_now() - interval '1 minute'
)
UPDATE budget b SET
  calls = b.calls + t.made,
  quota = CASE WHEN app_now() < b.resets_at OR b.learnt ->> 'quota' = 'sforce-limit-info' THEN b.quota ELSE (b.said ->> 'quota')::bigint END,
  used = CASE WHEN app_now() >= b.resets_at THEN t.unleased ELSE b.used + t.unleased END,
  resets_at = CASE WHEN app_now() < b.resets_at THEN b.resets_at
                   ELSE b.resets_at + b.period * ceil((extract(epoch FROM app_now() - b.resets_at) + 0.001) / extract(epoch FROM b.period)) END,
  pace = CASE WHEN app_now() - b.paced_at < interval '3 seconds' THEN b.pace
              ELSE b.pace + ((b.calls + t.made - b.paced) / extract(epoch FROM app_now() - b.paced_at) - b.pace)
                            * (1 - exp(-extract(epoch FROM app_now() - b.paced_at) / 60.0)) END,
  paced = CASE WHEN app_now() - b.paced_at < interval '3 seconds' THEN b.paced ELSE b.calls + t.made END,
  paced_at = CASE WHEN app_now() - b.paced_at < interval '3 seconds' THEN b.paced_at ELSE app_now() END,
  parallel = CASE WHEN b.said ? 'parallel' OR b.parallel IS NULL OR b.learnt_at > app_now() - interval '1 minute' THEN b.parallel
                  WHEN b.parallel >= 32 THEN NULL ELSE b.parallel + 1 END
FROM told t WHERE b.connection = t.connection
RETURNING b.connection, b.quota, b.rate, b.parallel, b.resets_at, app_now() AS at,
          greatest(extract(epoch FROM b.blocked_until - app_now()), 0)::float8 AS blocked_for;

-- name: learn
-- What a vendor's answer taught: nobody calls until then, this many side by side, this much of the quota is used.
UPDATE budget b SET
  blocked_until = greatest(b.blocked_until, app_now() + make_interval(secs => %(blocked)s::float8)),
  parallel = CASE WHEN %(parallel)s::int IS NULL THEN b.parallel ELSE greatest(1, least(coalesce(b.parallel, %(parallel)s::int), %(parallel)s::int)) END,
  quota = CASE WHEN %(spent)s::boolean THEN least(coalesce(b.quota, greatest(b.used, 1)), greatest(b.used, 1))
               WHEN b.said ? 'quota' THEN least(b.quota, coalesce(%(quota)s::bigint, b.quota)) ELSE coalesce(%(quota)s::bigint, b.quota) END,
  used = greatest(b.used, coalesce(%(used)s::bigint, 0), CASE WHEN %(spent)s::boolean THEN 1 ELSE 0 END),
  resets_at = CASE WHEN %(spent)s::boolean THEN coalesce(%(resets_at)s::timestamptz, b.resets_at) ELSE b.resets_at END,
  learnt_at = app_now(), learnt = b.learnt || %(learnt)s::jsonb
WHERE b.connection = %(connection)s
RETURNING b.quota, b.rate, b.parallel, greatest(extract(epoch FROM b.blocked_until - app_now()), 0)::float8 AS blocked_for;

-- name: figures
-- How every connection stands, and when its quota is used up at the present pace; none when it lasts until it resets.
SELECT connection, quota, CASE WHEN app_now() >= resets_at THEN 0 ELSE used END AS used, rate, parallel, pace, calls, resets_at,
       greatest(extract(epoch FROM blocked_until - app_now()), 0)::float8 AS blocked_for,
       coalesce((SELECT sum(slots) FROM budget_share s WHERE s.connection = b.connection AND s.until > app_now()), 0)::int AS held,
       CASE WHEN quota IS NULL OR app_now() >= resets_at THEN NULL WHEN used >= quota THEN app_now()
            WHEN pace > 0 AND app_now() + make_interval(secs => (quota - used) / pace) < resets_at
            THEN app_now() + make_interval(secs => (quota - used) / pace) END AS runs_out_at,
       app_now() AS at
FROM budget b ORDER BY connection;
