"""The test run's database: migrated once, seeded once as owner, put back after each writing test.

Tests act as the app role. After a transactional test the owner truncates what was written and
restores the seed from a copy; the servers come from `manage.py test` (or from DATABASE_URL).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import TransactionTestCase
from psycopg import sql

from payops.commands import schema
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.webhooks.directory import directory
from payops.webhooks.throttle import throttle
from tests import rates

PASSWORD = "correct horse battery staple"
STRIPE_SECRET = "whsec_stripe_tests_only"
STANDARD_SECRET = "whsec_c3RhbmRhcmQtdGVzdHMtb25seS1zZWNyZXQtMDAwMQ=="
API_KEY = "pk_tests_only_" + "0" * 20
KEPT_TABLES = ("django_migrations", "django_content_type", "auth_permission")


def _owner() -> psycopg.Connection[Any]:
    told = connections["owner"].settings_dict
    return psycopg.connect(
        dbname=told["NAME"],
        user=told["USER"],
        password=told["PASSWORD"],
        host=told["HOST"],
        port=told["PORT"],
    )


def _tables(owner: psycopg.Connection[Any]) -> list[str]:
    rows = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return sorted(row[0] for row in rows if row[0] not in KEPT_TABLES)


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> Iterator[None]:
    """Seed the database that exists; never let Django create or drop one."""
    from payops.devstack.seed.base import seed_base

    os.environ["PAYOPS_SEED_WEBHOOK_SECRET_STRIPE_DEMO"] = STRIPE_SECRET
    os.environ["PAYOPS_SEED_WEBHOOK_SECRET_STANDARD_DEMO"] = STANDARD_SECRET
    with django_db_blocker.unblock():
        with _owner() as owner:
            _truncate(owner, _tables(owner))
        schema.drop_views("owner")
        schema.rebuild("owner")
        with as_owner():
            seed_base(now=clock.utc_now(), password=PASSWORD, api_key=API_KEY)
        with _owner() as owner:
            _keep_seed(owner)
        connections["owner"].close()
    TransactionTestCase._fixture_teardown = _put_back  # type: ignore[method-assign]
    yield


@pytest.fixture(autouse=True)
def forget_cached_accounts() -> Iterator[None]:
    """The edge's in-process caches belong to one test."""
    yield
    directory.forget()
    throttle.forget()


@pytest.fixture(autouse=True)
def forget_brought_rates() -> None:
    """Rates that an earlier test brought; its transaction is over by now."""
    rates.put_back()


class _Seeded:
    """What each table looked like when the seed was in it, and which tables refer to which."""

    looks: dict[str, tuple[int, int]] = {}
    referring: dict[str, set[str]] = {}


def _looks(owner: psycopg.Connection[Any]) -> dict[str, tuple[int, int]]:
    """(rows, latest writing transaction) of every table, in one statement."""
    each = [
        sql.SQL("SELECT {}, count(*), coalesce(max(xmin::text::bigint), 0) FROM public.{}").format(
            sql.Literal(name), sql.Identifier(name)
        )
        for name in _tables(owner)
    ]
    rows = owner.execute(sql.SQL(" UNION ALL ").join(each)).fetchall()
    return {name: (count, latest) for name, count, latest in rows}


def _referring(owner: psycopg.Connection[Any]) -> dict[str, set[str]]:
    rows = owner.execute(
        "SELECT confrelid::regclass::text, conrelid::regclass::text FROM pg_constraint"
        " WHERE contype = 'f'"
    ).fetchall()
    found: dict[str, set[str]] = {}
    for referred, referrer in rows:
        found.setdefault(referred, set()).add(referrer)
    return found


def _with_referring(names: set[str]) -> list[str]:
    """Tables cannot be emptied without those that refer to them."""
    whole, fresh = set(names), set(names)
    while fresh:
        fresh = {each for name in fresh for each in _Seeded.referring.get(name, ())} - whole
        whole |= fresh
    return sorted(whole)


def _truncate(owner: psycopg.Connection[Any], tables: list[str]) -> None:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in tables)
    owner.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))


def _keep_seed(owner: psycopg.Connection[Any]) -> None:
    owner.execute("DROP SCHEMA IF EXISTS seed CASCADE")
    owner.execute("CREATE SCHEMA seed")
    for name in _tables(owner):
        table = sql.Identifier(name)
        filled = owner.execute(sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(table)).fetchone()
        if filled and filled[0]:
            owner.execute(sql.SQL("CREATE TABLE seed.{} AS TABLE public.{}").format(table, table))
    _Seeded.looks, _Seeded.referring = _looks(owner), _referring(owner)


def _put_back(case: Any) -> None:
    """Empty and fill again what the test changed: most tests write to a fifth of the tables."""
    connections.close_all()
    with _owner() as owner:
        now = _looks(owner)
        changed = {name for name, look in now.items() if look != _Seeded.looks.get(name)}
        if not changed:
            return
        emptied = _with_referring(changed)
        _truncate(owner, emptied)
        kept = owner.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'seed' ORDER BY tablename"
        ).fetchall()
        waiting = [row[0] for row in kept if row[0] in emptied]
        while waiting:
            waiting = _restore(owner, waiting)
        _Seeded.looks = _looks(owner)


def _restore(owner: psycopg.Connection[Any], names: list[str]) -> list[str]:
    """Insert what the foreign keys allow; answers what has to wait for another table."""
    later = []
    for name in names:
        table = sql.Identifier(name)
        try:
            with owner.transaction():
                owner.execute(sql.SQL("INSERT INTO {} SELECT * FROM seed.{}").format(table, table))
        except psycopg.errors.ForeignKeyViolation:
            later.append(name)
    assert len(later) < len(names), f"the seed of {later} cannot be restored"
    return later
