"""The two provider APIs: shapes, lists, refunds, refusals, and the official Stripe client."""

from typing import Any

import pytest
import stripe

from tests.simulator.process import API_KEY, Process, Receiver

BUYER = {"seller": "be_1", "amount": 3000, "fee": 117, "platform_fee": 300, "currency": "EUR"}
STANDARD = {
    "reference": "po_9",
    "amount": 700,
    "currency": "USD",
    "destination": {"token": "tok_1"},
    "description": "P-9",
}


def charge(simulator: Process, **more: Any) -> Any:
    payment = {"provider": "stripe", "reference": "pa_1", **BUYER, **more}
    return simulator.control("POST", "/payments", payment)["payment"]


def test_official_stripe_client_creates_reads_lists_and_cancels(simulator: Process) -> None:
    base = f"http://127.0.0.1:{simulator.port}/stripe"
    client = stripe.StripeClient(API_KEY, base_addresses={"api": base}, max_network_retries=0)
    asked: Any = {"amount": 5000, "currency": "eur", "metadata": {"payops_reference": "po_1"}}

    made = client.v1.payouts.create(asked, {"idempotency_key": "k1"})
    again = client.v1.payouts.create(asked, {"idempotency_key": "k1"})
    listed = client.v1.payouts.list({"created": {"gte": made.created}, "limit": 1})
    canceled = client.v1.payouts.cancel(made.id)

    assert (made.status, made.amount, made.automatic) == ("pending", 5000, False)
    assert again.id == made.id
    assert [row.metadata["payops_reference"] for row in listed.data] == ["po_1"]
    assert canceled.status == "canceled"
    assert simulator.movements() == [
        ("payout", "po_1", 5000, "EUR", "k1"),
        ("payout_cancel", "po_1", 5000, "EUR", None),
    ]


def test_official_stripe_client_understands_the_refusals(simulator: Process) -> None:
    base = f"http://127.0.0.1:{simulator.port}/stripe"
    client = stripe.StripeClient(API_KEY, base_addresses={"api": base}, max_network_retries=0)
    stranger = stripe.StripeClient("sk_no", base_addresses={"api": base}, max_network_retries=0)
    client.v1.payouts.create({"amount": 1, "currency": "eur"}, {"idempotency_key": "k1"})

    with pytest.raises(stripe.IdempotencyError):
        client.v1.payouts.create({"amount": 2, "currency": "eur"}, {"idempotency_key": "k1"})
    with pytest.raises(stripe.AuthenticationError):
        stranger.v1.payouts.list()
    with pytest.raises(stripe.InvalidRequestError, match="No such payout"):
        client.v1.payouts.retrieve("po_unknown")


def test_payout_list_pages_newest_first(simulator: Process) -> None:
    ids = [simulator.payout(reference=f"po_{n}")["id"] for n in range(5)]

    first = simulator.stripe("GET", "/payouts", {"limit": 2}).json
    rest = simulator.stripe(
        "GET", "/payouts", {"limit": 10, "starting_after": first["data"][-1]["id"]}
    ).json

    assert ([row["id"] for row in first["data"]], first["has_more"]) == ([ids[4], ids[3]], True)
    assert [row["id"] for row in rest["data"]] == [ids[2], ids[1], ids[0]]
    assert rest["has_more"] is False


def test_list_filters_by_creation_time(simulator: Process) -> None:
    created = simulator.payout()["created"]

    from_now = simulator.stripe("GET", "/payouts", {"created[gte]": created}).json["data"]
    later = simulator.stripe("GET", "/payouts", {"created[gte]": created + 1}).json["data"]

    assert (len(from_now), len(later)) == (1, 0)


def test_refunds_never_exceed_the_charge(simulator: Process) -> None:
    paid = charge(simulator)

    part = simulator.stripe("POST", "/refunds", {"charge": paid["id"], "amount": 2000}, key="r1")
    over = simulator.stripe("POST", "/refunds", {"charge": paid["id"], "amount": 1001}, key="r2")
    rest = simulator.stripe("POST", "/refunds", {"charge": paid["id"]}, key="r3")
    none = simulator.stripe("POST", "/refunds", {"charge": paid["id"]}, key="r4")

    assert [part.json["amount"], rest.json["amount"]] == [2000, 1000]
    for refused in (over, none):
        assert refused.status == 400
        assert refused.json["error"]["code"] == "charge_already_refunded"
    after = simulator.stripe("GET", f"/charges/{paid['id']}").json
    assert (after["amount_refunded"], after["refunded"]) == (3000, True)
    listed = simulator.stripe("GET", "/refunds", {"charge": paid["id"]}).json["data"]
    assert [row["amount"] for row in listed] == [1000, 2000]
    assert [row[:1] + row[2:] for row in simulator.movements()] == [
        ("payment", 3000, "EUR", None),
        ("refund", 2000, "EUR", "r1"),
        ("refund", 1000, "EUR", "r3"),
    ]


