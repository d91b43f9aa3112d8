-- LJ-2, I5: entries balance per currency and in reporting currency and have two lines or more.
CREATE OR REPLACE FUNCTION payops_lines_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE broken record;
BEGIN
  SELECT entry_id, currency, sum(amount_minor) AS off INTO broken
  FROM new_lines GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(format('entry %s is out of balance by %s %s',
      broken.entry_id, broken.off, broken.currency));
  END IF;
  SELECT entry_id, sum(reporting_minor) AS off, count(*) AS n INTO broken
  FROM new_lines GROUP BY entry_id HAVING sum(reporting_minor) <> 0 OR count(*) < 2 LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(format('entry %s has %s lines, off by %s in reporting currency',
      broken.entry_id, broken.n, broken.off));
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS payops_lines_balance ON ledger_journalline;
CREATE TRIGGER payops_lines_balance AFTER INSERT ON ledger_journalline
  REFERENCING NEW TABLE AS new_lines FOR EACH STATEMENT EXECUTE FUNCTION payops_lines_balance();

-- I12: nothing is dated outside its period or into a locked one.
CREATE OR REPLACE FUNCTION payops_period_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE broken record;
BEGIN
  PERFORM 1 FROM ledger_accountingperiod p
    WHERE p.id IN (SELECT period_id FROM new_entries) ORDER BY p.id FOR SHARE;
  SELECT p.code, p.state, n.posting_on INTO broken
  FROM new_entries n JOIN ledger_accountingperiod p ON p.id = n.period_id
  WHERE p.state = 'LOCKED' OR p.book_id <> n.book_id
    OR n.posting_on NOT BETWEEN p.starts_on AND p.ends_on LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(format('%s cannot be posted into period %s (%s)',
      broken.posting_on, broken.code, broken.state));
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS payops_period_open ON ledger_journalentry;
CREATE TRIGGER payops_period_open AFTER INSERT ON ledger_journalentry
  REFERENCING NEW TABLE AS new_entries FOR EACH STATEMENT EXECUTE FUNCTION payops_period_open();

-- I5: lines live in their entry's own transaction, none is appended later, none is missing.
ALTER TABLE ledger_journalline DROP CONSTRAINT IF EXISTS line_in_its_entry;
ALTER TABLE ledger_journalentry DROP CONSTRAINT IF EXISTS entry_has_lines;
ALTER TABLE ledger_journalentry DROP CONSTRAINT IF EXISTS entry_identity;
ALTER TABLE ledger_journalentry
  ADD CONSTRAINT entry_identity UNIQUE (id, xid, posting_on, book_id);
ALTER TABLE ledger_journalline ADD CONSTRAINT line_in_its_entry
  FOREIGN KEY (entry_id, xid, posting_on, book_id)
  REFERENCES ledger_journalentry (id, xid, posting_on, book_id);
ALTER TABLE ledger_journalentry ADD CONSTRAINT entry_has_lines
  FOREIGN KEY (first_line_id) REFERENCES ledger_journalline (id) DEFERRABLE INITIALLY DEFERRED;
CREATE OR REPLACE FUNCTION payops_own_xid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.xid := pg_current_xact_id();
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_own_xid ON ledger_journalentry;
CREATE TRIGGER payops_own_xid BEFORE INSERT ON ledger_journalentry
  FOR EACH ROW EXECUTE FUNCTION payops_own_xid();
DROP TRIGGER IF EXISTS payops_own_xid ON ledger_journalline;
CREATE TRIGGER payops_own_xid BEFORE INSERT ON ledger_journalline
  FOR EACH ROW EXECUTE FUNCTION payops_own_xid();
DROP TRIGGER IF EXISTS payops_own_xid ON core_auditevent;
CREATE TRIGGER payops_own_xid BEFORE INSERT ON core_auditevent
  FOR EACH ROW EXECUTE FUNCTION payops_own_xid();
