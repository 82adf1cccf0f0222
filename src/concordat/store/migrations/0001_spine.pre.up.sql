-- The spine: deliveries, records, links, events, contracts, handoffs, effects, work, attempts, cases.
-- A business row carries its unit; row-level security and the four roles are in 0002.
-- Rows of the hot path (links, effects, work, numbers, inputs, clocks) name their parents without a foreign key: parents
-- are never deleted, ids come from the same transaction, and the checks were 40 % of an insert. A test looks for orphans.

-- One clock for everything: the transaction's, or the one that a simulation sets.
CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT coalesce(nullif(current_setting('concordat.now', true), '')::timestamptz, transaction_timestamp())
$$;

CREATE TABLE unit (
  code  text PRIMARY KEY CHECK (code <> ''),
  title text NOT NULL DEFAULT ''
);

-- ── what comes in ────────────────────────────────────────────────────────────────────────────────

CREATE SEQUENCE delivery_id;
CREATE TABLE delivery (
  id             bigint NOT NULL DEFAULT nextval('delivery_id'),
  unit           text NOT NULL,
  connection     text NOT NULL,
  kind           text NOT NULL CHECK (kind IN ('push', 'poll', 'file', 'api')),
  state          text NOT NULL CHECK (state IN ('received', 'applied', 'superseded', 'duplicate', 'case')),
  -- How many hints of it have not been read back yet, and how it will end as far as is known.
  hints          integer NOT NULL DEFAULT 0 CHECK (hints >= 0),
  outcome        text NOT NULL DEFAULT 'superseded' CHECK (outcome IN ('applied', 'superseded', 'case')),
  key            text NOT NULL,
  headers        jsonb NOT NULL DEFAULT '{}',
  body           bytea NOT NULL DEFAULT '',
  records        integer NOT NULL DEFAULT 0,
  note           text NOT NULL DEFAULT '',
  correlation_id text NOT NULL,
  traceparent    text NOT NULL DEFAULT '',
  received_at    timestamptz NOT NULL,
  PRIMARY KEY (id, received_at),
  CHECK (state <> 'received' OR hints > 0)
) PARTITION BY RANGE (received_at);
-- How everything that came in has ended is counted from this alone.
CREATE INDEX delivery_ends ON delivery (connection, state);

-- A partitioned table cannot enforce a global unique key: the keys live here and expire.
CREATE TABLE delivery_key (
  connection text NOT NULL,
  key        text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (connection, key)
);
CREATE INDEX delivery_key_expires ON delivery_key (expires_at);

-- What cannot be stored is counted (a push with a bad signature).
CREATE TABLE refusal (
  connection text NOT NULL,
  reason     text NOT NULL,
  times      bigint NOT NULL DEFAULT 0,
  last_at    timestamptz NOT NULL,
  PRIMARY KEY (connection, reason)
);

-- Something changed there: read it again. A push and a feed only ever leave hints.
CREATE TABLE hint (
  connection     text NOT NULL,
  object         text NOT NULL,
  ref            text NOT NULL,
  due_at         timestamptz NOT NULL,
  tries          integer NOT NULL DEFAULT 0,
  -- How often it failed alone, while its connection answered.
  failures       integer NOT NULL DEFAULT 0,
  correlation_id text NOT NULL,
  traceparent    text NOT NULL DEFAULT '',
  hinted_at      timestamptz NOT NULL,
  PRIMARY KEY (connection, object, ref)
);
CREATE INDEX hint_due ON hint (connection, due_at);

-- Which pushes wait for which hints: they end when it was read.
CREATE TABLE delivery_hint (
  connection  text NOT NULL,
  object      text NOT NULL,
  ref         text NOT NULL,
  delivery_id bigint NOT NULL,
  received_at timestamptz NOT NULL,
  PRIMARY KEY (connection, object, ref, delivery_id)
);

CREATE TABLE cursor (
  connection text NOT NULL,
  object     text NOT NULL,
  position   text,
  next_at    timestamptz NOT NULL,
  read_at    timestamptz,
  error      text NOT NULL DEFAULT '',
  PRIMARY KEY (connection, object)
);

-- ── what is known ────────────────────────────────────────────────────────────────────────────────

