"""The settlement CSV of the product reads as its page says (RC-13, F18)."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from payops.formats.files import FileRefused
from payops.formats.settlement.base import LineKind, ReadOptions
from payops.formats.settlement.generic import COLUMNS
from tests.formats.settlement.reading import Reading, by_name, reading

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "settlement-csv.md").read_text("utf-8")
EXAMPLE = re.findall(r"```csv\n(.*?)```", PAGE, flags=re.S)[0].encode()
Row = dict[str, str]


def row(kind: str, net: str, **more: str) -> Row:
    return {"batch": "31", "type": kind, "currency": "EUR", "net": net} | more


def of(*rows: Row, names: tuple[str, ...] = COLUMNS, **options: str) -> Reading:
    return reading(by_name(names, rows), ReadOptions(**options))  # type: ignore[arg-type]


def test_the_example_of_the_page_ties() -> None:
    found = reading(EXAMPLE)

    assert [(line.kind.value, line.net_minor, line.fee_minor) for line in found.lines] == [
        ("capture", 9710, -290),
        ("refund", -3000, 0),
        ("fee", -10, 0),
        ("payout", -6700, 0),
    ]
    assert (found.codes, found.rejects) == ([], [])
    assert found.batch.reference == "2026-031"
    assert found.batch.difference_minor == 0
    assert found.lines[0].occurred_at is not None
    assert found.lines[0].occurred_at.isoformat() == "2026-03-30T14:03:11+02:00"


def test_the_page_names_every_column_and_every_type() -> None:
    named = re.findall(r"^\| `([a-z_]+)` \|", PAGE, flags=re.M)
    types = PAGE.split("Types: ")[1].split("\n\n")[0]

    assert sorted(named) == sorted(COLUMNS)
    assert re.findall(r"`([a-z_]+)`", types) == [kind.value for kind in LineKind]


def test_all_that_the_page_says_about_packing_holds() -> None:
    told = reading(EXAMPLE)

    for content in (
        gzip.compress(EXAMPLE),
        EXAMPLE.decode().encode("utf-16"),
        EXAMPLE.replace(b",", b";"),
        EXAMPLE.replace(b",", b"|"),
        EXAMPLE.replace(b"\n", b"\r\n"),
        EXAMPLE.upper().replace(b"EUROPE/PARIS", b"Europe/Paris"),
    ):
        found = reading(content)
        assert [line.net_minor for line in found.lines] == [line.net_minor for line in told.lines]
        assert found.rejects == []


def test_a_batch_that_does_not_add_up_is_reported() -> None:
    found = of(row("capture", "10.00"), row("payout", "-9.99"))

    assert found.words("batch.difference") == (
        "the lines add up to 10.00 EUR, the payout is 9.99 EUR: 0.01 EUR differ"
    )


def test_batches_and_currencies_are_summed_apart() -> None:
    found = of(
        row("capture", "10.00"),
        row("capture", "1200", currency="JPY"),
        row("capture", "7.00", batch="32"),
    )

    assert [(batch.reference, batch.currency, batch.net_minor) for batch in found.batches] == [
        ("31", "EUR", 1000),
        ("31", "JPY", 1200),
        ("32", "EUR", 700),
    ]


def test_times_without_a_zone_take_that_of_the_account_or_none() -> None:
    told = row("capture", "1.00", occurred_at="2026-03-30 14:03:11")

    assert "zone.unknown" in of(told).codes
    assert of(told).lines[0].occurred_at is None
    known = of(told, time_zone="Asia/Kolkata").lines[0].occurred_at
    assert known is not None and known.isoformat() == "2026-03-30T14:03:11+05:30"
    own = of(row("capture", "1.00", occurred_at="2026-03-30T14:03:11Z")).lines[0].occurred_at
    assert own is not None and own.isoformat() == "2026-03-30T14:03:11+00:00"


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"type": "captured"}, "type"),
        ({"currency": "EU"}, "currency"),
        ({"net": "1,00"}, "net"),
        ({"net": ""}, "net"),
        ({"net": "NaN"}, "net"),
        ({"net": "Infinity"}, "net"),
        ({"net": "=1+1"}, "net"),
        ({"net": "\u0661.00"}, "net"),
        ({"fee": "-"}, "fee"),
        ({"gross": "1.00", "gross_currency": "pounds"}, "gross_currency"),
        ({"rate": "-1"}, "rate"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2026-03-30", "time_zone": "Mars/Olympus"}, "time_zone"),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_alone(change: Row, column: str) -> None:
    found = of(row("capture", "1.00"), row("capture", "1.00") | change, row("capture", "2.00"))

    assert [(each.line, each.column) for each in found.rejects] == [(3, column)]
    assert [line.net_minor for line in found.lines] == [100, 200]


def test_a_column_that_stands_twice_is_refused() -> None:
    with pytest.raises(FileRefused, match='"net" stands in line 1 twice'):
        of(row("capture", "1.00"), names=("batch", "type", "currency", "net", "net"))


def test_a_file_of_no_known_kind_is_refused_with_what_is_known() -> None:
    with pytest.raises(FileRefused, match="none of: Adyen settlement details, Stripe itemized"):
        reading(b"name,amount\nx,1\n")
    with pytest.raises(FileRefused, match='there is no reader "nobody"'):
        reading(EXAMPLE, key="nobody")
    with pytest.raises(FileRefused, match="none of: PayPal settlement"):
        reading(EXAMPLE, key="paypal_stl")
