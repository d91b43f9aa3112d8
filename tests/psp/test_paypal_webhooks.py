"""PayPal transmissions: signed text, time, mode, dedupe key (WH-2, WH-4, SE-1)."""

import base64
import json
import zlib
from dataclasses import replace
from datetime import timedelta

import pytest

from payops.psp.registry import adapter
from tests.psp import paypal_authority as authority
from tests.psp.paypal_authority import NOW, chain, leaf
from tests.psp.paypal_signed import (
    OTHER_ID,
    PAID,
    WEBHOOK_ID,
    account,
    event,
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


def test_signed_event_is_one_verified_item():
    verdict = read()

    assert (verdict.ok, verdict.reason, verdict.secret_id) == (True, "", "s1")
    [item] = verdict.items
    assert item.verified
    assert item.dedupe_key == "WH-7Y725001AW640000X-2FA500134DR000000V:8AELMXH8UB2P8"
    assert (item.amount_minor, item.currency, item.lane) == (1240000, "EUR", "high")
    assert item.live is False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"auth_algo": "SHA1withRSA"}, "algorithm_refused"),
        ({"auth_algo": "sha256withrsa"}, "algorithm_refused"),
        ({"auth_algo": "SHA256withRSA, none"}, "header_malformed"),
        ({"auth_algo": ""}, "header_missing"),
        ({"cert_url": ""}, "header_missing"),
        ({"transmission_id": ""}, "header_missing"),
        ({"transmission_id": "a|b"}, "header_malformed"),
        ({"transmission_id": "x" * 65}, "header_malformed"),
        ({"transmission_sig": ""}, "header_missing"),
        ({"transmission_sig": "!!!!"}, "header_malformed"),
        ({"transmission_sig": "QUJD"}, "signature_mismatch"),
        ({"transmission_sig": base64.b64encode(b"x" * 900).decode()}, "header_malformed"),
        ({"transmission_time": ""}, "header_missing"),
        ({"transmission_time": "1767323043"}, "timestamp_malformed"),
        ({"transmission_time": "2026-01-02 03:04:03Z"}, "timestamp_malformed"),
        ({"transmission_time": "2026-01-02T03:04:03"}, "timestamp_malformed"),
        ({"transmission_time": "2026-02-30T03:04:03Z"}, "timestamp_malformed"),
        ({"transmission_time": "0000-01-01T00:00:00Z"}, "timestamp_malformed"),
        ({"transmission_time": "0001-01-01T00:00:00+23:59"}, "timestamp_malformed"),
        ({"transmission_time": "2026-01-02T03:04:03Z|"}, "timestamp_malformed"),
        ({"transmission_time": "\u0662\u0660\u0662\u0666-01-02T03:04:03Z"}, "header_malformed"),
        ({"transmission_time": "2026-01-02T03:04:04Z"}, "signature_mismatch"),
        ({"transmission_id": "69cd13f0-d67a-11e5-baa3-778b53f4ae56"}, "signature_mismatch"),
    ],
)
def test_header_that_is_not_exactly_what_was_signed_is_refused(change, reason):
    verdict = read(headers=headers_of(PAID, **change))

    assert (verdict.ok, verdict.reason) == (False, reason)


def test_signed_unicode_digits_in_the_time_are_refused():
    # A sender who holds the key still cannot make us read foreign digits as a time.
    headers = headers_of(PAID)
    headers["paypal-transmission-time"] = headers["paypal-transmission-time"].replace(
        "2026", "\uff12\uff10\uff12\uff16"
    )

    assert read(headers=headers).reason == "header_malformed"


@pytest.mark.parametrize("place", [0, len(PAID) // 2, len(PAID) - 2])
def test_one_changed_byte_breaks_the_signature(place):
    changed = bytearray(PAID)
    changed[place] ^= 0x01

    verdict = read(bytes(changed), headers_of(PAID))

    assert (verdict.ok, verdict.reason) == (False, "signature_mismatch")


def test_json_that_means_the_same_but_reads_otherwise_breaks_the_signature():
    again = json.dumps(json.loads(PAID), separators=(",", ":")).encode()

    assert read(again, headers_of(PAID)).reason == "signature_mismatch"
    assert read(again).ok


def test_checksum_counts_as_an_unsigned_number():
    raw = next(
        body
        for body in (event("payout_item_succeeded", summary=f"n{n}") for n in range(99))
        if zlib.crc32(body) >= 2**31
    )
    signed = str(zlib.crc32(raw) - 2**32)

    assert read(raw).ok
    assert read(raw, headers_of(raw, crc=signed)).reason == "signature_mismatch"
    assert read(raw, headers_of(raw, crc=f"{zlib.crc32(raw):x}")).reason == "signature_mismatch"


def test_webhook_id_is_ours_alone():
    # Signed by PayPal for somebody else's webhook, and naming ours in every place they control.
    raw = event("payout_item_succeeded", webhook_id=WEBHOOK_ID)
    headers = headers_of(raw, webhook_id=OTHER_ID) | {"paypal-webhook-id": OTHER_ID}

    assert read(raw, headers).reason == "signature_mismatch"
    assert read(raw, headers, facts=account(webhook_id=OTHER_ID)).reason == "signature_mismatch"


def test_each_live_webhook_id_is_tried_during_a_rotation():
    both = (WEBHOOK_ID, OTHER_ID)

    assert read(secrets=both).secret_id == "s1"
    assert read(headers=headers_of(PAID, webhook_id=OTHER_ID), secrets=both).secret_id == "s2"
    assert read(headers=headers_of(PAID, webhook_id=OTHER_ID)).reason == "signature_mismatch"


@pytest.mark.parametrize("secrets", [(), ("",), ("has|a-bar-inside-it",)])
def test_account_without_a_usable_webhook_id_believes_nothing(secrets):
    assert read(secrets=secrets).reason == "secret_missing"


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(days=4), ""),
        (timedelta(days=4, seconds=1), "timestamp_stale"),
        (timedelta(seconds=-300), ""),
        (timedelta(seconds=-301), "timestamp_future"),
    ],
)
def test_time_is_near_enough_on_either_side(age, reason):
    verdict = read(headers=headers_of(PAID, at=NOW - age))

    assert (verdict.ok, verdict.reason, verdict.secret_id) == (not reason, reason, "s1")


