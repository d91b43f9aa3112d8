"""Adyen's settlement details: found by column names, tied to the payout (RC-3, RC-13, D16)."""

from __future__ import annotations

import io
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from payops.formats.settlement.base import Fee, FeeKind, LineKind, ReadOptions
from tests.formats.settlement.reading import Reading, by_name, reading

COLUMNS = (
    *("Company Account", "Merchant Account", "Psp Reference", "Merchant Reference"),
    *("Payment Method", "Creation Date", "TimeZone", "Booking Date", "Booking Date TimeZone"),
    *("Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)"),
    *("Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)"),
    *("Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant"),
    *("Modification Merchant Reference", "Batch Number", "Reserved4"),
)
Row = dict[str, str]


def row(kind: str, *, net: str, gross: str = "", currency: str = "EUR", **more: str) -> Row:
    """One row by column name; a minus makes it a debit."""
    said = {
        "Company Account": "Meridian", "Merchant Account": "MeridianEU", "Type": kind,
        "Creation Date": "2026-03-30 14:03:11", "TimeZone": "CET", "Batch Number": "41",
        "Net Currency": "EUR", "Gross Currency": currency if gross else "",
    }  # fmt: skip
    for name, amount in (("Net", net), ("Gross", gross)):
        side = "Debit" if amount.startswith("-") else "Credit"
        said[f"{name} {side} ({name[0]}C)"] = amount.lstrip("-")
    return said | {name.replace("_", " "): value for name, value in more.items()}


def settled(number: int, **more: str) -> Row:
    said = {
        "Psp_Reference": f"K7TRPAY{number:08d}", "Modification_Reference": f"K7TRCAP{number:08d}",
        "Merchant_Reference": f"ORD-{number}", "Exchange_Rate": "1", "Payment_Method": "visa",
    }  # fmt: skip
    amounts = {"gross": "100.00", "net": "97.10"} | {
        name: more.pop(name) for name in ("gross", "net", "currency") if name in more
    }
    return row("Settled", **amounts, **said) | more


def payout(amount: str, batch: str = "41") -> Row:
    return row("MerchantPayout", net=f"-{amount}", Modification_Reference=f"TX1 batch {batch}") | {
        "Batch Number": batch
    }


BATCH = [
    settled(7781, **{"Commission (NC)": "2.90"}),
    settled(7782, **{"Markup (NC)": "0.60", "Scheme Fees (NC)": "0.30"})
    | {"Interchange (NC)": "2.00"},
    row("Refunded", gross="-30.00", net="-30.25", Psp_Reference="K7TRPAY00007702",
        Modification_Reference="K7TRREF00000001", Exchange_Rate="1") | {"Commission (NC)": "0.25"},
    row("Chargeback", gross="-50.00", net="-57.50", Psp_Reference="K7TRPAY00007001",
        Modification_Reference="K7TRDIS00000001", Exchange_Rate="1") | {"Commission (NC)": "7.50"},
    row("Fee", net="-0.45", Modification_Reference="Transaction Fees March 2026"),
    payout("106.00"),
]  # fmt: skip


def of(rows: list[Row], *, columns: tuple[str, ...] = COLUMNS, **options: object) -> Reading:
    return reading(by_name(columns, rows), ReadOptions(**options))  # type: ignore[arg-type]


def test_a_batch_ties_to_its_payout_line_by_line() -> None:
    found = of(BATCH)

    assert [(line.kind.value, line.net_minor) for line in found.lines] == [
        ("capture", 9710),
        ("capture", 9710),
        ("refund", -3025),
        ("chargeback", -5750),
        ("fee", -45),
        ("payout", -10600),
    ]
    assert (found.rejects, found.findings) == ([], [])
    assert (found.batch.reference, found.batch.currency) == ("41", "EUR")
    assert (found.batch.net_minor, found.batch.stated_minor) == (10600, 10600)
    assert found.batch.difference_minor == 0
    assert found.batch.fee_minor == -(290 + 290 + 25 + 750)
    assert found.batch.time_zone == "Europe/Brussels"
    assert (found.summary.format, found.summary.is_refused) == ("adyen", False)


