-- D5, D6, LJ-2: a hand-made entry is committed only as the one its granted request describes.
-- Looked at once the transaction is complete, and only for these classes: a row trigger with a
-- condition costs other entries nothing, and it sees the lines, which are written after the entry.
-- A reversal needs a request of its own, but for what the product takes back by its own rules: a
-- revaluation by a run that names it, an accrual or a reclassification on day one, a lost dispute
-- on appeal, the hold of a dispute that took no money, a withdrawal that is booked anew with other
-- shares. What a person posted is taken back by a person, or on the day its request named. A refund that nobody claims is ended by its own kind of
-- request, as exactly the promise that was open.
CREATE OR REPLACE FUNCTION payops_journal_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  ours text := payops_public_id('je', NEW.id);
  by_rule text[] := ARRAY['fee.accrued', 'seller.debt_reclassed', 'dispute.lost',
    'dispute.opened'];
  asked approvals_approvalrequest;
  taken ledger_journalentry;
BEGIN
  IF NEW.event_class = 'entry.reversed' THEN
    SELECT * INTO taken FROM ledger_journalentry WHERE id = NEW.reverses_id;
    IF taken.event_class = ANY (by_rule) AND NEW.approval_id IN ('', taken.approval_id) THEN
      RETURN NULL;
    END IF;
    IF taken.event_class = 'dispute.funds_withdrawn' AND NEW.approval_id = '' AND EXISTS (
        SELECT 1 FROM ledger_journalentry anew WHERE anew.book_id = NEW.book_id
          AND anew.event_class = taken.event_class AND anew.subject_id = taken.subject_id
          AND anew.id <> taken.id AND NOT EXISTS (
            SELECT 1 FROM ledger_journalentry back WHERE back.reverses_id = anew.id)) THEN
      RETURN NULL;
    END IF;
    IF taken.event_class = 'fx.revalued' THEN
      IF NOT EXISTS (SELECT 1 FROM ledger_revaluationrun back
          JOIN ledger_revaluationrun made ON made.id = back.reverses_id
          WHERE payops_public_id('rv', made.id) = taken.subject_id
            AND made.book_id = NEW.book_id) THEN
        PERFORM payops_refuse('a revaluation is taken back by a run that takes all of it back');
      END IF;
      RETURN NULL;
    END IF;
    IF NEW.approval_id = taken.approval_id AND NEW.approval_id <> '' THEN
      SELECT * INTO asked FROM payops_approved(taken.approval_id, 'manual_journal');
      IF asked.id IS NULL OR asked.facts ->> 'auto_reverse_on' = ''
         OR (asked.facts ->> 'auto_reverse_on')::date > NEW.posting_on
         OR NOT EXISTS (SELECT 1 FROM ledger_manualjournal j
           WHERE j.approval_id = taken.approval_id AND j.state = 'POSTED'
             AND j.entry_id = payops_public_id('je', taken.id) AND j.reversal_entry_id = ours)
         OR EXISTS (SELECT 1 FROM
           (SELECT account_id, party, currency, amount_minor, reporting_minor, position
            FROM ledger_journalline WHERE entry_id = NEW.id) n
           FULL JOIN
           (SELECT account_id, party, currency, -amount_minor AS amount_minor,
              -reporting_minor AS reporting_minor, position
            FROM ledger_journalline WHERE entry_id = taken.id) t
           USING (account_id, party, currency, amount_minor, reporting_minor, position)
           WHERE n.position IS NULL OR t.position IS NULL) THEN
        PERFORM payops_refuse('a hand-made entry is taken back by a granted request, or as it was'
          || ' posted on the day its own request named');
      END IF;
      RETURN NULL;
    END IF;
  END IF;
  IF NEW.event_class = 'funds.unclaimed' THEN
    SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'refund_obligation');
    IF asked.executed_at IS NOT NULL AND asked.book_id = NEW.book_id
       AND asked.facts ->> 'outcome' = 'unclaimed'
       AND EXISTS (SELECT 1 FROM payments_refund r WHERE r.book_id = NEW.book_id
         AND payops_public_id('rf', r.id) = asked.facts ->> 'refund'
         AND r.obligation = 'unclaimed' AND r.promise_id = NEW.refund_id)
       AND NOT EXISTS (SELECT 1 FROM ledger_journalentry o
         WHERE o.book_id = NEW.book_id AND o.refund_id = NEW.refund_id
         AND o.event_class = NEW.event_class AND o.approval_id = NEW.approval_id AND o.id <> NEW.id)
       AND (SELECT array_agg(ROW(a.code, l.currency, l.amount_minor)::text ORDER BY a.code)
            FROM ledger_journalline l JOIN ledger_account a ON a.id = l.account_id
            WHERE l.entry_id = NEW.id)
         = ARRAY[
           ROW('2150', asked.facts ->> 'currency', (asked.facts ->> 'amount_minor')::bigint)::text,
           ROW('2250', asked.facts ->> 'currency', -(asked.facts ->> 'amount_minor')::bigint)::text]
    THEN
      RETURN NULL;
    END IF;
  END IF;
  SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'manual_journal');
  IF asked.id IS NULL OR asked.executed_at IS NULL OR asked.book_id <> NEW.book_id
     OR asked.facts ->> 'event_class' IS DISTINCT FROM NEW.event_class
     OR asked.facts ->> 'fingerprint' IS DISTINCT FROM NEW.fingerprint
     OR asked.facts ->> 'posting_on' IS DISTINCT FROM NEW.posting_on::text
     OR asked.facts ->> 'reverses' IS DISTINCT FROM
       coalesce(payops_public_id('je', NEW.reverses_id), '') THEN
    PERFORM payops_refuse(format(
      '%s is posted only as its granted manual journal describes it', NEW.event_class));
  END IF;
  IF NOT EXISTS (SELECT 1 FROM ledger_manualjournal j
      WHERE payops_public_id('mj', j.id) = asked.facts ->> 'journal' AND j.state = 'POSTED'
        AND j.approval_id = NEW.approval_id AND j.entry_id = ours) THEN
    PERFORM payops_refuse('a manual journal is posted once, as the entry its document names');
  END IF;
  IF EXISTS (
    SELECT 1 FROM
      (SELECT a.code AS account, l.party, l.currency, l.amount_minor, count(*) AS n
       FROM ledger_journalline l JOIN ledger_account a ON a.id = l.account_id
       WHERE l.entry_id = NEW.id GROUP BY 1, 2, 3, 4) p
      FULL JOIN
      (SELECT w.account, CASE WHEN a.party_kind = '' THEN '' ELSE w.party END AS party,
         w.currency, w.amount_minor, count(*) AS n
       FROM jsonb_to_recordset(asked.facts -> 'lines')
         AS w(account text, party text, currency text, amount_minor bigint)
       LEFT JOIN ledger_account a ON a.book_id = asked.book_id AND a.code = w.account
       GROUP BY 1, 2, 3, 4) w
      USING (account, party, currency, amount_minor, n)
    WHERE p.account IS NULL OR w.account IS NULL) THEN
    PERFORM payops_refuse('the lines of a manual journal are those that were approved');
  END IF;
  IF jsonb_array_length(coalesce(asked.facts -> 'evidence', '[]')) = 0 OR EXISTS (
    SELECT 1 FROM jsonb_to_recordset(asked.facts -> 'evidence') AS w(id uuid, sha256 text)
    WHERE NOT EXISTS (SELECT 1 FROM core_evidence e WHERE e.id = w.id AND e.sha256 = w.sha256
      AND e.book_id = asked.book_id AND e.subject_id = asked.facts ->> 'journal')) THEN
    PERFORM payops_refuse('a manual journal is posted only with the evidence it was approved with');
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS payops_journal_approved ON ledger_journalentry;
CREATE CONSTRAINT TRIGGER payops_journal_approved AFTER INSERT ON ledger_journalentry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.event_class IN ('adjustment.manual', 'write_off', 'funds.unclaimed', 'entry.reversed'))
  EXECUTE FUNCTION payops_journal_approved();