@pytest.mark.parametrize(
    ("stated", "age", "ok"),
    [
        ("600", timedelta(seconds=601), False),
        ("600", timedelta(seconds=600), True),
        ("999999999", timedelta(days=30, seconds=1), False),
        ("soon", timedelta(days=4), True),
        ("-1", timedelta(days=4, seconds=1), False),
    ],
)
def test_tolerance_is_a_setting_of_the_account_within_bounds(stated, age, ok):
    at = NOW - age
    pem = chain(leaf(), authority.issuer())

    headers = headers_of(PAID, at=at)
    assert read(headers=headers, pem=pem, facts=account(tolerance_s=stated)).ok is ok


def test_event_of_the_other_mode_is_refused():
    live = account(live=True)
    headers = headers_of(PAID, cert_url=LIVE_URL)

    assert read(headers=headers, facts=live).reason == "mode_mismatch"


@pytest.mark.parametrize(
    ("host", "live"),
    [
        ("https://api.paypal.com", True),
        ("https://api-m.paypal.com", True),
        ("https://api.sandbox.paypal.com", False),
        ("https://API-M.SANDBOX.PAYPAL.COM", False),
        ("http://127.0.0.1:8001/paypal", None),
        ("https://api.paypal.com.evil.example", None),
        ("https://[broken", None),
    ],
)
def test_host_of_the_links_tells_the_mode(host, live):
    raw = event(
        "payout_item_succeeded", links=[{"href": f"{host}/v1/x", "rel": "self"}], resource__links=[]
    )

    [item] = adapter("paypal").itemize(raw=raw, account=account(live=bool(live))).items
    assert item.live is live


def test_links_of_both_modes_are_a_dead_letter_not_a_guess():
    raw = event("payout_item_succeeded", resource__links=[{"href": "https://api.paypal.com/v1/x"}])

    verdict = read(raw)

    assert (verdict.ok, verdict.items) == (True, ())
    assert verdict.parse_error == "mode_contradicts_itself"


@pytest.mark.parametrize(
    ("raw", "parse_error"),
    [
        (b"", "not_json"),
        (b"[]", "not_an_object"),
        (b'{"id":1,"id":2}', "duplicate_key"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested_too_deep"),
        (b'{"id":"WH-1"}', "event_type_missing"),
        (b'{"id":"WH-1","event_type":"A","resource":[]}', "object_missing"),
        (b'{"id":"WH-1","event_type":"A","resource":{"id":"\\u0000"}}', "nul_character"),
        (b"\xff\xfe", "not_utf8"),
    ],
)
def test_signed_but_unreadable_body_is_kept_for_people(raw, parse_error):
    verdict = read(raw)

    assert (verdict.ok, verdict.parse_error, verdict.secret_id) == (True, parse_error, "s1")


def test_body_beyond_the_limit_is_refused_unread():
    raw = b" " * (256 * 1024 + 1)

    assert wanted(raw) == ()
    verdict = read(raw)
    assert verdict.reason == "body_too_large"
    assert adapter("paypal").refusal_status(verdict) == 413


def test_listed_event_shares_key_and_fingerprint_with_its_webhook():
    listed = json.dumps(json.loads(PAID) | {"status": "SUCCESS", "transmissions": []}).encode()

    [posted] = read().items
    [found] = adapter("paypal").itemize(raw=listed, account=account()).items

    assert (found.dedupe_key, found.fingerprint) == (posted.dedupe_key, posted.fingerprint)
    assert found == replace(posted)


def test_resend_with_other_times_keeps_its_fingerprint_and_another_sum_does_not():
    [posted] = read().items
    [resent] = read(event("payout_item_succeeded", create_time="2026-01-05T00:00:00Z")).items
    other = json.loads(PAID)["resource"]["payout_item"]
    other["amount"]["value"] = "12400.01"
    [changed] = read(event("payout_item_succeeded", resource__payout_item=other)).items

    assert resent.fingerprint == posted.fingerprint
    assert changed.fingerprint != posted.fingerprint
    assert changed.dedupe_key == posted.dedupe_key


# ---- post-back -------------------------------------------------------------------------------
