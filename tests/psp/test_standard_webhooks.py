"""Standard Webhooks 1.0.0 and the generic provider behind it (WH-2, WH-4, WH-29)."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks

from payops.psp.base import Authentication
from tests.psp.hostile import HOSTILE_BODIES
from tests.psp.signed import (
    NOW,
    SAMPLES,
    STANDARD_ACCOUNT,
    STANDARD_SECRET,
    changed,
    fixture,
    read_standard,
    standard_headers,
)

FAILED = fixture("standard", "payout_failed")
OTHER_SECRET = "whsec_" + base64.b64encode(b"another key of thirty-two bytes!").decode()
# Both adapters read an id from the body for a missing-id check; here the header carries it.
WITHOUT_ID_RULES = {
    "no id",
    "id is a number",
    "id with a blank",
    "id too long",
    "no type",
    "no object",
    "data is a list",
}


def headers_of(raw: bytes = FAILED, **changes: str) -> dict[str, str]:
    made = standard_headers(raw, event_id="sev_failed001")
    return made | {name.replace("_", "-"): value for name, value in changes.items()}


def test_signed_by_the_official_library_and_read_into_one_item():
    verdict = read_standard(FAILED)

    assert (verdict.ok, verdict.secret_id, verdict.parse_error) == (True, "s1", None)
    [item] = verdict.items
    assert item.dedupe_key == "sev_failed001:spo_5t6y7u8i"
    assert (item.amount_minor, item.currency, item.lane) == (1240000, "EUR", "high")
    assert item.occurred_at == datetime.fromtimestamp(1767000000, tz=UTC)
    assert (item.request_id, item.request_idempotency_key) == ("req_9a8b7c", "pc_5f6e7d8c")


def test_what_we_accept_the_official_library_accepts_too():
    headers = standard_headers(FAILED, event_id="sev_failed001", at=datetime.now(UTC))

    body = standardwebhooks.Webhook(STANDARD_SECRET).verify(FAILED, headers)

    assert body["id"] == "sev_failed001"


def test_published_vector():
    path = SAMPLES / "vectors" / "signatures.json"
    if not path.is_file():
        pytest.skip(f"no shared sample {path.name} beside this checkout")
    [vector] = json.loads(path.read_text())["standard_webhooks"]
    headers = {
        "webhook-id": vector["webhook-id"],
        "webhook-timestamp": vector["webhook-timestamp"],
        "webhook-signature": vector["expected_webhook-signature"],
    }

    verdict = read_standard(
        vector["body"].encode(),
        headers,
        secrets=(vector["secret"],),
        now=datetime.fromtimestamp(int(vector["webhook-timestamp"]), tz=UTC),
    )

    assert verdict == Authentication(ok=True, secret_id="s1", parse_error="event_type_missing")


def test_only_v1_counts_and_never_v1a():
    good = headers_of()["webhook-signature"].removeprefix("v1,")

    for signature in (
        f"v1a,{good}",
        f"v2,{good}",
        f"V1,{good}",
        f"v1 ,{good}",
        good,
        f"v11,{good}",
    ):
        verdict = read_standard(FAILED, headers_of(webhook_signature=signature))
        assert (verdict.ok, verdict.reason) == (False, "signature_mismatch"), signature


def test_list_of_signatures_passes_when_one_v1_matches():
    good = headers_of()["webhook-signature"]
    wrong = "v1," + base64.b64encode(b"0" * 32).decode()
    listed = f"v1a,AAAA {wrong} v1,!!! {good} junk"

    assert read_standard(FAILED, headers_of(webhook_signature=listed)).ok


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"webhook_id": ""}, "header_missing"),
        ({"webhook_timestamp": ""}, "header_missing"),
        ({"webhook_signature": ""}, "header_missing"),
        ({"webhook_id": "sev.failed"}, "header_malformed"),
        ({"webhook_id": "sev failed"}, "header_malformed"),
        ({"webhook_id": "s" * 300}, "header_malformed"),
        ({"webhook_id": "sev_\u00e9"}, "header_malformed"),
        ({"webhook_id": "sev_other0001"}, "signature_mismatch"),
        ({"webhook_timestamp": "1767322999"}, "signature_mismatch"),
        ({"webhook_timestamp": "1767323045.0"}, "timestamp_malformed"),
        ({"webhook_timestamp": " 1767323045"}, "timestamp_malformed"),
        ({"webhook_timestamp": "\u0661"}, "header_malformed"),
        ({"webhook_timestamp": "9" * 12}, "timestamp_malformed"),
        ({"webhook_signature": "v1,"}, "signature_mismatch"),
        ({"webhook_signature": "v1,AAAA"}, "signature_mismatch"),
        ({"webhook_signature": " ".join(["v1,AAAA"] * 17)}, "header_malformed"),
    ],
)
def test_headers_that_are_refused(changes, reason):
    verdict = read_standard(FAILED, headers_of(**changes))

    assert (verdict.ok, verdict.reason, verdict.items) == (False, reason, ())


@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [(-301, "timestamp_stale"), (-300, ""), (300, ""), (301, "timestamp_future")],
)
def test_tolerance_has_two_sides(offset_s, reason):
    at = NOW + timedelta(seconds=offset_s)

    verdict = read_standard(FAILED, standard_headers(FAILED, event_id="sev_failed001", at=at))

    assert (verdict.ok, verdict.reason) == (reason == "", reason)


def test_rotated_secrets_are_all_tried():
    assert read_standard(FAILED, secrets=(OTHER_SECRET, STANDARD_SECRET)).secret_id == "s2"
    assert read_standard(FAILED, secrets=(OTHER_SECRET,)).reason == "signature_mismatch"


def test_secret_without_its_mark_or_padding_is_the_same_secret():
    bare = STANDARD_SECRET.removeprefix("whsec_").rstrip("=")

    assert read_standard(FAILED, secrets=(bare,)).ok


@pytest.mark.parametrize("secrets", [(), ("",), ("whsec_",), ("whsec_not base64!",)])
def test_without_a_usable_secret_nothing_is_believed(secrets):
    verdict = read_standard(FAILED, secrets=secrets)

    assert (verdict.ok, verdict.reason) == (False, "secret_missing")


@pytest.mark.parametrize("name", [name for name in HOSTILE_BODIES if name not in WITHOUT_ID_RULES])
def test_signed_hostile_body_is_kept_for_a_person_and_never_crashes(name):
    raw, reason = HOSTILE_BODIES[name]

    verdict = read_standard(raw, standard_headers(raw, event_id="sev_failed001"))

    assert verdict == Authentication(ok=True, secret_id="s1", parse_error=reason)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (changed(FAILED, id="sev_other0001"), "event_id_mismatch"),
        (changed(FAILED, id=None), "event_id_mismatch"),
        (changed(FAILED, type=None), "event_type_missing"),
        (b'{"id":"sev_failed001","type":"payout.failed","data":[]}', "object_missing"),
    ],
)
def test_signed_body_that_contradicts_its_headers_is_kept_for_a_person(raw, reason):
    verdict = read_standard(raw, standard_headers(raw, event_id="sev_failed001"))

    assert (verdict.ok, verdict.parse_error, verdict.items) == (True, reason, ())


@pytest.mark.parametrize("account_live", [True, False])
def test_event_of_the_other_mode_is_refused(account_live):
    raw = changed(FAILED, live=not account_live)

    verdict = read_standard(raw, account=replace(STANDARD_ACCOUNT, live=account_live))

    assert (verdict.ok, verdict.reason, verdict.items) == (False, "mode_mismatch", ())


def test_resend_with_another_time_keeps_its_fingerprint_and_other_facts_change_it():
    first = read_standard(FAILED).items[0].fingerprint

    assert read_standard(changed(FAILED, created=1767009999)).items[0].fingerprint == first
    assert read_standard(changed(FAILED, object__amount=1)).items[0].fingerprint != first
