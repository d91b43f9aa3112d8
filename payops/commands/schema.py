"""Brings guards, views and grants to what the code says; used by `migrate` and by the tests."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import connections

from payops.core import guards

HERE = Path(__file__).parent
# In this order: the functions of "base" are used by the others.
GUARDS = (
    "base",
    "ledger",
    "balances",
    "periods",
    "journals",
    "exports",
    "books",
    "parity",
    "approvals",
    "payments",
    "refunds",
    "disputes",
    "access",
    "accounts",
    "cases",
    "inbox",
)


def guard_texts() -> list[str]:
    """The rules across tables, one text per noun."""
    return [(HERE / "guards" / f"{name}.sql").read_text() for name in GUARDS]


def drop_views(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS facts CASCADE")


def rebuild(alias: str) -> None:
    """Recreate triggers, cross-noun guards, facts views and the grants of both other roles."""
    app_role = connections["default"].settings_dict["USER"]
    owner_role = connections[alias].settings_dict["USER"]
    with connections[alias].cursor() as cursor:
        for statement in guards.trigger_statements():
            cursor.execute(statement)
        for text in guard_texts():
            cursor.execute(text)
        cursor.execute((HERE / "facts.sql").read_text())
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [settings.FACTS_ROLE])
        facts_role = settings.FACTS_ROLE if cursor.fetchone() else app_role
        if app_role == owner_role:
            return
        for statement in guards.grant_statements(app_role=app_role, facts_role=facts_role):
            cursor.execute(statement)
