"""PayPal transmissions: what the certificate proves, and what proves nothing (WH-2, SE-1, SE-2)."""

import base64
import json
import warnings
import zlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID

from payops.psp.base import Fetch
from payops.psp.paypal import certificates
from payops.psp.paypal.certificates import url_is_pinned
from payops.psp.registry import adapter
from tests.psp import paypal_authority as authority
from tests.psp.paypal_authority import LIVE_NAME, NOW, SANDBOX_NAME, chain, leaf, rsa_key
from tests.psp.paypal_signed import (
    CERT_URL,
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


def test_certificate_is_what_must_be_fetched_first():
    assert wanted() == (Fetch(name="certificate", url=CERT_URL),)

    verdict = read(fetched={})

    assert (verdict.ok, verdict.reason) == (False, "evidence_missing")
    assert adapter("paypal").refusal_status(verdict) == 503


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (lambda: chain(leaf(ends=NOW - timedelta(seconds=1)), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(starts=NOW + timedelta(seconds=1)), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(name="www.paypal.com"), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(name=f"{LIVE_NAME}.evil.example"), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(name=f"evil.{LIVE_NAME}"), authority.issuer()), "untrusted"),
        (lambda: chain(leaf(by=authority.root("Another root"))), "untrusted"),
        (lambda: chain(authority.self_signed()), "untrusted"),
        (lambda: chain(authority.good()), "untrusted"),
        (lambda: chain(authority.issuer(), authority.good()), "untrusted"),
        (lambda: chain(leaf(key=rsa_key("weak", 1024)), authority.issuer()), "key_refused"),
        (
            lambda: chain(leaf(usage=ExtendedKeyUsageOID.CLIENT_AUTH), authority.issuer()),
            "untrusted",
        ),
        (
            lambda: chain(
                leaf(by=leaf(name="sub.example.com", key=rsa_key("no authority"))),
                leaf(name="sub.example.com", key=rsa_key("no authority")),
                authority.issuer(),
            ),
            "untrusted",
        ),
        (lambda: b"", "unreadable"),
        (lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "unreadable"),
        (lambda: b"<html>try again</html>", "unreadable"),
        (lambda: authority.good().pem + b"\n" * certificates.PEM_BYTES_MAX, "unreadable"),
        (lambda: chain(*[authority.good()] * 9), "unreadable"),
    ],
    ids=[
        "expired",
        "not yet valid",
        "other host",
        "our name inside another domain",
        "subdomain of our name",
        "other authority",
        "self-signed",
        "intermediate missing",
        "leaf not first",
        "weak key",
        "client certificate",
        "issued by a leaf",
        "empty",
        "not DER",
        "an error page",
        "too large",
        "too many",
    ],
)
def test_certificate_that_proves_nothing_is_refused(pem, reason):
    verdict = read(pem=pem())

    assert (verdict.ok, verdict.reason, verdict.items) == (False, f"certificate_{reason}", ())
    assert adapter("paypal").refusal_status(verdict) == 401


def test_key_of_another_kind_is_refused_though_its_certificate_is_trusted():
    held = leaf(key=ec.generate_private_key(ec.SECP256R1()))

    verdict = read(headers=headers_of(PAID, by=held), pem=chain(held, authority.issuer()))

    assert (verdict.ok, verdict.reason) == (False, "certificate_key_refused")


def test_dates_are_those_of_the_moment_of_receipt():
    held = leaf(ends=NOW + timedelta(hours=1))
    pem = chain(held, authority.issuer())
    later = NOW + timedelta(hours=2)

    assert read(pem=pem).ok
    assert read(pem=pem, now=later).reason == "certificate_untrusted"
    assert read(now=later).ok


def test_without_trust_anchors_nobody_is_trusted():
    assert read(facts=account(trust_anchors="")).reason == "trust_anchors_missing"
    assert read(facts=account(trust_anchors="not PEM")).reason == "trust_anchors_missing"


def test_anchor_may_be_the_issuing_authority_where_no_chain_is_served():
    facts = account(trust_anchors=authority.issuer().pem.decode())

    assert read(pem=chain(authority.good()), facts=facts).ok


