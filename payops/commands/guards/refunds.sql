-- I6, RF-10: what refunds have taken and reserved is what the payment says, and fits the capture.
-- Looked at once the transaction is complete: a refund and its payment's counters are two rows.
CREATE OR REPLACE FUNCTION payops_refunds_counted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE counted record; payment payments_payment; key uuid;
BEGIN
  key := CASE TG_TABLE_NAME WHEN 'payments_payment' THEN NEW.id
         ELSE (to_jsonb(NEW) ->> 'payment_id')::uuid END;
  SELECT * INTO payment FROM payments_payment WHERE id = key;
  SELECT
    coalesce(sum(amount_minor) FILTER (WHERE obligation = 'owed' OR state IN
      ('REQUESTED', 'AWAITING_APPROVAL', 'APPROVED', 'DISPATCHING', 'UNKNOWN')), 0) AS reserved,
    coalesce(sum(amount_minor) FILTER (WHERE state IN
      ('ACCEPTED', 'SUCCEEDED', 'LEDGER_PENDING')), 0) AS executed
  INTO counted FROM payments_refund WHERE payment_id = key;
  IF payment.reserved_minor <> counted.reserved
     OR payment.refunded_minor + payment.over_refunded_minor <> counted.executed THEN
    PERFORM payops_refuse(format(
      'payment %s counts %s reserved and %s refunded, its refunds say %s and %s',
      payops_public_id('pa', key), payment.reserved_minor,
      payment.refunded_minor + payment.over_refunded_minor, counted.reserved, counted.executed));
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS payops_refunds_counted ON payments_refund;
CREATE CONSTRAINT TRIGGER payops_refunds_counted AFTER INSERT OR UPDATE ON payments_refund
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payops_refunds_counted();
DROP TRIGGER IF EXISTS payops_refunds_counted ON payments_payment;
CREATE CONSTRAINT TRIGGER payops_refunds_counted
  AFTER UPDATE OF reserved_minor, refunded_minor, over_refunded_minor
  ON payments_payment
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payops_refunds_counted();

-- RF-5, D5, D9, AP-7: a refund keeps its content for ever; it leaves only granted, by its own
-- approval or by the rule of its book's policy, and never beside a dispute that blocks it.
CREATE OR REPLACE FUNCTION payops_refund_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked approvals_approvalrequest;
  decided payments_refunddecision;
  ours text := payops_public_id('rf', NEW.id);
BEGIN
  IF TG_OP = 'UPDATE' AND (NEW.amount_minor, NEW.currency, NEW.payment_id, NEW.account_id,
      NEW.requested_by_id, NEW.request_key, NEW.book_id, NEW.retry_of_id, NEW.promise_id,
      NEW.offline, NEW.goodwill, NEW.source, NEW.reason_code, NEW.send_by_person, NEW.created_at)
     IS DISTINCT FROM
     (OLD.amount_minor, OLD.currency, OLD.payment_id, OLD.account_id,
      OLD.requested_by_id, OLD.request_key, OLD.book_id, OLD.retry_of_id, OLD.promise_id,
      OLD.offline, OLD.goodwill, OLD.source, OLD.reason_code, OLD.send_by_person, OLD.created_at)
  THEN
    PERFORM payops_refuse('what a refund gives back to whom never changes; request a new one');
  END IF;
  IF TG_OP = 'INSERT' AND NEW.state = 'ACCEPTED' AND NEW.source <> 'provider' THEN
    PERFORM payops_refuse('only a refund made at the provider begins as accepted');
  END IF;
  IF NOT EXISTS (SELECT 1 FROM payments_payment p WHERE p.id = NEW.payment_id
      AND p.account_id = NEW.account_id AND p.currency = NEW.currency
      AND p.book_id = NEW.book_id) THEN
    PERFORM payops_refuse('a refund has the account, the currency and the book of its payment');
  END IF;
  IF NEW.state = 'SUCCEEDED' AND TG_OP = 'UPDATE' AND OLD.state = 'APPROVED' THEN
    SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'refund_offline');
    IF NOT NEW.offline OR asked.id IS NULL OR asked.subject_id <> ours
       OR asked.amount_minor <> NEW.amount_minor OR asked.currency <> NEW.currency THEN
      PERFORM payops_refuse('a refund paid by hand is recorded only as its approval grants it');
    END IF;
    RETURN NEW;
  END IF;
  IF NEW.state <> 'DISPATCHING' OR (TG_OP = 'UPDATE' AND OLD.state = 'DISPATCHING') THEN
    RETURN NEW;
  END IF;
  IF NEW.offline THEN
    PERFORM payops_refuse('a refund paid by hand is never sent to the provider');
  END IF;
  IF NEW.approval_id <> '' THEN
    SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'refund');
    IF asked.id IS NULL OR asked.subject_id <> ours
       OR asked.amount_minor <> NEW.amount_minor OR asked.currency <> NEW.currency THEN
      PERFORM payops_refuse('a refund leaves only with its own granted approval');
    END IF;
  ELSE
    SELECT d.* INTO decided FROM payments_refunddecision d
      JOIN approvals_policyversion v ON v.id = d.policy_id
      WHERE d.refund_id = NEW.id AND d.stage = 'request' AND d.verdict = 'auto'
        AND v.name = 'refund.policy' AND v.book_id = NEW.book_id
        AND (v.rules ->> 'auto_max_minor')::bigint >= (d.facts ->> 'reporting_minor')::bigint
        AND d.facts ->> 'currency' = NEW.currency
        AND (d.facts ->> 'amount_minor')::bigint = NEW.amount_minor
        AND (NEW.currency <> (SELECT b.reporting_currency FROM core_book b WHERE b.id = NEW.book_id)
             OR (d.facts ->> 'reporting_minor')::bigint = NEW.amount_minor)
      ORDER BY d.created_at DESC LIMIT 1;
    IF decided.id IS NULL OR NEW.source = 'provider' THEN
      PERFORM payops_refuse('a refund leaves only approved, or granted by the rule of its policy');
    END IF;
    IF EXISTS (SELECT 1 FROM payments_refund r WHERE r.payment_id = NEW.payment_id
               AND r.id <> NEW.id AND r.created_at < NEW.created_at
               AND r.state NOT IN ('REFUSED', 'CANCELED')) THEN
      PERFORM payops_refuse('a charge that was refunded before needs people to decide');
    END IF;
  END IF;
  IF NEW.send_by_person AND (NEW.sent_by_id IS NULL OR NEW.sent_by_id = NEW.requested_by_id) THEN
    PERFORM payops_refuse('policy asks for a person who sends it, not the one who asked for it');
  END IF;
  IF EXISTS (SELECT 1 FROM payments_dispute d WHERE d.payment_id = NEW.payment_id
      AND CASE WHEN d.refundable IS FALSE THEN d.state NOT IN ('WON', 'CLOSED')
          ELSE d.state IN ('OPEN', 'UNDER_REVIEW', 'LOST')
            OR (d.state = 'INQUIRY' AND d.refundable IS NOT TRUE) END) THEN
    PERFORM payops_refuse('a dispute of the charge blocks its refund: the customer would be paid '
      'twice');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_refund_guard ON payments_refund;
CREATE TRIGGER payops_refund_guard BEFORE INSERT OR UPDATE ON payments_refund
  FOR EACH ROW EXECUTE FUNCTION payops_refund_guard();
