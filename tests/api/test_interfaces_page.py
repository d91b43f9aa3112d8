"""docs/interfaces.md says what is there: columns, variables, addresses, problems, stack.json."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import connection

from payops.api.problems import KINDS
from payops.commands import facts_doc
from payops.core.roles import Act
from tests.api.test_schema import ADDRESSES

CHECKOUT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(
    r"""["'](PAYOPS_[A-Z_]*[A-Z]|DATABASE_[A-Z_]*URL|REDIS_URL|SIM_[A-Z_]+)["']"""
)
# Names of Django settings, not of environment variables.
SETTINGS = {"PAYOPS_TOPICS"}
PAGE = facts_doc.PAGE.read_text()


def test_the_columns_of_facts_are_current() -> None:
    assert facts_doc.render() == PAGE, "run: python3 manage.py docs"


@pytest.mark.django_db
def test_the_columns_are_those_of_the_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a"
            " JOIN pg_class c ON c.oid = a.attrelid WHERE c.relkind = 'v' AND a.attnum > 0"
            " AND c.relnamespace = 'facts'::regnamespace GROUP BY 1"
        )
        in_database = dict(cursor.fetchall())

    assert facts_doc.columns(facts_doc.SOURCE.read_text()) == in_database
    assert all(found[:3] == ["id", "created_at", "book"] for found in in_database.values())


def test_a_column_is_named_by_its_last_word() -> None:
    sql = (
        "-- a comment, with a comma\nCREATE VIEW facts.things AS\nSELECT f('a', t.id) AS id,\n"
        "  CASE WHEN t.x IS NULL THEN NULL ELSE f('b', t.x) END AS x_id, t.state,\n"
        "  (SELECT count(*) FROM other o WHERE o.y = t.y) AS others\nFROM thing t;\n"
    )

    assert facts_doc.columns(sql) == {"things": ["id", "x_id", "state", "others"]}


def test_every_environment_variable_is_in_the_table() -> None:
    sources = [CHECKOUT / "manage.py", *(CHECKOUT / "payops").rglob("*.py")]
    read = {name for source in sources for name in VARIABLE.findall(source.read_text())} - SETTINGS
    written = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", PAGE))

    assert {"DATABASE_URL", "PAYOPS_PORT", "SIM_TARGET"} <= read
    assert read - written == set()


def test_every_address_and_every_problem_of_the_api_is_named() -> None:
    for path in ADDRESSES:
        assert f"$A{path.removeprefix('/api').partition('{')[0]}" in PAGE
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`( \*final\*)?", PAGE))
    assert {(slug, " *final*" if kind.final else "") for slug, kind in KINDS.items()} <= named
    assert {f"`{act}`" for act in (Act.REQUEST_PAYOUT, Act.VIEW_BOOKS)} <= set(
        re.findall(r"`\w+`", PAGE)
    )


def test_stack_json_is_shown_with_every_member() -> None:
    source = (CHECKOUT / "payops/devstack/stackfile.py").read_text()
    content = source[source.index("content = {") : source.index("write_private_json(")]
    members = set(re.findall(r'^        "(\w+)":', content, re.MULTILINE))

    shown = PAGE[PAGE.index("## stack.json") :]
    assert members >= {"web", "simulator", "broker", "database", "pids", "people", "api_key"}
    assert {member for member in members if f'"{member}":' not in shown} == set()
