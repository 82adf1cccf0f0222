-- Who may see and do what. The engine sees all units through policies of its own (it has no BYPASSRLS and serves no
-- request); the application sees the units that its transaction names in concordat.units; the auditor reads.
GRANT USAGE ON SCHEMA public TO concordat_engine, concordat_app, concordat_audit_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO concordat_engine;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO concordat_engine, concordat_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO concordat_app, concordat_audit_reader;
REVOKE SELECT ON session, login_link, idempotency, token FROM concordat_audit_reader;
REVOKE SELECT ON token FROM concordat_app;
GRANT INSERT, UPDATE, DELETE ON session, login_link, idempotency TO concordat_app;
GRANT INSERT ON delivery, delivery_key, hint, refusal, audit, dirty TO concordat_app;
GRANT UPDATE ON refusal, hint, dirty, effect, work, "case", brake, handoff, proposal TO concordat_app;
GRANT INSERT ON brake, proposal TO concordat_app;
GRANT INSERT, DELETE ON work TO concordat_app;
GRANT DELETE ON service_level TO concordat_app;
GRANT EXECUTE ON FUNCTION app_now(), open_month(date) TO PUBLIC;
-- Months ahead are opened by whoever sweeps, with the owner's right to create tables.
ALTER FUNCTION open_month(date) SECURITY DEFINER SET search_path = public, pg_temp;

CREATE FUNCTION my_units() RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT string_to_array(nullif(current_setting('concordat.units', true), ''), ',')
$$;

DO $$
DECLARE t text;
BEGIN
  FOR t IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'unit'
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY engine_all_units ON %I TO concordat_engine USING (true) WITH CHECK (true)', t);
    EXECUTE format('CREATE POLICY app_own_units ON %I TO concordat_app USING (unit = ANY ((SELECT my_units())::text[])) WITH CHECK (unit = ANY ((SELECT my_units())::text[]))', t);
    EXECUTE format('CREATE POLICY auditor_reads ON %I FOR SELECT TO concordat_audit_reader USING (true)', t);
  END LOOP;
END $$;

-- A partition is reached through its parent only, where the policies are.
DO $$
DECLARE t text;
BEGIN
  FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relispartition AND relkind = 'r' LOOP
    EXECUTE format('REVOKE ALL ON %I FROM concordat_engine, concordat_app, concordat_audit_reader', t);
  END LOOP;
END $$;
