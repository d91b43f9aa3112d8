"""PayPal itself is asked whether it sent a body (WH-2, SE-1, SE-2)."""

import json
import warnings
from datetime import timedelta

import pytest
from cryptography.utils import CryptographyDeprecationWarning

from payops.psp.registry import adapter
from tests.psp import paypal_authority as authority
from tests.psp.paypal_authority import NOW
from tests.psp.paypal_signed import (
    CERT_URL,
    OTHER_ID,
    PAID,
    WEBHOOK_ID,
    account,
    headers_of,
    read,
)

LIVE_URL = "https://api.paypal.com/v1/notifications/certs/CERT-1"


def wanted(raw=PAID, headers=None, facts=None):
    return adapter("paypal").fetches(
        raw=raw,
        headers=headers_of(raw) if headers is None else headers,
        account=facts or account(),
    )


POST_BACK = account(verification="post_back")


def told(status: object, webhook_id: str = WEBHOOK_ID) -> dict[str, bytes]:
    return {f"verdict:{webhook_id}": json.dumps({"verification_status": status}).encode()}


def test_post_back_asks_with_our_id_and_the_very_bytes():
    raw = b'{"id" :"WH-1",  "amount":1.10, "name":"Zo\xc3\xab"}'
    [question] = wanted(raw, facts=POST_BACK)

    assert question.name == f"verdict:{WEBHOOK_ID}"
    assert question.url == "/v1/notifications/verify-webhook-signature"
    assert question.authorized
    assert question.body is not None
    assert question.body.endswith(b', "webhook_event": ' + raw + b"}")
    headers = headers_of(raw)
    assert json.loads(question.body) == {
        "auth_algo": "SHA256withRSA",
        "cert_url": CERT_URL,
        "transmission_id": headers["paypal-transmission-id"],
        "transmission_sig": headers["paypal-transmission-sig"],
        "transmission_time": headers["paypal-transmission-time"],
        "webhook_id": WEBHOOK_ID,
        "webhook_event": json.loads(raw),
    }


@pytest.mark.parametrize(
    "raw",
    [
        b'{},"webhook_id":"1JE4291016473214C","x":{}',
        b'{}}{"a":1',
        b'{"a":1},"webhook_id":"1JE4291016473214C"',
        b'{"a":NaN}',
        b'"text"',
        b"",
        b'\xef\xbb\xbf{"a":1}',
    ],
)
def test_body_that_could_change_the_question_is_never_posted_back(raw):
    # Whoever owns another webhook could else have PayPal confirm an event signed for that one.
    assert wanted(raw, facts=POST_BACK) == ()
    verdict = read(raw, facts=POST_BACK, fetched=told("SUCCESS"))
    assert (verdict.ok, verdict.reason) == (False, "body_not_postable")


@pytest.mark.parametrize(
    ("fetched", "ok", "reason", "status"),
    [
        (told("SUCCESS"), True, "", 0),
        (told("FAILURE"), False, "signature_mismatch", 401),
        (told("success"), False, "evidence_missing", 503),
        (told(True), False, "evidence_missing", 503),
        (told(None), False, "evidence_missing", 503),
        ({f"verdict:{WEBHOOK_ID}": b"<html>"}, False, "evidence_missing", 503),
        ({f"verdict:{WEBHOOK_ID}": b"[]"}, False, "evidence_missing", 503),
        (
            {
                f"verdict:{WEBHOOK_ID}": b'{"verification_status":"FAILURE",'
                b'"verification_status":"SUCCESS"}'
            },
            False,
            "evidence_missing",
            503,
        ),
        ({}, False, "evidence_missing", 503),
        (told("SUCCESS", OTHER_ID), False, "evidence_missing", 503),
    ],
)
def test_only_paypals_own_success_counts(fetched, ok, reason, status):
    verdict = read(facts=POST_BACK, fetched=fetched)

    assert (verdict.ok, verdict.reason) == (ok, reason)
    assert ok or adapter("paypal").refusal_status(verdict) == status
    assert bool(verdict.items) is ok


def test_post_back_asks_for_each_webhook_id_and_believes_live_ones_only():
    facts = account(verification="post_back", webhook_id=f"{WEBHOOK_ID},{OTHER_ID}, ,bad|id")
    mixed = told("FAILURE") | told("SUCCESS", OTHER_ID)

    asked = [question.name for question in wanted(facts=facts)]
    assert asked == [f"verdict:{WEBHOOK_ID}", f"verdict:{OTHER_ID}"]
    assert read(facts=facts, fetched=mixed, secrets=(WEBHOOK_ID, OTHER_ID)).secret_id == "s2"
    # Retired: PayPal may still confirm it, we do not.
    assert read(facts=facts, fetched=mixed).reason == "signature_mismatch"


def test_post_back_holds_the_time_against_ours_as_well():
    raw = PAID
    old = headers_of(raw, at=NOW - timedelta(days=5))

    assert read(raw, old, facts=POST_BACK, fetched=told("SUCCESS")).reason == "timestamp_stale"


def test_anchor_that_cannot_be_read_is_left_out_of_the_store():
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        facts = account(trust_anchors=broken + authority.root().pem.decode())
        assert read(facts=facts).ok