def test_a_capture_keeps_every_name_and_its_clock() -> None:
    line = of([BATCH[0] | {"Booking Date": "2026-03-31 01:00:00", "Booking Date TimeZone": "PDT"},
               payout("97.10")]).lines[0]  # fmt: skip

    assert (line.payment_ref, line.transaction_ref) == ("K7TRPAY00007781", "K7TRCAP00007781")
    assert (line.merchant_ref, line.account, line.method) == ("ORD-7781", "MeridianEU", "visa")
    assert (line.gross_minor, line.gross_currency, line.rate) == (10000, "EUR", Decimal(1))
    assert line.occurred_at == datetime(2026, 3, 30, 14, 3, 11, tzinfo=ZoneInfo("Europe/Paris"))
    assert line.booked_at is not None and line.booked_at.isoformat() == "2026-03-31T01:00:00-07:00"
    assert (line.line, line.position, line.raw_type) == (2, 1, "Settled")


def test_the_fee_is_the_commission_or_else_its_parts() -> None:
    first, second, *_ = of(BATCH).lines

    assert first.fees == (Fee(FeeKind.COMMISSION, -290),)
    assert second.fees == (
        Fee(FeeKind.MARKUP, -60),
        Fee(FeeKind.SCHEME, -30),
        Fee(FeeKind.INTERCHANGE, -200),
    )
    assert first.fee_minor == second.fee_minor == -290


def test_refund_and_dispute_carry_their_own_names_and_the_payments() -> None:
    refund, dispute = of(BATCH).lines[2:4]

    assert (refund.refund_ref, refund.payment_ref) == ("K7TRREF00000001", "K7TRPAY00007702")
    assert (dispute.dispute_ref, dispute.payment_ref) == ("K7TRDIS00000001", "K7TRPAY00007001")


def test_a_payment_in_pounds_is_explained_by_its_rate() -> None:
    told = settled(1, gross="557.00", net="607.97", currency="GBP") | {
        "Exchange Rate": "1.1005658780012", "Net Currency": "USD",
        "Markup (NC)": "3.68", "Scheme Fees (NC)": "0.13", "Interchange (NC)": "1.24",
    }  # fmt: skip

    found = of([told, payout("607.97") | {"Net Currency": "USD"}])

    line = found.lines[0]
    assert (line.gross_minor, line.gross_currency, line.currency) == (55700, "GBP", "USD")
    assert (line.net_minor, line.fee_minor) == (60797, -505)
    assert line.rate == Decimal("1.1005658780012")
    assert found.codes == []


def test_a_fee_that_does_not_explain_the_net_is_said_with_its_figures() -> None:
    found = of([settled(1, **{"Commission (NC)": "2.80"}), payout("97.10")])

    assert found.codes == ["fee.difference"]
    assert found.words("fee.difference") == (
        "100.00 EUR with fees of -2.80 EUR make 97.20 EUR, the net is 97.10 EUR"
    )
    assert not found.summary.is_refused


def test_without_fee_columns_the_fee_is_what_gross_and_net_leave() -> None:
    columns = tuple(name for name in COLUMNS if not name.startswith(
        ("Commission", "Markup", "Scheme", "Interchange")))  # fmt: skip
    found = of([settled(1), settled(2), payout("194.20")], columns=columns)

    assert [line.fee_minor for line in found.lines] == [-290, -290, 0]
    assert found.codes == ["fee.derived"]


@pytest.mark.parametrize(
    ("raw", "net", "kind"),
    [
        ("SettledReversed", "-1.00", LineKind.CAPTURE_REVERSAL),
        ("RefundedReversed", "1.00", LineKind.REFUND_REVERSAL),
        ("SecondChargeback", "-1.00", LineKind.CHARGEBACK),
        ("ChargebackReversed", "1.00", LineKind.CHARGEBACK_REVERSAL),
        ("MiscCosts", "-1.00", LineKind.FEE),
        ("InvoiceDeduction", "-1.00", LineKind.FEE),
        ("AuthorisationSchemeFee", "-1.00", LineKind.FEE),
        ("BankInstructionReturned", "1.00", LineKind.PAYOUT_RETURNED),
        ("InternalCompanyPayout", "-1.00", LineKind.TRANSFER),
        ("DepositCorrection", "-1.00", LineKind.CORRECTION),
        ("MatchedStatement", "1.00", LineKind.CORRECTION),
        ("ManualCorrected", "1.00", LineKind.CORRECTION),
        ("BalanceTransfer", "1.00", LineKind.CARRY_OVER),
        ("Balancetransfer", "1.00", LineKind.CARRY_OVER),
        ("ReserveAdjustment", "-1.00", LineKind.RESERVE_HELD),
        ("ReserveAdjustment", "1.00", LineKind.RESERVE_RELEASED),
    ],
)
def test_every_journal_type_has_its_kind(raw: str, net: str, kind: LineKind) -> None:
    found = of([row(raw, net=net)])

    assert [(line.kind, line.raw_type) for line in found.lines] == [(kind, raw)]
    assert "type.unknown" not in found.codes


