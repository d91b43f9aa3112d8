-- I7, I8, I13, D7: a payout leaves only approved, gated, unheld, unchanged; a re-issue only after
-- its original is verified terminal.
CREATE OR REPLACE FUNCTION payops_payout_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE gate record; asked approvals_approvalrequest; original record;
BEGIN
  IF (NEW.amount_minor, NEW.currency, NEW.beneficiary_id, NEW.account_id, NEW.merchant_ref,
      NEW.requested_by_id, NEW.reissue_of_id, NEW.request_key, NEW.book_id, NEW.funding,
      NEW.bank_hash)
     IS DISTINCT FROM
     (OLD.amount_minor, OLD.currency, OLD.beneficiary_id, OLD.account_id, OLD.merchant_ref,
      OLD.requested_by_id, OLD.reissue_of_id, OLD.request_key, OLD.book_id, OLD.funding,
      OLD.bank_hash) THEN
    PERFORM payops_refuse('what a payout pays to whom never changes; request a new one');
  END IF;
  IF NEW.state <> 'DISPATCHING' OR OLD.state = 'DISPATCHING' THEN RETURN NEW; END IF;
  SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'payout_release');
  IF asked.id IS NULL OR asked.subject_id <> payops_public_id('po', NEW.id)
     OR asked.amount_minor <> NEW.amount_minor OR asked.currency <> NEW.currency THEN
    PERFORM payops_refuse('a payout leaves only with its own granted approval');
  END IF;
  SELECT * INTO gate FROM compliance_gatedecision
    WHERE payout_id = NEW.id ORDER BY created_at DESC, id DESC LIMIT 1;
  IF gate.id IS NULL OR NOT gate.passed OR gate.amount_minor <> NEW.amount_minor
     OR gate.currency <> NEW.currency OR gate.bank_hash <> NEW.bank_hash
     OR gate.approval_id <> NEW.approval_id THEN
    PERFORM payops_refuse('a payout leaves only with a passed gate decision on its content');
  END IF;
  IF NOT EXISTS (SELECT 1 FROM payments_beneficiary b WHERE b.id = NEW.beneficiary_id
                 AND b.bank_hash = NEW.bank_hash AND b.payable_from <= now()) THEN
    PERFORM payops_refuse('the bank details are not those that were approved, or cool down');
  END IF;
  IF EXISTS (SELECT 1 FROM payments_hold h WHERE h.released_at IS NULL
             AND (h.payout_id = NEW.id OR h.beneficiary_id = NEW.beneficiary_id)) THEN
    PERFORM payops_refuse('a hold covers the payout or its beneficiary');
  END IF;
  IF NEW.reissue_of_id IS NOT NULL THEN
    SELECT state, verified_terminal_at INTO original FROM payments_payout
      WHERE id = NEW.reissue_of_id;
    IF original.state NOT IN ('FAILED', 'RETURNED') OR original.verified_terminal_at IS NULL THEN
      PERFORM payops_refuse('the original payout is not verified terminal at the provider');
    END IF;
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_payout_guard ON payments_payout;
CREATE TRIGGER payops_payout_guard BEFORE UPDATE ON payments_payout
  FOR EACH ROW EXECUTE FUNCTION payops_payout_guard();

CREATE OR REPLACE FUNCTION payops_intent_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF (NEW.kind, NEW.subject_id, NEW.idempotency_key, NEW.request_hash, NEW.approval_id)
       IS DISTINCT FROM
       (OLD.kind, OLD.subject_id, OLD.idempotency_key, OLD.request_hash, OLD.approval_id) THEN
      PERFORM payops_refuse('an intent keeps its subject, key and request');
    END IF;
    RETURN NEW;
  END IF;
  IF NEW.kind = 'refund' THEN
    IF NOT EXISTS (SELECT 1 FROM payments_refund r WHERE r.state = 'DISPATCHING'
                   AND payops_public_id('rf', r.id) = NEW.subject_id
                   AND r.account_id = NEW.account_id AND r.approval_id = NEW.approval_id) THEN
      PERFORM payops_refuse('an intent needs its granted refund, about to leave');
    END IF;
    RETURN NEW;
  END IF;
  SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'payout_release');
  IF asked.id IS NULL OR asked.subject_id <> NEW.subject_id THEN
    PERFORM payops_refuse('an intent needs the granted approval of its subject');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_intent_approved ON payments_intent;
