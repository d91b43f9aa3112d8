-- Rules the database itself holds across nouns. Recreated after every migration by
-- `manage.py migrate`; each is attacked by a test in tests/guards/. docs/guards.md lists them.

CREATE OR REPLACE FUNCTION payops_public_id(prefix text, key uuid) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN prefix || '_' || replace(key::text, '-', '');

-- True for the schema's owner: the audited bootstrap and migrations, never the running product.
CREATE OR REPLACE FUNCTION payops_is_owner() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT pg_has_role(current_user, c.relowner, 'MEMBER')
  FROM pg_class c WHERE c.oid = 'core_auditevent'::regclass
$$;

CREATE OR REPLACE FUNCTION payops_approved(wanted_id text, wanted_kind text)
RETURNS approvals_approvalrequest LANGUAGE sql STABLE AS $$
  SELECT r.* FROM approvals_approvalrequest r
  WHERE wanted_id ~ '^ap_[0-9a-f]{32}$' AND r.id = substr(wanted_id, 4)::uuid
    AND r.kind = wanted_kind AND r.state = 'APPROVED'
$$;

CREATE OR REPLACE FUNCTION payops_refuse(words text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'payops: %', words USING ERRCODE = 'restrict_violation'; END $$;

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

-- D5, D6, I9: a decision is on the open request, on its content, and never by the requester.
ALTER TABLE approvals_approvaldecision DROP CONSTRAINT IF EXISTS decision_names_requester;
ALTER TABLE approvals_approvaldecision ADD CONSTRAINT decision_names_requester
  FOREIGN KEY (request_id, requester_id)
  REFERENCES approvals_approvalrequest (id, requested_by_id);
CREATE OR REPLACE FUNCTION payops_decision_fits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest;
BEGIN
  SELECT * INTO asked FROM approvals_approvalrequest WHERE id = NEW.request_id;
  IF asked.state <> 'PENDING' THEN
    PERFORM payops_refuse('the request is ' || asked.state || ', no decision can be added');
  END IF;
  IF asked.content_hash <> NEW.content_hash THEN
    PERFORM payops_refuse('the decision is on another content than the request');
  END IF;
  IF asked.barred ? NEW.person_id::text THEN
    PERFORM payops_refuse('this person is barred from deciding the request');
  END IF;
  IF NOT asked.seats ? NEW.seat OR NEW.verdict NOT IN ('approve', 'reject') THEN
    PERFORM payops_refuse('the request has no seat ' || NEW.seat || ' to ' || NEW.verdict);
  END IF;
  IF NOT EXISTS (SELECT 1 FROM core_rolegrant g
      WHERE g.person_id = NEW.person_id AND g.role = NEW.seat
        AND g.granted_at <= NEW.created_at - interval '24 hours'
        AND (g.revoked_at IS NULL OR g.revoked_at > NEW.created_at)
        AND g.granted_by_id IS DISTINCT FROM asked.requested_by_id
        AND g.granted_by_id IS DISTINCT FROM NEW.person_id)
     OR EXISTS (SELECT 1 FROM core_rolegrant g
      WHERE g.person_id = NEW.person_id AND g.role IN ('auditor', 'access_admin')
        AND (g.revoked_at IS NULL OR g.revoked_at > NEW.created_at)) THEN
    PERFORM payops_refuse('this person holds no role that counts for the seat ' || NEW.seat);
  END IF;
  IF NOT EXISTS (SELECT 1 FROM core_user u WHERE u.id = NEW.user_id
                 AND u.person_id = NEW.person_id AND u.username = NEW.login) THEN
    PERFORM payops_refuse('the login does not belong to the person who decides');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_decision_fits ON approvals_approvaldecision;
CREATE TRIGGER payops_decision_fits BEFORE INSERT ON approvals_approvaldecision
  FOR EACH ROW EXECUTE FUNCTION payops_decision_fits();

CREATE OR REPLACE FUNCTION payops_request_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE empty_seat text; rules jsonb; needed jsonb;
BEGIN
  IF (NEW.kind, NEW.subject_id, NEW.content_hash, NEW.facts, NEW.requested_by_id, NEW.barred,
      NEW.amount_minor, NEW.currency, NEW.book_id, NEW.risk, NEW.policy_version_id,
      NEW.reporting_minor, NEW.cumulative_key, NEW.business_day, NEW.expires_at, NEW.consequences)
     IS DISTINCT FROM
     (OLD.kind, OLD.subject_id, OLD.content_hash, OLD.facts, OLD.requested_by_id, OLD.barred,
      OLD.amount_minor, OLD.currency, OLD.book_id, OLD.risk, OLD.policy_version_id,
      OLD.reporting_minor, OLD.cumulative_key, OLD.business_day, OLD.expires_at, OLD.consequences)
  THEN
    PERFORM payops_refuse('the content of an approval request never changes');
  END IF;
  IF OLD.state <> 'PENDING' AND (NEW.seats, NEW.tier) IS DISTINCT FROM (OLD.seats, OLD.tier) THEN
    PERFORM payops_refuse('the seats of a decided request never change');
  END IF;
  IF OLD.executed_at IS NOT NULL
     AND (NEW.executed_at, NEW.state) IS DISTINCT FROM (OLD.executed_at, OLD.state) THEN
    PERFORM payops_refuse('an executed approval is neither undone nor executed again');
  END IF;
  IF OLD.executed_at IS NULL AND NEW.executed_at IS NOT NULL
     AND (OLD.state <> 'APPROVED' OR NEW.state <> 'APPROVED') THEN
    PERFORM payops_refuse('only a granted approval is executed');
  END IF;
  IF NEW.state = 'APPROVED' AND OLD.state = 'PENDING' THEN
    IF jsonb_array_length(NEW.seats) = 0 THEN
      PERFORM payops_refuse('a request without seats cannot be approved');
    END IF;
    SELECT v.rules INTO rules FROM approvals_policyversion v WHERE v.id = NEW.policy_version_id;
    SELECT t.row INTO needed FROM jsonb_array_elements(rules -> 'tiers') AS t(row)
    WHERE t.row ->> 'key' = NEW.tier AND (t.row -> 'top_minor' = 'null'
      OR NEW.reporting_minor < (t.row ->> 'top_minor')::bigint
      OR (NEW.reporting_minor = (t.row ->> 'top_minor')::bigint
          AND (t.row ->> 'top_included')::boolean));
    IF needed IS NULL OR NOT NEW.seats @> (needed -> 'seats') THEN
      PERFORM payops_refuse('the seats are not those of the policy for this amount');
    END IF;
    SELECT s.seat INTO empty_seat FROM jsonb_array_elements_text(NEW.seats) AS s(seat)
    WHERE NOT EXISTS (SELECT 1 FROM approvals_approvaldecision d WHERE d.request_id = NEW.id
      AND d.verdict = 'approve' AND d.seat = s.seat) LIMIT 1;
    IF FOUND THEN
      PERFORM payops_refuse('the seat ' || empty_seat || ' has not approved');
    END IF;
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_request_fixed ON approvals_approvalrequest;
CREATE TRIGGER payops_request_fixed BEFORE UPDATE ON approvals_approvalrequest
  FOR EACH ROW EXECUTE FUNCTION payops_request_fixed();

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

-- D5: people, login links, role grants, API keys and policies come from approvals alone.
CREATE OR REPLACE FUNCTION payops_access_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest; fits boolean := false;
BEGIN
  IF payops_is_owner() THEN RETURN NEW; END IF;
  IF TG_TABLE_NAME = 'core_rolegrant' THEN
    IF TG_OP = 'UPDATE' THEN
      fits := OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
        AND (NEW.person_id, NEW.role, NEW.granted_at, NEW.granted_by_id, NEW.approval_id)
        IS NOT DISTINCT FROM
        (OLD.person_id, OLD.role, OLD.granted_at, OLD.granted_by_id, OLD.approval_id);
    ELSE
      SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'role_grant');
      fits := asked.id IS NOT NULL AND asked.facts ->> 'person_id' = NEW.person_id::text
        AND asked.facts ->> 'role' = NEW.role AND asked.requested_by_id = NEW.granted_by_id
        AND NOT EXISTS (SELECT 1 FROM core_rolegrant g WHERE g.approval_id = NEW.approval_id);
    END IF;
  ELSIF TG_TABLE_NAME = 'core_person' THEN
    IF TG_OP = 'UPDATE' THEN
      fits := NEW.approval_id = OLD.approval_id;
    ELSE
      SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'person_create');
      fits := asked.id IS NOT NULL AND asked.facts ->> 'name' = NEW.name
        AND NOT EXISTS (SELECT 1 FROM core_person p WHERE p.approval_id = NEW.approval_id);
    END IF;
  ELSIF TG_TABLE_NAME = 'core_user' THEN
    IF TG_OP = 'UPDATE' AND NEW.person_id IS NOT DISTINCT FROM OLD.person_id
       AND NEW.username = OLD.username THEN
      fits := true;
    ELSIF NEW.person_id IS NULL AND TG_OP = 'INSERT' THEN
      fits := true;
    ELSE
      SELECT * INTO asked FROM payops_approved(NEW.link_approval_id, 'login_link');
      fits := asked.id IS NOT NULL AND asked.facts ->> 'person_id' = NEW.person_id::text
        AND asked.facts ->> 'username' = NEW.username;
    END IF;
  ELSIF TG_TABLE_NAME = 'core_apikey' THEN
    IF TG_OP = 'UPDATE' THEN
      fits := OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
        AND (NEW.key_hash, NEW.acts, NEW.system) IS NOT DISTINCT FROM
            (OLD.key_hash, OLD.acts, OLD.system);
    ELSE
      SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'api_key');
      fits := asked.id IS NOT NULL AND asked.facts ->> 'system' = NEW.system
        AND asked.facts -> 'acts' = NEW.acts
        AND NOT EXISTS (SELECT 1 FROM core_apikey k WHERE k.approval_id = NEW.approval_id);
    END IF;
  ELSIF TG_TABLE_NAME = 'approvals_policyversion' THEN
    SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'policy_change');
    fits := asked.id IS NOT NULL AND asked.facts ->> 'policy' = NEW.name
      AND asked.facts ->> 'content_hash' = NEW.content_hash
      AND asked.facts -> 'rules' = NEW.rules AND asked.book_id = NEW.book_id
      AND NOT EXISTS (SELECT 1 FROM approvals_policyversion v
                      WHERE v.approval_id = NEW.approval_id);
  END IF;
  IF NOT coalesce(fits, false) THEN
    PERFORM payops_refuse(TG_TABLE_NAME || ' changes only through its granted approval');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_access_approved ON core_rolegrant;
