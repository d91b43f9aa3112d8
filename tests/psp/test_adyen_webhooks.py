"""Adyen webhooks: which items may be believed, and what one body becomes (WH-2, WH-4, WH-28)."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from Adyen.util import is_valid_hmac_notification, is_valid_hmac_payload

from payops.psp.base import LIMITS, AccountFacts
from payops.psp.registry import PROVIDERS, adapter
from tests.psp.adyen_signed import (
    ACCOUNT,
    KEY,
    MERCHANT,
    OTHER_KEY,
    header,
    item,
    notification,
    read,
    signed,
    signed_fixture,
    transfer,
)
from tests.psp.hostile import HOSTILE_BODIES
from tests.psp.signed import SAMPLES

CAPTURE = notification(signed(item()))
DUPLICATED = CAPTURE.replace(b'"success": "true"', b'"success":"false","success":"true"')


def hmac_by_hand(text: str, key: str = KEY) -> str:
    mac = hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def with_mark(told: dict[str, Any], mark: object) -> bytes:
    return notification({**told, "additionalData": {"hmacSignature": mark}})


def test_signed_by_the_official_library_and_read_into_one_item():
    verdict = read(CAPTURE)

    assert (verdict.ok, verdict.reason, verdict.secret_id) == (True, "", "s1")
    [found] = verdict.items
    assert found.dedupe_key == "MeridianECOM:K7TRCAPTURE00001:CAPTURE:true:K7TRPAYMENT00001"
    assert found.provider_event_id == "K7TRCAPTURE00001:CAPTURE:true"
    assert (found.event_type, found.object_id) == ("CAPTURE", "K7TRPAYMENT00001")
    assert (found.amount_minor, found.currency) == (8000, "EUR")
    assert found.occurred_at == datetime(2025, 12, 29, 9, 40, tzinfo=UTC)
    assert (found.live, found.lane, found.sequence) == (False, "standard", None)
    assert (found.index, found.verified, found.reason) == (0, True, "")


def test_what_we_accept_the_official_library_accepts_too():
    assert is_valid_hmac_notification(json.loads(CAPTURE), KEY) is True
    raw = transfer()
    assert is_valid_hmac_payload(header(raw)["hmacsignature"], KEY, raw) is True


def test_published_vectors():
    path = SAMPLES / "vectors" / "signatures.json"
    if not path.is_file():
        pytest.skip(f"no shared sample {path.name} beside this checkout")
    vectors = json.loads(path.read_text())["adyen_standard_notification"]
    assert len(vectors) == 2

    for vector in vectors:
        told = vector["item"]
        account = AccountFacts(provider="adyen", slug="demo", live=False)
        verdict = read(
            with_mark(told, vector["expected_signature"]),
            secrets=(vector["hmac_key_hex"],),
            account=account,
        )
        assert (verdict.ok, verdict.items[0].event_type) == (True, told["eventCode"])


@pytest.mark.parametrize(
    "merchant_reference",
    [
        "back\\slash",
        "colon:in:it",
        "a/b//c",
        "\\:/ all of \\\\ them ::",
        "Größe Ünïcode 支付 🧾",
        "",
        "1130:EUR:CAPTURE:true",
    ],
)
def test_merchant_reference_is_signed_unescaped(merchant_reference):
    told = item(merchantReference=merchant_reference)

    verdict = read(notification(signed(told)))

    text = f"K7TRCAPTURE00001:K7TRPAYMENT00001:{MERCHANT}:{merchant_reference}:8000:EUR:CAPTURE"
    assert verdict.ok
    assert json.loads(notification(signed(told)))["notificationItems"][0][
        "NotificationRequestItem"
    ]["additionalData"]["hmacSignature"] == hmac_by_hand(f"{text}:true")


def test_escaped_text_does_not_verify():
    told = item(merchantReference="a:b\\c")
    escaped = "a\\:b\\\\c"
    mark = hmac_by_hand(
        f"K7TRCAPTURE00001:K7TRPAYMENT00001:{MERCHANT}:{escaped}:8000:EUR:CAPTURE:true"
    )

    assert read(with_mark(told, mark)).reason == "signature_mismatch"


def test_missing_members_count_as_empty_and_booleans_as_their_words():
    told = {"pspReference": "P1", "eventCode": "ISSUER_COMMENTS", "success": True}
    told |= {"merchantAccountCode": MERCHANT, "originalReference": None}

    verdict = read(with_mark(told, hmac_by_hand(f"P1::{MERCHANT}::::ISSUER_COMMENTS:true")))

    assert verdict.ok
    [found] = verdict.items
    assert found.dedupe_key == f"{MERCHANT}:P1:ISSUER_COMMENTS:true"
    assert (found.amount_minor, found.currency) == (None, None)


@pytest.mark.parametrize("value", [8000, "8000"])
@pytest.mark.parametrize("success", [True, "true"])
def test_value_and_success_as_text_or_as_such_are_one_event(value, success):
    told = item(amount={"currency": "EUR", "value": value}, success=success)
    text = f"K7TRCAPTURE00001:K7TRPAYMENT00001:{MERCHANT}:ORD-7781:8000:EUR:CAPTURE:true"

    [found] = read(with_mark(told, hmac_by_hand(text))).items
    [other] = read(CAPTURE).items

    assert (found.dedupe_key, found.fingerprint) == (other.dedupe_key, other.fingerprint)
    assert (found.amount_minor, found.currency) == (8000, "EUR")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("pspReference", "K7TRCAPTURE00002"),
        ("originalReference", "K7TRPAYMENT00002"),
        ("merchantAccountCode", "MeridianPOS"),
        ("merchantReference", "ORD-7782"),
        ("amount", {"currency": "EUR", "value": 8001}),
        ("amount", {"currency": "USD", "value": 8000}),
        ("amount", {"currency": "EUR", "value": "٨٠٠٠"}),
        ("amount", {"currency": "EUR", "value": "8000 "}),
        ("amount", {"currency": "EUR", "value": 8000.0}),
        ("amount", {"currency": "EUR"}),
        ("amount", None),
        ("eventCode", "REFUND"),
        ("eventCode", "capture"),
        ("success", "false"),
        ("success", "True"),
        ("success", 1),
    ],
)
def test_any_change_of_a_signed_field_is_a_mismatch(name, change):
    told = signed(item()) | {name: change}

    verdict = read(notification(told))

    assert (verdict.ok, verdict.reason) == (False, "signature_mismatch")


@pytest.mark.parametrize(
    "change",
    [
        {"eventDate": "2026-01-05T00:00:00+01:00"},
        {"reason": "something else"},
        {"paymentMethod": "mc"},
        {"operations": ["REFUND"]},
        {"eventDate": None},
    ],
)
def test_fields_that_are_not_signed_do_not_make_another_event(change):
    [found] = read(notification(signed(item()) | change)).items
    [other] = read(CAPTURE).items

    assert (found.dedupe_key, found.fingerprint) == (other.dedupe_key, other.fingerprint)


def test_refund_and_its_failure_are_two_events_under_one_reference():
    [refund] = read(signed_fixture("refund")).items
    [failed] = read(signed_fixture("refund_failed")).items

    assert refund.provider_event_id == "K7TRREFUND000001:REFUND:true"
    assert failed.provider_event_id == "K7TRREFUND000001:REFUND_FAILED:true"
    assert refund.dedupe_key != failed.dedupe_key
    assert (refund.lane, failed.lane) == ("standard", "high")


def test_same_reference_with_another_signed_content_has_another_fingerprint():
    [first] = read(CAPTURE).items
    changed = item(amount={"currency": "EUR", "value": 7999})
    [second] = read(notification(signed(changed))).items

    assert first.dedupe_key == second.dedupe_key
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("key", [KEY, KEY.upper(), KEY[:32] + KEY[32:].upper()])
def test_the_key_is_hex_in_either_case(key):
    assert read(CAPTURE, secrets=(key,)).ok


@pytest.mark.parametrize("key", ["", "zz" * 32, KEY[:-1], "ab", f"0x{KEY}", f" {KEY}", "٤" * 64])
def test_secret_in_another_form_verifies_nothing(key):
    assert read(CAPTURE, secrets=(key,)).reason == "secret_missing"
    assert read(CAPTURE, secrets=(key, KEY)).secret_id == "s2"


def test_both_keys_verify_during_a_rotation_item_by_item():
    old, new = signed(item()), signed(item(pspReference="K7TRCAPTURE00009"), key=OTHER_KEY)

    both = read(notification(old, new), secrets=(OTHER_KEY, KEY))
    after = read(notification(old, new), secrets=(OTHER_KEY,))

    assert [found.verified for found in both.items] == [True, True]
    assert both.secret_id == "s2"
    assert [(found.verified, found.reason) for found in after.items] == [
        (False, "signature_mismatch"),
        (True, ""),
    ]
    assert after.secret_id == "s1"
    assert read(transfer(), header(transfer(), key=OTHER_KEY), secrets=(KEY, OTHER_KEY)).ok


@pytest.mark.parametrize(
    "mark",
    [
        lambda good: good.upper(),
        lambda good: good.lower(),
        lambda good: base64.b64decode(good).hex(),
        lambda good: base64.b64decode(good).hex().upper(),
        lambda good: good.rstrip("="),
        lambda good: f"{good}=",
        lambda good: f" {good}",
        lambda good: f"{good}\n",
        lambda good: "é" + good[1:],
        lambda good: base64.b64encode(base64.b64decode(good)[:-1]).decode(),
    ],
)
def test_only_the_exact_base64_text_counts(mark):
    good = signed(item())["additionalData"]["hmacSignature"]

    assert read(with_mark(item(), mark(good))).reason == "signature_mismatch"


@pytest.mark.parametrize("mark", [None, "", 5, True, [], {}, ["x"]])
def test_item_without_a_signature_is_rejected(mark):
    assert read(with_mark(item(), mark)).reason == "signature_missing"


@pytest.mark.parametrize("additional", [None, [], "x", 1])
def test_item_without_additional_data_is_rejected(additional):
    told = {**item(), "additionalData": additional}

    assert read(notification(told)).reason == "signature_missing"
    assert read(notification(item())).reason == "signature_missing"


def test_forged_second_item_of_three_is_rejected_alone():
    good, other = signed(item()), signed(item(pspReference="K7TRCAPTURE00003"))
    forged = signed(item(pspReference="K7TRCAPTURE00002")) | {"merchantReference": "ORD-1"}

    verdict = read(notification(good, forged, other))

    assert (verdict.ok, verdict.secret_id, verdict.parse_error) == (True, "s1", None)
    assert [(found.index, found.verified, found.reason) for found in verdict.items] == [
        (0, True, ""),
        (1, False, "signature_mismatch"),
        (2, True, ""),
    ]
    rejected = verdict.items[1]
    assert (rejected.dedupe_key, rejected.event_type, rejected.amount_minor) == ("", "", None)


def test_forged_first_item_of_two_is_rejected_alone():
    verdict = read(notification(item(), signed(item())))

    assert [(found.verified, found.reason) for found in verdict.items] == [
        (False, "signature_missing"),
        (True, ""),
    ]


def test_batch_of_fixtures_has_one_event_per_item():
    verdict = read(signed_fixture("batch"))

    assert [found.event_type for found in verdict.items] == ["CAPTURE", "REFUND", "CHARGEBACK"]
    assert [found.lane for found in verdict.items] == ["standard", "standard", "high"]
    assert len({found.dedupe_key for found in verdict.items}) == 3


@pytest.mark.parametrize(
    "holder", [None, 1, "x", [], {"other": {}}, {"NotificationRequestItem": 5}]
)
def test_list_member_that_is_no_item_is_rejected_alone(holder):
    body = json.loads(CAPTURE)
    body["notificationItems"].append(holder)

    verdict = read(json.dumps(body).encode())

    assert [(found.verified, found.reason) for found in verdict.items] == [
        (True, ""),
        (False, "item_malformed"),
    ]


@pytest.mark.parametrize(
    "name", ["pspReference", "originalReference", "merchantAccountCode", "eventCode", "success"]
)
def test_colon_outside_the_merchants_reference_is_ambiguous_and_rejected(name):
    told = item(**{name: "a:b"})

    assert read(notification(signed(told))).reason == "item_ambiguous"


def test_signed_text_cannot_be_cut_into_other_fields():
    """The shopper chose a reference that, cut elsewhere, names another amount and event."""
    mark = signed(item(eventCode="AUTHORISATION", merchantReference="X:9999:EUR"))
    mark = mark["additionalData"]["hmacSignature"]
    moved = item(
        merchantReference="X",
        amount={"value": "9999", "currency": "EUR:8000:EUR"},
        eventCode="AUTHORISATION",
    )

    assert read(with_mark(moved, mark)).reason == "item_ambiguous"


@pytest.mark.parametrize("member", [{"pspReference": []}, {"merchantReference": {"a": 1}}])
def test_signed_field_that_is_no_text_is_malformed(member):
    assert read(with_mark(item() | member, "x")).reason == "item_malformed"


def test_item_of_another_merchant_account_is_rejected():
    other = signed(item(merchantAccountCode="SomebodyElse"))

    assert read(notification(other)).reason == "account_mismatch"
    mixed = read(notification(signed(item()), other))
    assert [found.reason for found in mixed.items] == ["", "account_mismatch"]
    anywhere = replace(ACCOUNT, settings={})
    assert read(notification(other), account=anywhere).ok


@pytest.mark.parametrize("live", ["true", True, None, "", "False", "no", 0, 1, [], "live"])
def test_body_of_another_mode_is_refused(live):
    verdict = read(notification(signed(item()), live=live))

    assert (verdict.ok, verdict.reason, verdict.items) == (False, "mode_mismatch", ())


@pytest.mark.parametrize(("live", "account_live"), [(False, False), ("true", True), (True, True)])
def test_body_of_the_same_mode_is_accepted(live, account_live):
    account = replace(ACCOUNT, live=account_live)

    verdict = read(notification(signed(item()), live=live), account=account)

    assert (verdict.ok, verdict.items[0].live) == (True, account_live)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pspReference": ""}, "psp_reference_missing"),
        ({"pspReference": "P 1"}, "psp_reference_missing"),
        ({"pspReference": "P" * 81}, "psp_reference_missing"),
        ({"pspReference": "Пéç"}, "psp_reference_missing"),
        ({"eventCode": ""}, "event_code_missing"),
        ({"success": "yes"}, "success_malformed"),
        ({"success": "TRUE"}, "success_malformed"),
    ],
)
def test_signed_item_that_cannot_be_read_is_kept_and_dead_lettered(change, reason):
    raw = notification(signed(item(**change)))

    verdict = read(raw)

    assert verdict.ok
    [found] = verdict.items
    assert (found.verified, found.dedupe_key[:11]) == (True, "unreadable:")
    assert read(raw).items[0].dedupe_key == found.dedupe_key
    with pytest.raises(ValueError, match=reason):
        adapter("adyen").parse(raw, 0)


def test_two_hundred_items_are_read_and_one_more_is_refused():
    told = [signed(item(pspReference=f"K7TR{number:012}")) for number in range(201)]

    assert len(read(notification(*told[:200])).items) == 200
    assert read(notification(*told)).reason == "too_many_items"


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"notificationItems":[]}', b'{"notificationItems":{}}', b'{"live":"false"}'],
)
def test_body_without_items_and_without_a_header_is_unsigned(raw):
    assert read(raw).reason == "header_missing"


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_hostile_body_without_a_header_is_refused_unread(name):
    raw, reason = HOSTILE_BODIES[name]

    verdict = read(raw)

    assert not verdict.ok
    assert verdict.reason in (f"body_{reason}", "header_missing")


def test_duplicate_members_are_refused():
    assert DUPLICATED != CAPTURE
    assert read(DUPLICATED).reason == "body_duplicate_key"


def test_body_over_the_limit_is_refused_before_any_work():
    raw = b" " * (LIMITS.body_bytes_max + 1)

    for headers in ({}, {"hmacsignature": "x"}):
        verdict = read(raw, headers)
        assert verdict.reason == "body_too_large"
        assert adapter("adyen").refusal_status(verdict) == 413


def test_classic_body_somebody_else_vouches_for_is_itemized_the_same():
    posted = read(CAPTURE).items[0]

    verdict = adapter("adyen").itemize(raw=CAPTURE, account=ACCOUNT)

    assert verdict.items[0] == posted
    empty = adapter("adyen").itemize(raw=b'{"notificationItems":[]}', account=ACCOUNT)
    assert (empty.ok, empty.parse_error) == (True, "items_missing")
    assert adapter("adyen").itemize(raw=b"x", account=ACCOUNT).parse_error == "not_json"


def test_answers_to_adyen():
    chosen = adapter("adyen")

    assert chosen.success_body() == (b"[accepted]", "text/plain")
    assert chosen.refusal_status(read(notification(item()))) == 401
    assert chosen.fetches(raw=CAPTURE, headers={}, account=ACCOUNT) == ()
    assert PROVIDERS["adyen"].retry_window.days == 30
