-- D5, RP-2: the figures of a reference pack never change, its differences only until the verdict is
-- asked for, and a verdict is the one its own request was given.
CREATE OR REPLACE FUNCTION payops_pack_judged() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest;
BEGIN
  IF (NEW.id, NEW.book_id, NEW.period_id, NEW.title, NEW.filename, NEW.evidence_id, NEW.rows,
      NEW.uploaded_by_id, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.book_id, OLD.period_id, OLD.title, OLD.filename, OLD.evidence_id, OLD.rows,
      OLD.uploaded_by_id, OLD.created_at) THEN
    PERFORM payops_refuse('the figures of a reference pack never change; bring another pack');
  END IF;
  IF (NEW.differences, NEW.compared_at) IS DISTINCT FROM (OLD.differences, OLD.compared_at)
     AND (OLD.state, NEW.state) IS DISTINCT FROM ('COMPARED', 'COMPARED') THEN
    PERFORM payops_refuse('a pack is compared anew only while no verdict is asked for');
  END IF;
  IF NEW.approval_id <> OLD.approval_id AND NEW.state <> 'AWAITING_APPROVAL' THEN
    PERFORM payops_refuse('a pack names its request when the verdict is asked for');
  END IF;
  IF NEW.state <> OLD.state AND NEW.state IN ('ACCEPTED', 'REJECTED') THEN
    SELECT r.* INTO asked FROM approvals_approvalrequest r
      WHERE NEW.approval_id ~ '^ap_[0-9a-f]{32}$' AND r.id = substr(NEW.approval_id, 4)::uuid
        AND r.kind = 'statement_parity' AND r.book_id = NEW.book_id
        AND r.facts ->> 'pack' = payops_public_id('rk', NEW.id);
    IF asked.id IS NULL
       OR (NEW.state, asked.state) NOT IN (('ACCEPTED', 'APPROVED'), ('REJECTED', 'REJECTED')) THEN
      PERFORM payops_refuse('a reference pack is ' || lower(NEW.state)
        || ' only through the decision of its own request');
    END IF;
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_pack_judged ON ledger_referencepack;
CREATE TRIGGER payops_pack_judged BEFORE UPDATE ON ledger_referencepack
  FOR EACH ROW EXECUTE FUNCTION payops_pack_judged();
