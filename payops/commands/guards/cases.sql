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
