DO $$
DECLARE t text; p text;
BEGIN
  FOR t, p IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' LOOP
    EXECUTE format('DROP POLICY %I ON %I', p, t);
    EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', t);
  END LOOP;
END $$;
DROP FUNCTION my_units();
ALTER FUNCTION open_month(date) SECURITY INVOKER RESET search_path;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM concordat_engine, concordat_app, concordat_audit_reader;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM concordat_engine, concordat_app, concordat_audit_reader;
