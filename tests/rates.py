"""Exchange rates in the state a test needs, written by the schema's owner (D5, LJ-10).

The running product takes a rate only through its granted import. The owner's connection commits,
so every rate is taken away again before the next test (`put_back`, called by tests/conftest.py).
"""

from __future__ import annotations

from datetime import datetime

import psycopg
from django.db import connections

from payops.core import clock, ids

_brought: list[str] = []


def known_rate(base: str, quote: str, value: str, *, as_of: datetime, source: str = "test") -> None:
    """What a granted import would leave behind."""
    with _owner() as owner:
        owner.execute(
            "INSERT INTO core_rate (id, created_at, base, quote, rate, source, as_of, approval_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, '')",
            [ids.uuid7(), clock.utc_now(), base, quote, value, source, as_of],
        )
    _brought.append(f"{base}/{quote}")


def put_back() -> None:
    """The seeded rates alone, as before the first test."""
    if not _brought:
        return
    with _owner() as owner:
        owner.execute("TRUNCATE core_rate")
        owner.execute("INSERT INTO core_rate SELECT * FROM seed.core_rate")
    _brought.clear()


def _owner() -> psycopg.Connection[tuple[object, ...]]:
    told = connections["owner"].settings_dict
    return psycopg.connect(
        dbname=told["NAME"],
        user=told["USER"],
        password=told["PASSWORD"],
        host=told["HOST"],
        port=told["PORT"],
    )
