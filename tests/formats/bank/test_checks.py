"""What does not add up is named with its figures, and nothing is dropped (D16, RC-10)."""

from __future__ import annotations

import io
from datetime import date

from payops.formats.bank.base import Entry, EntryStatus, Severity, StatementClosed
from payops.formats.bank.checks import Edge, continuity
from payops.formats.bank.findings import CODES
from payops.formats.bank.identity import (
    Overlap,
    Span,
    file_identity,
    numbered,
    overlap,
    statement_key,
)
from payops.formats.bank.registry import read
from payops.formats.bank.twins import Twins
from tests.formats.bank.reading import (
    OTHER_IBAN,
    Read,
    balance,
    camt053,
    entry,
    payment,
    read_file,
    stmt,
)


def day(number: str, opening: str, closing: str, *parts: str, on: str = "2026-03-31") -> str:
    return stmt(
        balance("OPBD", opening, on=on), balance("CLBD", closing, on=on), *parts, number=number
    )


def told(*statements: str) -> Read:
    return read_file(camt053(*statements), "camt")


def test_a_chain_of_days_is_continuous() -> None:
    found = told(
        day("1", "100.00", "110.00", entry("10.00"), on="2026-03-30"),
        day("2", "110.00", "100.00", entry("10.00", "DBIT")),
    )

    assert found.codes == []


def test_a_hole_between_two_days_is_named_with_both_figures() -> None:
    found = told(day("1", "100.00", "100.00", on="2026-03-30"), day("2", "150.00", "150.00"))

    assert found.words("continuity.gap") == [
        "It opens with 150.00 EUR, but statement 1 (1) closed with 100.00 EUR: 50.00 EUR lie"
        " between them."
    ]


def test_a_missing_and_a_repeated_number_are_named() -> None:
    gap = told(day("1", "1.00", "1.00", on="2026-03-30"), day("4", "1.00", "1.00"))
    again = told(day("1", "1.00", "1.00", on="2026-03-30"), day("1", "1.00", "1.00"))
    new_year = told(day("365", "1.00", "1.00", on="2026-03-30"), day("1", "1.00", "1.00"))

    assert gap.words("sequence.gap") == ["Number 1 is followed by number 4."]
    assert again.words("sequence.repeated") == [
        "The number 1 was there already, in statement 1 (1)."
    ]
    assert new_year.codes == []


def test_an_import_checks_against_the_last_statement_of_another_file() -> None:
    before = told(day("1", "100.00", "100.00", on="2026-03-30")).statements[0]
    after = told(day("2", "90.00", "90.00")).statements[0]

    (found,) = continuity(Edge.of(before), after)

    assert (found.code, found.severity) == ("continuity.gap", Severity.BREAK)
    assert "-10.00 EUR lie between them" in found.words


def test_days_told_backwards_are_not_taken_for_a_hole() -> None:
    found = told(
        day("0", "110.00", "120.00", entry("10.00")), day("0", "1.00", "1.00", on="2026-03-30")
    )

    assert found.codes == ["continuity.backwards"]


def test_accounts_in_one_file_have_a_chain_each() -> None:
    other = day("1", "7.00", "7.00").replace("DE02120300000000202051", OTHER_IBAN)

    assert told(day("1", "1.00", "1.00"), other, day("2", "1.00", "1.00")).codes == []


def test_identical_lines_are_both_kept_and_flagged() -> None:
    refs = "<EndToEndId>PO-1</EndToEndId><TxId>{}</TxId>"
    lines = [
        entry("10.00", "DBIT", f"<NtryDtls>{payment('10.00', refs=refs.format(each))}</NtryDtls>")
        for each in ("T1", "T2")
    ]

    found = told(stmt(*lines))

    assert found.amounts == [-1000, -1000]
    first, second = found.entries
    assert first.fingerprint == second.fingerprint
    assert first.overlap_key != second.overlap_key
    assert found.words("entry.identical") == [
        "It is identical to entry 1 but for the bank's own references: -10.00 EUR. Both are kept;"
        " it may have been paid twice."
    ]


