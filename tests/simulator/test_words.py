"""Each provider's own words: how a payment was made, what a payout became, how it is named."""

import json
from typing import Any

import pytest

from payops.psp import registry
from tests.simulator.process import Process, Receiver

ITEM = "PAYMENT.PAYOUTS-ITEM."
WAYS = [
    ("stripe", {}, "card"),
    ("stripe", {"method": "sepa_debit"}, "sepa_debit"),
    ("adyen", {}, "card"),
    ("adyen", {"method": "sepa_debit"}, "sepa_debit"),
    ("adyen", {"method": "ideal"}, "ideal"),
    ("paypal", {}, "paypal"),
    ("paypal", {"method": "card"}, "card"),
    ("standard", {}, "card"),
    ("standard", {"method": "ideal"}, "ideal"),
]


def read(provider: str, receiver: Receiver, mark: str = "") -> Any:
    """The last webhook that holds the mark, in the product's words: its last item."""
    raw = next(each.body for each in reversed(receiver.received) if mark.encode() in each.body)
    items = len(json.loads(raw).get("notificationItems", [None]))
    return registry.adapter(provider).parse(raw, items - 1)


@pytest.mark.parametrize(
    ("status", "kind"), [("succeeded", "payment.captured"), ("failed", "payment.failed")]
)
def test_payment_tells_how_it_was_made(
    simulator: Process, receiver: Receiver, status: str, kind: str
) -> None:
    """OB-4: the failure rate by method needs the method of good and bad payments alike."""
    told = []
    for number, (provider, asked, _) in enumerate(WAYS):
        simulator.pay_in(provider, status=status, reference=f"ORDER-{number}", **asked)
        simulator.quiet()
        said = read(provider, receiver)
        told.append((said.kind, said.method))

    assert told == [(kind, word) for _, _, word in WAYS]


def test_method_the_provider_does_not_have_is_refused(simulator: Process) -> None:
    body = {"provider": "paypal", "reference": "O1", "seller": "S-1", "amount": 100}
    body |= {"currency": "EUR", "method": "sepa_debit"}

    reply = simulator.call(
        "POST",
        "/control/payments",
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )

    assert reply.status == 400
    text = "method must be one of paypal, card, ideal at paypal."
    assert reply.json["error"]["message"] == text
    assert simulator.movements() == []


def test_paypal_payout_reversed_after_it_was_paid_reads_as_returned(
    simulator: Process, receiver: Receiver
) -> None:
    """PX-3: whatever was said of it before, it is not one that nobody ever claimed."""
    simulator.batch()
    simulator.control("POST", "/payouts/po_1/pay")
    simulator.control("POST", "/payouts/po_1/reverse")
    simulator.quiet()

    said = read("paypal", receiver, f"{ITEM}RETURNED")
    assert (said.kind, said.status, said.failure_code) == ("payout.returned", "RETURNED", None)


def test_paypal_payout_that_comes_back_late_for_want_of_an_account_reads_as_returned(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.batch()
    simulator.control("POST", "/payouts/po_1/pay")
    failure = {"event": f"{ITEM}RETURNED", "failure_code": "no_account"}
    simulator.control("POST", "/payouts/po_1/fail", failure)
    simulator.quiet()

    said = read("paypal", receiver, f"{ITEM}RETURNED")
    assert (said.kind, said.failure_code) == ("payout.returned", "RECEIVER_ACCOUNT_INVALID")


def test_paypal_word_for_a_state_ends_with_that_state(
    simulator: Process, receiver: Receiver
) -> None:
    """A failure told again by another event is told in that event's word, and can be read."""
    simulator.batch()
    simulator.control("POST", "/payouts/po_1/fail", {"event": f"{ITEM}BLOCKED"})
    simulator.quiet()
    blocked = read("paypal", receiver, f"{ITEM}BLOCKED")
    again = {"event": f"{ITEM}FAILED", "repeat": True}
    simulator.control("POST", "/payouts/po_1/fail", again)
    simulator.quiet()

    failed = read("paypal", receiver, f"{ITEM}FAILED")
    assert (blocked.kind, blocked.status) == ("payout.failed", "BLOCKED")
    assert (failed.kind, failed.status) == ("payout.failed", "FAILED")


def test_adyen_word_for_a_state_ends_with_that_state(
    simulator: Process, receiver: Receiver
) -> None:
    payout = simulator.transfer()
    for told_as in ({"event": "refused"}, {"event": "failed", "repeat": True}):
        # What is under way side by side may arrive in any order.
        simulator.quiet()
        simulator.control("POST", "/payouts/po_1/fail", told_as)
    simulator.quiet()

    told = [json.loads(webhook.body)["data"]["status"] for webhook in receiver.received]
    assert told == ["received", "refused", "failed"]
    shown = simulator.adyen("GET", f"/btl/v4/transfers/{payout['id']}").json
    assert (shown["status"], shown["sequenceNumber"]) == ("failed", 3)


def test_adyen_payout_answers_to_the_merchants_reference(simulator: Process) -> None:
    """Banks take no signs in a reference, so that the product leaves them out."""
    payout = simulator.transfer(referenceForBeneficiary="P10477")

    for name in ("P-10477", "p-10477", "P10477", "po_1"):
        told = simulator.control("POST", f"/payouts/{name}/resend")
        assert told["payout"]["id"] == payout["id"]


def test_paypal_payout_answers_to_the_merchants_reference(simulator: Process) -> None:
    item = {
        "recipient_type": "PAYPAL_ID",
        "receiver": "dest_1",
        "amount": {"value": "12400.00", "currency": "EUR"},
        "note": "Payout P-10476",
        "sender_item_id": "po_1",
    }
    simulator.batch(items=[item])

    for name in ("P-10476", "Payout%20P-10476", "po_1"):
        told = simulator.control("POST", f"/payouts/{name}/resend")
        assert told["payout"]["reference"] == "po_1"


def test_exact_name_goes_before_a_similar_one(simulator: Process) -> None:
    exact = simulator.payout(reference="po_1", **{"metadata[merchant_reference]": "P-10477"})
    simulator.transfer(reference="po_2", referenceForBeneficiary="P10477")

    told = simulator.control("POST", "/payouts/P-10477/pay")

    assert told["payout"]["id"] == exact["id"]


def test_part_of_a_name_finds_nothing(simulator: Process) -> None:
    simulator.transfer(referenceForBeneficiary="P10477")

    for name in ("P-1047", "--", "P-104777", "10477"):
        headers = {"Content-Type": "application/json"}
        path = f"/control/payouts/{name}/pay"
        reply = simulator.call("POST", path, body=b"{}", headers=headers)
        assert (reply.status, reply.json["error"]["message"]) == (404, f"No payout {name}.")
