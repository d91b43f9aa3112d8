"""Database guards, generated from the models: append-only triggers and state transitions.

`manage.py migrate` drops and recreates them after every migration, so they always say what the
code says. Rules that span nouns are in `payops/commands/guards/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import models

from payops.core.state import StatefulModel, transition_pairs

FUNCTIONS = """
CREATE OR REPLACE FUNCTION payops_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'payops: % is append-only, % refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION payops_allowed_state() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE was text := '';
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.state = OLD.state THEN RETURN NEW; END IF;
    was := OLD.state;
  END IF;
  IF NOT (was || '>' || NEW.state) = ANY (TG_ARGV) THEN
    RAISE EXCEPTION 'payops: % may not go from % to %', TG_TABLE_NAME,
      coalesce(nullif(was, ''), 'nothing'), NEW.state USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION payops_never_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'payops: % rows are never deleted', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$;
"""


def is_append_only(model: type[models.Model]) -> bool:
    """Declared on the model; every history table is append-only too."""
    return bool(getattr(model, "APPEND_ONLY", False)) or hasattr(model, "history_type")


def is_never_deleted(model: type[models.Model]) -> bool:
    """Governed rows, and rows that leaf tables refer to without a constraint (ADR 0007)."""
    if is_append_only(model):
        return False
    return bool(getattr(model, "NEVER_DELETED", False) or allowed_pairs(model))


def product_models() -> list[type[models.Model]]:
    """Every table of ours, history tables included, in a stable order."""
    ours = [m for m in apps.get_models() if m.__module__.split(".")[0] in OUR_ROOTS]
    return sorted(ours, key=lambda m: m._meta.db_table)


OUR_ROOTS = ("payops", "ledger", "approvals", "reconciliation", "compliance")


def trigger_statements() -> Iterator[str]:
    yield FUNCTIONS
    for model in product_models():
        table = model._meta.db_table
        if is_append_only(model):
            yield _trigger(table, "append_only", "BEFORE UPDATE OR DELETE", "payops_append_only()")
        elif pairs := allowed_pairs(model):
            arguments = ", ".join(f"'{was}>{becomes}'" for was, becomes in sorted(pairs))
            call = f"payops_allowed_state({arguments})"
            yield _trigger(table, "allowed_state", "BEFORE INSERT OR UPDATE", call)
        if is_never_deleted(model):
            yield _trigger(table, "never_deleted", "BEFORE DELETE", "payops_never_deleted()")


def allowed_pairs(model: type[models.Model]) -> set[tuple[str, str]]:
    """(from, to) pairs of a table with states, ("", state) for those a row may be born in.

    Governed records take them from their transitions, queue rows from TRANSITIONS.
    """
    if issubclass(model, StatefulModel):
        pairs = transition_pairs(model)
    else:
        pairs = set(getattr(model, "TRANSITIONS", ()))
    if not pairs:
        return set()
    born = set(getattr(model, "INITIAL_STATES", ()))
    states: Any = model._meta.get_field("state")
    born.add(str(states.get_default()))
    return pairs | {("", state) for state in born}


def grant_statements(*, app_role: str, facts_role: str) -> Iterator[str]:
    """The app role writes tables, appends to append-only ones, and never truncates or drops."""
    yield f'GRANT USAGE ON SCHEMA public TO "{app_role}"'
    yield f'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "{app_role}"'
    yield f'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO "{app_role}"'
    guarded = {m._meta.db_table: m for m in product_models()}
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        ours = guarded.get(table)
        acts = "SELECT, INSERT, UPDATE, DELETE"
        if ours is not None and is_append_only(ours):
            acts = "SELECT, INSERT"
        elif ours is not None and is_never_deleted(ours):
            acts = "SELECT, INSERT, UPDATE"
        yield f'GRANT {acts} ON "{table}" TO "{app_role}"'
    yield f'GRANT SELECT ON django_migrations TO "{app_role}"'
    yield f'GRANT USAGE ON SCHEMA facts TO "{facts_role}", "{app_role}"'
    yield f'GRANT SELECT ON ALL TABLES IN SCHEMA facts TO "{facts_role}", "{app_role}"'


def _trigger(table: str, name: str, when: str, call: str) -> str:
    return (
        f'DROP TRIGGER IF EXISTS payops_{name} ON "{table}";'
        f'CREATE TRIGGER payops_{name} {when} ON "{table}" FOR EACH ROW EXECUTE FUNCTION {call};'
    )