def test_twelve_pairs_of_a_batch_are_twelve_flags() -> None:
    pairs = "".join(
        payment(f"{amount}.00", "DBIT", refs=f"<TxId>{amount}-{twin}</TxId>")
        for amount in range(1, 13)
        for twin in (1, 2)
    )

    found = told(stmt(entry("156.00", "DBIT", f"<NtryDtls>{pairs}</NtryDtls>")))

    assert len(found.entries[0].children) == 24
    assert found.codes.count("entry.identical") == 12
    assert "batch.difference" not in found.codes


def test_lines_that_differ_in_what_a_person_wrote_are_no_twins() -> None:
    texts = [entry("10.00", "DBIT", f"<AddtlNtryInf>{each}</AddtlNtryInf>") for each in ("a", "b")]

    assert "entry.identical" not in told(stmt(*texts)).codes


def test_payments_with_their_own_references_of_the_payer_are_no_twins() -> None:
    def line(reference: str) -> str:
        told_ = payment("10.00", refs=f"<EndToEndId>{reference}</EndToEndId>")
        return entry("10.00", "DBIT", f"<NtryDtls>{told_}</NtryDtls>")

    assert "entry.identical" not in told(stmt(line("PO-1"), line("PO-2"))).codes


def test_looking_for_twins_is_bounded_and_says_when_it_stopped() -> None:
    lines = [entry(f"{each}.00") for each in range(1, 6)]
    source = io.BytesIO(camt053(stmt(*lines)).encode())

    codes = [getattr(each, "code", "") for each in read(source, "camt", twins=Twins(3))]

    assert "twins.unlooked" in codes


def test_many_findings_of_one_kind_are_counted_and_not_listed() -> None:
    found = told(stmt(*[entry("1.00")] * 300))

    assert len(found.entries) == 300
    assert found.words("entry.identical")[-1] == "There are 99 more of this kind."
    assert len(found.words("entry.identical")) == 201


def test_every_finding_has_a_code_of_the_table() -> None:
    found = told(day("1", "1.00", "9.00", entry("1.00"), entry("1.00")))

    assert set(found.codes) == {"entry.identical", "balance.difference"}
    assert all(found_.severity == CODES[found_.code] for found_ in found.findings)


# ---- which file, which statement, which line ------------------------------------------------


def test_the_same_bytes_are_the_same_file_under_any_name() -> None:
    first = file_identity(io.BytesIO(b"abc" * 100_000))

    assert first == file_identity(io.BytesIO(b"abc" * 100_000))
    assert first.size == 300_000
    assert first.sha256 != file_identity(io.BytesIO(b"abc")).sha256


def test_a_statement_has_one_key_in_every_file_that_holds_it() -> None:
    alone = told(day("2", "1.00", "1.00")).statements[0]
    beside = told(day("1", "1.00", "1.00", on="2026-03-30"), day("2", "1.00", "1.00")).statements[1]

    assert statement_key(alone) == statement_key(beside)
    assert statement_key(alone) != statement_key(told(day("2", "1.00", "2.00")).statements[0])


def test_overlapping_files_share_their_lines_and_twins_stay_twins() -> None:
    month = told(stmt(entry("1.00"), entry("1.00"), entry("2.00"))).entries
    a_day = told(stmt(entry("1.00"), entry("1.00"))).entries

    known = {(key, number) for key, number, _ in numbered(month)}
    again = [(key, number) for key, number, _ in numbered(a_day)]

    assert len(known) == 3
    assert len(set(again)) == 2
    assert set(again) <= known


def span(from_on: int, to_on: int, *, page: int | None = None, number: str = "") -> Span:
    days = date(2026, 3, from_on), date(2026, 3, to_on)
    return Span("STATEMENT", number, page, *days, 100, 200)


