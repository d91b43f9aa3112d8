"""CSV with a saved mapping, and the preview that guesses one with its reasons (F18)."""

from __future__ import annotations

import io
from datetime import date

import pytest

from payops.formats.bank.base import FileRefused, ReadOptions
from payops.formats.bank.csv_preview import preview
from payops.formats.bank.mappings import MappingRefused, SignStyle, mapping_of
from tests.formats.bank.reading import Read, read_file

COLUMNS = {"booked_on": "Date", "amount": "Amount", "remittance": "Text"}
PLAIN = {"columns": COLUMNS, "currency": "EUR"}


def told(text: str | bytes, **changes: object) -> Read:
    return read_file(text, "csv", ReadOptions(mapping={**PLAIN, **changes}))


def test_rows_become_entries_in_their_order_with_their_lines() -> None:
    found = told('Date,Amount,Text\n2026-03-31,"1,234.56",Rent\n\n2026-04-01,-0.5,"a ""b"", c"\n')

    assert found.amounts == [123456, -50]
    assert [(each.line, each.position) for each in found.entries] == [(2, 1), (4, 2)]
    assert [each.booked_on for each in found.entries] == [date(2026, 3, 31), date(2026, 4, 1)]
    assert found.entries[1].remittance == 'a "b", c'


@pytest.mark.parametrize(
    ("cell", "mark", "minor"),
    [
        ("1234.56", ".", 123456),
        ("1,234.56", ".", 123456),
        ("1'234.56", ".", 123456),
        ("12,34,567.00", ".", 123456700),
        ("1.234,56", ",", 123456),
        ("1 234,56", ",", 123456),
        ("1\u00a0234,5-", ",", -123450),
        ("(1.234,56)", ",", -123456),
        ("\u2212 12,00", ",", -1200),
        ("+7", ",", 700),
    ],
)
def test_amounts_are_read_with_the_mark_of_the_mapping(cell: str, mark: str, minor: int) -> None:
    found = told(f'Date;Amount;Text\n2026-03-31;"{cell}";x\n', delimiter=";", decimal_mark=mark)

    assert found.amounts == [minor]


@pytest.mark.parametrize(
    "cell", ["1.234,56", "12,3.4", "1,23,4", "1e3", "NaN", "inf", "=1+1", "--1", "", "0x10", "١٢"]
)
def test_an_amount_that_could_mean_two_things_is_a_reject(cell: str) -> None:
    found = told(f'Date,Amount,Text\n2026-03-31,"{cell}",x\n2026-03-31,1.00,y\n')

    assert found.amounts == [100]
    (reject,) = found.rejects
    assert (reject.line, reject.column) == (2, "Amount")


@pytest.mark.parametrize(
    ("order", "cell"),
    [
        ("DMY", "31.03.2026"),
        ("DMY", "31/3/26"),
        ("DMY", "31 Mar 2026"),
        ("MDY", "03/31/2026"),
        ("MDY", "3-31-26"),
        ("YMD", "2026-03-31"),
        ("YMD", "2026-03-31 23:59:59"),
        ("YMD", "20260331"),
    ],
)
def test_dates_are_read_in_the_order_of_the_mapping(order: str, cell: str) -> None:
    found = told(f"Date,Amount,Text\n{cell},1,x\n", date_order=order)

    assert [each.booked_on for each in found.entries] == [date(2026, 3, 31)]


def test_a_day_in_another_order_is_rejected_and_never_turned_round() -> None:
    found = told("Date,Amount,Text\n03/31/2026,1,x\n2026-03-31,1,x\n", date_order="DMY")

    assert found.amounts == []
    assert [each.column for each in found.rejects] == ["Date", "Date"]
    assert found.rejects[0].excerpt == '"03/31/2026"'


