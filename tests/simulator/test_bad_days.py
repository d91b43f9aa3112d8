"""Outages, lost events and faults at every provider, and logs long enough to count (WH-12, I7)."""

import http.client
import time
from typing import Any

import pytest

from tests.simulator.process import Process, Receiver

LOST = (TimeoutError, ConnectionError, http.client.HTTPException)
PROVIDERS = ("stripe", "adyen", "paypal", "standard")
STANDARD: dict[str, Any] = {
    "reference": "po_1",
    "amount": 1_240_000,
    "currency": "EUR",
    "destination": {"token": "tok_1"},
}


def submit(simulator: Process, provider: str, *, key: str = "k1", token: str = "") -> Any:
    """One payout of 12,400.00 under this key; the reply."""
    if provider == "stripe":
        params = {"amount": 1_240_000, "currency": "eur", "metadata[payops_reference]": "po_1"}
        return simulator.stripe("POST", "/payouts", params, key=key, timeout_s=2)
    if provider == "standard":
        return simulator.standard("POST", "/payouts", STANDARD, key=key)
    if provider == "adyen":
        params = {
            "amount": {"value": 1_240_000, "currency": "EUR"},
            "balanceAccountId": "BA1",
            "category": "bank",
            "counterparty": {"transferInstrumentId": "SE1"},
            "reference": "po_1",
        }
        return simulator.adyen("POST", "/btl/v4/transfers", params, key=key, timeout_s=2)
    item = {
        "receiver": "dest_1",
        "recipient_type": "PAYPAL_ID",
        "amount": {"value": "12400.00", "currency": "EUR"},
        "sender_item_id": "po_1",
    }
    body = {"sender_batch_header": {"sender_batch_id": "b1"}, "items": [item]}
    path = "/v1/payments/payouts"
    return simulator.paypal("POST", path, body, key=key, token=token or None, timeout_s=2)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_lost_answer_is_replayed_and_moved_once(simulator: Process, provider: str) -> None:
    match = {"provider": provider, "operation": "payout.create", "reference": "po_1"}
    simulator.control("POST", "/faults", {"match": match, "fault": "reset_after_success"})

    with pytest.raises(LOST):
        submit(simulator, provider)
    retry = submit(simulator, provider)

    assert retry.status in (200, 201, 202)
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "EUR", "k1")]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("fault", "statuses"), [("503", {503}), ("declined", {402, 422})])
def test_refusals_come_in_the_providers_own_words(
    simulator: Process, provider: str, fault: str, statuses: set[int]
) -> None:
    match = {"provider": provider, "operation": "payout.create"}
    simulator.control("POST", "/faults", {"match": match, "fault": fault})

    reply = submit(simulator, provider)

    assert reply.status in statuses
    member = {"stripe": "error", "adyen": "errorCode", "paypal": "name", "standard": "error"}
    assert member[provider] in reply.json
    assert simulator.movements() == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_wrong_amount_is_answered_but_not_moved(simulator: Process, provider: str) -> None:
    operation = "batch.get" if provider == "paypal" else "payout.create"
    match = {"provider": provider, "operation": operation}
    simulator.control("POST", "/faults", {"match": match, "fault": "wrong_amount", "delta": 5})

    answer = submit(simulator, provider).json
    if provider == "paypal":
        number = answer["batch_header"]["payout_batch_id"]
        answer = simulator.paypal("GET", f"/v1/payments/payouts/{number}").json["items"][0]
        answer = answer["payout_item"]

    shown = answer["amount"]
    value = shown["value"] if isinstance(shown, dict) else shown
    assert value == ("12400.05" if provider == "paypal" else 1_240_005)
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "EUR", "k1")]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_outage_answers_503_to_everything_until_it_ends(simulator: Process, provider: str) -> None:
    token = simulator.token()
    simulator.control("POST", "/outages", {"provider": provider, "seconds": 600})
    others = [name for name in PROVIDERS if name != provider]

    down = [submit(simulator, provider, token=token).status for _ in range(3)]
    up = submit(simulator, others[0], token=token).status

    told = simulator.control("GET", "/outages")["outages"]
    assert (down, list(told), told[provider]["calls"]) == ([503] * 3, [provider], 3)
    assert up in (200, 201, 202)
    simulator.control("POST", "/outages", {"provider": provider, "seconds": 0})
    assert submit(simulator, provider, token=token).status in (200, 201, 202)
    calls = simulator.control("GET", f"/calls?provider={provider}")["calls"]
    assert [(row["operation"], row["status"]) for row in calls if row["status"] != 200][:3] == [
        ("outage", 503)
    ] * 3


def test_outage_ends_by_itself(simulator: Process) -> None:
    simulator.control("POST", "/outages", {"provider": "adyen", "seconds": 0.3})
    started = time.monotonic()
    while submit(simulator, "adyen").status == 503:
        assert time.monotonic() - started < 5

    assert time.monotonic() - started >= 0.2
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "EUR", "k1")]


def test_hanging_provider_gives_no_answer(simulator: Process) -> None:
    params = {"provider": "stripe", "kind": "hang", "seconds": 30, "hang_s": 30}
    simulator.control("POST", "/outages", params)

    with pytest.raises(LOST):
        submit(simulator, "stripe")

    (call,) = simulator.control("GET", "/calls")["calls"]
    assert (call["status"], call["ending"]) == (None, "close")
    assert simulator.movements() == []


