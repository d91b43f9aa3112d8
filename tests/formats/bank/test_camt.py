"""camt.052, .053 and .054 are read as banks write them, not as the schema wants (D16, RC-13)."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from payops.formats.bank.base import EntryStatus, StatementKind
from tests.formats.bank.reading import (
    IBAN,
    OTHER_IBAN,
    balance,
    camt053,
    entry,
    payment,
    read_file,
    stmt,
)

DAY = date(2026, 3, 31)
SUMMER = timezone(timedelta(hours=2))
OPENING, CLOSING = balance("OPBD", "100.00"), balance("CLBD", "112.34")
FULL = """
<Ntry>
  <NtryRef>E-1</NtryRef>
  <Amt Ccy="EUR">12.34</Amt><CdtDbtInd>CRDT</CdtDbtInd>
  <Sts><Cd>BOOK</Cd></Sts>
  <BookgDt><DtTm>2026-03-31T23:30:00+02:00</DtTm></BookgDt>
  <ValDt><Dt>2026-04-01</Dt></ValDt>
  <AcctSvcrRef>BANK-77</AcctSvcrRef>
  <BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>
  <NtryDtls><TxDtls>
    <Refs><MsgId>MSG-1</MsgId><InstrId>I-1</InstrId><EndToEndId>PO-10492</EndToEndId>
      <TxId>TX-1</TxId><MndtId>MD-1</MndtId></Refs>
    <Amt Ccy="EUR">12.34</Amt>
    <AmtDtls><InstdAmt><Amt Ccy="USD">13.50</Amt></InstdAmt>
      <CntrValAmt><Amt Ccy="EUR">12.34</Amt><CcyXchg><SrcCcy>USD</SrcCcy><TrgtCcy>EUR</TrgtCcy>
      <XchgRate>0.9140740</XchgRate></CcyXchg></CntrValAmt></AmtDtls>
    <Chrgs><TtlChrgsAndTaxAmt Ccy="EUR">0.31</TtlChrgsAndTaxAmt>
      <Rcrd><Amt Ccy="EUR">0.31</Amt><CdtDbtInd>DBIT</CdtDbtInd><ChrgInclInd>true</ChrgInclInd>
      </Rcrd></Chrgs>
    <RltdPties>
      <Dbtr><Pty><Nm>Lena   Ödegaard</Nm></Pty></Dbtr>
      <DbtrAcct><Id><IBAN>NL91 ABNA 0417 1643 00</IBAN></Id></DbtrAcct>
      <Cdtr><Pty><Nm>Meridian</Nm></Pty></Cdtr>
    </RltdPties>
    <RltdAgts><DbtrAgt><FinInstnId><BICFI>ABNANL2A</BICFI></FinInstnId></DbtrAgt></RltdAgts>
    <RmtInf><Ustrd>Invoice 4711</Ustrd><Ustrd>and 4712</Ustrd>
      <Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf>
  </TxDtls></NtryDtls>
  <AddtlNtryInf>SEPA credit</AddtlNtryInf>
