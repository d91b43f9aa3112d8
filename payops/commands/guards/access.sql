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
