-- I17: totals only grow and stay where they are, and are never deleted; the schema's owner alone
-- adds them up anew.
CREATE OR REPLACE FUNCTION payops_totals_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT payops_is_owner() THEN
    PERFORM payops_refuse(format('%s only grows by the fold, %s refused', TG_TABLE_NAME, TG_OP));
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
DROP TRIGGER IF EXISTS payops_totals_grow ON ledger_accounttotal;
CREATE TRIGGER payops_totals_grow BEFORE UPDATE ON ledger_accounttotal FOR EACH ROW WHEN (
  NEW.debit_minor < OLD.debit_minor OR NEW.credit_minor < OLD.credit_minor
  OR NEW.reporting_debit_minor < OLD.reporting_debit_minor
  OR NEW.reporting_credit_minor < OLD.reporting_credit_minor OR NEW.lines <= OLD.lines
  OR (NEW.book_id, NEW.account_id, NEW.currency, NEW.grain, NEW.starts_on, NEW.cash_flow_tag)
    IS DISTINCT FROM
    (OLD.book_id, OLD.account_id, OLD.currency, OLD.grain, OLD.starts_on, OLD.cash_flow_tag))
  EXECUTE FUNCTION payops_totals_grow();
DROP TRIGGER IF EXISTS payops_totals_grow ON ledger_partytotal;
CREATE TRIGGER payops_totals_grow BEFORE UPDATE ON ledger_partytotal FOR EACH ROW WHEN (
  NEW.debit_minor < OLD.debit_minor OR NEW.credit_minor < OLD.credit_minor
  OR NEW.reporting_debit_minor < OLD.reporting_debit_minor
  OR NEW.reporting_credit_minor < OLD.reporting_credit_minor OR NEW.lines <= OLD.lines
  OR (NEW.book_id, NEW.account_id, NEW.currency, NEW.grain, NEW.starts_on, NEW.party)
    IS DISTINCT FROM
    (OLD.book_id, OLD.account_id, OLD.currency, OLD.grain, OLD.starts_on, OLD.party))
  EXECUTE FUNCTION payops_totals_grow();
DROP TRIGGER IF EXISTS payops_totals_kept ON ledger_accounttotal;
CREATE TRIGGER payops_totals_kept BEFORE DELETE ON ledger_accounttotal
  FOR EACH ROW EXECUTE FUNCTION payops_totals_grow();
DROP TRIGGER IF EXISTS payops_totals_kept ON ledger_partytotal;
CREATE TRIGGER payops_totals_kept BEFORE DELETE ON ledger_partytotal
  FOR EACH ROW EXECUTE FUNCTION payops_totals_grow();

-- I17: the cut moves on only, and never past a transaction that may still be open: lines behind it
-- would be missing in every balance.
CREATE OR REPLACE FUNCTION payops_cut_moves_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF payops_is_owner() THEN
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  END IF;
  IF TG_OP = 'DELETE' THEN
    PERFORM payops_refuse('the cut of a book is never deleted');
  ELSIF TG_OP = 'INSERT' AND NEW.cut <> '0'::xid8 THEN
    PERFORM payops_refuse('the cut of a book begins at nothing');
  ELSIF TG_OP = 'UPDATE' AND (NEW.cut < OLD.cut OR NEW.book_id <> OLD.book_id) THEN
    PERFORM payops_refuse(format('the cut stands at %s and only moves on', OLD.cut));
  ELSIF NEW.cut > pg_snapshot_xmin(pg_current_snapshot()) THEN
    PERFORM payops_refuse(format('the cut cannot move to %s: transactions from %s on may be open',
      NEW.cut, pg_snapshot_xmin(pg_current_snapshot())));
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_cut_moves_on ON ledger_balancecut;
CREATE TRIGGER payops_cut_moves_on BEFORE INSERT OR UPDATE OR DELETE ON ledger_balancecut
  FOR EACH ROW EXECUTE FUNCTION payops_cut_moves_on();