def test_sandbox_certificate_says_nothing_to_a_live_account():
    sandbox = chain(leaf(name=SANDBOX_NAME), authority.issuer())
    raw = event("payout_item_succeeded", links=[], resource__links=[])
    live = account(live=True)

    assert read(pem=sandbox).ok
    verdict = read(raw, headers_of(raw, cert_url=LIVE_URL), pem=sandbox, facts=live)
    assert verdict.reason == "certificate_untrusted"
    assert read(raw, headers_of(raw, cert_url=LIVE_URL), facts=live).ok


def test_pinned_names_are_configurable():
    facts = account(cert_names="hooks.example.com, signer.example.com")

    assert read(pem=chain(leaf(name="signer.example.com"), authority.issuer()), facts=facts).ok
    assert read(facts=facts).reason == "certificate_untrusted"


@pytest.mark.parametrize(
    "url",
    [
        "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://user@api.sandbox.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com@evil.example/certs/CERT-1",
        "https://api.sandbox.paypal.com:443@evil.example/certs/CERT-1",
        "https://api.sandbox.paypal.com.evil.example/certs/CERT-1",
        "https://evil.example/api.sandbox.paypal.com/CERT-1",
        "https://api.sandbox.paypal.com:8443/certs/CERT-1",
        "https://api.sandbox.paypal.com:443/certs/CERT-1",
        "https://api.sandbox.paypal.com./certs/CERT-1",
        "https://xapi.sandbox.paypal.com/certs/CERT-1",
        "https://paypal.com/certs/CERT-1",
        "https://www.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com\\@evil.example/certs/CERT-1",
        "https://evil.example#@api.sandbox.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com/certs/CERT-1#fragment",
        "https://api.sandbox.paypal.com/certs/CERT-1?to=https://evil.example",
        "https://api.sandbox.paypal.com/certs/../../redirect",
        "https://api.sandbox.paypal.com/certs/CERT%2e1",
        "https://api.sandbox.paypal.com",
        "https:///api.sandbox.paypal.com/certs/CERT-1",
        "https:api.sandbox.paypal.com/certs/CERT-1",
        "//api.sandbox.paypal.com/certs/CERT-1",
        "file:///etc/ssl/certs/ca-certificates.crt",
        "https://127.0.0.1/certs/CERT-1",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/certs/CERT-1",
        " https://api.sandbox.paypal.com/certs/CERT-1",
        "https://api.sandbox.paypal.com/certs/CERT-1\n",
        "https://api.sandbox.paypal.com/certs/CERT-1\r\nHost: evil.example",
    ],
)
def test_certificate_address_that_is_not_pinned_is_never_fetched(url):
    headers = headers_of(PAID, cert_url=url)

    assert wanted(headers=headers) == ()
    verdict = read(headers=headers)
    assert (verdict.ok, verdict.reason) == (False, "certificate_url_refused")


def test_live_account_takes_certificates_from_live_hosts_only():
    live = account(live=True)

    assert wanted(facts=live) == ()
    assert wanted(headers=headers_of(PAID, cert_url=LIVE_URL), facts=live) == (
        Fetch(name="certificate", url=LIVE_URL),
    )


def test_plain_http_is_for_a_listed_loopback_host_alone():
    local = "http://127.0.0.1:8001/paypal/certs/CERT-1.pem"
    listed = {"cert_hosts": "127.0.0.1:8001", "http_hosts": "127.0.0.1:8001"}

    def pinned(url: str, **settings: str) -> bool:
        return url_is_pinned(url, settings=settings, live=False)

    assert pinned(local, **listed)
    assert not pinned(local, cert_hosts="127.0.0.1:8001")
    assert not pinned(local, http_hosts="127.0.0.1:8001")
    assert not pinned("http://127.0.0.1:8002/paypal/certs/CERT-1.pem", **listed)
    assert not pinned(
        "http://sim.example/c.pem", cert_hosts="sim.example", http_hosts="sim.example"
    )
    assert pinned("https://sim.example:9/c.pem", cert_hosts="sim.example:9")
    assert not pinned(CERT_URL, **listed)


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