CREATE TABLE record (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit           text NOT NULL,
  connection     text NOT NULL,
  object         text NOT NULL,
  ref            text NOT NULL,
  version        text NOT NULL,
  fields         jsonb NOT NULL,
  extra          jsonb NOT NULL DEFAULT '{}',
  -- Values of other systems of record that hold instead of this one's, and by field whose the value is that holds.
  owned          jsonb NOT NULL DEFAULT '{}',
  provenance     jsonb NOT NULL DEFAULT '{}',
  digest         text NOT NULL,
  revision       integer NOT NULL DEFAULT 1 CHECK (revision > 0),
  url            text NOT NULL DEFAULT '',
  deleted        boolean NOT NULL DEFAULT false,
  correlation_id text NOT NULL,
  traceparent    text NOT NULL DEFAULT '',
  changed_at     timestamptz,
  read_at        timestamptz NOT NULL,
  UNIQUE (connection, object, ref)
) WITH (fillfactor = 80);

-- Every version a record ever had here, for lineage and audit.
CREATE TABLE record_version (
  record_id      bigint NOT NULL,
  revision       integer NOT NULL,
  unit           text NOT NULL,
  version        text NOT NULL,
  fields         jsonb NOT NULL,
  owned          jsonb NOT NULL DEFAULT '{}',
  extra          jsonb NOT NULL DEFAULT '{}',
  deleted        boolean NOT NULL,
  correlation_id text NOT NULL,
  at             timestamptz NOT NULL,
  PRIMARY KEY (record_id, revision, at)
) PARTITION BY RANGE (at);

-- Any system's number finds the record; compared with = only, which stays an index scan under policies.
CREATE TABLE identifier (
  unit      text NOT NULL,
  value     text NOT NULL,
  record_id bigint NOT NULL,
  PRIMARY KEY (value, record_id)
);
CREATE INDEX identifier_record ON identifier (record_id);

