"""Stripe's itemized reports and balance summary (RC-3, RC-13, RC-14)."""

from __future__ import annotations

import pytest

from payops.formats.settlement.base import NO_OPTIONS, Balance, LineKind, ReadOptions
from tests.formats.settlement.reading import Reading, by_name, reading, table

COLUMNS = (
    *("automatic_payout_id", "automatic_payout_effective_at_utc", "balance_transaction_id"),
    *("created_utc", "available_on_utc", "currency", "gross", "fee", "net"),
    *("reporting_category", "source_id", "description", "charge_id", "payment_intent_id"),
    *("customer_facing_amount", "customer_facing_currency", "payment_method_type"),
    *("payment_metadata[merchant_reference]", "customer_email", "card_address_line1"),
    *("shipping_address_city", "connected_account_id"),
)
Row = dict[str, str]


def row(category: str, net: str, *, gross: str = "", fee: str = "0.00", **more: str) -> Row:
    return {
        "automatic_payout_id": "po_31", "automatic_payout_effective_at_utc": "2026-04-01 00:00:00",
        "balance_transaction_id": f"txn_{category}", "created_utc": "2026-03-30 12:03:11",
        "available_on_utc": "2026-04-01 00:00:00", "currency": "eur", "gross": gross or net,
        "fee": fee, "net": net, "reporting_category": category,
    } | more  # fmt: skip


CHARGE = row(
    "charge", "97.10", gross="100.00", fee="2.90", source_id="ch_7781", charge_id="ch_7781",
    payment_intent_id="pi_7781", description="Order 7781", payment_method_type="card",
    customer_email="someone@example.test", card_address_line1="Street 1",
    shipping_address_city="Paris", connected_account_id="acct_7",
) | {"payment_metadata[merchant_reference]": "ORD-7781"}  # fmt: skip
BATCH = [
    CHARGE,
    row("refund", "-30.00", source_id="re_1", charge_id="ch_7702"),
    row("dispute", "-65.00", gross="-50.00", fee="15.00", source_id="dp_1", charge_id="ch_7001"),
    row("fee", "-0.45", description="Radar"),
]


def of(
    rows: list[Row], *, columns: tuple[str, ...] = COLUMNS, options: ReadOptions = NO_OPTIONS
) -> Reading:
    return reading(by_name(columns, rows), options)


def test_an_automatic_payout_is_the_batch_of_its_lines() -> None:
    found = of(BATCH)

    assert [(line.kind.value, line.gross_minor, line.fee_minor, line.net_minor)
            for line in found.lines] == [
        ("capture", 10000, -290, 9710),
        ("refund", -3000, 0, -3000),
        ("chargeback", -5000, -1500, -6500),
        ("fee", -45, 0, -45),
    ]  # fmt: skip
    assert (found.batch.reference, found.batch.net_minor) == ("po_31", 165)
    assert (found.batch.stated_minor, found.batch.difference_minor) == (None, None)
    assert found.batch.payout_at is not None
    assert found.batch.payout_at.isoformat() == "2026-04-01T00:00:00+00:00"
    assert found.summary.time_zones == ("UTC",)
    assert found.summary.format == "stripe"


def test_a_charge_keeps_its_names_and_nothing_about_the_person() -> None:
    found = of(BATCH)
    line = found.lines[0]

    assert (line.payment_ref, line.transaction_ref) == ("ch_7781", "txn_charge")
    assert (line.merchant_ref, line.payout_ref, line.seller_ref) == ("ORD-7781", "po_31", "acct_7")
    assert (line.method, line.description, line.currency) == ("card", "Order 7781", "EUR")
    assert found.words("columns.dropped") == "3 columns about people were not read"
    for secret in ("someone@example.test", "Street 1", "Paris"):
        assert secret not in repr(found)


def test_refund_and_dispute_carry_their_own_names_and_the_payments() -> None:
    refund, dispute = of(BATCH).lines[1:3]

    assert (refund.refund_ref, refund.payment_ref) == ("re_1", "ch_7702")
    assert (dispute.dispute_ref, dispute.payment_ref) == ("dp_1", "ch_7001")


