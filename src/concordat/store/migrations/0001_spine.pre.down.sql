DROP TABLE idempotency, audit, session, login_link, value_map, alert, service_level, proposal, "case", token, budget_share, budget, breaker, attempt, worker,
  work, effect, lane, handoff_input, handoff, dirty, brake, contract, event, ownership, link, identifier, record_version, record,
  cursor, delivery_hint, hint, refusal, delivery_key, delivery, unit CASCADE;
DROP SEQUENCE IF EXISTS delivery_id, fence;
DROP FUNCTION open_month(date);
DROP FUNCTION app_now();
