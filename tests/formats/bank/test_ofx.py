"""OFX of both kinds, with open and closed elements (RC-13, D13)."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from payops.formats.bank.base import EntryStatus, FileRefused, Scheme
from tests.formats.bank.reading import read_file

SGML = """OFXHEADER:100
DATA:OFXSGML
VERSION:102
ENCODING:USASCII
CHARSET:1252

<OFX><SIGNONMSGSRSV1><SONRS><DTSERVER>20260331201500[+2:CEST]<LANGUAGE>ENG</SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>EUR
<BANKACCTFROM><BANKID>12030000<ACCTID>DE02120300000000202051<ACCTTYPE>CHECKING</BANKACCTFROM>
<BANKTRANLIST><DTSTART>20260301<DTEND>20260331
<STMTTRN><TRNTYPE>POS<DTPOSTED>20260331233000[+2:CEST]<TRNAMT>-6.60<FITID>F1
<NAME>Caf&eacute; &amp; Bar<MEMO>Lunch
<STMTTRN><TRNTYPE>CHECK<DTPOSTED>20260330<TRNAMT>-316,67<FITID>F2<CHECKNUM>0042</STMTTRN>
<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20260330<DTAVAIL>20260331<TRNAMT>+1000.00<FITID>F3<NAME>Lena</STMTTRN>
</BANKTRANLIST>
<LEDGERBAL><BALAMT>382.34<DTASOF>20260331</LEDGERBAL>
<AVAILBAL><BALAMT>-1.50<DTASOF>20260331</AVAILBAL>
</STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
"""
XML = """<?xml version="1.0" encoding="UTF-8"?>
<?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE"?>
<OFX><CREDITCARDMSGSRSV1><CCSTMTTRNRS><CCSTMTRS><CURDEF>USD</CURDEF>
<CCACCTFROM><ACCTID>4111111111111111</ACCTID></CCACCTFROM>
<BANKTRANLIST><DTSTART>20260301</DTSTART><DTEND>20260331</DTEND>
<STMTTRN><TRNTYPE>DEBIT</TRNTYPE><DTPOSTED>20260331</DTPOSTED><TRNAMT>-16.85</TRNAMT>
<FITID>1</FITID><NAME><![CDATA[SHOP <EU> & CO]]></NAME>
<ORIGCURRENCY><CURRATE>1.0850</CURRATE><CURSYM>EUR</CURSYM></ORIGCURRENCY></STMTTRN>
</BANKTRANLIST>
<BANKTRANLISTP><STMTTRNP><TRNTYPE>DEBIT</TRNTYPE><DTTRAN>20260401</DTTRAN>
<TRNAMT>-2.00</TRNAMT><NAME>Waiting</NAME></STMTTRNP></BANKTRANLISTP>
<LEDGERBAL><BALAMT>-123.45</BALAMT><DTASOF>20260331</DTASOF></LEDGERBAL>
</CCSTMTRS></CCSTMTTRNRS></CREDITCARDMSGSRSV1></OFX>
"""


def test_open_elements_are_read_as_the_older_kind_writes_them() -> None:
    found = read_file(SGML, "ofx")

    assert found.amounts == [-660, -31667, 100000]
    assert [each.references.bank for each in found.entries] == ["F1", "F2", "F3"]
    assert [each.kind for each in found.entries] == ["CARD", "CHEQUE", "OTHER"]
    first, second, third = found.entries
    assert (first.counterparty.name, first.remittance) == ("Café & Bar", "Lunch")
    assert (second.references.cheque, second.booked_on) == ("42", date(2026, 3, 30))
    assert (third.value_on, third.counterparty.name) == (date(2026, 3, 31), "Lena")


def test_a_moment_keeps_the_day_and_the_offset_of_the_bank() -> None:
    found = read_file(SGML, "ofx")

    first = found.entries[0]
    assert first.booked_on == date(2026, 3, 31)
    assert first.booked_at == datetime(2026, 3, 31, 23, 30, tzinfo=timezone(timedelta(hours=2)))
    assert found.statements[0].time_zone == "+02:00"


def test_balances_and_period_are_told_and_the_missing_opening_is_said() -> None:
    found = read_file(SGML, "ofx")

    (statement,) = found.statements
    assert [(each.raw_code, each.amount_minor) for each in statement.balances] == [
        ("LEDGERBAL", 38234),
        ("AVAILBAL", -150),
    ]
    assert (statement.from_on, statement.to_on) == (date(2026, 3, 1), date(2026, 3, 31))
    assert statement.account.identifier == "DE02120300000000202051"
    assert found.codes == ["entry.assumed", "balance.missing"]


def test_the_newer_kind_has_cards_pending_lines_and_other_currencies() -> None:
    found = read_file(XML, "ofx")

    booked, waiting = found.entries
    assert (booked.amount_minor, booked.counterparty.name) == (-1685, "SHOP <EU> & CO")
    assert booked.exchange is not None
    assert (booked.exchange.source_currency, booked.exchange.rate) == ("EUR", "1.0850")
    assert (waiting.amount_minor, waiting.status) == (-200, EntryStatus.PENDING)
    (statement,) = found.statements
    assert statement.account.scheme == Scheme.CARD
    assert str(statement.account) == "…1111"
    assert "4111111111111111" not in f"{found.statements}{found.entries}"


def test_a_file_that_calls_itself_xml_may_leave_its_elements_open() -> None:
    found = read_file(XML.replace("</TRNAMT>", "").replace("</FITID>", ""), "ofx")

    assert found.amounts == [-1685, -200]


def test_several_accounts_are_several_statements() -> None:
    second = SGML[SGML.index("<STMTTRNRS>") : SGML.index("</BANKMSGSRSV1>")]
    text = SGML.replace("</BANKMSGSRSV1>", second.replace("202051", "202999") + "</BANKMSGSRSV1>")

    found = read_file(text, "ofx")

    assert [each.account.masked for each in found.statements] == ["DE…2051", "DE…2999"]
    assert [each.statement for each in found.entries] == [1, 1, 1, 2, 2, 2]


def test_lines_that_cannot_be_read_are_rejected_with_column_and_reason() -> None:
    text = SGML.replace("-6.60", "$120").replace("20260330<TRNAMT>-316", "20261340<TRNAMT>-316")

    found = read_file(text, "ofx")

    assert found.amounts == [100000]
    assert [(each.column, each.why) for each in found.rejects] == [
        ("TRNAMT", '"$120" is not an amount with a decimal point, such as 1,234.56'),
        ("DTPOSTED", '"20261340" is no day such as 20260331'),
    ]


def test_a_file_cut_off_is_told_and_what_it_has_is_kept() -> None:
    found = read_file(SGML[: SGML.index("</BANKTRANLIST>")], "ofx")

    assert found.amounts == [-660, -31667, 100000]
    assert "file.unfinished" in found.codes


@pytest.mark.parametrize("text", ["", "<html>no</html>", "OFXHEADER:100\n"])
def test_what_is_no_ofx_is_refused(text: str) -> None:
    with pytest.raises(FileRefused):
        read_file(text, "ofx")