def test_statements_overlap_by_their_days_and_never_by_their_pages() -> None:
    assert overlap(span(1, 31), span(1, 31)) == Overlap.SAME
    assert overlap(span(1, 31), span(15, 15)) == Overlap.PARTLY
    assert overlap(span(1, 14), span(15, 31)) == Overlap.APART
    assert overlap(span(1, 1, page=1, number="7"), span(1, 1, page=2, number="7")) == Overlap.APART


def test_a_day_that_only_carries_the_balance_over_is_no_overlap() -> None:
    first = Span("STATEMENT", "1", None, date(2026, 3, 1), date(2026, 3, 15), 0, 500)
    second = Span("STATEMENT", "2", None, date(2026, 3, 15), date(2026, 3, 31), 500, 700)

    assert overlap(first, second) == Overlap.APART
    assert overlap(second, first) == Overlap.APART


def test_a_line_without_a_day_still_has_its_fingerprint() -> None:
    line = Entry(1, 1, -100, "EUR", None, None, EntryStatus.BOOKED, "OTHER", "")

    assert len(line.fingerprint) == 32
    assert StatementClosed.__dataclass_params__.frozen  # type: ignore[attr-defined]


def page(number: int, *parts: str, last: bool) -> str:
    told = f"<PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd>"
    text = stmt(*parts)
    return text.replace("<ElctrncSeqNb>", f"<StmtPgntn>{told}</StmtPgntn><ElctrncSeqNb>")


def test_pages_that_repeat_the_balances_of_the_whole_are_added_up() -> None:
    balances = balance("OPBD", "100.00") + balance("CLBD", "130.00")
    first = page(1, balances, entry("10.00"), last=False)
    second = page(2, balances, entry("20.00"), last=True)
    short = page(2, balances, entry("19.00"), last=True)

    assert [c for c in told(first, second).codes if c.startswith("balance")] == []
    assert told(first, short).words("balance.difference") == [
        "It opens with 100.00 EUR and the booked entries (2) make 29.00 EUR, but it closes with"
        " 130.00 EUR: 1.00 EUR do not add up."
    ]


def test_pages_with_interim_balances_chain_and_a_page_that_never_came_is_named() -> None:
    first = page(
        1, balance("OPBD", "100.00"), balance("ITBD", "110.00"), entry("10.00"), last=False
    )
    second = page(
        2, balance("ITBD", "110.00"), balance("CLBD", "130.00"), entry("20.00"), last=True
    )
    open_end = page(1, balance("OPBD", "1.00"), balance("CLBD", "9.00"), entry("1.00"), last=False)

    assert told(first, second).codes == []
    assert told(open_end).codes == ["page.missing", "balance.difference"]


def test_reports_during_a_day_that_open_alike_are_no_hole() -> None:
    reports = camt053(
        stmt(balance("OPBD", "100.00"), balance("ITBD", "110.00"), entry("10.00")),
        stmt(balance("OPBD", "100.00"), balance("ITBD", "115.00"), entry("5.00"), number="8"),
    )
    reports = reports.replace("camt.053", "camt.052").replace("BkToCstmrStmt", "BkToCstmrAcctRpt")

    found = read_file(reports.replace("Stmt>", "Rpt>"), "camt")

    assert (found.amounts, found.codes) == ([1000, 500], [])


def test_a_line_without_a_booking_date_in_a_long_statement_takes_its_value_date() -> None:
    period = "<FrToDt><FrDt>2026-03-01</FrDt><ToDt>2026-03-31</ToDt></FrToDt>"
    line = entry("1.00", on="2026-03-09").replace("<BookgDt><Dt>2026-03-09</Dt></BookgDt>", "")

    long, short = told(stmt(period, line)), told(stmt(balance("CLBD", "1.00"), line))

    assert long.entries[0].booked_on == date(2026, 3, 9)
    assert short.entries[0].booked_on == date(2026, 3, 31)