CREATE TRIGGER payops_access_approved BEFORE INSERT OR UPDATE ON core_rolegrant
  FOR EACH ROW EXECUTE FUNCTION payops_access_approved();
DROP TRIGGER IF EXISTS payops_access_approved ON core_person;
CREATE TRIGGER payops_access_approved BEFORE INSERT OR UPDATE ON core_person
  FOR EACH ROW EXECUTE FUNCTION payops_access_approved();
DROP TRIGGER IF EXISTS payops_access_approved ON core_user;
CREATE TRIGGER payops_access_approved BEFORE INSERT OR UPDATE ON core_user
  FOR EACH ROW EXECUTE FUNCTION payops_access_approved();
DROP TRIGGER IF EXISTS payops_access_approved ON core_apikey;
CREATE TRIGGER payops_access_approved BEFORE INSERT OR UPDATE ON core_apikey
  FOR EACH ROW EXECUTE FUNCTION payops_access_approved();
DROP TRIGGER IF EXISTS payops_access_approved ON approvals_policyversion;
CREATE TRIGGER payops_access_approved BEFORE INSERT ON approvals_policyversion
  FOR EACH ROW EXECUTE FUNCTION payops_access_approved();

-- WH-3, WH-15, D5: allowlists and account settings change only through their granted approval.
CREATE OR REPLACE FUNCTION payops_account_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest;
BEGIN
  IF payops_is_owner() THEN RETURN NEW; END IF;
  IF (NEW.book_id, NEW.provider, NEW.slug, NEW.live)
     IS DISTINCT FROM (OLD.book_id, OLD.provider, OLD.slug, OLD.live) THEN
    PERFORM payops_refuse('a provider account keeps its book, address and mode');
  END IF;
  IF (NEW.allowlist_mode, NEW.verify_policy, NEW.calls_per_s, NEW.listing_every_s,
      NEW.park_deadline_s, NEW.settings, NEW.approval_id)
     IS NOT DISTINCT FROM
     (OLD.allowlist_mode, OLD.verify_policy, OLD.calls_per_s, OLD.listing_every_s,
      OLD.park_deadline_s, OLD.settings, OLD.approval_id) THEN
    RETURN NEW;
  END IF;
  IF NEW.allowlist_mode <> OLD.allowlist_mode THEN
    SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'allowlist_change');
  ELSE
    SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'account_settings');
  END IF;
  IF asked.id IS NULL OR NEW.approval_id = OLD.approval_id OR asked.executed_at IS NULL
     OR asked.book_id <> NEW.book_id
     OR asked.facts ->> 'provider_account' <> NEW.provider || '/' || NEW.slug
     OR EXISTS (SELECT 1 FROM core_historicalprovideraccount h
                WHERE h.id = NEW.id AND h.approval_id = NEW.approval_id)
     OR NEW.allowlist_mode <> coalesce(asked.facts ->> 'allowlist_mode', OLD.allowlist_mode)
     OR NEW.verify_policy <> coalesce(asked.facts ->> 'verify_policy', OLD.verify_policy)
     OR NEW.calls_per_s <> coalesce((asked.facts ->> 'calls_per_s')::int, OLD.calls_per_s)
     OR NEW.listing_every_s
        <> coalesce((asked.facts ->> 'listing_every_s')::int, OLD.listing_every_s)
     OR NEW.park_deadline_s
        <> coalesce((asked.facts ->> 'park_deadline_s')::int, OLD.park_deadline_s)
     OR NEW.settings <> coalesce(asked.facts -> 'settings', OLD.settings) THEN
    PERFORM payops_refuse('account settings change only through their granted approval');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_account_approved ON core_provideraccount;
