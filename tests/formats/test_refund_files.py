"""Files of refunds: what is read, and what is named by line and column (F8, D17)."""

from __future__ import annotations

import pytest

from payops.core.money import Money
from payops.formats.refund_file import BYTES_MAX, ROWS_MAX, FileRefused, Reject, read, text_of

HEAD = "payment,amount,currency,reason_code,note,evidence_order_reference"
LINE = "ORDER-1,30.00,EUR,order_canceled,was not sent,ORDER-1"


def test_a_line_is_read_with_its_evidence() -> None:
    (row,) = read(f"{HEAD}\n{LINE}\n").rows

    assert (row.line, row.payment, row.amount) == (2, "ORDER-1", Money(3_000, "EUR"))
    assert (row.reason_code, row.note) == ("order_canceled", "was not sent")
    assert row.evidence == {"order_reference": "ORDER-1"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_same_lines_are_the_same_file_however_they_were_saved(encoding, ending) -> None:
    """The key of a row holds the file's hash: saved anew, it asks for nothing twice."""
    plain = f"{HEAD}\nORDER-1,30.00,EUR,order_canceled,Größe ✓,ORDER-1\n"

    seen = read(text_of(plain.replace("\n", ending).encode(encoding)))

    assert seen.rows[0].note == "Größe ✓"
    assert seen.sha256 == read(plain).sha256


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_comma_semicolon_and_tab_separate(separator: str) -> None:
    text = f"{HEAD}\n{LINE}\n".replace(",", separator)

    assert read(text).rows == read(f"{HEAD}\n{LINE}\n").rows


def test_a_cell_with_a_line_of_its_own_does_not_shift_the_numbers() -> None:
    text = f'{HEAD}\nORDER-1,1.00,EUR,order_canceled,"two\nlines",X\n\n{LINE}\n'

    assert [row.line for row in read(text).rows] == [2, 5]


@pytest.mark.parametrize(
    ("cells", "column", "why"),
    [
        (",30.00,EUR,order_canceled,,", "payment", "it is empty"),
        ("O,30,00,EUR,order_canceled,", "currency", "write the ISO 4217 code"),
        ("O,'30.00,EUR,order_canceled,,", "amount", "write 30.00 with a point"),
        ("O,-30.00,EUR,order_canceled,,", "amount", "write 30.00 with a point"),
        ("O,=1+1,EUR,order_canceled,,", "amount", "write 30.00 with a point"),
        ("O,0.00,EUR,order_canceled,,", "amount", "more than nothing"),
        ("O,1.001,EUR,order_canceled,,", "amount", "EUR"),
        ("O,1.00,eur,order_canceled,,", "currency", "write the ISO 4217 code"),
        ("O,1.00,,order_canceled,,", "currency", "an amount needs its currency"),
        ("O,1.00,EUR,,,", "reason_code", "it is empty"),
        (f"O,1.00,EUR,order_canceled,{'n' * 401},", "note", "it has 401 characters; 400 fit"),
        ("O,1.00,EUR,order_canceled,a\x07b,", "note", "it holds control characters"),
        ("O,1.00,EUR,order_canceled,,X,more", "", "it has 7 cells, the header 6"),
    ],
)
def test_what_cannot_be_read_is_named_by_line_and_column(cells: str, column: str, why: str) -> None:
    seen = read(f"{HEAD}\n{LINE}\n{cells}\n")

    assert len(seen.rows) == 1
    reject = seen.rejects[0]
    assert (reject.line, reject.column) == (3, column)
    assert why in reject.why
    assert isinstance(reject, Reject)


def test_all_stands_for_what_is_left_and_needs_no_currency() -> None:
    (row,) = read("payment,amount,reason_code\nORDER-1,ALL,order_canceled\n").rows

    assert row.amount is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        (f"{HEAD}\n", "a header and no line below"),
        ("payment,amount\nO,1", "names no column reason_code"),
        ("payment,amount,reason_code,colour\nO,1,x,red", "column 4 is 'colour'"),
        ("payment,amount,amount,reason_code\nO,1,1,x", "column 3 is amount a second time"),
        (f'{HEAD}\nORDER-1,"30.00', "line 2: "),
        (f"{HEAD}\n" + f"{LINE}\n" * (ROWS_MAX + 1), f"more than {ROWS_MAX} lines"),
        (f"{HEAD}\n" + "x\n" * (ROWS_MAX + 10), f"more than {ROWS_MAX} lines"),
    ],
)
def test_a_file_that_is_none_is_refused_as_a_whole(text: str, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        read(text)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"payment\xff,amount", "byte 8 is not UTF-8"),
        (b"\xff\xfep\x00a", "byte 5 is not UTF-16"),
        (b"payment\x00", "not text"),
        (b"x" * (BYTES_MAX + 1), "more than 512 kB"),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_their_place(raw: bytes, why: str) -> None:
    with pytest.raises(FileRefused, match=why):
        text_of(raw)


def test_as_many_lines_as_fit_are_read() -> None:
    assert len(read(f"{HEAD}\n" + f"{LINE}\n" * ROWS_MAX).rows) == ROWS_MAX
