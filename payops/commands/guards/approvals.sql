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
