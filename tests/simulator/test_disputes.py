"""A dispute's life at each shape of provider: news, money, deadline (D9, F1, F19, RF-15)."""

import datetime
from typing import Any

import pytest
from Adyen.util import is_valid_hmac_notification

from tests.simulator.process import ADYEN_SECRET, Process, Receiver
from tests.simulator.refunding import PROVIDERS, last_told, moved, paid, refund, told

STRIPE = "charge.dispute."
CASE = "CUSTOMER.DISPUTE."
OPENED = {
    "stripe": [f"{STRIPE}created", f"{STRIPE}funds_withdrawn"],
    "adyen": ["CHARGEBACK", "NOTIFICATION_OF_CHARGEBACK"],
    "paypal": [f"{CASE}CREATED", "PAYMENT.CAPTURE.REVERSED"],
    "standard": ["dispute.funds_withdrawn", "dispute.opened"],
}
WON = {
    "stripe": [f"{STRIPE}closed", f"{STRIPE}funds_reinstated"],
    "adyen": ["CHARGEBACK_REVERSED", "PREARBITRATION_WON"],
    "paypal": [f"{CASE}RESOLVED", f"{CASE}UPDATED"],
    "standard": ["dispute.funds_returned", "dispute.won"],
}
LOST = {
    "stripe": [f"{STRIPE}closed"],
    "adyen": ["PREARBITRATION_LOST"],
    "paypal": [f"{CASE}RESOLVED"],
    "standard": ["dispute.lost"],
}
INQUIRED = {
    "stripe": [f"{STRIPE}closed", f"{STRIPE}created"],
    "adyen": ["ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "REQUEST_FOR_INFORMATION"],
    "paypal": [f"{CASE}CREATED", f"{CASE}RESOLVED"],
    "standard": ["dispute.closed", "dispute.opened"],
}
AGAIN = {
    "stripe": [f"{STRIPE}funds_withdrawn", f"{STRIPE}updated"],
    "adyen": ["SECOND_CHARGEBACK"],
    "paypal": [f"{CASE}UPDATED", "PAYMENT.CAPTURE.REVERSED"],
    "standard": ["dispute.funds_withdrawn", "dispute.updated"],
}
OUT, IN = ("dispute_withdrawal", "out", 10_000), ("dispute_return", "in", 10_000)


def opened(simulator: Process, provider: str, **more: Any) -> dict[str, Any]:
    paid(simulator, provider)
    return dict(simulator.control("POST", "/payments/ORDER-1/dispute", more)["dispute"])


def heard(simulator: Process, receiver: Receiver) -> list[str]:
    """What was told since the last time."""
    simulator.quiet()
    types = told(receiver)
    receiver.received.clear()
    return types


def act(simulator: Process, verb: str, **more: Any) -> dict[str, Any]:
    return dict(simulator.control("POST", f"/disputes/ORDER-1/{verb}", more)["dispute"])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_dispute_takes_the_money_and_gives_it_back_when_it_is_won(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    made = opened(simulator, provider)
    assert heard(simulator, receiver) == OPENED[provider]
    assert (made["stage"], made["withdrawn"], made["refundable"]) == ("chargeback", True, False)

    won = act(simulator, "win")

    assert heard(simulator, receiver) == WON[provider]
    assert (won["status"], won["withdrawn"], won["refundable"]) == ("won", False, True)
    assert moved(simulator) == [OUT, IN]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_lost_dispute_keeps_the_money_and_blocks_refunds(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    opened(simulator, provider)
    heard(simulator, receiver)

    lost = act(simulator, "lose")

    assert heard(simulator, receiver) == LOST[provider]
    assert (lost["status"], lost["refundable"]) == ("lost", False)
    reply = refund(simulator, provider, lost["payment"], 10_000)
    assert (reply.status >= 400) == (provider != "adyen")
    assert moved(simulator) == [OUT]
    with pytest.raises(AssertionError, match="dispute_status_invalid"):
        act(simulator, "win")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_inquiry_moves_nothing_allows_refunds_and_is_closed(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    made = opened(simulator, provider, inquiry=True)
    assert (made["stage"], made["withdrawn"], made["refundable"]) == ("inquiry", False, True)

    closed = act(simulator, "close")

    assert heard(simulator, receiver) == INQUIRED[provider]
    assert (closed["status"], moved(simulator)) == ("closed", [])
    assert refund(simulator, provider, made["payment"], 100).status in (200, 201)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_second_round_withdraws_again(
    simulator: Process, receiver: Receiver, provider: str
) -> None:
    opened(simulator, provider)
    act(simulator, "win")
    heard(simulator, receiver)

    again = act(simulator, "again")

    assert heard(simulator, receiver) == AGAIN[provider]
    assert (again["stage"], again["status"]) == ("second_round", "needs_response")
    assert moved(simulator) == [OUT, IN, OUT]
    with pytest.raises(AssertionError, match="dispute_status_invalid"):
        act(simulator, "again")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_inquiry_can_become_a_chargeback(simulator: Process, provider: str) -> None:
    opened(simulator, provider, inquiry=True)
    with pytest.raises(AssertionError, match="dispute_status_invalid"):
        act(simulator, "win")

    taken = act(simulator, "withdraw")

    assert (taken["stage"], taken["withdrawn"], taken["refundable"]) == ("chargeback", True, False)
    assert moved(simulator) == [OUT]
    with pytest.raises(AssertionError, match="already_withdrawn"):
        act(simulator, "withdraw")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_money_can_be_withdrawn_later_and_returned_before_anything_is_decided(
    simulator: Process, provider: str
) -> None:
    made = opened(simulator, provider, withdraw=False, amount=2_000)
    assert (made["withdrawn"], made["amount"]) == (False, 2_000)

    act(simulator, "withdraw")
    back = act(simulator, "return")

    assert (back["status"], back["withdrawn"]) == ("needs_response", False)
    assert [row[2] for row in moved(simulator)] == [2_000, 2_000]
    with pytest.raises(AssertionError, match="nothing_withdrawn"):
        act(simulator, "return")


def test_fee_is_a_movement_of_its_own_and_part_of_stripes_entry(
    simulator: Process, receiver: Receiver
) -> None:
    opened(simulator, "stripe", fee=1_500)
    simulator.quiet()

    (line,) = last_told(receiver, f"{STRIPE}funds_withdrawn")["balance_transactions"]
    assert (line["amount"], line["fee"], line["net"]) == (-10_000, 1_500, -11_500)
    entry = simulator.stripe("GET", f"/balance_transactions/{line['id']}").json
    assert (entry["net"], entry["reporting_category"]) == (-11_500, "dispute")
    assert moved(simulator) == [OUT, ("dispute_fee", "out", 1_500)]


def test_stripe_shows_deadline_evidence_and_whether_a_refund_is_allowed(
    simulator: Process, receiver: Receiver
) -> None:
    made = opened(simulator, "stripe", inquiry=True, due_s=3_600)
    act(simulator, "update")
    simulator.quiet()

    shown = simulator.stripe("GET", f"/disputes/{made['id']}").json
    assert shown == last_told(receiver, f"{STRIPE}updated")
    assert (shown["status"], shown["is_charge_refundable"]) == ("warning_under_review", True)
    details = shown["evidence_details"]
    assert (details["due_by"], details["has_evidence"]) == (made["created"] + 3_600, True)
    listed = simulator.stripe("GET", "/disputes", {"charge": made["payment"]}).json["data"]
    assert listed == [shown]
    assert simulator.stripe("GET", f"/charges/{made['payment']}").json["disputed"] is True


def test_adyen_names_one_dispute_in_all_its_notices_and_signs_each(
    simulator: Process, receiver: Receiver
) -> None:
    made = opened(simulator, "adyen", reason="product_not_received")
    act(simulator, "lose", event="DISPUTE_DEFENSE_PERIOD_ENDED")
    simulator.quiet()

    codes = ("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK", "DISPUTE_DEFENSE_PERIOD_ENDED")
    items = [last_told(receiver, code) for code in codes]
    assert {item["pspReference"] for item in items} == {made["id"]}
    assert {item["originalReference"] for item in items} == {made["payment"]}
    more = items[0]["additionalData"]
    until = datetime.datetime.fromtimestamp(made["due_at"], datetime.UTC)
    assert more["defensePeriodEndsAt"] == until.isoformat()
    assert (more["chargebackReasonCode"], more["disputeStatus"]) == ("13.1", "Undefended")
    assert items[2]["additionalData"]["disputeStatus"] == "Lost"
    bodies = [w.event for w in receiver.received if b"DISPUTE_DEFENSE" in w.body]
    assert is_valid_hmac_notification(bodies[0], ADYEN_SECRET)


def test_adyen_has_no_such_ending(simulator: Process) -> None:
    opened(simulator, "adyen")

    with pytest.raises(AssertionError, match="PREARBITRATION_LOST, SCHEME_ARBITRATION_LOST"):
        act(simulator, "lose", event="CHARGEBACK_REVERSED")

    (row,) = simulator.control("GET", "/disputes")["disputes"]
    assert row["status"] == "needs_response"


def test_paypal_shows_the_case_and_the_money_that_moved(
    simulator: Process, receiver: Receiver
) -> None:
    made = opened(simulator, "paypal")
    act(simulator, "win")
    simulator.quiet()

    shown = simulator.paypal("GET", f"/v1/customer/disputes/{made['id']}").json
    assert shown == last_told(receiver, f"{CASE}RESOLVED")
    assert shown["dispute_outcome"] == {"outcome_code": "RESOLVED_SELLER_FAVOUR"}
    assert [move["type"] for move in shown["money_movements"]] == ["DEBIT", "CREDIT"]
    (transaction,) = shown["disputed_transactions"]
    assert transaction["seller_transaction_id"] == made["payment"]
    taken = last_told(receiver, "PAYMENT.CAPTURE.REVERSED")
    assert simulator.paypal("GET", f"/v2/payments/refunds/{taken['id']}").json == taken
    query = {"disputed_transaction_id": made["payment"]}
    assert simulator.paypal("GET", "/v1/customer/disputes", query).json["items"] == [shown]


def test_standard_dispute_reads_as_it_is_told(simulator: Process, receiver: Receiver) -> None:
    made = opened(simulator, "standard", amount=2_500, fee=300, due_s=7_200)
    simulator.quiet()

    shown = simulator.standard("GET", f"/disputes/{made['id']}").json
    assert shown == last_told(receiver, "dispute.funds_withdrawn")
    names = ("stage", "status", "amount", "fee", "payment_refundable", "due_by")
    assert tuple(shown[name] for name in names) == (
        *("chargeback", "needs_response", 2_500, 300, False),
        made["created"] + 7_200,
    )
    assert simulator.standard("GET", f"/disputes?payment={made['payment']}").json["data"] == [shown]


def test_more_than_was_paid_cannot_be_disputed(simulator: Process) -> None:
    with pytest.raises(AssertionError, match="10000 captured, 10001 cannot be disputed"):
        opened(simulator, "stripe", amount=10_001)

    assert simulator.control("GET", "/disputes")["total"] == 0


def test_refund_that_preceded_the_chargeback_stays(simulator: Process) -> None:
    """F1, RF-15: the buyer now has the money twice; both are on record, neither is the other."""
    payment = paid(simulator, "stripe")
    refund(simulator, "stripe", payment, 10_000)

    simulator.control("POST", "/payments/ORDER-1/dispute")

    assert moved(simulator) == [("refund", "out", 10_000), OUT]
    assert simulator.control("GET", "/refunds")["refunds"][0]["status"] == "succeeded"
