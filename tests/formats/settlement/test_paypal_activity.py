"""PayPal's downloads say neither how they write days nor amounts: evidence decides (D13, RC-13)."""

from __future__ import annotations

import pytest

from payops.formats.files import FileRefused
from payops.formats.settlement.base import ReadOptions
from tests.formats.settlement.reading import Reading, reading, table

ENGLISH = ("Date", "Time", "TimeZone", "Name", "Type", "Status", "Currency", "Gross", "Fee", "Net",
           "From Email Address", "Transaction ID", "Reference Txn ID", "Invoice Number", "Balance",
           "Balance Impact")  # fmt: skip
GERMAN = ("Datum", "Uhrzeit", "Zeitzone", "Name", "Typ", "Status", "Währung", "Brutto", "Gebühr",
          "Netto", "Absender E-Mail-Adresse", "Transaktionscode", "Zugehöriger Transaktionscode",
          "Rechnungsnummer", "Guthaben", "Auswirkung auf Guthaben")  # fmt: skip
Row = tuple[str, ...]


def row(day: str, kind: str, gross: str, fee: str, net: str, balance: str = "", *,
        name: str = "7AA", reference: str = "", status: str = "Completed", impact: str = "Credit",
        zone: str = "PDT", clock: str = "21:15:11", currency: str = "USD") -> Row:  # fmt: skip
    return (day, clock, zone, "Someone", kind, status, currency, gross, fee, net,
            "someone@example.test", name, reference, "ORD-7781", balance, impact)  # fmt: skip


MONTH_FIRST = [
    row("9/4/2026", "Express Checkout Payment", "1,309.80", "-48.76", "1,261.04", "1,261.93",
        name="7AA1"),
    row("9/14/2026", "Payment Refund", "-300.00", "8.70", "-291.30", "970.63", name="7AA2",
        reference="7AA1"),
    row("9/25/2026", "General Withdrawal - Bank Account", "-970.00", "0.00", "-970.00", "0.63",
        name="7AA3"),
]  # fmt: skip
DAY_FIRST = [
    row("04.09.2026", "Express-Kaufabwicklung-Zahlung", "1.309,80", "-48,76", "1.261,04",
        "1.261,93", name="7AA1", zone="CEST", status="Abgeschlossen", impact="Haben"),
    row("14.09.2026", "Rückzahlung", "-300,00", "8,70", "-291,30", "970,63", name="7AA2",
        reference="7AA1", zone="CEST", status="Abgeschlossen", impact="Soll"),
    row("25.09.2026", "Abbuchung auf Bankkonto", "-970,00", "0,00", "-970,00", "0,63",
        name="7AA3", zone="CEST", status="Abgeschlossen", impact="Soll"),
]  # fmt: skip


def of(rows: list[Row], names: Row = ENGLISH, delimiter: str = ",", **options: str) -> Reading:
    return reading(table(names, rows, delimiter), ReadOptions(**options))  # type: ignore[arg-type]


def told(found: Reading) -> list[tuple[object, ...]]:
    return [
        (line.kind.value, line.gross_minor, line.fee_minor, line.net_minor, line.transaction_ref,
         f"{line.occurred_at:%Y-%m-%d %H:%M}") for line in found.lines
    ]  # fmt: skip


SAME = [
    ("capture", 130980, -4876, 126104, "7AA1", "2026-09-04 21:15"),
    ("refund", -30000, 870, -29130, "7AA2", "2026-09-14 21:15"),
    ("payout", -97000, 0, -97000, "7AA3", "2026-09-25 21:15"),
]


def test_month_first_with_a_point_and_day_first_with_a_comma_say_the_same() -> None:
    american, german = of(MONTH_FIRST), of(DAY_FIRST, GERMAN, ";")

    assert told(american) == told(german) == SAME
    assert american.words("days.decided") == (
        "days are read month-first: 2 have a second number above 12"
    )
    assert german.words("days.decided") == ("days are read day-first: they are written with points")
    assert german.words("decimals.decided").startswith("amounts are read with a decimal comma: 9")
    assert american.summary.format == german.summary.format == "paypal_activity"


def test_a_line_keeps_its_clock_its_names_and_nothing_about_the_person() -> None:
    payment, refund, payout = of(MONTH_FIRST).lines

    assert payment.occurred_at is not None
    assert payment.occurred_at.isoformat() == "2026-09-04T21:15:11-07:00"
    assert (payment.payment_ref, payment.merchant_ref) == ("7AA1", "ORD-7781")
    assert (refund.refund_ref, refund.payment_ref) == ("7AA2", "7AA1")
    assert (payout.payout_ref, payout.payment_ref) == ("7AA3", "")
    assert "omeone" not in repr([payment, refund, payout])


def test_slashed_days_with_a_first_number_above_12_are_day_first() -> None:
    rows = [(f"{day}/09/2026", *MONTH_FIRST[0][1:]) for day in (4, 14)]

    assert [f"{line.occurred_at:%m-%d}" for line in of(rows).lines] == ["09-04", "09-14"]