-- One target object: who owns it here, and what it is called there. Reserved before a create.
CREATE TABLE link (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit       text NOT NULL,
  connection text NOT NULL,
  object     text NOT NULL,
  owner_id   bigint NOT NULL,
  item       text NOT NULL DEFAULT '',
  record_key text NOT NULL CHECK (record_key ~ '^[A-Za-z0-9-]{1,35}$'),
  state      text NOT NULL DEFAULT 'reserved' CHECK (state IN ('reserved', 'linked', 'adopted')),
  ref        text CHECK (ref <> ''),
  url        text NOT NULL DEFAULT '',
  version    text NOT NULL DEFAULT '',
  digest     text,
  verified   boolean NOT NULL DEFAULT false,
  differs    jsonb,
  -- Fields that were ever filled from here: an empty value is written to these and to no others.
  wrote      text[] NOT NULL DEFAULT '{}',
  -- The undo that holds there, or may: the next document takes it back.
  undone     jsonb,
  linked_at  timestamptz,
  UNIQUE (owner_id, connection, object, item),
  CHECK ((state = 'reserved') = (ref IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX link_ref ON link (ref, connection, object) WHERE ref IS NOT NULL;

-- Who asked for what of a field that is another system's, and how often we answered.
CREATE TABLE ownership (
  owner_id   bigint NOT NULL,
  object     text NOT NULL,
  item       text NOT NULL,
  field      text NOT NULL,
  connection text NOT NULL,
  unit       text NOT NULL,
  owner      text NOT NULL,
  holds      jsonb NOT NULL,
  asked      jsonb NOT NULL,
  seen       jsonb NOT NULL,
  rounds     integer NOT NULL CHECK (rounds > 0),
  state      text NOT NULL CHECK (state IN ('answered', 'agreed', 'raised', 'stopped')),
  at         timestamptz NOT NULL,
  PRIMARY KEY (owner_id, object, item, field, connection)
);

-- The journal: CloudEvents, append-only.
CREATE TABLE event (
  id             text NOT NULL,
  unit           text NOT NULL,
  type           text NOT NULL,
  source         text NOT NULL,
  subject        text NOT NULL,
  handoff_id     bigint,
  data           jsonb NOT NULL DEFAULT '{}',
  correlation_id text NOT NULL,
  traceparent    text NOT NULL DEFAULT '',
  at             timestamptz NOT NULL,
  PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX event_handoff ON event (handoff_id, at);

-- ── what is promised ─────────────────────────────────────────────────────────────────────────────

CREATE TABLE contract (
  name         text NOT NULL,
  version      integer NOT NULL CHECK (version > 0),
  text         text NOT NULL,
  digest       text NOT NULL,
  title        text NOT NULL,
  owner        text NOT NULL,
  state        text NOT NULL CHECK (state IN ('active', 'retired')),
  activated_at timestamptz NOT NULL,
  PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX contract_active ON contract (name) WHERE state = 'active';

-- How fast one contract may create, change or undo; beyond it a person releases. Counted by its window: what fell into
-- the window before counts as far as that still reaches into the last one.
CREATE TABLE brake (
  contract       text PRIMARY KEY,
  since          timestamptz NOT NULL,
  subjects       integer NOT NULL DEFAULT 0,
  money          numeric NOT NULL DEFAULT 0,
  subjects_before integer NOT NULL DEFAULT 0,
  money_before   numeric NOT NULL DEFAULT 0,
  stopped_at     timestamptz,
  released_until timestamptz,
  released_by    text
);

-- One mark per subject that must be planned again, however many events asked for it.
CREATE TABLE dirty (
  contract       text NOT NULL,
  subject_id     bigint NOT NULL,
  due_at         timestamptz NOT NULL,
  correlation_id text NOT NULL,
  traceparent    text NOT NULL DEFAULT '',
  PRIMARY KEY (contract, subject_id)
);
CREATE INDEX dirty_due ON dirty (due_at);

CREATE TABLE handoff (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit           text NOT NULL,
  contract       text NOT NULL,
  version        integer NOT NULL,
  subject_id     bigint NOT NULL REFERENCES record,
  state          text NOT NULL CHECK (state IN ('planned', 'converging', 'waiting', 'partial', 'in_step',
                                                'adopted', 'withdrawing', 'withdrawn', 'cancelled')),
  title          text NOT NULL DEFAULT '',
  waits_for      text NOT NULL DEFAULT '',
  value_amount   numeric,
  value_currency text,
  plan_digest    text NOT NULL DEFAULT '',
  correlation_id text NOT NULL,
  traceparent    text NOT NULL DEFAULT '',
  opened_at      timestamptz NOT NULL,
  changed_at     timestamptz NOT NULL,
  settled_at     timestamptz,
  withdrawn_at   timestamptz,
  UNIQUE (subject_id, contract),
  FOREIGN KEY (contract, version) REFERENCES contract,
  CHECK ((value_amount IS NULL) = (value_currency IS NULL)),
  CHECK (state <> 'waiting' OR waits_for <> '')
) WITH (fillfactor = 60);
-- What is counted of it is in the index: the first page reads ten thousand entries and no row.
CREATE INDEX handoff_open ON handoff (state, id) INCLUDE (unit, contract, value_currency, value_amount)
  WHERE state NOT IN ('in_step', 'adopted', 'withdrawn', 'cancelled');

-- Which handoffs read which record, so that a change of a client reaches its deals.
CREATE TABLE handoff_input (
  record_id  bigint NOT NULL,
  handoff_id bigint NOT NULL,
  PRIMARY KEY (record_id, handoff_id)
);

CREATE TABLE lane (
  id         smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  connection text NOT NULL,
  object     text NOT NULL,
  operation  text NOT NULL,
  UNIQUE (connection, object, operation)
);

CREATE TABLE effect (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit         text NOT NULL,
  handoff_id   bigint NOT NULL,
  step         text NOT NULL,
  item         text NOT NULL DEFAULT '',
  kind         text NOT NULL CHECK (kind IN ('put', 'check', 'emit', 'adopt', 'undo', 'look', 'carry')),
  lane_id      smallint,
  link_id      bigint,
  after        text[] NOT NULL DEFAULT '{}',
  optional     boolean NOT NULL DEFAULT false,
  generation   integer NOT NULL DEFAULT 1 CHECK (generation > 0),
  desired      jsonb NOT NULL,
  digest       text NOT NULL,
  -- What a target said when it was asked what people have put on an object (kind `look`).
  answer       jsonb,
  state        text NOT NULL CHECK (state IN ('blocked', 'ready', 'sending', 'in_doubt', 'pending', 'applied',
                                              'verified', 'held', 'skipped', 'superseded', 'undoing', 'undone')),
  tries        integer NOT NULL DEFAULT 0,
  -- Indexed instead of the state: an effect is updated in place (HOT) unless this changes.
  waiting      boolean NOT NULL GENERATED ALWAYS AS (state IN ('pending', 'held', 'in_doubt')) STORED,
  waits_for    text NOT NULL DEFAULT '',
  owner        text NOT NULL DEFAULT '',
  due_at       timestamptz,
  alerted_at   timestamptz,
  error        text NOT NULL DEFAULT '',
  error_class  text NOT NULL DEFAULT '',
  ready_at     timestamptz,
  sent_at      timestamptz,
  settle_by    timestamptz,
  failing_since timestamptz,
  applied_at   timestamptz,
  verified_at  timestamptz,
  UNIQUE (handoff_id, step, item),
  CHECK (kind = 'emit' OR lane_id IS NOT NULL),
  CHECK (kind NOT IN ('put', 'undo', 'carry') OR link_id IS NOT NULL),
  CHECK (state <> 'pending' OR waits_for <> ''),
  CHECK (state NOT IN ('sending', 'in_doubt') OR sent_at IS NOT NULL),
  CHECK (state <> 'verified' OR verified_at IS NOT NULL)
) WITH (fillfactor = 60);
-- What waits with a due time: small, however large the table grows.
CREATE INDEX effect_waiting ON effect (due_at) WHERE waiting;

-- Only what is open; the one table that is claimed from.
CREATE TABLE work (
  effect_id bigint PRIMARY KEY,
  lane_id   smallint NOT NULL,
  due_at    timestamptz NOT NULL,
  fence     bigint NOT NULL DEFAULT 0,
  worker    bigint,
  link_id   bigint,
  sending   boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
CREATE INDEX work_due ON work (lane_id, due_at, effect_id);
CREATE INDEX work_worker ON work (worker) WHERE worker IS NOT NULL;
-- One writer per target object, over all handoffs and processes: true while the effect is sending or in doubt.
CREATE UNIQUE INDEX work_one_writer ON work (link_id) WHERE sending;

CREATE SEQUENCE fence;

CREATE TABLE worker (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL,
  started_at timestamptz NOT NULL,
  beat_at    timestamptz NOT NULL
);

-- Every call that was made for an effect, kept for ever (by month).
CREATE TABLE attempt (
  effect_id   bigint NOT NULL,
  fence       bigint NOT NULL,
  unit        text NOT NULL,
  act         text NOT NULL CHECK (act IN ('write', 'resolve', 'verify', 'ask', 'adopt', 'unchanged')),
  outcome     text NOT NULL,
  error_class text NOT NULL DEFAULT '',
  error       text NOT NULL DEFAULT '',
  digest      text NOT NULL DEFAULT '',
  ref         text,
  items       integer NOT NULL DEFAULT 1,
  ms          integer NOT NULL DEFAULT 0 CHECK (ms >= 0),
  worker      bigint,
  at          timestamptz NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX attempt_effect ON attempt (effect_id, at);

-- A connection that is down is probed, not hammered.
CREATE TABLE breaker (
  connection text PRIMARY KEY,
  state      text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open')),
  failures   integer NOT NULL DEFAULT 0,
  opened_at  timestamptz,
  probe_at   timestamptz,
  reason     text NOT NULL DEFAULT '',
  ok_at      timestamptz,
  CHECK ((state = 'open') = (probe_at IS NOT NULL))
);

-- What may be called: per connection, over all processes. Calls are leased in batches, so that a call costs no statement.
CREATE TABLE budget (
  connection    text PRIMARY KEY,
  -- Calls of one window, and how many of it are used or leased.
  quota         bigint CHECK (quota > 0),
  period        interval NOT NULL DEFAULT '1 day' CHECK (period > '0'),
  resets_at     timestamptz NOT NULL,
  used          bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
  -- Calls a second, as a bucket.
  rate          float8 CHECK (rate > 0),
  tokens        float8 NOT NULL DEFAULT 0,
  refilled_at   timestamptz NOT NULL,
  parallel      integer CHECK (parallel > 0),
  blocked_until timestamptz,
  -- Calls ever, and their present pace a second.
  calls         bigint NOT NULL DEFAULT 0,
  paced         bigint NOT NULL DEFAULT 0,
  pace          float8 NOT NULL DEFAULT 0,
  paced_at      timestamptz NOT NULL,
  -- What the firm says, and what answers taught.
  said          jsonb NOT NULL DEFAULT '{}',
  learnt        jsonb NOT NULL DEFAULT '{}',
  learnt_at     timestamptz
) WITH (fillfactor = 50);

-- How many calls side by side each process may make.
CREATE TABLE budget_share (
  connection text NOT NULL,
  holder     text NOT NULL,
  slots      integer NOT NULL CHECK (slots >= 0),
  until      timestamptz NOT NULL,
  PRIMARY KEY (connection, holder)
) WITH (fillfactor = 50);

-- Tokens that all processes share, sealed with a key that is made from the credential and is not in the database.
CREATE TABLE token (
  name          text PRIMARY KEY,
  generation    bigint NOT NULL DEFAULT 0,
  sealed        text NOT NULL DEFAULT '',
  holder        text NOT NULL DEFAULT '',
  claimed_until timestamptz,
  saved_at      timestamptz
);

-- ── what people see ──────────────────────────────────────────────────────────────────────────────

CREATE TABLE "case" (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit        text NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('missing', 'unknown', 'held', 'refused', 'withdrawn', 'brake', 'late_change', 'unreadable', 'adopted', 'disagreement', 'ownership')),
  contract    text NOT NULL DEFAULT '',
  handoff_id  bigint REFERENCES handoff,
  effect_id   bigint REFERENCES effect,
  subject     text NOT NULL DEFAULT '',
  title       text NOT NULL,
  facts       jsonb NOT NULL DEFAULT '{}',
  owner       text NOT NULL,
  state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'assigned', 'resolved')),
  amount      numeric,
  currency    text,
  opened_at   timestamptz NOT NULL,
  last_at     timestamptz NOT NULL,
  due_at      timestamptz,
  resolved_at timestamptz,
  resolution  text NOT NULL DEFAULT '',
  CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
  CHECK ((amount IS NULL) = (currency IS NULL))
);
-- The same trouble of the same thing is one case, however often it happens.
CREATE UNIQUE INDEX case_one_open ON "case" (kind, contract, coalesce(handoff_id, 0), coalesce(effect_id, 0), subject)
  WHERE state <> 'resolved';
CREATE INDEX case_open ON "case" (opened_at DESC, id DESC) INCLUDE (unit, owner, kind, currency, amount, due_at)
  WHERE state <> 'resolved';
CREATE INDEX case_owner ON "case" (owner, opened_at DESC, id DESC) INCLUDE (unit, kind) WHERE state <> 'resolved';
CREATE INDEX case_kind ON "case" (kind, opened_at DESC, id DESC) INCLUDE (unit) WHERE state <> 'resolved';
CREATE INDEX case_handoff ON "case" (handoff_id);

-- A late change that a person must agree to: one for each desired document of an effect.
CREATE TABLE proposal (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit       text NOT NULL,
  handoff_id bigint NOT NULL,
  effect_id  bigint NOT NULL,
  step       text NOT NULL,
  item       text NOT NULL DEFAULT '',
  digest     text NOT NULL,
  desired    jsonb NOT NULL,
  -- Field to what the target was last given and what is asked for.
  changes    jsonb NOT NULL DEFAULT '{}',
  team       text NOT NULL,
  -- Who made the change at the source, where the source says so; that person may not approve it.
  author     text NOT NULL DEFAULT '',
  -- The effect's state before, to which a refusal returns it.
  was        text NOT NULL,
  state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'declined', 'void')),
  decided_by text NOT NULL DEFAULT '',
  reason     text NOT NULL DEFAULT '',
  opened_at  timestamptz NOT NULL,
  decided_at timestamptz,
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK (state NOT IN ('approved', 'declined') OR decided_by <> ''),
  CHECK (state <> 'approved' OR decided_by <> author)
);
CREATE UNIQUE INDEX proposal_one_open ON proposal (effect_id) WHERE state = 'open';
CREATE INDEX proposal_handoff ON proposal (handoff_id);
CREATE INDEX proposal_open ON proposal (id) WHERE state = 'open';

CREATE TABLE service_level (
  handoff_id  bigint NOT NULL,
  name        text NOT NULL,
  unit        text NOT NULL,
  until       text NOT NULL,
  owner       text NOT NULL,
  started_at  timestamptz NOT NULL,
  warn_at     timestamptz,
  due_at      timestamptz NOT NULL,
  met_at      timestamptz,
  warned_at   timestamptz,
  breached_at timestamptz,
  PRIMARY KEY (handoff_id, name)
);
CREATE INDEX service_level_running ON service_level (due_at) INCLUDE (unit) WHERE met_at IS NULL AND breached_at IS NULL;
CREATE INDEX service_level_warning ON service_level (warn_at) WHERE met_at IS NULL AND breached_at IS NULL AND warned_at IS NULL;

-- One alert for one cause and owner, never one per item.
CREATE TABLE alert (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit       text NOT NULL,
  kind       text NOT NULL,
  owner      text NOT NULL,
  cause      text NOT NULL,
  items      integer NOT NULL CHECK (items > 0),
  money      jsonb NOT NULL DEFAULT '{}',
  effects    bigint[] NOT NULL DEFAULT '{}',
  raised_at  timestamptz NOT NULL
);
CREATE INDEX alert_recent ON alert (raised_at DESC, id DESC);

CREATE TABLE value_map (
  unit        text NOT NULL,
  name        text NOT NULL,
  from_value  text NOT NULL,
  to_value    text NOT NULL,
  owner       text NOT NULL,
  approved_by text,
  valid_from  timestamptz NOT NULL,
  PRIMARY KEY (unit, name, from_value, valid_from)
);

-- ── who may look ─────────────────────────────────────────────────────────────────────────────────

CREATE TABLE login_link (
  digest     text PRIMARY KEY,
  person     text NOT NULL,
  role       text NOT NULL,
  units      text[] NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);

CREATE TABLE session (
  digest     text PRIMARY KEY,
  person     text NOT NULL,
  role       text NOT NULL,
  units      text[] NOT NULL,
  csrf       text NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE TABLE audit (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  unit   text NOT NULL,
  person text NOT NULL,
  act    text NOT NULL,
  object text NOT NULL,
  before jsonb,
  after  jsonb,
  at     timestamptz NOT NULL
);

-- Answers to writes that carried an Idempotency-Key.
CREATE TABLE idempotency (
  key        text PRIMARY KEY,
  digest     text NOT NULL,
  status     integer,
  answer     jsonb,
  expires_at timestamptz NOT NULL
);

-- ── months ───────────────────────────────────────────────────────────────────────────────────────

-- Makes the partition of a month, for every table that grows by month; safe to repeat and to race.
CREATE FUNCTION open_month(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  parent text;
  child  text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('concordat.open_month'));
  FOREACH parent IN ARRAY ARRAY['delivery', 'record_version', 'event', 'attempt'] LOOP
    child := format('%s_%s', parent, to_char(month, 'YYYYMM'));
    IF to_regclass(child) IS NULL THEN
      EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
                     date_trunc('month', month::timestamp) AT TIME ZONE 'UTC',
                     (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
    END IF;
  END LOOP;
END $$;

-- What belongs to no open month lands here and is never lost; the sweep opens months ahead.
CREATE TABLE delivery_other PARTITION OF delivery DEFAULT;
CREATE TABLE record_version_other PARTITION OF record_version DEFAULT;
CREATE TABLE event_other PARTITION OF event DEFAULT;
CREATE TABLE attempt_other PARTITION OF attempt DEFAULT;

SELECT open_month(d::date) FROM generate_series(date_trunc('month', app_now()) - interval '1 month',
                                                date_trunc('month', app_now()) + interval '2 months', interval '1 month') d;
