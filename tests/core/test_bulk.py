"""COPY and array literals give back exactly what was put in, whatever it is (I1)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payops.core import bulk
from payops.payments.models import Payment

pytestmark = pytest.mark.django_db
EXAMPLES = 60
COLUMNS = ("a", "b", "n", "u", "at", "day", "ok", "amount")
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20
) | st.sampled_from(["\\N", "\\", "\t", "\n", "\r\n", '"', "{}", "NULL", "\\.", "", "a\\tb"])
ROWS = st.lists(
    st.tuples(
        st.none() | TEXT,
        st.none() | TEXT,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.uuids(),
        st.none() | st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        st.none() | st.dates(),
        st.none() | st.booleans(),
        st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=4, max_value=10**9),
    ),
    max_size=5,
)


def _table() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.bulked")
        cursor.execute(
            "CREATE TEMP TABLE bulked (place serial, a text, b text, n bigint, u uuid,"
            " at timestamptz, day date, ok boolean, amount numeric)"
        )


def _read() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT a, b, n, u, at, day, ok, amount FROM bulked ORDER BY place")
        return list(cursor.fetchall())


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=ROWS)
def test_what_is_copied_is_read_back(rows: list[tuple[Any, ...]]) -> None:
    _table()

    bulk.copy("bulked", COLUMNS, rows)

    assert _read() == rows


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(st.none() | TEXT, max_size=6), keys=st.lists(st.none() | st.uuids()))
def test_an_array_literal_is_read_back(texts: list[str | None], keys: list[UUID | None]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[], %s::uuid[]", [bulk.array(texts), bulk.array(keys)])

        assert cursor.fetchone() == (texts, keys)


def test_a_moment_keeps_its_instant_from_any_zone() -> None:
    _table()
    at = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))

    bulk.copy("bulked", ("at", "day", "amount"), [(at, date(2026, 3, 1), Decimal("1.50"))])

    assert _read()[0][4:] == (at, date(2026, 3, 1), None, Decimal("1.50"))


def test_a_kind_of_text_is_written_as_its_value() -> None:
    _table()

    bulk.copy("bulked", ("a",), [(Payment.State.CAPTURED,)])

    assert _read()[0][0] == "CAPTURED"


@pytest.mark.parametrize("value", [1.5, b"x", {"a": 1}, [1], datetime(2026, 1, 1), object()])  # noqa: DTZ001
def test_what_has_no_exact_text_is_refused_before_anything_is_sent(value: Any) -> None:
    _table()

    with pytest.raises(TypeError):
        bulk.copy("bulked", ("a",), [("first",), (value,)])

    assert _read() == []


def test_a_row_of_the_wrong_width_is_refused() -> None:
    _table()

    with pytest.raises(ValueError, match="a row of 1 values for 2 columns"):
        bulk.copy("bulked", ("a", "b"), [("x",)])

    assert _read() == []


def test_a_nul_is_refused_by_the_database_and_nothing_stays() -> None:
    _table()

    with pytest.raises(DatabaseError), transaction.atomic():
        bulk.copy("bulked", ("a", "u"), [("fine", uuid4()), ("nul \x00", uuid4())])

    assert _read() == []
