"""BAI2: records, continuations, type codes, and the totals of account, group and file (D16)."""

from __future__ import annotations

from datetime import date

import pytest

from payops.formats.bank.base import EntryStatus, FileRefused, StatementKind
from tests.formats.bank.reading import Read, read_file

GOOD = """01,BANK,MERIDIAN,260401,0600,1,80,,2/
02,MERIDIAN,BANK,1,260331,2359,USD,2/
03,1234567890,USD,010,10000,,,015,9500,,/
88,100,250,1,,400,750,2,/
16,195,250,V,260401,,BK1,CU1,WIRE IN, WITH A COMMA
16,495,700,0,BK2,CU2/
88,FEE FOR THE MONTH
88,OF MARCH
16,699,50,,,,CHARGE   /
49,21500,8/
98,21500,1,10/
99,21500,1,12/
"""


def changed(before: str, after: str) -> Read:
    assert before in GOOD
    return read_file(GOOD.replace(before, after), "bai2")


def test_a_file_that_adds_up_is_read_without_a_break() -> None:
    found = read_file(GOOD, "bai2")

    assert found.amounts == [250, -700, -50]
    assert [each.raw_code for each in found.entries] == ["195", "495", "699"]
    assert [each.kind for each in found.entries] == ["TRANSFER", "TRANSFER", "FEE"]
    assert found.codes == ["entry.assumed"]
    (statement,) = found.statements
    assert (statement.account.identifier, statement.currency) == ("1234567890", "USD")
    assert statement.kind == StatementKind.STATEMENT
    assert statement.opening is not None
    assert statement.closing is not None
    assert (statement.opening.amount_minor, statement.closing.amount_minor) == (10000, 9500)


def test_texts_keep_their_commas_and_go_on_over_lines() -> None:
    found = read_file(GOOD, "bai2")

    assert [each.remittance for each in found.entries] == [
        "WIRE IN, WITH A COMMA",
        "FEE FOR THE MONTH OF MARCH",
        "CHARGE",
    ]


def test_funds_types_tell_the_value_date_and_where_the_references_stand() -> None:
    found = read_file(GOOD, "bai2")

    assert [each.value_on for each in found.entries] == [
        date(2026, 4, 1),
        date(2026, 3, 31),
        date(2026, 3, 31),
    ]
    assert [(e.references.bank, e.references.customer) for e in found.entries] == [
        ("BK1", "CU1"),
        ("BK2", "CU2"),
        ("", ""),
    ]


@pytest.mark.parametrize(
    ("funds", "bank"),
    [("S,100,50,100", "BK9"), ("D,2,1,100,2,150", "BK9"), ("Z", "BK9"), ("2", "BK9")],
)
def test_every_funds_type_has_its_own_length(funds: str, bank: str) -> None:
    found = changed("16,195,250,V,260401,,BK1,CU1", f"16,195,250,{funds},{bank},CU1")

    assert found.entries[0].references.bank == bank
    assert found.entries[0].remittance == "WIRE IN, WITH A COMMA"


@pytest.mark.parametrize(
    ("before", "after", "code", "words"),
    [
        (
            "49,21500",
            "49,21501",
            "control.amount",
            "The bank's total is 21,501; the amounts read make 21,500.",
        ),
        (
            "98,21500,1,10",
            "98,21500,2,10",
            "control.count",
            "The bank counts 2 parts; 1 were read.",
        ),
        (
            "99,21500,1,12",
            "99,21500,1,13",
            "control.count",
            "The bank counts 13 records; 12 were read.",
        ),
        (
            "400,750,2",
            "400,750,3",
            "control.count",
            "The bank counts 3 debits; 2 were read.",
        ),
    ],
)
def test_a_total_that_differs_is_named_and_nothing_is_lost(
    before: str, after: str, code: str, words: str
) -> None:
    found = changed(before, after)

    assert found.amounts == [250, -700, -50]
    assert words in found.words(code)


def test_a_file_cut_off_in_the_middle_says_so() -> None:
    found = read_file(GOOD[: GOOD.index("49,")], "bai2")

    assert found.amounts == [250, -700, -50]
    assert found.words("file.unfinished") == [
        "The file ends without the record 49, 98, 99; it may have been cut off."
    ]


def test_balances_that_do_not_add_up_are_flagged() -> None:
    found = changed("015,9500", "015,9600")

    assert found.words("balance.difference") == [
        "It opens with 100.00 USD and the booked entries (3) make -5.00 USD, but it closes with"
        " 96.00 USD: 1.00 USD do not add up."
    ]


def test_the_next_day_must_open_as_this_one_closed() -> None:
    body = GOOD[GOOD.index("02,") : GOOD.index("99,")]
    head, tail = GOOD[: GOOD.index("02,")], GOOD[GOOD.index("99,") :]
    next_day = body.replace("260331", "260401").replace("010,10000", "010,9400")

    found = read_file(head + body + next_day.replace("015,9500", "015,8900") + tail, "bai2")

    assert found.words("continuity.gap") == [
        "It opens with 94.00 USD, but statement 1 closed with 95.00 USD: -1.00 USD lie between"
        " them."
    ]


def test_same_day_reports_tests_and_lines_without_money_are_told_apart() -> None:
    found = changed("USD,2/\n03", "USD,3/\n03")
    test = changed("BANK,1,260331", "BANK,4,260331")
    information = changed("16,699,50", "16,890,50")

    assert found.statements[0].kind == StatementKind.INTRADAY
    assert test.words("file.status") == ["The bank marks this group as a test."]
    assert information.entries[2].status == EntryStatus.INFO


def test_a_yen_has_no_decimals_and_a_point_in_an_amount_is_rejected() -> None:
    yen = changed("03,1234567890,USD", "03,1234567890,JPY")
    point = changed("16,495,700", "16,495,7.00")

    assert (yen.entries[0].amount_minor, yen.entries[0].currency) == (250, "JPY")
    assert point.amounts == [250, -50]
    assert [(each.line, each.why) for each in point.rejects] == [
        (6, '"7.00" is not a whole number of minor units')
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("16,195,1/\n", "the first record is 16, not 01"),
        ("hello, world\n", "is no record of BAI2"),
        ("", "there is no record 01"),
    ],
)
def test_what_is_no_bai2_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        read_file(text, "bai2")
