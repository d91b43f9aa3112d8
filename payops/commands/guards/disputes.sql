-- D9, D5, RF-15: a dispute is about one charge for ever; what was told of it is only added to; who
-- bears it is open until its money has moved; its loss is accepted by others than the asker alone.
CREATE OR REPLACE FUNCTION payops_dispute_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked approvals_approvalrequest;
  ours text := payops_public_id('dp', NEW.id);
  known int := CASE TG_OP WHEN 'UPDATE' THEN jsonb_array_length(OLD.facts) ELSE 0 END;
  fact jsonb;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM payments_payment p WHERE p.id = NEW.payment_id
      AND p.account_id = NEW.account_id AND p.currency = NEW.currency
      AND p.book_id = NEW.book_id) THEN
    PERFORM payops_refuse('a dispute has the account, the currency and the book of its charge');
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW.payment_id <> OLD.payment_id THEN
      PERFORM payops_refuse('a dispute stays with the charge it is about');
    END IF;
    IF NEW.borne_by <> OLD.borne_by AND OLD.withdrawn_at IS NOT NULL THEN
      PERFORM payops_refuse('who bears a dispute is booked once its money was taken');
    END IF;
    IF NEW.facts IS NOT DISTINCT FROM OLD.facts THEN RETURN NEW; END IF;
    IF jsonb_array_length(NEW.facts) < known OR EXISTS (
        SELECT 1 FROM generate_series(0, known - 1) i WHERE NEW.facts -> i <> OLD.facts -> i) THEN
      PERFORM payops_refuse('what was told of a dispute is never changed, only added to');
    END IF;
  END IF;
  FOR fact IN SELECT NEW.facts -> i FROM generate_series(known, jsonb_array_length(NEW.facts) - 1) i
  LOOP
    IF fact ->> 'kind' = 'loss_accepted' THEN
      SELECT * INTO asked FROM payops_approved(fact ->> 'ref', 'dispute_loss');
      IF asked.id IS NULL OR asked.subject_id <> ours THEN
        PERFORM payops_refuse('the loss of a dispute is accepted only with its granted approval');
      END IF;
    END IF;
  END LOOP;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_dispute_guard ON payments_dispute;
CREATE TRIGGER payops_dispute_guard BEFORE INSERT OR UPDATE ON payments_dispute
  FOR EACH ROW EXECUTE FUNCTION payops_dispute_guard();