def test_signs_come_from_one_column_two_columns_or_a_word() -> None:
    reversed_ = told("Date,Amount,Text\n2026-03-31,5.00,x\n", sign_style="REVERSED")
    two = told(
        "Date,Out,In,Text\n2026-03-31,5.00,,x\n2026-03-31,,6.00,y\n2026-03-31,-7.00,0.00,z\n"
        "2026-03-31,1.00,1.00,no\n2026-03-31,,,no\n",
        columns={**COLUMNS, "debit": "Out", "credit": "In", "amount": "In"},
        sign_style="DEBIT_CREDIT",
    )
    word = told(
        "Date,Amount,DC,Text\n2026-03-31,5.00,S,x\n2026-03-31,6.00,h,y\n2026-03-31,6.00,?,n\n",
        columns={**COLUMNS, "indicator": "DC"},
        sign_style="INDICATOR",
    )

    assert reversed_.amounts == [-500]
    assert two.amounts == [-500, 600, -700]
    assert [each.why for each in two.rejects] == [
        "both money in and money out are told",
        "neither money in nor money out is told",
    ]
    assert word.amounts == [-500, 600]
    assert [each.why for each in word.rejects] == ['"?" says neither credit nor debit']


def test_preamble_and_trailer_are_skipped() -> None:
    text = "Account 12\nMarch\nDate,Amount,Text\n2026-03-31,1,x\nTotal,1,\nMade by bank,,\n"

    found = told(text, skip_lines=2, trailer_rows=2)

    assert (found.amounts, found.rejects) == ([100], [])
    assert found.entries[0].line == 4


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "Ødegaard"), ("utf-16", "Ødegaard"), ("windows-1252", "Müller"), ("cp852", "Łódź")],
)
def test_a_file_is_read_in_the_encoding_of_its_mapping(encoding: str, name: str) -> None:
    content = f"Date,Amount,Text\n2026-03-31,1,{name}\n".encode(encoding)

    found = told(content, encoding=encoding)

    assert found.entries[0].remittance == name


def test_a_row_with_more_cells_than_the_header_is_rejected() -> None:
    found = told("Date,Amount,Text\n2026-03-31,1,50,x\n2026-03-31,2,x,\n2026-03-31\n")

    assert found.amounts == [200]
    assert [(each.line, each.why) for each in found.rejects] == [
        (2, "it has 4 cells; 3 are needed"),
        (4, "it has 1 cells; 3 are needed"),
    ]


def test_a_changed_header_refuses_the_file_and_names_what_is_there() -> None:
    with pytest.raises(FileRefused, match=r"no column 'Amount' for amount; it has \"date\""):
        told("Date,Value,Text\n2026-03-31,1,x\n")


@pytest.mark.parametrize("rows", [(0, 1, 2), (2, 1, 0)])
def test_a_running_balance_is_checked_whichever_way_the_file_is_sorted(
    rows: tuple[int, ...],
) -> None:
    lines = ["2026-03-29,10,x,110", "2026-03-30,-30,y,80", "2026-03-31,5,z,85"]
    mapping = {"columns": {**COLUMNS, "balance": "Saldo"}}
    head = "Date,Amount,Text,Saldo\n"

    found = told(head + "\n".join(lines[each] for each in rows), **mapping)
    broken = told(head + "\n".join(lines[each].replace("80", "81") for each in rows), **mapping)

    (statement,) = found.statements
    assert statement.opening is not None
    assert statement.closing is not None
    assert (statement.opening.amount_minor, statement.closing.amount_minor) == (10000, 8500)
    assert found.codes == ["entry.assumed"]
    assert len(broken.entries) == 3
    assert "balance.running" in broken.codes


def test_columns_by_place_serve_a_file_without_a_header() -> None:
    found = told(
        "2026-03-31;x;1,50\n",
        columns={"booked_on": 0, "remittance": [1], "amount": 2},
        has_header=False,
        delimiter=";",
        decimal_mark=",",
    )

    assert (found.amounts, found.entries[0].line) == ([150], 1)


def test_rows_of_several_accounts_are_a_statement_each() -> None:
    found = told(
        "Date,Amount,Text,Konto\n2026-03-31,1,x,A1\n2026-03-31,2,x,A1\n2026-03-31,3,x,B2\n",
        columns={**COLUMNS, "account": "Konto"},
    )

    assert [each.account.identifier for each in found.statements] == ["A1", "B2"]
    assert [each.statement for each in found.entries] == [1, 1, 2]


