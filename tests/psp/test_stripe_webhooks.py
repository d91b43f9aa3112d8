"""Stripe webhooks: who may be believed, and what one signed body becomes (WH-2, WH-4, WH-26)."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import stripe

from payops.psp.base import LIMITS, Authentication, SecretValue
from payops.psp.registry import adapter
from tests.psp.hostile import HOSTILE_BODIES
from tests.psp.signed import (
    NOW,
    STRIPE_ACCOUNT,
    STRIPE_SECRET,
    changed,
    fixture,
    read_stripe,
    stripe_headers,
)

FAILED = fixture("stripe", "payout_failed_after_paid")
STAMP = int(NOW.timestamp())


def test_known_answer_vector():
    raw = b'{"id":"evt_1","object":"event"}'
    mac = "4c15fb2a43f93ef61eaa3e0893866d57cad9cad4223242cfb96f362480cb4021"

    verdict = read_stripe(
        raw,
        {"stripe-signature": f"t=1700000000,v1={mac}"},
        secrets=("whsec_test",),
        now=datetime.fromtimestamp(1700000000, tz=UTC),
    )

    assert verdict == Authentication(ok=True, secret_id="s1", parse_error="event_type_missing")


def test_signed_by_the_official_library_and_read_into_one_item():
    verdict = read_stripe(FAILED)

    assert (verdict.ok, verdict.reason, verdict.secret_id) == (True, "", "s1")
    [item] = verdict.items
    assert item.provider_event_id == "evt_1QkPoFailed001"
    assert item.dedupe_key == "evt_1QkPoFailed001:po_1QkBeneficiary0001"
    assert (item.event_type, item.object_id) == ("payout.failed", "po_1QkBeneficiary0001")
    assert (item.amount_minor, item.currency) == (1240000, "EUR")
    assert item.occurred_at == datetime.fromtimestamp(1767000000, tz=UTC)
    assert (item.live, item.lane, item.sequence) == (False, "high", None)
    assert (item.request_id, item.request_idempotency_key) == ("req_A1b2C3d4", "pc_5f6e7d8c")
    assert (item.index, item.verified, item.reason) == (0, True, "")


def test_what_we_accept_the_official_library_accepts_too():
    header = stripe_headers(FAILED, at=datetime.now(UTC))["stripe-signature"]

    event = stripe.Webhook.construct_event(FAILED, header, STRIPE_SECRET)

    assert event["id"] == "evt_1QkPoFailed001"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "header_missing"),
        ("", "header_missing"),
        ("t=1", "header_malformed"),
        ("v1=aa", "timestamp_malformed"),
        (f"t={STAMP},v0=aa", "header_malformed"),
        (f"t={STAMP},t={STAMP},v1=aa", "header_malformed"),
        (f"t={STAMP},v1=", "signature_mismatch"),
        (f"t={STAMP},v1={'0' * 64}", "signature_mismatch"),
        (f"t={STAMP}," + ",".join(["v1=aa"] * 17), "header_malformed"),
        ("t=+1767000000,v1=aa", "timestamp_malformed"),
        ("t=-1,v1=aa", "timestamp_malformed"),
        ("t=1_767_000_000,v1=aa", "timestamp_malformed"),
        ("t=1767000000.0,v1=aa", "timestamp_malformed"),
        ("t=01767000000,v1=aa", "timestamp_malformed"),
        ("t=1e9,v1=aa", "timestamp_malformed"),
        ("t=" + "9" * 5000 + ",v1=aa", "timestamp_malformed"),
        ("t=NaN,v1=aa", "timestamp_malformed"),
        ("t=,v1=aa", "timestamp_malformed"),
        ("t=\u0661\u0667,v1=aa", "header_malformed"),
        ("t=\xb2,v1=aa", "header_malformed"),
        ("x" * 9000, "header_malformed"),
    ],
)
def test_headers_that_are_refused(header, reason):
    headers = {} if header is None else {"stripe-signature": header}

    verdict = read_stripe(FAILED, headers)

    assert (verdict.ok, verdict.reason, verdict.items) == (False, reason, ())
    assert adapter("stripe").refusal_status(verdict) == 401


@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [
        (-301, "timestamp_stale"),
        (-300, ""),
        (0, ""),
        (300, ""),
        (301, "timestamp_future"),
        (10**8, "timestamp_future"),
    ],
)
def test_tolerance_has_two_sides(offset_s, reason):
    headers = stripe_headers(FAILED, at=NOW + timedelta(seconds=offset_s))

    verdict = read_stripe(FAILED, headers)

    assert (verdict.ok, verdict.reason) == (reason == "", reason)
    assert verdict.secret_id == "s1"


def test_one_changed_byte_breaks_the_signature():
    headers = stripe_headers(FAILED)

    verdict = read_stripe(FAILED.replace(b"1240000", b"1240001"), headers)

    assert (verdict.ok, verdict.reason, verdict.secret_id) == (False, "signature_mismatch", None)


@pytest.mark.parametrize("position", [0, 1])
def test_every_active_secret_is_tried_and_the_verifying_one_named(position):
    secrets = ["whsec_other", "whsec_third"]
    secrets.insert(position, STRIPE_SECRET)

    verdict = read_stripe(FAILED, secrets=tuple(secrets))

    assert (verdict.ok, verdict.secret_id) == (True, f"s{position + 1}")


def test_rotation_header_with_two_signatures_passes_with_either_secret():
    old, new = stripe_headers(FAILED, secret="whsec_old"), stripe_headers(FAILED)
    joined = old["stripe-signature"] + "," + new["stripe-signature"].split(",")[1]

    for secret in ("whsec_old", STRIPE_SECRET):
        assert read_stripe(FAILED, {"stripe-signature": joined}, secrets=(secret,)).ok


def test_retired_secret_is_refused():
    verdict = read_stripe(FAILED, stripe_headers(FAILED, secret="whsec_retired"))

    assert (verdict.ok, verdict.reason) == (False, "signature_mismatch")


@pytest.mark.parametrize("secrets", [(), ("",)])
def test_without_a_secret_nothing_is_believed(secrets):
    verdict = read_stripe(FAILED, stripe_headers(FAILED, secret=""), secrets=secrets)

    assert (verdict.ok, verdict.reason) == (False, "secret_missing")


def test_secret_is_not_shown():
    assert STRIPE_SECRET not in repr(SecretValue(id="s1", value=STRIPE_SECRET))


def test_body_over_the_limit_is_refused_before_any_work():
    verdict = read_stripe(b" " * (LIMITS.body_bytes_max + 1), {"stripe-signature": "t=1,v1=a"})

    assert (verdict.ok, verdict.reason) == (False, "body_too_large")
    assert adapter("stripe").refusal_status(verdict) == 413


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_signed_hostile_body_is_kept_for_a_person_and_never_crashes(name):
    raw, reason = HOSTILE_BODIES[name]

    verdict = read_stripe(raw)

    assert verdict == Authentication(ok=True, secret_id="s1", parse_error=reason)


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_unsigned_hostile_body_is_only_a_bad_signature(name):
    raw, _ = HOSTILE_BODIES[name]

    assert read_stripe(raw, stripe_headers(b"x")).reason == "signature_mismatch"


def test_emoji_written_as_a_surrogate_pair_is_fine():
    raw = changed(FAILED, object__description="\N{ROCKET}")

    assert b"\\ud83d\\ude80" in raw
    assert len(read_stripe(raw).items) == 1


def test_64_levels_are_allowed():
    raw = changed(FAILED, deep=json.loads("[" * 63 + "]" * 63))

    assert read_stripe(raw).parse_error is None


def test_thin_v2_event_is_refused_on_this_route():
    raw = b'{"id":"evt_test_65","object":"v2.core.event","type":"v1.billing.meter.no_meter_found"}'

    verdict = read_stripe(raw)

    assert (verdict.ok, verdict.reason, verdict.items) == (False, "thin_event", ())


@pytest.mark.parametrize("account_live", [True, False])
def test_event_of_the_other_mode_is_refused(account_live):
    raw = changed(FAILED, livemode=not account_live)

    verdict = read_stripe(raw, account=replace(STRIPE_ACCOUNT, live=account_live))

    assert (verdict.ok, verdict.reason, verdict.items) == (False, "mode_mismatch", ())


def test_fingerprint_covers_business_fields_only():
    first = read_stripe(FAILED).items[0]
    resent = read_stripe(changed(FAILED, created=1767000999, pending_webhooks=0)).items[0]

    assert resent.fingerprint == first.fingerprint
    assert len(first.fingerprint) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"object__amount": 1240001},
        {"object__currency": "usd"},
        {"object__status": "paid"},
        {"object__failure_code": "no_account"},
        {"object__id": "po_other"},
        {"type": "payout.paid"},
    ],
)
def test_fingerprint_changes_with_each_business_field(change):
    first = read_stripe(FAILED).items[0].fingerprint

    assert read_stripe(changed(FAILED, **change)).items[0].fingerprint != first


@pytest.mark.parametrize(
    ("request_value", "expected"),
    [
        (None, (None, None)),
        ("req_old", ("req_old", None)),
        ({"id": "req_1", "idempotency_key": None}, ("req_1", None)),
        ({"id": 5, "idempotency_key": ["x"]}, (None, None)),
        (["x"], (None, None)),
    ],
)
def test_originating_request_is_kept_in_every_form(request_value, expected):
    item = read_stripe(changed(FAILED, request=request_value)).items[0]

    assert (item.request_id, item.request_idempotency_key) == expected


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (1000, "isk", (10, "ISK")),
        (5000, "ugx", (50, "UGX")),
        (5, "mga", (500, "MGA")),
        (500, "jpy", (500, "JPY")),
        (1500, "kwd", (1500, "KWD")),
        (1001, "isk", (None, None)),
        (True, "eur", (None, None)),
        ("10.00", "eur", (None, None)),
        (10, None, (None, None)),
        (10, "euro", (None, None)),
        (10**17, "eur", (None, None)),
    ],
)
def test_amounts_become_iso_minor_units_at_the_door(amount, currency, expected):
    raw = changed(FAILED, object__amount=amount, object__currency=currency)

    item = read_stripe(raw).items[0]

    assert (item.amount_minor, item.currency) == expected


@pytest.mark.parametrize(
    ("name", "lane"),
    [
        ("payout_paid", "high"),
        ("dispute_created", "high"),
        ("refund_failed_late", "high"),
        ("charge_succeeded", "standard"),
        ("refund_created", "standard"),
        ("invoice_paid", "standard"),
        ("balance_available", "bulk"),
        ("report_run_succeeded", "bulk"),
    ],
)
def test_lanes(name, lane):
    assert read_stripe(fixture("stripe", name)).items[0].lane == lane


def test_object_without_an_id_still_has_a_dedupe_key():
    item = read_stripe(fixture("stripe", "balance_available")).items[0]

    assert (item.dedupe_key, item.object_id) == ("evt_1QkBalance001:", "")


def test_shared_secret_schemes_fetch_nothing():
    for name in ("stripe", "standard"):
        assert adapter(name).fetches(raw=b"", headers={}, account=STRIPE_ACCOUNT) == ()
        assert adapter(name).success_body() == (b'{"received":true}', "application/json")
