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
