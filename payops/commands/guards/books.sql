-- D5, D12: how a book is kept changes only through its granted approval; what its figures are
-- counted in never does.
CREATE OR REPLACE FUNCTION payops_book_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest; column_name text; was jsonb; becomes jsonb;
BEGIN
  IF payops_is_owner() THEN RETURN NEW; END IF;
  was := to_jsonb(OLD);
  becomes := to_jsonb(NEW);
  IF was = becomes THEN RETURN NEW; END IF;
  SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'book_settings');
  IF asked.id IS NULL OR asked.executed_at IS NULL OR NEW.approval_id = OLD.approval_id
     OR asked.book_id <> NEW.id OR asked.facts ->> 'book' IS DISTINCT FROM OLD.code
     OR EXISTS (SELECT 1 FROM core_historicalbook h
                WHERE h.id = NEW.id AND h.approval_id = NEW.approval_id) THEN
    PERFORM payops_refuse('book settings change only through their granted approval');
  END IF;
  FOR column_name IN SELECT jsonb_object_keys(becomes) LOOP
    CONTINUE WHEN column_name = 'approval_id';
    IF becomes -> column_name <> (CASE
         WHEN column_name = ANY (ARRAY['late_event_policy', 'late_approval_above_minor',
           'authorization_policy', 'presentation', 'refund_fee_policy',
           'fiscal_year_start_month', 'penny_cap_minor', 'erp_locked_until', 'protective_hold',
           'hold_rollback_allowed', 'typed_confirmation_above_minor',
           'bank_detail_cooldown_hours', 'case_storm_cap', 'case_storm_window_s'])
           AND asked.facts ? column_name
         THEN asked.facts -> column_name ELSE was -> column_name END) THEN
      PERFORM payops_refuse('book settings change only through their granted approval');
    END IF;
  END LOOP;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_book_approved ON core_book;
CREATE TRIGGER payops_book_approved BEFORE UPDATE ON core_book
  FOR EACH ROW EXECUTE FUNCTION payops_book_approved();

-- D5, LJ-10: an exchange rate comes in through the granted import that names exactly this row.
CREATE OR REPLACE FUNCTION payops_rate_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest; named text;
BEGIN
  IF payops_is_owner() THEN RETURN NEW; END IF;
  SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'rate_import');
  named := format('%s/%s %s %s %s', NEW.base, NEW.quote, NEW.rate,
    to_char(NEW.as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), NEW.source);
  IF asked.id IS NULL OR asked.executed_at IS NULL
     OR NOT coalesce(asked.facts -> 'rates' ? named, false)
     OR EXISTS (SELECT 1 FROM core_rate r
                WHERE r.base = NEW.base AND r.quote = NEW.quote AND r.as_of = NEW.as_of
                  AND r.approval_id = NEW.approval_id AND r.source = NEW.source) THEN
    PERFORM payops_refuse(format('the rate %s comes in only through its granted import', named));
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_rate_approved ON core_rate;
CREATE TRIGGER payops_rate_approved BEFORE INSERT ON core_rate
  FOR EACH ROW EXECUTE FUNCTION payops_rate_approved();
-- End of exchange rates.
