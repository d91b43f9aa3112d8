"""The providers' own libraries accept what the simulator signs (WH-1, WH-2, WH-4)."""

import pytest
import standardwebhooks
import stripe

from payops.simulator.signing import standard_headers, stripe_headers
from tests.simulator.process import STANDARD_SECRET, STRIPE_SECRET, Process, Receiver, until

BUYER = {"seller": "be_1", "amount": 3000, "fee": 117, "platform_fee": 300, "currency": "EUR"}


def test_stripe_signature_matches_the_published_vector() -> None:
    body = b'{"id":"evt_1","object":"event"}'

    headers = stripe_headers(secrets=["whsec_test"], body=body, at=1_700_000_000)

    digest = "4c15fb2a43f93ef61eaa3e0893866d57cad9cad4223242cfb96f362480cb4021"
    assert headers == {"Stripe-Signature": f"t=1700000000,v1={digest}"}


def test_standard_signature_matches_the_published_vector() -> None:
    headers = standard_headers(
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        body=b'{"test": 2432232314}',
        at=1_614_265_330,
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_stripe_library_accepts_the_webhook(simulator: Process, receiver: Receiver) -> None:
    payout = simulator.payout(key="k1")
    webhook = until(lambda: receiver.received, what="a webhook")[0]

    event = stripe.Webhook.construct_event(
        webhook.body, webhook.headers["stripe-signature"], STRIPE_SECRET
    )

    assert webhook.path == "/webhooks/stripe/demo/"
    assert (event["type"], event["data"]["object"]["id"]) == ("payout.created", payout["id"])
    assert event["request"]["idempotency_key"] == "k1"


def test_stripe_library_refuses_one_changed_byte(simulator: Process, receiver: Receiver) -> None:
    simulator.payout()
    webhook = until(lambda: receiver.received, what="a webhook")[0]
    changed = webhook.body.replace(b"1240000", b"1240001")

    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(changed, webhook.headers["stripe-signature"], STRIPE_SECRET)


def test_standard_library_accepts_the_webhook(simulator: Process, receiver: Receiver) -> None:
    payment = {"provider": "standard", "reference": "pa_1", **BUYER}
    simulator.control("POST", "/payments", payment)
    webhook = until(lambda: receiver.received, what="a webhook")[0]

    event = standardwebhooks.Webhook(STANDARD_SECRET).verify(webhook.body, webhook.headers)

    assert webhook.path == "/webhooks/standard/demo/"
    assert (event["type"], webhook.headers["webhook-id"]) == ("payment.captured", event["id"])
    shown = event["data"]
    names = ("reference", "amount", "currency", "status", "fee", "platform_fee", "seller")
    assert [shown[name] for name in names] == ["pa_1", 3000, "EUR", "captured", 117, 300, "be_1"]


def test_two_secrets_sign_twice_during_rotation(launch, receiver: Receiver) -> None:
    simulator = launch(SIM_STRIPE_SECRET=f"whsec_old,{STRIPE_SECRET}")

    simulator.payout()

    webhook = until(lambda: receiver.received, what="a webhook")[0]
    header = webhook.headers["stripe-signature"]
    assert header.count("v1=") == 2
    for secret in ("whsec_old", STRIPE_SECRET):
        assert stripe.Webhook.construct_event(webhook.body, header, secret)["object"] == "event"


def test_forged_and_stale_webhooks_are_refused(simulator: Process, receiver: Receiver) -> None:
    simulator.control("POST", "/delivery", {"forge_signature": True})
    simulator.payout(reference="po_forged")
    simulator.quiet()
    simulator.control("POST", "/delivery", {"forge_signature": False, "stale_s": 3600})
    simulator.payout(reference="po_stale")
    simulator.quiet()

    for webhook, reason in zip(receiver.received, ("signature", "tolerance"), strict=True):
        header = webhook.headers["stripe-signature"]
        with pytest.raises(stripe.SignatureVerificationError, match=reason):
            stripe.Webhook.construct_event(webhook.body, header, STRIPE_SECRET)


def test_standard_forged_webhook_is_refused(simulator: Process, receiver: Receiver) -> None:
    simulator.control("POST", "/delivery", {"forge_signature": True})
    simulator.control("POST", "/payments", {"provider": "standard", "reference": "pa_1", **BUYER})
    webhook = until(lambda: receiver.received, what="a webhook")[0]

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(STANDARD_SECRET).verify(webhook.body, webhook.headers)