def test_an_unknown_type_is_kept_counted_and_said_once() -> None:
    found = of([row("Moonshot", net="1.00"), row("Moonshot", net="2.00"), payout("3.00")])

    assert [line.kind for line in found.lines[:2]] == [LineKind.OTHER, LineKind.OTHER]
    assert found.words("type.unknown").startswith('the type "Moonshot" is not known here')
    assert found.batch.difference_minor == 0


def test_a_batch_that_does_not_add_up_is_reported_and_its_lines_are_taken() -> None:
    found = of([*BATCH[:-1], payout("105.00")])

    assert len(found.lines) == 6
    assert found.words("batch.difference") == (
        "the lines add up to 106.00 EUR, the payout is 105.00 EUR: 1.00 EUR differ"
    )
    assert not found.summary.is_refused


def test_what_is_carried_over_ties_a_batch_without_payout() -> None:
    rows = [
        row("Balancetransfer", net="454331.99")
        | {"Modification Merchant Reference": "Balancetransfer from batch 40"},
        row("Fee", net="-0.09"),
        row("Balancetransfer", net="-454331.90")
        | {"Modification Merchant Reference": "Balancetransfer to batch 42"},
    ]

    found = of(rows)
    assert (found.batch.carried_minor, found.batch.net_minor) == (9, -9)
    assert found.codes == []

    broken = of([*rows[:2], rows[2] | {"Net Debit (NC)": "454331.00"}])
    assert broken.words("batch.difference") == (
        "lines and carry-overs leave 0.90 EUR that went nowhere"
    )


def test_a_batch_neither_paid_nor_carried_over_is_said() -> None:
    assert of(BATCH[:1]).words("batch.unpaid") == (
        "97.10 EUR are neither paid out nor carried over"
    )


def test_identical_rows_are_both_kept_and_flagged() -> None:
    twice = settled(9, **{"Commission (NC)": "2.90"})
    found = of([twice, twice, payout("194.20")])

    assert [line.net_minor for line in found.lines] == [9710, 9710, -19420]
    assert found.lines[0].fingerprint == found.lines[1].fingerprint
    assert found.words("line.identical") == (
        "says the same as line 2: 97.10 EUR; both are kept, look for a double payment"
    )


def test_batches_that_are_missing_or_come_again_are_named() -> None:
    files = {number: [payout("1.00", number)] for number in ("41", "44", "45")}
    together = files["41"] + files["44"] + files["45"]

    assert of(together).words("sequence.gap") == (
        "batch 42 to 43 is missing before batch 44; fetch its report"
    )
    assert "sequence.gap" not in of(files["41"], previous_batch=40).codes
    assert "sequence.gap" in of(files["44"], previous_batch=42).codes
    assert of(files["41"], previous_batch=41).words("sequence.repeated") == (
        "batch 41 is not after batch 41, which was imported last"
    )


def test_every_merchant_account_counts_its_own_batches() -> None:
    other = [settled | {"Merchant Account": "MeridianUS", "Batch Number": "7"} for settled in BATCH]
    found = of([*BATCH, *other], previous_batch=40)

    assert [
        (batch.account, batch.reference, batch.difference_minor) for batch in found.batches
    ] == [
        ("MeridianEU", "41", 0),
        ("MeridianUS", "7", 0),
    ]
    assert found.codes == ["account.several"]


def test_a_file_of_another_account_is_refused() -> None:
    found = of(BATCH, account="MeridianUS")

    assert found.words("account.other") == (
        'the file is about "MeridianEU", not about "MeridianUS"'
    )
    assert found.summary.is_refused
    assert not of(BATCH, account="MeridianEU").summary.is_refused


def test_the_carry_over_tells_which_batch_came_before() -> None:
    carried = row("Balancetransfer", net="1.00") | {
        "Modification Merchant Reference": "Balancetransfer from batch 38"
    }

    assert of([carried, payout("1.00")]).words("sequence.gap").startswith("batch 39 to 40")


