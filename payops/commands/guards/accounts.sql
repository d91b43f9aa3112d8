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
