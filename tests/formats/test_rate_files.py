"""Files of exchange rates are read line by line, and nothing is guessed (LJ-10, F19)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payops.formats.rates.reader import ECB, LINES_MAX, PAIRS, Reading, read

BERLIN = "Europe/Berlin"
MIDNIGHT = datetime(2026, 3, 30, 22, 0, tzinfo=UTC)  # of 31 March in Berlin


def of(text: str, source: str = "Bank") -> Reading:
    return read(text, time_zone=BERLIN, source=source)


def told(reading: Reading) -> list[tuple[str, str, Decimal]]:
    return [(row.base, row.quote, row.rate) for row in reading.rows]


def whys(text: str) -> list[tuple[int, str]]:
    return [(reject.line, reject.why) for reject in of(text).rejects]


@pytest.mark.parametrize(
    "text",
    [
        "USD,EUR,0.9212,2026-03-31\n",
        "base,quote,rate,as_of\nUSD,EUR,0.9212,2026-03-31\n",
        "Base;Quote;Rate;Date\r\nusd;eur;0,9212;31.03.2026\r\n",
        "from\tto\tvalue\tdate\nUSD\tEUR\t0.9212\t2026-03-31",
        'date,rate,to,from\n2026-03-31,"0,9212",EUR,USD\n',
        "\ufeff# of the bank\n\nUSD, EUR, 0.921200, 2026-03-31T00:00\n",
        "USD;EUR;0.9212;2026-03-30T22:00:00Z;Bank\n",
    ],
)
def test_one_rate_written_in_many_ways_is_the_same_rate(text: str) -> None:
    reading = of(text)

    (row,) = reading.rows
    assert (row.base, row.quote, row.rate) == ("USD", "EUR", Decimal("0.9212"))
    assert (row.as_of, row.source, reading.rejects) == (MIDNIGHT, "Bank", ())
    assert reading.layout == PAIRS


def test_the_ecbs_file_of_the_day_tells_units_per_euro_from_16_00() -> None:
    reading = of("Date, USD, JPY, CZK, \n06 March 2026, 1.0855, 163.20, 25.060, \n")

    assert reading.layout == ECB
    assert told(reading) == [
        ("EUR", "USD", Decimal("1.0855")),
        ("EUR", "JPY", Decimal("163.20")),
        ("EUR", "CZK", Decimal("25.060")),
    ]
    assert {(row.as_of, row.source) for row in reading.rows} == {
        (datetime(2026, 3, 6, 15, 0, tzinfo=UTC), "ECB")
    }


def test_the_ecbs_history_leaves_out_what_was_not_quoted() -> None:
    reading = of(
        "Date,USD,CYP,HRK,\n2026-03-31,1.0812,N/A,N/A,\n2026-03-30,1.0798,N/A,N/A,\n",
    )

    assert told(reading) == [
        ("EUR", "USD", Decimal("1.0812")),
        ("EUR", "USD", Decimal("1.0798")),
    ]
    assert [row.as_of.hour for row in reading.rows] == [14, 14]  # summer time
    assert reading.rejects == ()


def test_every_line_that_cannot_be_taken_says_why() -> None:
    text = "\n".join(
        [
            "base;quote;rate;as_of;source",
            "USD;EUR;0.92;2026-03-31;Bank",
            "XXX;EUR;0.92;2026-03-31;Bank",
            "USD;EURO;0.92;2026-03-31;Bank",
            "USD;USD;1;2026-03-31;Bank",
            "GBP;EUR;0;2026-03-31;Bank",
            "GBP;EUR;-1;2026-03-31;Bank",
            "GBP;EUR;0.12345678901;2026-03-31;Bank",
            "GBP;EUR;12345678901;2026-03-31;Bank",
            "GBP;EUR;1e3;2026-03-31;Bank",
            "GBP;EUR;1.17;2026-02-30;Bank",
            "GBP;EUR;;2026-03-31;Bank",
            "GBP;EUR",
            f"GBP;EUR;1.17;2026-03-31;{'b' * 65}",
            "USD;EUR;0.93;2026-03-31;Bank",
        ]
    )

    no_rate = (
        "is not a rate above 0; write digits and one decimal mark, without separators of thousands"
    )
    assert whys(text) == [
        (3, "'XXX' is not a currency of ISO 4217"),
        (4, "'EURO' is not a currency of ISO 4217"),
        (5, "USD to itself is no exchange rate"),
        (6, "0 is not above 0"),
        (7, f"'-1' {no_rate}"),
        (8, "0.12345678901 has 11 decimals, more than 10"),
        (9, "12345678901 has more than 10 digits before the mark"),
        (10, f"'1e3' {no_rate}"),
        (11, "'2026-02-30' is no day or time such as 2026-03-31"),
        (12, f"'' {no_rate}"),
        (13, "'' is no day or time such as 2026-03-31"),
        (14, "the source is named in 1 to 64 characters"),
        (15, "line 2 tells 0.92 for the same pair and moment"),
    ]
    assert told(of(text)) == [("USD", "EUR", Decimal("0.92"))]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no line to read"),
        ("currency;rate\nUSD;1\n", "the header has no column quote, as_of"),
        (
            "USD;EUR;0,92;2026-03-31\nGBP;EUR;1.17;2026-03-31\n",
            "some rates are written with a point and others with a comma",
        ),
        ("Date,USD\n31 March,1.08\n", "'31 March' is no day such as 2026-03-31"),
        ("Date,USD\n0001-01-01,1.08\n", "'0001-01-01' is no day such as 2026-03-31"),
        ("USD,EUR,0.92,0001-01-01\n", "is no day or time"),
        ("USD,EUR,0.92,1066-10-14\n", "lies before 1990"),
        ("USD,EUR,0,92,2026-03-31\n", "is no day or time"),
        ("USD,EUR,1,250.5,2026-03-31\n", "is no day or time"),
        ("USD,EUR,0.92,2026-03-31,Bank,more\n", "stands in quotes"),
        ("USD,EUR,0.92,2026-03-31\n" * (LINES_MAX + 1), f"are more than {LINES_MAX}"),
    ],
)
def test_what_could_mean_two_things_is_not_read(text: str, why: str) -> None:
    reading = of(text)

    assert reading.rows == ()
    assert any(why in reject.why for reject in reading.rejects), reading.rejects


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=300) | st.text(alphabet="USDEUR,;\t\n\"'0.9-2026:TZ", max_size=300))
def test_any_text_is_read_or_rejected_and_never_fails(text: str) -> None:
    reading = of(text)

    assert reading.rows or reading.rejects
    assert all(row.rate > 0 and row.as_of.tzinfo is not None for row in reading.rows)
