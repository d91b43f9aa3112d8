"""What each database role may do to each table, read from the catalogue and then tried.

The app role writes, appends where nothing is ever changed, and never truncates or makes tables; the
facts role reads the facts views and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, connections
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from payops.core import guards
from payops.settings import DATABASE_FACTS_URL
from tests.guards.approval_attacks import refused, run

pytestmark = pytest.mark.django_db

APP = connections["default"].settings_dict["USER"]
MODELS = guards.product_models()
APPEND_ONLY = [m._meta.db_table for m in MODELS if guards.is_append_only(m)]
GOVERNED = [
    m._meta.db_table for m in MODELS if not guards.is_append_only(m) and guards.allowed_pairs(m)
]
NEVER = ("TRUNCATE", "REFERENCES", "TRIGGER")


def rows(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def granted(role: str, schema: str) -> dict[str, set[str]]:
    """Table or view -> the acts this role has on it, inherited and public ones included."""
    found = rows(
        "SELECT c.relname, a.act FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,"
        " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES',"
        " 'TRIGGER']) AS a(act) WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND has_table_privilege(%s, c.oid, a.act)",
        schema,
        role,
    )
    acts: dict[str, set[str]] = {}
    for table, act in found:
        acts.setdefault(table, set()).add(act)
    return acts


def test_every_table_of_the_product_is_known_to_the_guards() -> None:
    tables = {row[0] for row in rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    known = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    ours = {model._meta.db_table for model in MODELS}

    assert tables - known == {"django_migrations"}
    assert ours <= tables
    assert {
        "ledger_journalentry",
        "ledger_journalline",
        "webhooks_delivery",
        "webhooks_payload",
        "core_auditevent",
        "core_auditseal",
        "approvals_approvaldecision",
        "approvals_policyversion",
        "compliance_gatedecision",
        "cases_caseentry",
        "payments_historicalpayout",
    } <= set(APPEND_ONLY)


def test_the_app_role_truncates_nothing_and_rewrites_nothing_append_only() -> None:
    acts = granted(APP, "public")

    assert {t: a & set(NEVER) for t, a in acts.items() if a & set(NEVER)} == {}
    assert {t: acts[t] for t in APPEND_ONLY if acts[t] != {"SELECT", "INSERT"}} == {}
    assert {t: acts[t] for t in GOVERNED if "DELETE" in acts[t]} == {}
    assert acts["django_migrations"] == {"SELECT"}


def test_no_column_grant_opens_what_the_table_grant_closes() -> None:
    found = rows(
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE c.relname = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped"
        " AND has_column_privilege(%s, c.oid, a.attnum, 'UPDATE')",
        APPEND_ONLY,
        APP,
    )

    assert found == []


@pytest.mark.parametrize("role", [APP, settings.FACTS_ROLE])
def test_neither_role_owns_or_makes_anything(role: str) -> None:
    attributes = rows(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
        " WHERE rolname = %s",
        role,
    )
    owned = rows(
        "SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
        " WHERE r.rolname = %s",
        role,
    )
    member = rows(
        "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        " JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = %s",
        role,
    )
    creates = rows(
        "SELECT has_schema_privilege(%s, 'public', 'CREATE'),"
        " has_schema_privilege(%s, 'facts', 'CREATE')",
        role,
        role,
    )

    assert (attributes, owned, member, creates) == ([(False,) * 5], [], [], [(False, False)])


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_app_role_is_refused_when_it_tries(table: str) -> None:
    for statement in (
        f"UPDATE {table} SET {_first_column(table)} = {_first_column(table)}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
    ):
        with refused("permission denied"):
            run(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ledger_journalentry DISABLE TRIGGER ALL",
        "DROP TRIGGER payops_payout_guard ON payments_payout",
        "CREATE TABLE mine (id int)",
        "DROP VIEW facts.payouts",
        "ALTER TABLE core_auditevent OWNER TO payops_app",
        "SET session_replication_role = 'replica'",
        "CREATE OR REPLACE FUNCTION payops_is_owner() RETURNS boolean LANGUAGE sql"
        " AS 'SELECT true'",
    ],
)
def test_the_app_role_cannot_switch_a_guard_off(statement: str) -> None:
    with refused("must be owner|permission denied|must be able to SET ROLE"):
        run(statement)


@pytest.fixture
def reader() -> Iterator[psycopg.Connection[Any]]:
    """A connection of the facts role to the database of this test run."""
    told = conninfo_to_dict(DATABASE_FACTS_URL)
    told["dbname"] = connections["default"].settings_dict["NAME"]
    with psycopg.connect(**told, autocommit=True) as link:
        yield link


def test_the_facts_role_reads_the_facts_and_nothing_else(reader: psycopg.Connection[Any]) -> None:
    facts = granted(settings.FACTS_ROLE, "facts")
    assert {"payouts", "cases", "entries", "lines", "audit", "receipts"} <= set(facts)
    assert {view: acts for view, acts in facts.items() if acts != {"SELECT"}} == {}
    assert granted(settings.FACTS_ROLE, "public") == {}

    for view in facts:
        reader.execute(sql.SQL("SELECT * FROM facts.{} LIMIT 1").format(sql.Identifier(view)))
    for table in sorted({model._meta.db_table for model in MODELS}):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("SELECT 1 FROM public.{}").format(sql.Identifier(table)))
    for view in ("payouts", "decisions"):
        with pytest.raises(psycopg.Error):
            reader.execute(sql.SQL("DELETE FROM facts.{}").format(sql.Identifier(view)))


def _first_column(table: str) -> str:
    model = next(model for model in MODELS if model._meta.db_table == table)
    return str(model._meta.concrete_fields[0].column)
