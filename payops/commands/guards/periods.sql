-- I12, D5: a period keeps its book, name and days, never overlaps another, and is locked and
-- reopened in the order of time, each through its own granted approval, used once.
CREATE OR REPLACE FUNCTION payops_period_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest; broken text;
BEGIN
  IF payops_is_owner() THEN RETURN NEW; END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('ledger.periods:' || NEW.book_id, 0));
  IF TG_OP = 'INSERT' THEN
    SELECT p.code INTO broken FROM ledger_accountingperiod p WHERE p.book_id = NEW.book_id
      AND p.starts_on <= NEW.ends_on AND p.ends_on >= NEW.starts_on LIMIT 1;
    IF FOUND THEN
      PERFORM payops_refuse(format('the period %s would overlap %s', NEW.code, broken));
    END IF;
    IF NEW.locked_at IS NOT NULL OR NEW.approval_id <> '' THEN
      PERFORM payops_refuse('a period begins open and without an approval');
    END IF;
    RETURN NEW;
  END IF;
  IF (NEW.id, NEW.book_id, NEW.code, NEW.starts_on, NEW.ends_on, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.book_id, OLD.code, OLD.starts_on, OLD.ends_on, OLD.created_at) THEN
    PERFORM payops_refuse('a period keeps its book, name and days');
  END IF;
  IF NEW.state = OLD.state OR (NEW.state <> 'LOCKED' AND OLD.state <> 'LOCKED') THEN
    IF (NEW.locked_at, NEW.approval_id) IS DISTINCT FROM (OLD.locked_at, OLD.approval_id) THEN
      PERFORM payops_refuse('a period is locked and reopened only through its granted approval');
    END IF;
    RETURN NEW;
  END IF;
  SELECT * INTO asked FROM payops_approved(NEW.approval_id,
    CASE NEW.state WHEN 'LOCKED' THEN 'period_lock' ELSE 'period_reopen' END);
  IF asked.id IS NULL OR asked.executed_at IS NULL OR NEW.approval_id = OLD.approval_id
     OR asked.book_id <> NEW.book_id
     OR asked.facts ->> 'period' IS DISTINCT FROM payops_public_id('pe', NEW.id)
     OR (NEW.state = 'LOCKED') <> (NEW.locked_at IS NOT NULL)
     OR EXISTS (SELECT 1 FROM ledger_historicalaccountingperiod h
                WHERE h.id = NEW.id AND h.approval_id = NEW.approval_id) THEN
    PERFORM payops_refuse('a period is locked and reopened only through its granted approval');
  END IF;
  SELECT p.code INTO broken FROM ledger_accountingperiod p WHERE p.book_id = NEW.book_id
    AND CASE NEW.state WHEN 'LOCKED' THEN p.starts_on < NEW.starts_on AND p.state <> 'LOCKED'
        ELSE p.starts_on > NEW.starts_on AND p.state = 'LOCKED' END LIMIT 1;
  IF FOUND THEN
    PERFORM payops_refuse(CASE NEW.state
      WHEN 'LOCKED' THEN format('%s cannot be locked before %s is', NEW.code, broken)
      ELSE format('%s cannot be reopened while %s is locked', NEW.code, broken) END);
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_period_approved ON ledger_accountingperiod;
CREATE TRIGGER payops_period_approved BEFORE INSERT OR UPDATE ON ledger_accountingperiod
  FOR EACH ROW EXECUTE FUNCTION payops_period_approved();

-- D5, D12: a late posting gets its day only from the granted approval that names it so.
CREATE OR REPLACE FUNCTION payops_late_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest;
BEGIN
  IF payops_is_owner() THEN RETURN NEW; END IF;
  SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'late_posting');
  IF asked.id IS NULL OR asked.executed_at IS NULL OR asked.book_id <> NEW.book_id
     OR NOT coalesce(asked.facts -> 'postings' @> jsonb_build_array(jsonb_build_object(
       'key', NEW.key, 'fingerprint', NEW.fingerprint, 'event_class', NEW.event_class,
       'subject_id', NEW.subject_id, 'occurred_on', NEW.occurred_on::text,
       'posting_on', NEW.posting_on::text)), false) THEN
    PERFORM payops_refuse('a late posting gets its day only through its granted approval');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_late_approved ON ledger_lateplacement;
CREATE TRIGGER payops_late_approved BEFORE INSERT ON ledger_lateplacement
  FOR EACH ROW EXECUTE FUNCTION payops_late_approved();
