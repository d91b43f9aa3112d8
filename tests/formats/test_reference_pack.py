"""The reader of reference packs: what it takes, and every hostile file it refuses (RP-2)."""

from __future__ import annotations

import pytest

from payops.formats.reference_pack import BYTES_MAX, ROWS_MAX, PackRow, Reading, read

HEAD = "statement,line,account,party,currency,amount,period,reference,event_class,count,reversals"


def reading(*lines: str, head: str = HEAD, reporting_currency: str = "EUR") -> Reading:
    content = "\r\n".join([head, *lines]).encode()
    return read(content, reporting_currency=reporting_currency, period="2026-03")


def problem(*lines: str, head: str = HEAD) -> str:
    found = reading(*lines, head=head)
    assert found.rows == ()
    assert len(found.problems) == 1, found.problems
    return found.problems[0]


def test_figures_by_line_account_and_party_become_minor_units() -> None:
    found = reading(
        "Balance sheet,Seller payable,,,EUR,90.00,,,,,",
        "trial-balance,,1100,,JPY,1200,2026-03,,,,",
        "trial_balance,,2000,be_1,KWD,-1.234,,,,,",
        "income_statement,Platform fees,,,Reporting,10,,,,,",
    )

    assert found.problems == ()
    assert found.rows == (
        PackRow(2, "balance_sheet", "Seller payable", currency="EUR", amount_minor=9_000,
                period="2026-03"),
        PackRow(3, "trial_balance", account="1100", currency="JPY", amount_minor=1_200,
                period="2026-03"),
        PackRow(4, "trial_balance", account="2000", party="be_1", currency="KWD",
                amount_minor=-1_234, period="2026-03"),
        PackRow(5, "income_statement", "Platform fees", currency="reporting", amount_minor=1_000,
                period="2026-03"),
    )  # fmt: skip


def test_expectations_of_entries_name_a_class_or_a_reference() -> None:
    found = reading(
        "entries,,,,,,,,payment.captured,12,0",
        "entries,,5000,,EUR,3.00,2026-02,P-1,fee.charged,,1",
        "entries,,,,,,,P-2,,,",
    )

    assert found.problems == ()
    assert [(r.event_class, r.count, r.reversals) for r in found.rows] == [
        ("payment.captured", 12, 0), ("fee.charged", None, 1), ("", None, None),
    ]  # fmt: skip
    assert [r.period for r in found.rows] == ["2026-03", "2026-02", "2026-03"]
    assert found.rows[1].amount_minor == 300