CREATE TRIGGER payops_account_approved BEFORE UPDATE ON core_provideraccount
  FOR EACH ROW EXECUTE FUNCTION payops_account_approved();

CREATE OR REPLACE FUNCTION payops_allowlist_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest; address text; fits boolean := false;
BEGIN
  IF payops_is_owner() THEN RETURN coalesce(NEW, OLD); END IF;
  IF TG_OP = 'DELETE' THEN
    PERFORM payops_refuse('allowlist entries are removed with a date, never deleted');
  END IF;
  SELECT provider || '/' || slug INTO address FROM core_provideraccount
    WHERE id = NEW.account_id AND book_id = NEW.book_id;
  SELECT * INTO asked FROM payops_approved(
    CASE TG_OP WHEN 'INSERT' THEN NEW.approval_id ELSE NEW.removal_approval_id END,
    'allowlist_change');
  fits := asked.id IS NOT NULL AND asked.executed_at IS NOT NULL
    AND asked.facts ->> 'provider_account' = address;
  IF TG_TABLE_NAME = 'webhooks_allowlistname' THEN
    IF TG_OP = 'INSERT' THEN
      fits := fits AND NEW.removed_at IS NULL AND asked.facts -> 'names' ? NEW.name
        AND NOT EXISTS (SELECT 1 FROM webhooks_allowlistname n
                        WHERE n.approval_id = NEW.approval_id AND n.name = NEW.name);
    ELSIF (NEW.book_id, NEW.account_id, NEW.name, NEW.approval_id, NEW.created_at)
          IS DISTINCT FROM
          (OLD.book_id, OLD.account_id, OLD.name, OLD.approval_id, OLD.created_at) THEN
      fits := false;
    ELSIF (NEW.removed_at, NEW.removal_approval_id)
          IS NOT DISTINCT FROM (OLD.removed_at, OLD.removal_approval_id) THEN
      fits := true;
    ELSE
      fits := fits AND OLD.removed_at IS NULL AND asked.facts -> 'drops' ? NEW.name;
    END IF;
  ELSIF TG_OP = 'INSERT' THEN
    IF NEW.source = 'dns' THEN
      fits := NEW.removed_at IS NULL AND EXISTS (
        SELECT 1 FROM webhooks_allowlistname n WHERE n.account_id = NEW.account_id
          AND n.name = NEW.origin AND n.approval_id = NEW.approval_id AND n.removed_at IS NULL);
    ELSE
      fits := fits AND NEW.removed_at IS NULL AND asked.facts ->> 'label' = NEW.origin
        AND asked.facts -> 'adds' ? NEW.network
        AND NOT EXISTS (SELECT 1 FROM webhooks_allowlistentry e
                        WHERE e.approval_id = NEW.approval_id AND e.network = NEW.network);
    END IF;
  ELSIF (NEW.book_id, NEW.account_id, NEW.network, NEW.source, NEW.origin, NEW.approval_id,
         NEW.created_at)
        IS DISTINCT FROM
        (OLD.book_id, OLD.account_id, OLD.network, OLD.source, OLD.origin, OLD.approval_id,
         OLD.created_at) THEN
    fits := false;
  ELSIF (NEW.removed_at, NEW.removal_approval_id)
        IS NOT DISTINCT FROM (OLD.removed_at, OLD.removal_approval_id) THEN
    fits := true;
  ELSIF OLD.removed_at IS NOT NULL OR NEW.removed_at IS NULL THEN
    fits := false;
  ELSIF NEW.source = 'dns' THEN
    fits := NEW.removal_approval_id = '' OR (fits AND asked.facts -> 'drops' ? NEW.origin);
  ELSE
    fits := fits AND asked.facts ->> 'label' = NEW.origin
      AND asked.facts -> 'removes' ? NEW.network;
  END IF;
  IF NOT coalesce(fits, false) THEN
    PERFORM payops_refuse('an allowlist changes only through its granted approval');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_allowlist_approved ON webhooks_allowlistentry;