def test_days_that_stand_in_order_only_one_way_are_read_so() -> None:
    days = ("01/02/2026", "03/02/2026", "02/03/2026", "01/04/2026")
    found = of([(day, *MONTH_FIRST[0][1:14], "", "") for day in days])

    assert [f"{line.occurred_at:%m-%d}" for line in found.lines] == [
        "02-01", "02-03", "03-02", "04-01",
    ]  # fmt: skip
    assert "only so do the rows stand in order" in found.words("days.decided")


def test_days_that_can_be_read_both_ways_are_asked_for() -> None:
    rows = [("03/04/2026", *MONTH_FIRST[0][1:])]

    with pytest.raises(FileRefused, match="day-first and month-first; choose which"):
        of(rows)
    assert f"{of(rows, day_order='DMY').lines[0].occurred_at:%m-%d}" == "04-03"
    assert f"{of(rows, day_order='MDY').lines[0].occurred_at:%m-%d}" == "03-04"


def test_amounts_that_can_be_read_both_ways_are_asked_for() -> None:
    rows = [row("9/14/2026", "Payment", "1,234", "0", "1,234")]

    with pytest.raises(FileRefused, match="with a decimal point and with a comma"):
        of(rows)
    assert of(rows, decimal_mark=".").lines[0].net_minor == 123400
    assert of(rows, decimal_mark=",").rejects[0].why == "more decimals than the 2 of USD"


def test_two_downloads_in_one_file_are_refused() -> None:
    with pytest.raises(FileRefused, match="put together from two downloads"):
        of([("14/09/2026", *MONTH_FIRST[0][1:]), MONTH_FIRST[1]])
    with pytest.raises(FileRefused, match="put together from two downloads"):
        of([MONTH_FIRST[1], row("9/15/2026", "Payment", "12,30", "0,00", "12,30")])


def test_clocks_of_twelve_hours_are_read() -> None:
    rows = [(*MONTH_FIRST[1][:1], clock, *MONTH_FIRST[1][2:]) for clock in
            ("12:05:00 AM", "12:05:00 PM", "9:05 pm")]  # fmt: skip

    assert [f"{line.occurred_at:%H:%M}" for line in of(rows).lines] == ["00:05", "12:05", "21:05"]


def test_a_row_that_is_missing_breaks_the_balance_forwards_and_backwards() -> None:
    for rows in (MONTH_FIRST, MONTH_FIRST[::-1]):
        assert "balance.difference" not in of(rows).codes
    for rows in ([MONTH_FIRST[0], MONTH_FIRST[2]], [MONTH_FIRST[2], MONTH_FIRST[0]]):
        words = of(rows).words("balance.difference")
        assert words.startswith("the balance in USD does not follow from the row before it in 1")


def test_rows_that_moved_no_money_are_counted_not_taken() -> None:
    undone = [
        row("9/14/2026", "Express Checkout Payment", "5.00", "0.00", "5.00", status="Pending"),
        row("9/14/2026", "Authorization", "5.00", "0.00", "5.00", impact="Memo"),
    ]
    found = of([*MONTH_FIRST, *undone])

    assert told(found) == SAME
    assert found.words("rows.pending") == ("2 rows are pending, denied or memos and moved no money")


@pytest.mark.parametrize(
    ("description", "net", "kind"),
    [
        ("General Currency Conversion", "-1.00", "fx"),
        ("Allgemeine Währungsumrechnung", "1.00", "fx"),
        ("Mass Pay Payment", "-1.00", "payout"),
        ("Chargeback", "-1.00", "chargeback"),
        ("Chargeback Reversal", "1.00", "chargeback_reversal"),
        ("Hold on Balance for Dispute Investigation", "-1.00", "reserve_held"),
        ("Cancellation of Hold for Dispute Resolution", "1.00", "reserve_released"),
        ("Chargeback Fee", "-1.00", "fee"),
        ("Fee Refund", "1.00", "fee"),
        ("Payment Refund", "-1.00", "refund"),
        ("Rimborso", "-1.00", "refund"),
        ("Virement vers un compte bancaire", "-1.00", "payout"),
        ("Pago exprés", "1.00", "capture"),
        ("Payment sent", "-1.00", "transfer"),
        ("Something new", "1.00", "other"),
    ],
)
def test_descriptions_in_many_languages_have_their_kind(
    description: str, net: str, kind: str
) -> None:
    found = of([row("9/14/2026", description, net, "0.00", net)])

    assert [line.kind.value for line in found.lines] == [kind]
    assert ("type.unknown" in found.codes) is (kind == "other")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({7: "12.3x"}, "no amount such as 1234.56"),
        ({7: "NaN"}, "no amount such as 1,234.56"),
        ({6: "?"}, "no currency code such as EUR"),
        ({0: "31/31/2026"}, "no day of the calendar, read as MDY"),
        ({1: "noon"}, "no time such as 23:30:00"),
        ({1: "25:00"}, "no day of the calendar, read as MDY"),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_alone(change: dict[int, str], why: str) -> None:
    cells = list(MONTH_FIRST[1])
    for place, text in change.items():
        cells[place] = text
    found = of([MONTH_FIRST[0], tuple(cells), MONTH_FIRST[2]], day_order="MDY")

    assert [(each.line, each.why) for each in found.rejects] == [(3, why)]
    assert len(found.lines) == 2