def test_semicolons_tabs_a_byte_order_mark_and_blank_lines_are_read() -> None:
    for mark in (";", "\t"):
        text = f"\ufeffstatement{mark}line{mark}currency{mark}amount\n\n"
        text += f"cash_flow{mark}Paid to sellers{mark}EUR{mark}-90.00\n\n"
        found = read(text.encode(), reporting_currency="EUR", period="2026-03")
        assert [(r.row, r.amount_minor) for r in found.rows] == [(3, -9_000)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("balance_sheet,Cash,,,EUR,1.001,,,,,", "has 3 decimals, EUR has 2"),
        ("balance_sheet,Cash,,,JPY,1.5,,,,,", "has 1 decimals, JPY has 0"),
        ('balance_sheet,Cash,,,EUR,"1.000,00",,,,,', "'1.000,00' is not read"),
        ("balance_sheet,Cash,,,EUR,1e3,,,,,", "'1e3' is not read"),
        ("balance_sheet,Cash,,,EUR,(5.00),,,,,", "'(5.00)' is not read"),
        ("balance_sheet,Cash,,,EUR,,,,,,", "'' is not read"),
        ("balance_sheet,Cash,,,EUR,99999999999999999999,,,,,", "exceeds the limit"),
        ("balance_sheet,Cash,,,eur,1.00,,,,,", "'eur' is not an ISO 4217"),
        ("balance_sheet,=1+1,,,EUR,1.00,,,,,", "line is a formula (=1+1)"),
        ("balance_sheet,Cash,,,EUR,=A1,,,,,", "amount is a formula (=A1)"),
        ("balance_sheet,@SUM(A1),,,EUR,1.00,,,,,", "line is a formula"),
        ("balance_sheet,-cmd,,,EUR,1.00,,,,,", "line is a formula"),
        ("balance_sheet,Ca\u202esh,,,EUR,1.00,,,,,", "characters nobody sees"),
        ("balance_sheet,,1000,,EUR,1.00,,,,,", "a row of balance_sheet names a line"),
        ("trial_balance,Cash,,,EUR,1.00,,,,,", "a row of the trial balance names an account"),
        ("trial_balance,,1000 OR 1=1,,EUR,1.00,,,,,", "is not the code of an account"),
        ("balance_sheet,Cash,,,EUR,1.00,2026-02,,,,", "about 2026-02, the pack about 2026-03"),
        ("profit,Cash,,,EUR,1.00,,,,,", "statement 'profit' is none of"),
        ("balance_sheet,Cash,,,EUR,1.00,,x,,,", "reference belongs to rows"),
        ("entries,,,,,,,,,1,", "neither a reference nor an event class"),
        ("entries,,,,,,,,fee.charged,-1,", "count '-1' is not a whole number"),
        ("entries,,,,,,,P-1,,,2", "reversed 0 times or once"),
        ("entries,,,,,,2026-13,P-1,,,", "is not a month"),
        ("entries,,5000,,,,,P-1,,,", "account, currency and amount go together"),
        ("balance_sheet,Cash,,,EUR,1.00,,,,,,surplus", "1 cells more than the head"),
        (f"balance_sheet,{'x' * 256},,,EUR,1.00,,,,,", "has 256 characters"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(line: str, words: str) -> None:
    said = problem("balance_sheet,Assets,,,EUR,1.00,,,,,", line)

    assert said.startswith("Line 3: ")
    assert words in said


def test_the_same_thing_said_twice_is_refused_with_both_lines() -> None:
    said = problem(
        "balance_sheet,Cash at bank,,,EUR,1.00,,,,,",
        "balance_sheet,Cash at bank,,,USD,1.00,,,,,",
        "balance_sheet,CASH AT BANK,,,EUR,2.00,,,,,",
    )

    assert said == "Line 4: says the same thing as line 2; keep one of them."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty."),
        (b"statement,line,currency,amount\nbalance_sheet,C\x00ash,EUR,1\n", "Line 2: a NUL"),
        (b"statement,line,currency,amount\nbalance_sheet,C\xe4sh,EUR,1\n", "Line 2: not UTF-8"),
        (b"statement,line,currency,amount\n", "Line 1: the file has a head and no row"),
        (b"statement,line,currency,amount,sum\n", "Line 1: unknown columns ['sum']"),
        (b"statement,line,currency,amount,line\n", "Line 1: the columns ['line'] stand there"),
        (b"line,currency,amount\n", "Line 1: the columns ['statement'] are missing"),
        (b"statement,currency,amount\n", "a column line or account is needed"),
        (b'statement,line,currency,amount\nbalance_sheet,"Cash,EUR,1\n', "not CSV"),
        (b"PK\x03\x04" + b"\xff" * 40, "not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused_whole(content: bytes, words: str) -> None:
    found = read(content, reporting_currency="EUR", period="2026-03")

    assert found.rows == () and len(found.problems) == 1
    assert words in found.problems[0]


def test_size_and_number_of_rows_have_limits() -> None:
    many = [f"trial_balance,,{n},,EUR,1.00,,,,," for n in range(ROWS_MAX + 1)]
    assert problem(*many) == "The file has 5001 rows; 5000 are accepted."
    assert len(reading(*many[:-1]).rows) == ROWS_MAX
    found = read(b"x" * (BYTES_MAX + 1), reporting_currency="EUR", period="2026-03")
    assert found.problems == (f"The file has {BYTES_MAX + 1} bytes; {BYTES_MAX} are accepted.",)


def test_of_many_bad_lines_the_first_fifty_are_named() -> None:
    found = reading(*[f"balance_sheet,Line {n},,,EUR,x,,,,," for n in range(60)])

    assert len(found.problems) == 51
    assert found.problems[-1] == "and 10 more lines that cannot be read"