CREATE TRIGGER payops_intent_approved BEFORE INSERT OR UPDATE ON payments_intent
  FOR EACH ROW EXECUTE FUNCTION payops_intent_approved();

CREATE OR REPLACE FUNCTION payops_outcome_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.outcome <> '' THEN
    PERFORM payops_refuse('the outcome of a provider call is written once');
  END IF;
  IF (NEW.intent_id, NEW.attempt, NEW.fence, NEW.operation, NEW.request_masked)
     IS DISTINCT FROM (OLD.intent_id, OLD.attempt, OLD.fence, OLD.operation, OLD.request_masked)
  THEN
    PERFORM payops_refuse('a provider call keeps what was asked');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_outcome_once ON payments_providercall;
CREATE TRIGGER payops_outcome_once BEFORE UPDATE ON payments_providercall
  FOR EACH ROW EXECUTE FUNCTION payops_outcome_once();

-- D7, F2: a hold says for ever what it was placed for; only its own release is added, once.
CREATE OR REPLACE FUNCTION payops_hold_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.released_at IS NOT NULL OR NEW.released_at IS NULL
     OR (NEW.payout_id, NEW.beneficiary_id, NEW.source, NEW.reason, NEW.case_id, NEW.key,
         NEW.placed_by_id, NEW.placed_by_service, NEW.created_at)
        IS DISTINCT FROM
        (OLD.payout_id, OLD.beneficiary_id, OLD.source, OLD.reason, OLD.case_id, OLD.key,
         OLD.placed_by_id, OLD.placed_by_service, OLD.created_at) THEN
    PERFORM payops_refuse('a hold is only ever released, once, by its own release');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_hold_fixed ON payments_hold;
CREATE TRIGGER payops_hold_fixed BEFORE UPDATE ON payments_hold
  FOR EACH ROW EXECUTE FUNCTION payops_hold_fixed();

-- F27, D5: bank details change only through their granted approval.
CREATE OR REPLACE FUNCTION payops_bank_details_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest;
BEGIN
  IF payops_is_owner() THEN RETURN NEW; END IF;
  IF TG_OP = 'INSERT' THEN
    SELECT * INTO asked FROM payops_approved(NEW.bank_change_approval_id, 'beneficiary_create');
    IF asked.id IS NULL OR asked.facts ->> 'bank_hash' <> NEW.bank_hash THEN
      PERFORM payops_refuse('a beneficiary is created only through its granted approval');
    END IF;
    RETURN NEW;
  END IF;
  IF (NEW.bank_hash, NEW.bank_ciphertext, NEW.destination_token, NEW.payable_from)
     IS NOT DISTINCT FROM
     (OLD.bank_hash, OLD.bank_ciphertext, OLD.destination_token, OLD.payable_from) THEN
    RETURN NEW;
  END IF;
  SELECT * INTO asked FROM payops_approved(NEW.bank_change_approval_id, 'bank_detail_change');
  IF asked.id IS NULL OR asked.subject_id <> payops_public_id('be', NEW.id)
     OR asked.facts ->> 'bank_hash' <> NEW.bank_hash
     OR NEW.bank_change_approval_id = OLD.bank_change_approval_id THEN
    PERFORM payops_refuse('bank details change only through their granted approval');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_bank_details_approved ON payments_beneficiary;
CREATE TRIGGER payops_bank_details_approved BEFORE INSERT OR UPDATE ON payments_beneficiary
  FOR EACH ROW EXECUTE FUNCTION payops_bank_details_approved();
