-- LJ-2, I5: entries balance per currency and in reporting currency and have two lines or more, on
-- accounts of their book, all written by one statement of their entry's own transaction.
CREATE OR REPLACE FUNCTION payops_lines_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE broken record;
BEGIN
  SELECT entry_id, currency, sum(amount_minor) AS off INTO broken
  FROM new_lines GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(format('entry %s is out of balance by %s %s',
      broken.entry_id, broken.off, broken.currency));
  END IF;
  -- A line that differs from its entry's other lines makes a group of its own. The entry is read
  -- by its key, group by group: a plan made for another size of batch cannot read the table.
  SELECT g.*, e.xid AS entry_xid, e.posting_on AS entry_on, e.book_id AS entry_book INTO broken
  FROM (
    SELECT entry_id, xid, posting_on, book_id, sum(reporting_minor) AS off, count(*) AS n,
      array_agg(id) AS lines
    FROM new_lines GROUP BY entry_id, xid, posting_on, book_id
  ) AS g
  LEFT JOIN LATERAL (
    SELECT xid, posting_on, book_id, first_line_id
    FROM ledger_journalentry WHERE id = g.entry_id OFFSET 0
  ) AS e ON true
  WHERE g.off <> 0 OR g.n < 2 OR g.xid <> pg_current_xact_id() OR e.xid IS DISTINCT FROM g.xid
    OR e.posting_on <> g.posting_on OR e.book_id <> g.book_id
    OR NOT e.first_line_id = ANY (g.lines) LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(CASE
      WHEN broken.entry_xid IS NULL THEN
        format('lines name entry %s, which does not exist', broken.entry_id)
      WHEN broken.xid <> pg_current_xact_id() THEN
        format('lines of entry %s say transaction %s, they are written in %s',
          broken.entry_id, broken.xid, pg_current_xact_id())
      WHEN broken.entry_xid <> broken.xid THEN
        format('entry %s was written in transaction %s, no line is added to it in %s',
          broken.entry_id, broken.entry_xid, broken.xid)
      WHEN broken.entry_on <> broken.posting_on OR broken.entry_book <> broken.book_id THEN
        format('lines of entry %s are not dated %s in its book', broken.entry_id, broken.entry_on)
      WHEN broken.off <> 0 OR broken.n < 2 THEN
        format('entry %s has %s lines, off by %s in reporting currency',
          broken.entry_id, broken.n, broken.off)
      ELSE format('lines are added to entry %s without its first one', broken.entry_id)
    END);
  END IF;
  SELECT g.entry_id, g.account_id INTO broken
  FROM (
    SELECT book_id, account_id, min(entry_id::text) AS entry_id
    FROM new_lines GROUP BY book_id, account_id
  ) AS g
  LEFT JOIN ledger_account a ON a.id = g.account_id AND a.book_id = g.book_id
  WHERE a.id IS NULL LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(format('entry %s is posted to %s, which is no account of its book',
      broken.entry_id, broken.account_id));
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
  SELECT p.code, p.state, n.posting_on, n.xid, n.id AS entry_id INTO broken
  FROM new_entries n LEFT JOIN ledger_accountingperiod p ON p.id = n.period_id
  WHERE p.id IS NULL OR p.state = 'LOCKED' OR p.book_id <> n.book_id
    OR n.posting_on NOT BETWEEN p.starts_on AND p.ends_on OR n.xid <> pg_current_xact_id() LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(CASE WHEN broken.xid <> pg_current_xact_id() THEN
      format('entry %s says transaction %s, it is written in %s',
        broken.entry_id, broken.xid, pg_current_xact_id())
    ELSE
      format('%s cannot be posted into period %s (%s)', broken.posting_on,
        coalesce(broken.code, 'nothing'), coalesce(broken.state, 'no such period'))
    END);
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS payops_period_open ON ledger_journalentry;
CREATE TRIGGER payops_period_open AFTER INSERT ON ledger_journalentry
  REFERENCING NEW TABLE AS new_entries FOR EACH STATEMENT EXECUTE FUNCTION payops_period_open();

DROP TRIGGER IF EXISTS payops_own_xid ON ledger_journalentry;
DROP TRIGGER IF EXISTS payops_own_xid ON ledger_journalline;
-- I5: an entry commits with its own first line, or not at all.
ALTER TABLE ledger_journalline DROP CONSTRAINT IF EXISTS line_in_its_entry;
ALTER TABLE ledger_journalentry DROP CONSTRAINT IF EXISTS entry_has_lines;
ALTER TABLE ledger_journalentry DROP CONSTRAINT IF EXISTS entry_identity;
ALTER TABLE ledger_journalentry ADD CONSTRAINT entry_has_lines
  FOREIGN KEY (id, first_line_id) REFERENCES ledger_journalline (entry_id, id)
  DEFERRABLE INITIALLY DEFERRED;

-- I11: a row of the audit says the transaction that wrote it, by which it is sealed.
CREATE OR REPLACE FUNCTION payops_own_xid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.xid := pg_current_xact_id();
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_own_xid ON core_auditevent;
CREATE TRIGGER payops_own_xid BEFORE INSERT ON core_auditevent
  FOR EACH ROW EXECUTE FUNCTION payops_own_xid();
