-- What every guard uses. The guards of this folder are recreated after every migration by
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
