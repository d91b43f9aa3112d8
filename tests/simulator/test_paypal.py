"""PayPal's face: signatures by certificate, payouts, captures, events (WH-2, WH-27, PX-3)."""

import base64
import datetime
import json
import stat
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from tests.simulator.process import WEBHOOK_ID, Process, Received, Receiver, until

PAYPAL_HOST = "messageverificationcerts.paypal.com"


def leaf(simulator: Process, url: str) -> rsa.RSAPublicKey:
    """The key behind a certificate address, once its chain holds against the simulator's root."""
    assert urlsplit(url).netloc == f"127.0.0.1:{simulator.port}"
    found = x509.load_pem_x509_certificates(simulator.call("GET", urlsplit(url).path).body)
    root = x509.load_pem_x509_certificate((simulator.directory / "paypal-ca.pem").read_bytes())
    verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName(PAYPAL_HOST))
    chain = verifier.verify(found[0], found[1:])
    assert [len(found), len(chain)] == [2, 3]
    key = found[0].public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def verify(simulator: Process, webhook: Received, body: bytes | None = None) -> None:
    """Raises InvalidSignature."""
    headers = webhook.headers
    content = webhook.body if body is None else body
    text = "|".join(
        (
            headers["paypal-transmission-id"],
            headers["paypal-transmission-time"],
            WEBHOOK_ID,
            str(zlib.crc32(content)),
        )
    )
    assert headers["paypal-auth-algo"] == "SHA256withRSA"
    leaf(simulator, headers["paypal-cert-url"]).verify(
        base64.b64decode(headers["paypal-transmission-sig"]),
        text.encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )


def item_of(simulator: Process, batch: Any) -> Any:
    number = batch["batch_header"]["payout_batch_id"]
    (item,) = simulator.paypal("GET", f"/v1/payments/payouts/{number}").json["items"]
    return item


def event_types(receiver: Receiver) -> list[str]:
    return [webhook.event["event_type"] for webhook in receiver.received]


def test_payout_is_told_by_batch_and_item(simulator: Process, receiver: Receiver) -> None:
    batch = simulator.batch(key="k1")
    simulator.control("POST", "/payouts/po_1/send")
    simulator.quiet()
    assert batch["batch_header"]["batch_status"] == "PENDING"
    assert item_of(simulator, batch)["transaction_status"] == "PENDING"

    simulator.control("POST", "/payouts/P-10492/pay")
    simulator.quiet()

    assert sorted(event_types(receiver)) == [
        "PAYMENT.PAYOUTS-ITEM.SUCCEEDED",
        "PAYMENT.PAYOUTSBATCH.PROCESSING",
        "PAYMENT.PAYOUTSBATCH.SUCCESS",
    ]
    item = item_of(simulator, batch)
    assert item["transaction_status"] == "SUCCESS"
    assert item["payout_item"]["amount"] == {"currency": "EUR", "value": "12400.00"}
    assert item["payout_item"]["sender_item_id"] == "po_1"
    number = batch["batch_header"]["payout_batch_id"]
    header = simulator.paypal("GET", f"/v1/payments/payouts/{number}").json["batch_header"]
    assert header["batch_status"] == "SUCCESS"
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "EUR", "k1")]
    assert {w.path for w in receiver.received} == {"/webhooks/paypal/demo/"}