def test_balance_transaction_of_a_charge_carries_the_fee(simulator: Process) -> None:
    paid = charge(simulator)

    entry = simulator.stripe("GET", f"/balance_transactions/{paid['balance_transaction']}").json

    names = ("amount", "fee", "net", "type", "source")
    assert [entry[name] for name in names] == [3000, 117, 2883, "charge", paid["id"]]


def test_charge_event_carries_our_metadata(simulator: Process, receiver: Receiver) -> None:
    charge(simulator)
    simulator.quiet()

    (event,) = [webhook.event for webhook in receiver.received]

    metadata = event["data"]["object"]["metadata"]
    assert event["type"] == "charge.succeeded"
    assert metadata == {"payops_reference": "pa_1", "seller": "be_1", "platform_fee": "300"}


def test_failed_payment_moves_nothing(simulator: Process, receiver: Receiver) -> None:
    charge(simulator, status="failed")
    charge(simulator, status="failed", provider="standard")
    simulator.quiet()

    assert sorted(receiver.types()) == ["charge.failed", "payment.failed"]
    assert simulator.movements() == []


def test_events_can_be_listed_and_read_after_the_fact(simulator: Process) -> None:
    simulator.control("POST", "/delivery", {"drop_next": 1})
    simulator.payout()

    listed = simulator.stripe("GET", "/events", {"type": "payout.created"}).json["data"]
    read = simulator.stripe("GET", f"/events/{listed[0]['id']}").json

    assert len(listed) == 1
    assert read == listed[0]


def test_standard_payout_is_made_read_and_found_by_reference(simulator: Process) -> None:
    made = simulator.standard("POST", "/payouts", STANDARD)

    read = simulator.standard("GET", f"/payouts/{made.json['id']}").json
    found = simulator.standard("GET", "/payouts?reference=po_9").json["data"]
    other = simulator.standard("GET", "/payouts?reference=po_10").json["data"]

    assert (made.status, made.json["id"][:4], made.json["status"]) == (201, "spo_", "pending")
    assert (read, found, other) == (made.json, [made.json], [])
    assert simulator.control("GET", "/payouts")["payouts"][0]["merchant_reference"] == "P-9"


def test_standard_events_go_on_after_the_last_one_seen(simulator: Process) -> None:
    simulator.standard("POST", "/payouts", STANDARD)
    simulator.control("POST", "/payouts/po_9/pay")

    every = simulator.standard("GET", "/events").json["data"]
    rest = simulator.standard("GET", f"/events?after={every[0]['id']}").json["data"]

    assert [event["type"] for event in every] == ["payout.created", "payout.paid"]
    assert rest == every[1:]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"amount": "5.00"}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": "9" * 5000}, "amount"),
        ({"amount": "٣"}, "amount"),
        ({"currency": "euro"}, "currency"),
        ({"colour": "red"}, "colour"),
        ({"metadata[x]": "y" * 501}, "metadata"),
    ],
)
def test_stripe_refuses_bad_parameters(
    simulator: Process, change: dict[str, Any], param: str
) -> None:
    params = {"amount": 5000, "currency": "eur"} | change

    reply = simulator.stripe("POST", "/payouts", params)

    assert (reply.status, reply.json["error"]["param"]) == (400, param)
    assert simulator.movements() == []


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "700"},
        {"amount": 7.0},
        {"amount": True},
        {"currency": "usd"},
        {"destination": "tok"},
        {"reference": ""},
        {"more": 1},
    ],
)
def test_standard_refuses_bad_parameters(simulator: Process, change: dict[str, Any]) -> None:
    reply = simulator.standard("POST", "/payouts", STANDARD | change)

    assert reply.status == 400
    assert simulator.movements() == []


def test_wrong_or_missing_key_is_refused_at_both(simulator: Process) -> None:
    for path in ("/stripe/v1/payouts", "/standard/payouts"):
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic ???"}):
            reply = simulator.call("GET", path, headers=headers)
            assert (reply.status, reply.json["error"]["code"]) == (401, "api_key_invalid")


def test_server_refuses_what_is_too_large_or_without_length(simulator: Process) -> None:
    large = simulator.call("POST", "/standard/payouts", body=b"x" * (64 * 1024 + 1))
    chunked = simulator.call("POST", "/standard/payouts", headers={"Transfer-Encoding": "chunked"})
    deep = simulator.call(
        "POST",
        "/standard/payouts",
        body=b"[" * 60_000,
        headers={"Authorization": f"Bearer {API_KEY}"},
    )

    assert (large.status, chunked.status, deep.status) == (413, 411, 400)
    assert simulator.call("GET", "/healthz").json == {"status": "ok", "part": "simulator"}