-- D6: what was asked for never changes on the document, and each of its entries is named once.
CREATE OR REPLACE FUNCTION payops_journal_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.book_id, NEW.event_class, NEW.description, NEW.lines, NEW.posting_on,
      NEW.cash_flow_tag, NEW.reverses_id, NEW.auto_reverse_on, NEW.fingerprint,
      NEW.requested_by_id, NEW.approval_id, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.book_id, OLD.event_class, OLD.description, OLD.lines, OLD.posting_on,
      OLD.cash_flow_tag, OLD.reverses_id, OLD.auto_reverse_on, OLD.fingerprint,
      OLD.requested_by_id, OLD.approval_id, OLD.created_at) THEN
    PERFORM payops_refuse('the content of a manual journal never changes');
  END IF;
  IF (OLD.entry_id <> '' AND NEW.entry_id <> OLD.entry_id)
     OR (OLD.reversal_entry_id <> '' AND NEW.reversal_entry_id <> OLD.reversal_entry_id)
     OR (NEW.entry_id <> '') <> (NEW.state = 'POSTED') THEN
    PERFORM payops_refuse('a manual journal names its entry once, when it is posted');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_journal_fixed ON ledger_manualjournal;
CREATE TRIGGER payops_journal_fixed BEFORE UPDATE ON ledger_manualjournal
  FOR EACH ROW EXECUTE FUNCTION payops_journal_fixed();