</Ntry>
"""


@pytest.mark.parametrize("version", [f"{each:02}" for each in range(2, 14)])
def test_every_version_from_02_to_13_is_read_without_a_word(version: str) -> None:
    found = read_file(camt053(stmt(OPENING, CLOSING, entry("12.34")), version=version), "camt")

    assert found.amounts == [1234]
    assert found.codes == []
    (statement,) = found.statements
    assert (statement.account.identifier, statement.currency) == (IBAN, "EUR")
    assert (statement.number, statement.sequence, statement.reference) == ("7", 7, "S-7")
    assert statement.kind == StatementKind.STATEMENT


def test_an_entry_carries_everything_its_only_payment_tells() -> None:
    found = read_file(camt053(stmt(OPENING, CLOSING, FULL)), "camt")

    (told,) = found.entries
    assert (told.amount_minor, told.currency, told.kind) == (1234, "EUR", "TRANSFER")
    assert (told.booked_on, told.value_on) == (DAY, date(2026, 4, 1))
    assert told.booked_at == datetime(2026, 3, 31, 23, 30, tzinfo=SUMMER)
    assert told.raw_code == "PMNT-RCDT-ESCT"
    said = told.references
    assert (said.end_to_end, said.bank, said.transaction) == ("PO-10492", "BANK-77", "TX-1")
    assert (said.instruction, said.mandate, said.entry) == ("I-1", "MD-1", "E-1")
    assert said.creditor == "RF18539007547034"
    assert told.counterparty.name == "Lena Ödegaard"
    assert told.counterparty.account is not None
    assert told.counterparty.account.identifier == OTHER_IBAN
    assert (told.counterparty.bank, told.remittance) == ("ABNANL2A", "Invoice 4711 and 4712")
    assert told.additional == "SEPA credit"
    assert told.exchange is not None
    assert (told.exchange.instructed_minor, told.exchange.rate) == (1350, "0.9140740")
    (charge,) = told.charges
    assert (charge.amount_minor, charge.currency, charge.included) == (-31, "EUR", True)
    assert (told.children, told.assumed, found.codes) == ((), (), [])


def test_the_account_is_masked_wherever_it_is_shown() -> None:
    found = read_file(camt053(stmt(OPENING, CLOSING, FULL)), "camt")

    shown = f"{found.statements} {found.entries} {found.statements[0].account}"
    assert IBAN not in shown
    assert OTHER_IBAN not in shown
    assert str(found.statements[0].account) == "DE…2051"


def test_each_file_keeps_the_time_zone_it_tells() -> None:
    found = read_file(camt053(stmt(OPENING, CLOSING, entry("12.34"))), "camt")

    assert found.statements[0].time_zone == "+02:00"
    assert found.statements[0].created_at == datetime(2026, 3, 31, 20, 15, tzinfo=SUMMER)


def test_a_batch_may_be_the_net_of_credits_and_debits() -> None:
    details = "".join(
        [
            payment("500.00", "CRDT", refs="<TxId>1</TxId>"),
            payment("700.50", "DBIT", refs="<TxId>2</TxId>"),
            payment("0.25", "CRDT", refs="<TxId>3</TxId>"),
        ]
    )
    batch = f"<NtryDtls><Btch><NbOfTxs>3</NbOfTxs></Btch>{details}</NtryDtls>"

    found = read_file(camt053(stmt(entry("200.25", "DBIT", batch))), "camt")

    assert found.amounts == [-20025]
    assert [child.amount_minor for child in found.entries[0].children] == [50000, -70050, 25]
    assert [child.references.transaction for child in found.entries[0].children] == ["1", "2", "3"]
    assert found.codes == ["balance.missing"]


def test_a_batch_that_does_not_make_its_entry_is_kept_and_named() -> None:
    details = payment("10.00", refs="<TxId>1</TxId>") + payment("5.00", refs="<TxId>2</TxId>")
    batch = f"<NtryDtls><Btch><NbOfTxs>3</NbOfTxs></Btch>{details}</NtryDtls>"

    found = read_file(camt053(stmt(entry("20.00", "CRDT", batch))), "camt")

    assert found.amounts == [2000]
    assert found.words("batch.difference") == [
        "Its payments (2) make 15.00 EUR, the entry is 20.00 EUR."
    ]
    assert found.words("batch.count") == ["The batch says 3 payments; 2 are listed."]


def test_what_a_bank_leaves_out_is_filled_and_said() -> None:
    bare = '<Ntry><Amt Ccy="EUR">12.34</Amt><CdtDbtInd>CRDT</CdtDbtInd></Ntry>'
    balances = balance("OPBD", "100.00", "") + balance("CLBD", "112.34", "")

    found = read_file(camt053(stmt(balances, bare)), "camt")

    (told,) = found.entries
    assert (told.booked_on, told.value_on, told.status) == (DAY, DAY, EntryStatus.BOOKED)
    assert told.assumed == ("booked_on", "value_on", "status")
    assert found.codes == ["entry.assumed"] * 3 + ["balance.sign_assumed"]


def test_an_entry_without_credit_or_debit_takes_the_sign_of_its_amount() -> None:
    bare = '<Ntry><Amt Ccy="EUR">-12.34</Amt></Ntry>'

    found = read_file(camt053(stmt(bare)), "camt")

    assert found.amounts == [-1234]
    assert "sign" in found.entries[0].assumed


def test_pending_and_informal_entries_are_in_no_sum() -> None:
    waiting = entry("5.00").replace("BOOK", "PDNG") + entry("6.00").replace("BOOK", "INFO")

    found = read_file(camt053(stmt(OPENING, CLOSING, entry("12.34"), waiting)), "camt")

    statuses = [each.status for each in found.entries]
    assert statuses == [EntryStatus.BOOKED, EntryStatus.PENDING, EntryStatus.INFO]
    assert (found.totals[0].credits_minor, found.totals[0].unbooked) == (1234, 2)
    assert found.codes == []


def test_a_reversal_keeps_the_way_the_money_went_and_who_it_was_with() -> None:
    parties = "<RltdPties><Cdtr><Nm>Paid</Nm></Cdtr><Dbtr><Nm>Us</Nm></Dbtr></RltdPties>"
    inside = f"<RvslInd>true</RvslInd><NtryDtls>{payment('9.00', '', parties)}</NtryDtls>"

    found = read_file(camt053(stmt(entry("9.00", "CRDT", inside))), "camt")

    (told,) = found.entries
    assert (told.amount_minor, told.is_reversal, told.counterparty.name) == (900, True, "Paid")


def test_statements_and_pages_of_one_file_stay_apart() -> None:
    first = stmt(OPENING, CLOSING, entry("12.34"), number="7")
    second = stmt(
        balance("OPBD", "112.34"), balance("CLBD", "110.00"), entry("2.34", "DBIT"), number="8"
    )
    page = "<StmtPgntn><PgNb>2</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>"

    found = read_file(camt053(first, second.replace("<Acct>", f"{page}<Acct>")), "camt")

    assert [each.statement for each in found.entries] == [1, 2]
    assert [each.position for each in found.entries] == [1, 2]
    assert [(each.page, each.last_page) for each in found.statements] == [(None, None), (2, False)]
    assert found.codes == []


def test_balances_behind_the_entries_count_too() -> None:
    found = read_file(camt053(stmt(entry("12.34"), OPENING, CLOSING)), "camt")

    assert found.opened[0].balances == ()
    assert len(found.statements[0].balances) == 2
    assert found.codes == []


def test_totals_the_bank_states_are_compared() -> None:
    summary = (
        "<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries><Sum>14.34</Sum>"
        "<TtlNetNtry><Amt>10.34</Amt><CdtDbtInd>CRDT</CdtDbtInd></TtlNetNtry></TtlNtries>"
        "<TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>12.34</Sum></TtlCdtNtries>"
        "<TtlDbtNtries><NbOfNtries>2</NbOfNtries><Sum>2.50</Sum></TtlDbtNtries></TxsSummry>"
    )

    found = read_file(
        camt053(stmt(summary, entry("12.34"), entry("2.00", "DBIT"))),
        "camt",
    )

    assert found.words("control.count") == ["The bank counts 2 debits; 1 were read."]
    assert found.words("control.amount") == [
        "The bank's total of debits is 2.50 EUR; 2.00 EUR were read."
    ]


def test_an_entry_whose_amount_cannot_be_money_is_rejected_and_the_others_stay() -> None:
    found = read_file(
        camt053(stmt(OPENING, CLOSING, entry("12.345"), entry("NaN"), entry("12.34"))), "camt"
    )

    assert found.amounts == [1234]
    assert [(each.column, each.why) for each in found.rejects] == [
        ("Ntry/Amt", '"12.345" has more decimals than the 2 of EUR'),
        ("Ntry/Amt", '"NaN" is not an amount such as 1234.56'),
    ]
    assert found.codes == ["entry.rejected"]


def test_exponents_are_those_of_iso_4217() -> None:
    yen = entry("1200").replace("EUR", "JPY")
    dinar = entry("1.234").replace("EUR", "KWD")

    found = read_file(camt053(stmt(yen, dinar)), "camt")

    assert [(each.amount_minor, each.currency) for each in found.entries] == [
        (1200, "JPY"),
        (1234, "KWD"),
    ]
    assert "entry.foreign" in found.codes


def test_052_and_054_are_told_apart_and_prefixes_do_not_matter() -> None:
    report = camt053(stmt(entry("1.00"))).replace("camt.053", "camt.052")
    report = report.replace("BkToCstmrStmt", "BkToCstmrAcctRpt").replace("Stmt>", "Rpt>")
    notice = camt053(stmt(entry("2.00"))).replace("camt.053", "camt.054")
    notice = notice.replace("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn").replace("Stmt>", "Ntfctn>")
    prefixed = report.replace("</", "\0").replace("<", "<n:").replace("\0", "</n:")
    prefixed = prefixed.replace("<n:?", "<?").replace("xmlns=", "xmlns:n=")

    kinds = [read_file(each, "camt").statements[0].kind for each in (report, notice, prefixed)]

    assert kinds == [StatementKind.INTRADAY, StatementKind.NOTIFICATION, StatementKind.INTRADAY]
    assert read_file(prefixed, "camt").amounts == [100]


def test_a_message_without_a_statement_is_said_and_not_an_error() -> None:
    found = read_file(camt053(), "camt")

    assert (found.codes, found.statements) == (["file.empty"], [])


def test_a_version_unknown_here_is_read_and_said() -> None:
    found = read_file(camt053(stmt(entry("1.00")), version="99"), "camt")

    assert (found.amounts, found.codes[0]) == ([100], "file.version")


def test_an_only_payment_of_another_amount_stays_beside_its_entry_and_is_named() -> None:
    inside = f"<NtryDtls>{payment('9.00', refs='<EndToEndId>PO-1</EndToEndId>')}</NtryDtls>"

    found = read_file(camt053(stmt(entry("10.00", "CRDT", inside))), "camt")

    (told,) = found.entries
    assert (told.amount_minor, told.references.end_to_end) == (1000, "PO-1")
    assert [child.amount_minor for child in told.children] == [900]
    assert found.words("batch.difference") == [
        "Its payments (1) make 9.00 EUR, the entry is 10.00 EUR."
    ]


def test_a_long_statement_is_not_taken_for_an_attack() -> None:
    lines = [entry(f"{each}.00") for each in range(1, 8001)]

    found = read_file(camt053(stmt(*lines)), "camt")

    assert len(found.entries) == 8000
    assert sum(found.amounts) == 100 * 8000 * 8001 // 2