def test_a_formula_stays_text_and_is_pointed_at() -> None:
    found = told('Date,Amount,Text\n2026-03-31,1,"=HYPERLINK(""http://x"")"\n2026-03-31,2,-5\n')

    assert found.entries[0].remittance == '=HYPERLINK("http://x")'
    assert found.words("text.formula") == [
        "1 texts begin like a formula of a spreadsheet, the first in entry 1; they are kept as"
        " text and marked when exported."
    ]


def test_a_mapping_is_refused_with_every_problem_at_once() -> None:
    with pytest.raises(MappingRefused) as refused:
        mapping_of(
            {
                "columns": {"amount": "A", "colour": "B"},
                "decimal_mark": ";",
                "skip_lines": -1,
                "sign_style": "INDICATOR",
            }
        )

    for word in ("booking date", "debit or credit", "'colour'", "decimal mark", "skip lines"):
        assert word in str(refused.value)
    assert "neither a currency nor a column" in str(refused.value)


def test_a_mapping_is_the_same_after_it_was_stored() -> None:
    mapping = mapping_of({**PLAIN, "sign_style": "REVERSED", "trailer_rows": 3, "delimiter": "\t"})

    assert mapping_of(mapping.values()) == mapping


GERMAN = (
    "Kontoauszug;;;\nStand 31.03.2026;;;\n"
    "Buchungstag;Valuta;Verwendungszweck;Beguenstigter/Zahlungspflichtiger;Betrag;Waehrung\n"
    "31.03.2026;31.03.2026;Miete;Lena;-1.234,56;EUR\n"
    "30.03.2026;30.03.2026;Gehalt;Chen;99,00;EUR\n"
    ";;;Summe;-1.135,56;\n"
)


def test_a_preview_guesses_the_mapping_and_says_why() -> None:
    seen = preview(io.BytesIO(GERMAN.encode()), currency="EUR")

    mapping = seen.mapping
    assert (mapping.delimiter, mapping.skip_lines, mapping.trailer_rows) == (";", 2, 1)
    assert (mapping.decimal_mark, mapping.date_order) == (",", "DMY")
    assert mapping.columns["booked_on"] == ("Buchungstag",)
    assert mapping.columns["value_on"] == ("Valuta",)
    assert mapping.columns["amount"] == ("Betrag",)
    assert [each.amount_minor for each in seen.entries] == [-123456, 9900]
    assert seen.entries[0].counterparty.name == "Lena"
    assert (seen.rejects, seen.doubts) == ((), ())
    assert "A semicolon cuts most lines into 6 cells." in seen.reasons
    assert "The last 1 rows hold no date and are left out." in seen.reasons


def test_what_fits_two_ways_is_a_doubt_for_a_person() -> None:
    seen = preview(io.BytesIO(b"Date,Amount\n03/04/2026,1.50\n05/06/2026,2.50\n"), currency="EUR")

    assert "The dates read as DMY and as MDY; choose which the bank means." in seen.doubts
    assert "No amount has a sign; say whether plus is money in or money out." in seen.doubts


def test_two_amount_columns_and_words_are_recognised() -> None:
    two = preview(io.BytesIO(b"Date,Paid out,Paid in\n2026-03-31,1.50,\n"), currency="GBP")
    word = preview(io.BytesIO(b"Date,Amount,D/C\n2026-03-31,1.50,D\n"), currency="GBP")

    assert two.mapping.sign_style == SignStyle.DEBIT_CREDIT
    assert [each.amount_minor for each in two.entries] == [-150]
    assert word.mapping.sign_style == SignStyle.INDICATOR
    assert [each.amount_minor for each in word.entries] == [-150]


def test_a_preview_without_a_currency_asks_for_it() -> None:
    seen = preview(io.BytesIO(b"Date,Amount\n2026-03-31,-1.50\n"))

    assert seen.entries == ()
    assert any("neither a currency" in each for each in seen.doubts)
