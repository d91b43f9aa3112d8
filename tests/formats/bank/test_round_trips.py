"""Whatever a bank could write comes out as it went in, in every format (D17, D16)."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal
from xml.sax.saxutils import escape

from hypothesis import given, settings
from hypothesis import strategies as st

from payops.core.money import EXPONENTS, MINOR_MAX, Money, MoneyError
from payops.formats.bank.amounts import AmountRefused, comma, localised, plain
from payops.formats.bank.base import ReadOptions
from tests.formats.bank.reading import Read, read_file

CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF", *sorted(EXPONENTS)])
AMOUNTS = st.integers(-(10**12), 10**12)
DAYS = st.dates(date(2000, 1, 1), date(2079, 12, 31))
WORDS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), include_characters=" "),
    max_size=60,
)
LINES = st.lists(st.tuples(AMOUNTS, DAYS, WORDS), max_size=12)


def pairs(found: Read) -> list[tuple[int, date | None]]:
    return [(each.amount_minor, each.booked_on) for each in found.entries]


@settings(max_examples=60, deadline=None)
@given(lines=LINES, currency=CURRENCIES, opening=AMOUNTS)
def test_camt_keeps_every_line_and_adds_up(
    lines: list[tuple[int, date, str]], currency: str, opening: int
) -> None:
    def amount(minor: int) -> str:
        size = Money(abs(minor), currency).decimal_text()
        sign = "DBIT" if minor < 0 else "CRDT"
        return f'<Amt Ccy="{currency}">{size}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'

    def balance(code: str, minor: int) -> str:
        kind = f"<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        return f"<Bal>{kind}{amount(minor)}<Dt><Dt>2026-03-31</Dt></Dt></Bal>"

    total = opening + sum(minor for minor, _, _ in lines)
    entries = "".join(
        f"<Ntry>{amount(minor)}<Sts>BOOK</Sts><BookgDt><Dt>{on}</Dt></BookgDt>"
        f"<AcctSvcrRef>R{place}</AcctSvcrRef><AddtlNtryInf>{escape(text)}</AddtlNtryInf></Ntry>"
        for place, (minor, on, text) in enumerate(lines)
    )
    xml = (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.04"><BkToCstmrStmt><Stmt>'
        f"{balance('OPBD', opening)}{entries}{balance('CLBD', total)}"
        "</Stmt></BkToCstmrStmt></Document>"
    )

    found = read_file(xml, "camt")

    assert pairs(found) == [(minor, on) for minor, on, _ in lines]
    assert [each.additional for each in found.entries] == [" ".join(t.split()) for *_, t in lines]
    assert "balance.difference" not in found.codes
    assert (found.rejects, found.statements[0].currency) == ([], currency)


@settings(max_examples=60, deadline=None)
@given(lines=LINES, currency=CURRENCIES, opening=AMOUNTS)
def test_mt940_keeps_every_line_and_adds_up(
    lines: list[tuple[int, date, str]], currency: str, opening: int
) -> None:
    def amount(minor: int) -> str:
        text = Money(abs(minor), currency).decimal_text().replace(".", ",")
        return text if "," in text else f"{text},"

    def sign(minor: int) -> str:
        return "D" if minor < 0 else "C"

    total = opening + sum(minor for minor, _, _ in lines)
    body = "".join(
        f":61:{on:%y%m%d}{on:%m%d}{sign(minor)}{amount(minor)}NTRFR{place}//B{place}\r\n"
        for place, (minor, on, _) in enumerate(lines)
    )
    text = (
        f":20:X\r\n:25:1/2\r\n:28C:1/1\r\n:60F:{sign(opening)}260330{currency}{amount(opening)}\r\n"
        f"{body}:62F:{sign(total)}260331{currency}{amount(total)}\r\n-\r\n"
    )

    found = read_file(text, "mt940")

    assert pairs(found) == [(minor, on) for minor, on, _ in lines]
    assert [each.references.bank for each in found.entries] == [f"B{n}" for n in range(len(lines))]
    assert (found.codes, found.rejects) == ([], [])


@settings(max_examples=60, deadline=None)
@given(
    lines=LINES,
    currency=CURRENCIES,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    mark=st.sampled_from([".", ","]),
    order=st.sampled_from(["YMD", "DMY", "MDY"]),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_csv_keeps_every_line_in_any_layout(
    lines: list[tuple[int, date, str]],
    currency: str,
    delimiter: str,
    mark: str,
    order: str,
    encoding: str,
) -> None:
    form = {"YMD": "%Y-%m-%d", "DMY": "%d.%m.%Y", "MDY": "%m/%d/%Y"}[order]
    sheet = io.StringIO()
    writer = csv.writer(sheet, delimiter=delimiter)
    writer.writerow(["Day", "Sum", "Text"])
    for minor, on, text in lines:
        amount = Money(minor, currency).decimal_text().replace(".", mark)
        writer.writerow([on.strftime(form), amount, text])
    mapping = {
        "columns": {"booked_on": "Day", "amount": "Sum", "remittance": "Text"},
        "delimiter": delimiter,
        "decimal_mark": mark,
        "date_order": order,
        "encoding": encoding,
        "currency": currency,
    }

    found = read_file(sheet.getvalue().encode(encoding), "csv", ReadOptions(mapping=mapping))

    assert pairs(found) == [(minor, on) for minor, on, _ in lines]
    assert [each.remittance for each in found.entries] == [" ".join(t.split()) for *_, t in lines]
    assert found.rejects == []


@settings(max_examples=60, deadline=None)
@given(lines=LINES, opening=AMOUNTS)
def test_bai2_keeps_every_line_and_its_totals(
    lines: list[tuple[int, date, str]], opening: int
) -> None:
    closing = opening + sum(minor for minor, _, _ in lines)
    body = "".join(
        f"16,{'195' if minor >= 0 else '495'},{abs(minor)},V,{on:%y%m%d},,B{place},C{place}/\n"
        for place, (minor, on, _) in enumerate(lines)
    )
    total = opening + closing + sum(abs(minor) for minor, _, _ in lines)
    count = len(lines)
    text = (
        "01,A,B,260331,0000,1,,,2/\n02,B,A,1,260331,,USD,2/\n"
        f"03,1,USD,010,{opening},,,015,{closing},,/\n{body}"
        f"49,{total},{count + 2}/\n98,{total},1,{count + 4}/\n99,{total},1,{count + 6}/\n"
    )

    found = read_file(text, "bai2")

    assert found.amounts == [minor for minor, _, _ in lines]
    assert [each.value_on for each in found.entries] == [on for _, on, _ in lines]
    assert set(found.codes) <= {"entry.identical"}


@settings(max_examples=400, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), CURRENCIES)
def test_amounts_are_those_of_core_money_or_refused_as_there(value: Decimal, currency: str) -> None:
    text = f"{value:f}"
    try:
        expected = Money.from_decimal(text, currency).minor
    except MoneyError:
        expected = None
    for read in (plain, lambda told, own: localised(told, own, mark=".")):
        try:
            found = read(text, currency)
        except AmountRefused:
            found = None
        assert found == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(-MINOR_MAX, MINOR_MAX), CURRENCIES)
def test_an_amount_written_for_people_reads_back(minor: int, currency: str) -> None:
    text = str(Money(minor, currency)).rsplit(" ", 1)[0]
    other = text.translate(str.maketrans(",.", ".,"))

    assert localised(text, currency, mark=".") == minor
    assert localised(other, currency, mark=",") == minor
    assert comma(Money(minor, currency).decimal_text().replace(".", ","), currency) == minor