@pytest.mark.parametrize(
    ("change", "column", "why"),
    [
        ({"Net Credit (NC)": "97.105"}, "Net Credit", "more decimals than the 2 of EUR"),
        ({"Net Credit (NC)": "97,10"}, "Net Credit", "no amount such as 1234.56"),
        ({"Net Credit (NC)": "NaN"}, "Net Credit", "no amount such as 1234.56"),
        ({"Net Credit (NC)": "1e5"}, "Net Credit", "no amount such as 1234.56"),
        ({"Net Credit (NC)": "=97+0.1"}, "Net Credit", "no amount such as 1234.56"),
        ({"Net Credit (NC)": "1_0.00"}, "Net Credit", "no amount such as 1234.56"),
        ({"Net Credit (NC)": "9" * 18}, "Net Credit", "beyond the limit of 1000000000000000"
                                                      " minor units"),
        ({"Net Credit (NC)": ""}, "Net Credit (NC)", "neither a debit nor a credit"),
        ({"Net Currency": "EURO"}, "Net Currency", "no currency code such as EUR"),
        ({"Batch Number": "4l"}, "Batch Number", "no number of a batch"),
        ({"Type": " "}, "Type", "empty; the row says not what it is"),
        ({"Exchange Rate": "0"}, "Exchange Rate", "an exchange rate of zero"),
        ({"Psp Reference": "K" * 300}, "Psp Reference",
         "more than 255 characters, as no reference has"),
        ({"Creation Date": "30/03/2026"}, "Creation Date", "no time such as 2026-03-31 23:30:00"),
        ({"Creation Date": "1066-10-14 09:00:00"}, "Creation Date",
         "a year outside 1990 to 2100"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_rejected_alone(change: Row, column: str, why: str) -> None:
    found = of([settled(1) | change, *BATCH])

    assert [(each.line, each.column, each.why) for each in found.rejects] == [(2, column, why)]
    assert len(found.rejects[0].excerpt) <= 37
    assert len(found.lines) == len(BATCH)
    assert found.summary.rejects == 1


def test_a_zone_nobody_knows_leaves_the_time_out_and_says_so() -> None:
    told = [row | {"TimeZone": "MOON"} for row in BATCH]
    found = of(told)

    assert {line.occurred_at for line in found.lines} == {None}
    assert found.words("zone.unknown").startswith('the time zone "MOON" is not known here')

    of_account = of(told, time_zone="Asia/Tokyo").lines[0].occurred_at
    assert of_account is not None and of_account.isoformat() == "2026-03-30T14:03:11+09:00"


def test_yen_have_no_decimals_and_dinars_three() -> None:
    yen = row("Settled", net="1200", gross="1200", currency="JPY") | {"Net Currency": "JPY"}
    dinar = row("Settled", net="1.234", gross="1.234", currency="KWD") | {"Net Currency": "KWD"}

    assert [line.net_minor for line in of([yen, dinar]).lines] == [1200, 1234]


def test_a_file_of_another_kind_stops_at_its_first_thousand_rejects() -> None:
    found = of([settled(1) | {"Net Currency": "?"}] * 1_200)

    assert found.summary.rejects == 1_001
    assert found.words("file.rejects").startswith("more than 1,000 rows cannot be read")
    assert found.summary.is_refused


def test_a_reference_like_a_formula_stays_a_text_and_is_said() -> None:
    named = settled(1, **{"Commission (NC)": "2.90", "Merchant Reference": '=cmd|"/c calc"!A0'})
    found = of([named, payout("97.10")])

    assert found.lines[0].merchant_ref == '=cmd|"/c calc"!A0'
    assert found.codes == ["text.formula"]


def test_the_workbook_says_what_the_csv_says() -> None:
    book = openpyxl.Workbook()
    book.active.append(["Settlement detail report"])
    book.active.append([])
    book.active.append(["", *COLUMNS])
    for said in BATCH:
        cells = [said.get(name, "") for name in COLUMNS]
        book.active.append(
            ["", *[_as_number(name, cell) for name, cell in zip(COLUMNS, cells, strict=True)]]
        )
    packed = io.BytesIO()
    book.save(packed)

    found, told = reading(packed.getvalue()), of(BATCH)

    assert [line.fingerprint for line in found.lines] == [line.fingerprint for line in told.lines]
    assert [(line.fees, line.line) for line in found.lines] == [
        (line.fees, line.line + 2) for line in told.lines
    ]
    assert found.batch == told.batch


def _as_number(name: str, cell: str) -> object:
    if not cell or "C)" not in name:
        return datetime.fromisoformat(cell) if name == "Creation Date" else cell
    return Decimal(cell)
