-- name: open_many
-- Opens cases, or brings an open one of the same trouble up to date.
INSERT INTO "case" AS c (unit, kind, contract, handoff_id, effect_id, subject, title, facts, owner, amount, currency, opened_at, last_at, due_at)
SELECT t.unit, t.kind, t.contract, t.handoff_id, t.effect_id, t.subject, t.title, t.facts, t.owner, t.amount, t.currency,
       app_now(), app_now(), t.due_at
FROM unnest(%(units)s::text[], %(kinds)s::text[], %(contracts)s::text[], %(handoffs)s::bigint[], %(effects)s::bigint[],
            %(subjects)s::text[], %(titles)s::text[], %(facts)s::jsonb[], %(owners)s::text[], %(amounts)s::numeric[],
            %(currencies)s::text[], %(dues)s::timestamptz[])
     AS t(unit, kind, contract, handoff_id, effect_id, subject, title, facts, owner, amount, currency, due_at)
ORDER BY 2, 3, 4, 5, 6
ON CONFLICT (kind, contract, coalesce(handoff_id, 0), coalesce(effect_id, 0), subject) WHERE state <> 'resolved'
DO UPDATE SET title = excluded.title, facts = excluded.facts, owner = excluded.owner, last_at = excluded.last_at,
              amount = excluded.amount, currency = excluded.currency;

-- name: resolve_handoffs
-- The trouble of these handoffs is over by itself.
UPDATE "case" SET state = 'resolved', resolved_at = app_now(), resolution = %(resolution)s
WHERE handoff_id = ANY(%(handoffs)s::bigint[]) AND kind = ANY(%(kinds)s::text[]) AND state <> 'resolved';

-- name: resolve_effects
-- The trouble of these effects is over by itself.
UPDATE "case" SET state = 'resolved', resolved_at = app_now(), resolution = %(resolution)s
WHERE effect_id = ANY(%(effects)s::bigint[]) AND state <> 'resolved';

-- name: resolve_handoff
-- Somebody stopped this handoff: nothing of it has to be decided any more.
UPDATE "case" SET state = 'resolved', resolved_at = app_now(), resolution = %(resolution)s
WHERE handoff_id = %(handoff)s::bigint AND state <> 'resolved';

-- name: agreed
-- Contracts that disagreed about these effects want the same now.
UPDATE "case" SET state = 'resolved', resolved_at = app_now(), resolution = 'the contracts agree'
WHERE effect_id = ANY(%(effects)s::bigint[]) AND kind = 'disagreement' AND state <> 'resolved';

-- name: decided
-- Handoffs about which somebody decided a case of this kind.
SELECT handoff_id FROM "case" WHERE handoff_id = ANY(%(handoffs)s::bigint[]) AND kind = %(kind)s AND state = 'resolved'
  AND resolution LIKE 'decided by %%';

-- name: decide
-- Somebody decided and said why.
UPDATE "case" SET state = 'resolved', resolved_at = app_now(), resolution = %(resolution)s
WHERE id = %(id)s::bigint AND state <> 'resolved';

-- name: resolve_subjects
-- The trouble of these subjects, which may have no handoff, is over by itself.
UPDATE "case" SET state = 'resolved', resolved_at = app_now(), resolution = %(resolution)s
WHERE kind = %(kind)s AND subject = ANY(%(subjects)s::text[]) AND state <> 'resolved';

-- name: resolve_brake
-- A person released the brake of this contract.
UPDATE "case" SET state = 'resolved', resolved_at = app_now(), resolution = %(resolution)s
WHERE kind = 'brake' AND contract = %(contract)s AND state <> 'resolved';

-- name: one
-- Everything about one case.
SELECT id, unit, kind, contract, handoff_id, effect_id, subject, title, facts, owner, state, amount, currency,
       opened_at, last_at, due_at, resolved_at, resolution
FROM "case" WHERE id = %(id)s::bigint;