def test_certificates_have_an_outage_of_their_own(simulator: Process, receiver: Receiver) -> None:
    simulator.batch()
    simulator.quiet()
    path = "/paypal" + receiver.received[0].headers["paypal-cert-url"].partition("/paypal")[2]
    simulator.control("POST", "/outages", {"provider": "paypal_certs", "seconds": 600})

    assert simulator.call("GET", path).status == 503
    assert simulator.paypal("GET", "/v2/payments/captures/X").status == 404


def test_expired_token_is_refused_once(simulator: Process) -> None:
    match = {"provider": "paypal", "operation": "payout.create"}
    simulator.control("POST", "/faults", {"match": match, "fault": "401"})

    assert [submit(simulator, "paypal").status for _ in range(2)] == [401, 201]
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "EUR", "k1")]


@pytest.mark.parametrize(
    ("provider", "type"),
    [
        ("stripe", "charge.succeeded"),
        ("paypal", "PAYMENT.CAPTURE.COMPLETED"),
        ("standard", "payment.captured"),
    ],
)
def test_lost_event_is_listed_but_never_sent(
    simulator: Process, receiver: Receiver, provider: str, type: str
) -> None:
    simulator.control("POST", "/losses", {"provider": provider, "type": type, "times": 1})
    lost = simulator.pay_in(provider, copies=3)["event"]
    sent = simulator.pay_in(provider, reference="ORDER-2")["event"]
    simulator.quiet()

    state = simulator.control("GET", "/state")
    assert state["deliveries"]["lost"] == 3
    assert state["losses"] == [{"provider": provider, "type": type, "remaining": 0, "used": 1}]
    assert [webhook.event["id"] for webhook in receiver.received] == [sent]
    listed = {
        "stripe": lambda: simulator.stripe("GET", "/events").json["data"],
        "paypal": lambda: simulator.paypal("GET", "/v1/notifications/webhooks-events").json[
            "events"
        ],
        "standard": lambda: simulator.standard("GET", "/events").json["data"],
    }[provider]()
    assert {event["id"] for event in listed} == {lost, sent}
    simulator.control("POST", f"/events/{lost}/resend")
    simulator.quiet()
    assert [webhook.event["id"] for webhook in receiver.received] == [sent, lost]


def test_lost_transfer_event_shows_in_the_list_of_transfers(
    simulator: Process, receiver: Receiver
) -> None:
    params = {"provider": "adyen", "type": "balancePlatform.transfer.updated", "times": 1}
    simulator.control("POST", "/losses", params)
    made = simulator.transfer()
    simulator.control("POST", "/payouts/po_1/pay")
    simulator.quiet()

    assert receiver.types() == ["balancePlatform.transfer.created"]
    shown = simulator.adyen("GET", f"/btl/v4/transfers/{made['id']}").json
    assert (shown["status"], shown["sequenceNumber"]) == ("booked", 2)


def test_deliveries_are_paged_from_the_oldest(simulator: Process, receiver: Receiver) -> None:
    for provider in PROVIDERS:
        simulator.pay_in(provider, reference=f"O-{provider}", copies=3, parallel=1)
    simulator.quiet()
    seen: list[int] = []
    after: int | None = 0
    pages = 0
    while after is not None:
        page = simulator.control("GET", f"/deliveries?after={after}&limit=5")
        seen += [row["id"] for row in page["deliveries"]]
        assert all(len(row["attempts"]) == 1 for row in page["deliveries"])
        after = page["next_after"]
        pages += 1

    assert (seen, pages) == (list(range(1, 13)), 3)
    newest = simulator.control("GET", "/deliveries?limit=2")
    assert [row["id"] for row in newest["deliveries"]] == [12, 11]
    assert "next_after" not in newest


def test_payments_are_read_back(simulator: Process) -> None:
    charge = simulator.pay_in("stripe")["payment"]
    payment = simulator.pay_in("standard", reference="ORDER-2")["payment"]

    assert simulator.stripe("GET", f"/charges/{charge['id']}").json["amount"] == 3_000
    entry = simulator.stripe("GET", f"/balance_transactions/{charge['balance_transaction']}").json
    assert (entry["net"], entry["source"]) == (2_913, charge["id"])
    assert simulator.standard("GET", f"/payments/{payment['id']}").json == payment
    assert simulator.standard("GET", "/payments/spm_none").status == 404


def test_provider_without_a_secret_is_not_there(launch) -> None:
    simulator = launch(SIM_ADYEN_SECRET="", SIM_PAYPAL_WEBHOOK_ID="")

    assert simulator.adyen("GET", "/btl/v4/transfers/X").status == 404
    assert simulator.call("GET", "/paypal/certs/x.pem").status == 404
    assert set(simulator.control("GET", "/state")["accounts"]) == {"stripe", "standard"}
    with pytest.raises(AssertionError, match="provider_absent"):
        simulator.pay_in("adyen")
    assert not (simulator.directory / "paypal-ca.pem").exists()