CREATE TRIGGER payops_allowlist_approved BEFORE INSERT OR UPDATE OR DELETE
  ON webhooks_allowlistentry FOR EACH ROW EXECUTE FUNCTION payops_allowlist_approved();
DROP TRIGGER IF EXISTS payops_allowlist_approved ON webhooks_allowlistname;
CREATE TRIGGER payops_allowlist_approved BEFORE INSERT OR UPDATE OR DELETE
  ON webhooks_allowlistname FOR EACH ROW EXECUTE FUNCTION payops_allowlist_approved();

-- SE-1, D5, WH-30: a webhook secret is kept inactive with the request that asks for it and
-- accepted through its grant alone; its value never changes, and what is retired stays so.
CREATE OR REPLACE FUNCTION payops_secret_approved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE asked approvals_approvalrequest; address text;
BEGIN
  IF payops_is_owner() THEN RETURN coalesce(NEW, OLD); END IF;
  IF TG_OP = 'DELETE' THEN
    PERFORM payops_refuse('webhook secrets are retired, never deleted');
  END IF;
  SELECT provider || '/' || slug INTO address FROM core_provideraccount
    WHERE id = NEW.account_id AND book_id = NEW.book_id;
  IF TG_OP = 'INSERT' THEN
    SELECT r.* INTO asked FROM approvals_approvalrequest r
      WHERE NEW.approval_id ~ '^ap_[0-9a-f]{32}$' AND r.id = substr(NEW.approval_id, 4)::uuid
        AND r.kind = 'webhook_secret' AND r.state = 'PENDING';
    IF asked.id IS NULL OR NEW.active_from IS NOT NULL OR NEW.retired_at IS NOT NULL
       OR asked.book_id <> NEW.book_id
       OR asked.facts ->> 'provider_account' IS DISTINCT FROM address
       OR asked.facts ->> 'secret' IS DISTINCT FROM NEW.id::text
       OR asked.facts ->> 'hint' IS DISTINCT FROM NEW.hint THEN
      PERFORM payops_refuse('a webhook secret is added only inactive, with its pending request');
    END IF;
    RETURN NEW;
  END IF;
  IF (NEW.id, NEW.book_id, NEW.account_id, NEW.data_key_id, NEW.ciphertext, NEW.hint,
      NEW.approval_id, NEW.created_at)
     IS DISTINCT FROM
     (OLD.id, OLD.book_id, OLD.account_id, OLD.data_key_id, OLD.ciphertext, OLD.hint,
      OLD.approval_id, OLD.created_at) THEN
    PERFORM payops_refuse('a webhook secret keeps its account, value and request');
  END IF;
  IF OLD.retired_at IS NOT NULL
     AND (NEW.retired_at IS NULL OR NEW.retired_at > OLD.retired_at) THEN
    PERFORM payops_refuse('a webhook secret is never accepted longer than was said');
  END IF;
  IF NEW.active_from IS DISTINCT FROM OLD.active_from THEN
    SELECT * INTO asked FROM payops_approved(NEW.approval_id, 'webhook_secret');
    IF asked.id IS NULL OR asked.executed_at IS NULL OR OLD.active_from IS NOT NULL
       OR OLD.retired_at IS NOT NULL OR NEW.active_from < asked.executed_at
       OR asked.book_id <> NEW.book_id
       OR asked.facts ->> 'provider_account' IS DISTINCT FROM address
       OR asked.facts ->> 'secret' IS DISTINCT FROM NEW.id::text THEN
      PERFORM payops_refuse('a webhook secret is accepted only through its granted approval');
    END IF;
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_secret_approved ON webhooks_secret;
CREATE TRIGGER payops_secret_approved BEFORE INSERT OR UPDATE OR DELETE ON webhooks_secret
  FOR EACH ROW EXECUTE FUNCTION payops_secret_approved();

