"""The file of each target beside one written by hand from its documents (ERP-1)."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from decimal import Decimal

import pytest

from payops.formats.journals import oracle
from payops.formats.journals.registry import TARGETS, TargetUnknown, document_number, target
from tests.formats.journals import (
    CAPTURE,
    CONVERSION,
    FIXTURES,
    MEMO,
    MONTH,
    REVALUATION,
    filled,
    journal,
    line,
    written,
)

VENDOR = {"parties": {"be_7": "58"}}


def test_netsuite_rows_are_those_of_its_import_assistant() -> None:
    assert written("netsuite", *MONTH) == (FIXTURES / "netsuite.csv").read_bytes()


def test_quickbooks_objects_are_those_of_its_interface() -> None:
    given = json.loads(written("quickbooks", *MONTH, **VENDOR), parse_float=Decimal)

    expected = json.loads((FIXTURES / "quickbooks.json").read_text(), parse_float=Decimal)
    assert given == expected


def test_xero_journals_are_kept_in_the_currency_of_the_organisation() -> None:
    given = json.loads(written("xero", *MONTH), parse_float=Decimal)

    assert given == json.loads((FIXTURES / "xero.json").read_text(), parse_float=Decimal)
    for each in given["ManualJournals"]:
        assert sum(row["LineAmount"] for row in each["JournalLines"]) == 0


@pytest.mark.parametrize("key", ["hledger", "beancount"])
def test_plain_text_ledgers_get_every_currency_in_one_transaction(key: str) -> None:
    """A revaluation moves no dinar and is left to the file in reporting amounts."""
    in_order = (CAPTURE, CONVERSION, MEMO, REVALUATION)

    name = f"{key}.{TARGETS[key].extension}"
    assert written(key, *in_order).decode() == (FIXTURES / name).read_text()


def test_oracle_columns_stand_in_the_order_of_the_template_with_both_amounts() -> None:
    packed = zipfile.ZipFile(io.BytesIO(written("oracle", *MONTH)))
    assert packed.namelist() == ["GlInterface.csv"]
    rows = list(csv.reader(io.StringIO(packed.read("GlInterface.csv").decode())))

    assert [rows[0].index(each) for each in ("NEW", "EUR", "A")] == [0, 5, 7]
    assert (oracle.COLUMNS.index("SEGMENT1"), oracle.COLUMNS.index("ENTERED_DR")) == (8, 38)
    assert oracle.COLUMNS[38:46] == (
        *("ENTERED_DR", "ENTERED_CR", "ACCOUNTED_DR", "ACCOUNTED_CR"),
        *("REFERENCE1", "REFERENCE2", "REFERENCE3", "REFERENCE4"),
    )
    said = [dict(zip(oracle.COLUMNS, row, strict=True)) for row in rows]
    assert [
        (
            row["SEGMENT2"],
            row["CURRENCY_CODE"],
            row["ENTERED_DR"],
            row["ENTERED_CR"],
            row["ACCOUNTED_DR"],
            row["ACCOUNTED_CR"],
        )
        for row in said
    ] == [
        ("1100", "EUR", "100.00", "", "100.00", ""),
        ("2000", "EUR", "", "90.00", "", "90.00"),
        ("4000", "EUR", "", "10.00", "", "10.00"),
        ("1900", "JPY", "1000", "", "5.50", ""),
        ("1100", "JPY", "", "1000", "", "5.50"),
        ("1100", "EUR", "5.50", "", "5.50", ""),
        ("1900", "EUR", "", "5.50", "", "5.50"),
        ("1100", "KWD", "0.000", "", "2.00", ""),
        ("4910", "KWD", "", "0.000", "", "2.00"),
    ]
    assert {row["ACCOUNTING_DATE"] for row in said[:3]} == {"2026/03/04"}
    assert said[0]["LEDGER_ID"].isdigit() and said[0]["USER_JE_SOURCE_NAME"] == "PayOps"
    assert (said[0]["REFERENCE1"], said[0]["REFERENCE4"]) == ("MER-XX-2026-03-0001", "N-1")
    assert said[1]["REFERENCE21"] == "be_7"


def test_the_same_journals_twice_are_the_same_bytes() -> None:
    for key in TARGETS:
        assert written(key, *MONTH) == written(key, *MONTH)


def test_no_target_is_found_under_another_name() -> None:
    with pytest.raises(TargetUnknown, match="there are netsuite, quickbooks"):
        target("sap")


def test_numbers_are_the_same_again_and_short_where_they_must_be() -> None:
    reference = "MERIDN-QB-2026-03-0001"
    numbers = [document_number(TARGETS[key], reference=reference, place=100_000) for key in TARGETS]

    assert numbers[0] == "MERIDN-QB-2026-03-0001-100000"
    assert numbers[1] == "QB26030001-100000"
    assert len(numbers[1] + "-USD") == TARGETS["quickbooks"].number_max


def test_reporting_amounts_are_one_document_in_one_currency() -> None:
    documents, filling, _ = filled("netsuite", *MONTH, settings={"amounts": "reporting"})

    assert [(d.number, d.of("Currency")) for d in documents] == [
        ("N-1", "EUR"),
        ("N-2", "EUR"),
        ("N-3", "EUR"),
    ]
    assert filling.sums == {("EUR", "debit"): 11_300, ("EUR", "credit"): 11_300}


def test_amounts_of_any_size_and_exponent_are_exact() -> None:
    """JPY without, KWD with three, CLF with four decimals, at the edge of what the ledger holds."""
    edge = 2**63 - 1
    for currency, digits in (
        ("EUR", "92233720368547758.07"),
        ("JPY", "9223372036854775807"),
        ("KWD", "9223372036854775.807"),
        ("CLF", "922337203685477.5807"),
    ):
        both = journal("N-9", line("1100", edge, currency, 1), line("2000", -edge, currency, -1))
        text = written("hledger", both).decode()
        assert f"    assets:1100 PSP clearing  {digits} {currency}\n" in text
        assert f"    liabilities:2000 Seller payable  -{digits} {currency}\n" in text


def test_amounts_that_do_not_fit_are_told_and_not_cut() -> None:
    edge = 10**13
    both = journal("N-9", line("1100", edge), line("2000", -edge))

    _, filling, _ = filled("netsuite", both)

    assert [(p.value, p.wrong) for p in filling.problems] == [
        ("100000000000.00 EUR", "has 12 digits before the point; NetSuite takes 10")
    ]


def test_a_document_that_does_not_balance_is_told_with_the_difference() -> None:
    lame = journal("N-9", line("1100", 100), line("2000", -99))
    for key in TARGETS:
        _, filling, _ = filled(key, lame)
        wrong = [problem.wrong for problem in filling.problems]
        assert wrong == ["debits and credits of one document differ by 0.01 EUR"], key


def test_value_that_moves_between_currencies_is_told_where_both_amounts_must_balance() -> None:
    moved = journal(
        "N-9",
        line("1900", 100, "USD", 90),
        line("1100", -100, "USD", -95),
        line("1100", 95),
        line("1900", -95, "EUR", -90),
    )

    _, filling, _ = filled("oracle", moved)
    assert [problem.field for problem in filling.problems] == ["Balance", "Balance"]
    assert "differ by -0.05 EUR" in next(p.wrong for p in filling.problems if p.value == "USD")
    for key in ("netsuite", "quickbooks", "xero", "hledger"):
        assert filled(key, moved)[1].problem_count == 0