def test_batch_is_done_only_with_its_last_item(simulator: Process, receiver: Receiver) -> None:
    items = [
        {
            "receiver": f"r{n}@example.com",
            "amount": {"value": "1.50", "currency": "EUR"},
            "sender_item_id": f"it_{n}",
        }
        for n in range(2)
    ]
    batch = simulator.batch(items=items)
    number = batch["batch_header"]["payout_batch_id"]
    simulator.control("POST", "/payouts/it_0/pay")
    half = simulator.paypal("GET", f"/v1/payments/payouts/{number}", {"page_size": 1}).json
    simulator.control("POST", "/payouts/it_1/fail", {"failure_code": "no_account"})
    simulator.quiet()

    assert half["batch_header"]["batch_status"] == "PROCESSING"
    assert half["batch_header"]["amount"] == {"currency": "EUR", "value": "3.00"}
    assert [row["rel"] for row in half["links"]] == ["self", "next"]
    assert event_types(receiver).count("PAYMENT.PAYOUTSBATCH.SUCCESS") == 1
    whole = simulator.paypal("GET", f"/v1/payments/payouts/{number}").json
    assert [i["transaction_status"] for i in whole["items"]] == ["SUCCESS", "FAILED"]
    assert whole["items"][1]["errors"]["name"] == "RECEIVER_ACCOUNT_INVALID"