-- RB-3: a finished runbook step stays as it was recorded.
CREATE OR REPLACE FUNCTION payops_step_done() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status IN ('DONE', 'SKIPPED') OR (NEW.key, NEW.name, NEW.run_id, NEW.position)
     IS DISTINCT FROM (OLD.key, OLD.name, OLD.run_id, OLD.position) THEN
    PERFORM payops_refuse('a finished runbook step stays as it was recorded');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_step_done ON cases_runbookstep;
CREATE TRIGGER payops_step_done BEFORE UPDATE ON cases_runbookstep
  FOR EACH ROW EXECUTE FUNCTION payops_step_done();

-- WH-20: a dead letter is given up through a granted approval that names it, and by no other way.
CREATE OR REPLACE FUNCTION payops_discard_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT payops_is_owner() AND NOT EXISTS (
    SELECT 1 FROM approvals_approvalrequest r
    WHERE r.kind = 'dead_letter_discard' AND r.state = 'APPROVED'
      AND r.facts -> 'event_ids' ? payops_public_id('ev', NEW.id)
  ) THEN
    PERFORM payops_refuse('an event is discarded only through a granted approval that names it');
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS payops_discard_approved ON webhooks_providerevent;
CREATE TRIGGER payops_discard_approved BEFORE UPDATE ON webhooks_providerevent
  FOR EACH ROW WHEN (NEW.state = 'DISCARDED' AND OLD.state <> 'DISCARDED')
  EXECUTE FUNCTION payops_discard_approved();