def test_what_the_customer_paid_is_the_gross_when_its_currency_differs() -> None:
    paid = CHARGE | {"customer_facing_amount": "89.00", "customer_facing_currency": "gbp"}
    back = BATCH[1] | {"customer_facing_amount": "26.00", "customer_facing_currency": "gbp"}

    assert [(line.gross_minor, line.gross_currency, line.net_minor, line.currency)
            for line in of([paid, back]).lines] == [
        (8900, "GBP", 9710, "EUR"),
        (-2600, "GBP", -3000, "EUR"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("category", "net", "kind"),
    [
        ("charge_failure", "-1.00", LineKind.CAPTURE_REVERSAL),
        ("partial_capture_reversal", "-1.00", LineKind.CAPTURE_REVERSAL),
        ("refund_failure", "1.00", LineKind.REFUND_REVERSAL),
        ("dispute_reversal", "1.00", LineKind.CHARGEBACK_REVERSAL),
        ("network_cost", "-1.00", LineKind.FEE),
        ("tax", "-1.00", LineKind.FEE),
        ("payout", "-1.00", LineKind.PAYOUT),
        ("payout_reversal", "1.00", LineKind.PAYOUT_RETURNED),
        ("transfer", "-1.00", LineKind.TRANSFER),
        ("topup", "1.00", LineKind.TRANSFER),
        ("other_adjustment", "1.00", LineKind.CORRECTION),
        ("risk_reserved_funds", "-1.00", LineKind.RESERVE_HELD),
        ("risk_reserved_funds", "1.00", LineKind.RESERVE_RELEASED),
        ("connect_reserved_funds", "-1.00", LineKind.RESERVE_HELD),
    ],
)
def test_every_reporting_category_has_its_kind(category: str, net: str, kind: LineKind) -> None:
    found = of([row(category, net)])

    assert [line.kind for line in found.lines] == [kind]
    assert "type.unknown" not in found.codes


def test_a_category_of_next_year_is_kept_and_said() -> None:
    found = of([row("moon_landing", "1.00")])

    assert [line.kind for line in found.lines] == [LineKind.OTHER]
    assert "type.unknown" in found.codes


def test_lines_of_manual_payouts_belong_to_no_batch_and_this_is_said() -> None:
    found = of([CHARGE | {"automatic_payout_id": ""}, BATCH[1]])

    assert [batch.reference for batch in found.batches] == ["", "po_31"]
    assert found.words("batch.unattributed").startswith("1 lines in EUR belong to no batch")


def test_gross_fee_and_net_that_disagree_are_said_and_kept() -> None:
    found = of([CHARGE | {"net": "97.11"}])

    assert found.lines[0].net_minor == 9711
    assert found.words("net.difference") == (
        "100.00 EUR with fees of -2.90 EUR make 97.10 EUR, the net is 97.11 EUR"
    )


def test_amounts_with_a_decimal_comma_are_recognised() -> None:
    def with_comma(row: Row) -> Row:
        return row | {name: row[name].replace(".", ",") for name in ("gross", "fee", "net")}

    found = of([with_comma(row) for row in BATCH])

    assert [line.net_minor for line in found.lines] == [9710, -3000, -6500, -45]
    assert found.words("decimals.decided") == "amounts have a decimal comma"


def test_times_on_the_clock_of_the_report_need_its_zone() -> None:
    columns = tuple(name.removesuffix("_utc") for name in COLUMNS)
    rows = [{name.removesuffix("_utc"): cell for name, cell in row.items()} for row in BATCH]

    unknown = of(rows, columns=columns)
    assert unknown.lines[0].occurred_at is None
    assert "zone.unknown" in unknown.codes

    known = of(rows, columns=columns, options=ReadOptions(time_zone="America/New_York"))
    assert known.lines[0].occurred_at is not None
    assert known.lines[0].occurred_at.isoformat() == "2026-03-30T12:03:11-04:00"
    assert "zone.assumed" in known.codes


def test_the_payouts_report_tells_payouts_and_those_that_came_back() -> None:
    names = ("payout_id", "effective_at_utc", "currency", "gross", "fee", "net",
             "reporting_category", "balance_transaction_id", "description")  # fmt: skip
    found = reading(table(names, [
        ("po_31", "2026-04-01 00:00:00", "jpy", "-1200", "0", "-1200", "payout", "txn_1", "P"),
        ("po_30", "2026-04-01 00:00:00", "jpy", "900", "0", "900", "payout_reversal", "txn_2", "P"),
    ]))  # fmt: skip

    assert [(line.kind.value, line.payout_ref, line.net_minor) for line in found.lines] == [
        ("payout", "po_31", -1200),
        ("payout_returned", "po_30", 900),
    ]


SUMMARY = [
    ("starting_balance", "Starting balance (2026-03-01)", "1000.00", "eur"),
    ("activity_gross", "Activity before fees", "500.00", "eur"),
    ("activity_fee", "Less fees", "-15.00", "eur"),
    ("activity", "Net balance change from activity", "485.00", "eur"),
    ("payouts", "Total payouts", "-900.00", "eur"),
    ("ending_balance", "Ending balance (2026-03-31)", "585.00", "eur"),
]


def test_a_balance_summary_adds_up_or_says_by_how_much_not() -> None:
    names = ("category", "description", "net_amount", "currency")

    found = reading(table(names, SUMMARY))
    assert found.summary.format == "stripe_balance"
    assert found.balances[0] == Balance("starting_balance", 100000, "EUR", 2)
    assert [balance.amount_minor for balance in found.balances] == [
        100000, 50000, -1500, 48500, -90000, 58500,
    ]  # fmt: skip
    assert found.codes == []

    wrong = [*SUMMARY[:-1], ("ending_balance", "", "580.00", "eur")]
    assert reading(table(names, wrong)).words("balance.difference") == (
        "start, activity and payouts differ from the end by 5.00 EUR"
    )


def test_a_row_that_cannot_be_read_is_rejected_alone() -> None:
    found = of([CHARGE | {"net": "inf"}, CHARGE | {"currency": "€"}, *BATCH])

    assert [(each.line, each.column, each.why, each.excerpt) for each in found.rejects] == [
        (2, "net", "no amount such as 1234.56", '"inf"'),
        (3, "currency", "no currency code such as EUR", '"\\u20ac"'),
    ]
    assert len(found.lines) == len(BATCH)