def test_certificate_signs_and_one_changed_byte_fails(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.batch()
    simulator.quiet()
    (webhook,) = receiver.received

    verify(simulator, webhook)
    with pytest.raises(InvalidSignature):
        verify(simulator, webhook, webhook.body.replace(b"po_1", b"po_2"))


def test_forged_and_stale(simulator: Process, receiver: Receiver) -> None:
    simulator.control("POST", "/delivery", {"forge_signature": True})
    simulator.batch(reference="po_forged")
    simulator.quiet()
    simulator.control("POST", "/delivery", {"forge_signature": False, "stale_s": 3600})
    simulator.batch(reference="po_stale")
    simulator.quiet()
    forged, stale = receiver.received

    with pytest.raises(InvalidSignature):
        verify(simulator, forged)
    verify(simulator, stale)
    signed_at = datetime.datetime.fromisoformat(stale.headers["paypal-transmission-time"])
    age = datetime.datetime.now(datetime.UTC) - signed_at
    assert 3_600 <= age.total_seconds() < 3_660


def test_retried_delivery_is_the_same_transmission(simulator: Process, receiver: Receiver) -> None:
    receiver.plan = [500]
    simulator.batch()
    simulator.quiet()

    ids = [webhook.headers["paypal-transmission-id"] for webhook in receiver.received]
    assert (len(ids), len(set(ids))) == (2, 1)


def test_restart_keeps_the_certificate_private(simulator: Process, receiver: Receiver) -> None:
    simulator.batch()
    simulator.quiet()
    signer, root = (simulator.directory / n for n in ("paypal-signer.pem", "paypal-ca.pem"))
    before = (signer.read_bytes(), root.read_bytes())

    simulator.kill()
    simulator.start()
    simulator.batch(reference="po_2")
    simulator.quiet()

    assert (signer.read_bytes(), root.read_bytes()) == before
    assert [stat.S_IMODE(p.stat().st_mode) for p in (signer, root)] == [0o600, 0o600]
    assert b"PRIVATE KEY" not in root.read_bytes()
    first, second = (urlsplit(w.headers["paypal-cert-url"]).path for w in receiver.received)
    assert first == second
    assert b"PRIVATE KEY" not in simulator.call("GET", first).body
    for webhook in receiver.received:
        verify(simulator, webhook)


def test_other_certificate_names_are_unknown(simulator: Process) -> None:
    for name in ("CERT-1.pem", "../paypal-signer.pem", "%2e%2e/paypal-signer.pem"):
        reply = simulator.call("GET", f"/paypal/certs/{name}")
        assert reply.status == 404
        assert b"PRIVATE" not in reply.body


def test_post_back_takes_the_bytes_as_they_came(simulator: Process, receiver: Receiver) -> None:
    simulator.pay_in("paypal", reference="ORDER-1")
    simulator.quiet()
    (webhook,) = receiver.received
    names = {
        "auth_algo": "paypal-auth-algo",
        "cert_url": "paypal-cert-url",
        "transmission_id": "paypal-transmission-id",
        "transmission_sig": "paypal-transmission-sig",
        "transmission_time": "paypal-transmission-time",
    }
    asked = {name: webhook.headers[header] for name, header in names.items()}

    def ask(body: bytes, **changed: str) -> str:
        known = json.dumps(asked | {"webhook_id": WEBHOOK_ID} | changed)[:-1].encode()
        sent = known + b', "webhook_event": ' + body + b"}"
        path = "/v1/notifications/verify-webhook-signature"
        reply = simulator.paypal("POST", path, sent)
        assert reply.status == 200, reply.body
        return str(reply.json["verification_status"])

    assert ask(webhook.body) == "SUCCESS"
    assert ask(json.dumps(webhook.event, indent=1).encode()) == "FAILURE"
    assert ask(webhook.body, webhook_id="OTHER") == "FAILURE"
    assert ask(webhook.body, cert_url="http://127.0.0.1:1/paypal/certs/x.pem") == "FAILURE"
    assert ask(webhook.body, transmission_sig="!") == "FAILURE"


@pytest.mark.parametrize(
    ("event", "status", "kind"),
    [
        ("PAYMENT.PAYOUTS-ITEM.FAILED", "FAILED", "payout_failure"),
        ("PAYMENT.PAYOUTS-ITEM.BLOCKED", "BLOCKED", "payout_failure"),
        ("PAYMENT.PAYOUTS-ITEM.RETURNED", "RETURNED", "payout_reversal"),
        ("PAYMENT.PAYOUTS-ITEM.REFUNDED", "REFUNDED", "payout_reversal"),
    ],
)
def test_late_failure_after_paid(
    simulator: Process, receiver: Receiver, event: str, status: str, kind: str
) -> None:
    batch = simulator.batch()
    simulator.control("POST", "/payouts/po_1/pay")

    simulator.control("POST", "/payouts/po_1/fail", {"event": event, "copies": 12, "parallel": 12})
    simulator.quiet()

    copies = [w for w in receiver.received if w.event["event_type"] == event]
    assert (len(copies), len({w.body for w in copies})) == (12, 1)
    assert item_of(simulator, batch)["transaction_status"] == status
    assert [row[0] for row in simulator.movements()] == ["payout", kind]


def test_only_an_unclaimed_item_is_canceled(simulator: Process, receiver: Receiver) -> None:
    item = item_of(simulator, simulator.batch())
    path = f"/v1/payments/payouts-item/{item['payout_item_id']}/cancel"
    refused = simulator.paypal("POST", path)
    simulator.control("POST", "/payouts/po_1/unclaim")

    done = simulator.paypal("POST", path)
    simulator.quiet()

    assert refused.status == 400
    assert refused.json["details"][0]["issue"] == "ITEM_NOT_UNCLAIMED"
    assert (done.status, done.json["transaction_status"]) == (200, "RETURNED")
    assert {"PAYMENT.PAYOUTS-ITEM.UNCLAIMED", "PAYMENT.PAYOUTS-ITEM.CANCELED"} <= set(
        event_types(receiver)
    )
    assert [row[0] for row in simulator.movements()] == ["payout", "payout_cancel"]


def test_known_batch_id_is_refused_with_a_link_to_the_first(simulator: Process) -> None:
    first = simulator.batch(key="k1")
    replay = simulator.batch(key="k1")
    items = [{"receiver": "a@example.com", "amount": {"value": "1.00", "currency": "EUR"}}]
    header = {"sender_batch_id": "batch-po_1"}
    again = simulator.paypal(
        "POST", "/v1/payments/payouts", {"sender_batch_header": header, "items": items}, key="k2"
    )

    number = first["batch_header"]["payout_batch_id"]
    assert replay["batch_header"]["payout_batch_id"] == number
    assert (again.status, again.json["name"]) == (400, "USER_BUSINESS_ERROR")
    assert again.json["links"][0]["href"].endswith(f"/v1/payments/payouts/{number}")
    assert [row[0] for row in simulator.movements()] == ["payout"]


def test_same_request_id_with_another_body_is_refused(simulator: Process) -> None:
    simulator.batch(key="k1")
    header = {"sender_batch_id": "batch-2"}
    items = [{"receiver": "a@example.com", "amount": {"value": "1.00", "currency": "EUR"}}]

    other = simulator.paypal(
        "POST", "/v1/payments/payouts", {"sender_batch_header": header, "items": items}, key="k1"
    )

    assert (other.status, other.json["name"]) == (422, "UNPROCESSABLE_ENTITY")
    assert other.json["details"][0]["issue"] == "DUPLICATE_REQUEST_ID"


def test_token_is_needed_and_survives_a_restart(simulator: Process) -> None:
    token = simulator.token()
    none = simulator.call("GET", "/paypal/v2/payments/captures/X")
    simulator.kill()
    simulator.start()
    known = simulator.paypal("GET", "/v2/payments/captures/X", token=token)
    forged = simulator.paypal("GET", "/v2/payments/captures/X", token=token[:-1] + "x")

    assert none.status == 401
    assert (known.status, known.json["name"]) == (404, "RESOURCE_NOT_FOUND")
    assert forged.status == 401


def test_token_expires(launch: Callable[..., Process]) -> None:
    simulator = launch(SIM_PAYPAL_TOKEN_S="0.5")
    token, path = simulator.token(), "/v2/payments/captures/X"

    assert simulator.paypal("GET", path, token=token).status == 404
    until(lambda: simulator.paypal("GET", path, token=token).status == 401, what="expiry")
    assert simulator.paypal("GET", path).status == 404


def test_yen_has_no_decimals_and_dinars_three(simulator: Process) -> None:
    for reference, currency, value, minor in (
        ("po_yen", "JPY", "1500", 1_500),
        ("po_dinar", "KWD", "1.250", 1_250),
        ("po_forint", "HUF", "15", 1_500),
    ):
        items = [
            {
                "receiver": "a@example.com",
                "amount": {"value": value, "currency": currency},
                "sender_item_id": reference,
            }
        ]
        simulator.batch(reference=reference, items=items)
        (row,) = simulator.control("GET", f"/movements?reference={reference}")["movements"]
        assert (row["amount"], row["currency"]) == (minor, currency)


@pytest.mark.parametrize("value", ["1.5e3", "-1.00", "0.00", "1,00", "1.001", "", "१.00"])
def test_amounts_are_plain_decimal_text(simulator: Process, value: str) -> None:
    items = [{"receiver": "a@example.com", "amount": {"value": value, "currency": "EUR"}}]
    header = {"sender_batch_id": "b"}

    reply = simulator.paypal(
        "POST", "/v1/payments/payouts", {"sender_batch_header": header, "items": items}
    )

    assert reply.status == 400
    assert simulator.movements() == []


def test_events_are_listed_page_by_page_and_within_a_span(simulator: Process) -> None:
    for number in range(5):
        simulator.pay_in("paypal", reference=f"ORDER-{number}")
    simulator.quiet()
    sent = [row["id"] for row in simulator.control("GET", "/events")["events"]]
    path, seen = "/v1/notifications/webhooks-events", []
    page = simulator.paypal("GET", path, {"page_size": 2}).json
    for _ in range(5):
        seen += [event["id"] for event in page["events"]]
        links = {row["rel"]: row["href"] for row in page["links"]}
        if "next" not in links:
            break
        page = simulator.paypal("GET", links["next"].partition("/paypal")[2]).json
    past = {"start_time": "2020-01-01T00:00:00Z", "end_time": "2020-01-02T00:00:00Z"}

    assert seen == sent[::-1]
    assert simulator.paypal("GET", path, past).json["count"] == 0
    one = simulator.paypal("GET", f"{path}/{sent[0]}").json
    assert one["id"] == sent[0]
