-- ERP-6, I15: an export stays what it was made as; its sums change with a new attempt alone.
CREATE OR REPLACE FUNCTION payops_export_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.book_id, NEW.target, NEW.reference, NEW.mode, NEW.from_on, NEW.to_on,
      NEW.entries, NEW.requested_by_id, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.book_id, OLD.target, OLD.reference, OLD.mode, OLD.from_on, OLD.to_on,
      OLD.entries, OLD.requested_by_id, OLD.created_at) THEN
    PERFORM payops_refuse(format('export %s keeps its target, days and entries', OLD.reference));
  END IF;
  IF NEW.totals <> OLD.totals AND NOT (OLD.state = 'REJECTED' AND NEW.state = 'READY') THEN
    PERFORM payops_refuse(format('the sums of export %s change with a new attempt alone',
      OLD.reference));
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_export_kept ON ledger_export;
CREATE TRIGGER payops_export_kept BEFORE UPDATE ON ledger_export
  FOR EACH ROW EXECUTE FUNCTION payops_export_kept();

-- ERP-6, I15: the entries of an export are written all at once, of its book, target and days.
CREATE OR REPLACE FUNCTION payops_export_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE odd text;
BEGIN
  SELECT x.reference INTO odd FROM (SELECT DISTINCT export_id FROM written) w
    JOIN ledger_export x ON x.id = w.export_id
    WHERE x.entries <> (SELECT count(*) FROM ledger_exportitem i WHERE i.export_id = x.id) LIMIT 1;
  IF odd IS NOT NULL THEN
    PERFORM payops_refuse(format('the entries of export %s are written all at once', odd));
  END IF;
  SELECT x.reference INTO odd FROM written w
    JOIN ledger_export x ON x.id = w.export_id
    LEFT JOIN ledger_journalentry e ON e.id = w.entry_id
    WHERE e.id IS NULL OR e.book_id <> x.book_id OR w.book_id <> x.book_id
      OR w.target <> x.target OR e.posting_on NOT BETWEEN x.from_on AND x.to_on LIMIT 1;
  IF odd IS NOT NULL THEN
    PERFORM payops_refuse(format('export %s takes entries of its book, target and days', odd));
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS payops_export_whole ON ledger_exportitem;
CREATE TRIGGER payops_export_whole AFTER INSERT ON ledger_exportitem
  REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION payops_export_whole();
