"""Adyen's transfer webhooks: signed as a whole, numbered from 1 (WH-2, WH-4, WH-10, WH-28)."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from payops.psp.registry import adapter
from tests.psp.adyen_signed import (
    ACCOUNT,
    header,
    item,
    notification,
    read,
    read_transfer,
    signed,
    transfer,
)
from tests.psp.hostile import HOSTILE_BODIES

CAPTURE = notification(signed(item()))


def test_one_changed_byte_and_a_reserialised_body():
    raw = transfer()
    changed = raw.replace(b"1240000", b"1240001", 1)
    assert changed != raw

    assert read(changed, header(raw)).reason == "signature_mismatch"
    pretty = json.dumps(json.loads(raw), indent=1).encode()
    assert read(pretty, header(raw)).reason == "signature_mismatch"
    # A classic item signs its fields, not its bytes.
    assert read(json.dumps(json.loads(CAPTURE), indent=1).encode()).ok


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_hostile_body_under_a_valid_header_is_kept_and_never_read(name):
    raw, _ = HOSTILE_BODIES[name]

    verdict = read(raw, header(raw))

    assert verdict.reason in ("", "mode_mismatch")
    assert not verdict.ok or verdict.parse_error


def test_transfer_carries_its_sequence_and_is_one_event_of_it():
    verdict = read_transfer(transfer())

    assert (verdict.ok, verdict.secret_id) == (True, "s1")
    [found] = verdict.items
    assert (found.dedupe_key, found.sequence) == ("3JKQ7T2XLOT47J7R:3", 3)
    assert (found.provider_event_id, found.object_id) == (
        "3JKQ7T2XLOT47J7R:3",
        "3JKQ7T2XLOT47J7R",
    )
    assert found.event_type == "balancePlatform.transfer.updated"
    assert (found.amount_minor, found.currency, found.lane) == (1240000, "EUR", "high")
    assert found.occurred_at == datetime(2025, 12, 30, 9, 40, tzinfo=UTC)
    assert found.live is False


def test_resent_transfer_with_another_timestamp_is_the_same_event():
    [first] = read_transfer(transfer()).items
    [again] = read_transfer(transfer(timestamp="2026-01-01T00:00:00+01:00")).items
    [other] = read_transfer(transfer(data__status="failed")).items

    assert (first.dedupe_key, first.fingerprint) == (again.dedupe_key, again.fingerprint)
    assert (first.dedupe_key == other.dedupe_key, first.fingerprint == other.fingerprint) == (
        True,
        False,
    )


@pytest.mark.parametrize("environment", ["live", None, "", "TEST", 1, ["test"]])
def test_transfer_of_another_environment_is_refused(environment):
    verdict = read_transfer(transfer(environment=environment))

    assert (verdict.ok, verdict.reason, verdict.secret_id) == (False, "mode_mismatch", "s1")


def test_live_transfer_belongs_to_a_live_account():
    live = replace(ACCOUNT, live=True)

    assert read_transfer(transfer(environment="live"), account=live).ok
    assert read_transfer(transfer(), account=live).reason == "mode_mismatch"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data__id": None}, "object_id_missing"),
        ({"data__id": "with blank"}, "object_id_missing"),
        ({"data__sequenceNumber": None}, "sequence_missing"),
        ({"data__sequenceNumber": 0}, "sequence_missing"),
        ({"data__sequenceNumber": "3"}, "sequence_missing"),
        ({"data__sequenceNumber": True}, "sequence_missing"),
        ({"data__sequenceNumber": 10**15}, "sequence_missing"),
        ({"data": {}}, "object_missing"),
        ({"type": None}, "event_type_missing"),
    ],
)
def test_signed_transfer_that_names_no_event_is_kept_unread(change, reason):
    verdict = read_transfer(transfer(**change))

    assert (verdict.ok, verdict.parse_error, verdict.items) == (True, reason, ())


def test_header_without_a_match_is_never_read_item_by_item():
    """A good item inside does not save a body whose own signature is wrong."""
    assert read(CAPTURE, {"hmacsignature": "AAAA"}).reason == "signature_mismatch"
    assert read(CAPTURE, {"hmacsignature": "\xb2" * 44}).reason == "header_malformed"
    assert read(CAPTURE, {"hmacsignature": "A" * 9000}).reason == "header_malformed"


def test_unsigned_transfer_is_refused():
    assert read(transfer()).reason == "header_missing"
    assert read(transfer(), {"hmacsignature": ""}).reason == "header_missing"


def test_other_platform_webhook_is_kept_under_its_own_bytes():
    raw = transfer(type="balancePlatform.balanceAccount.updated")

    [found] = read_transfer(raw).items

    assert found.event_type == "balancePlatform.balanceAccount.updated"
    assert found.dedupe_key == f"{found.event_type}:{hashlib.sha256(raw).hexdigest()}"
    assert adapter("adyen").parse(raw).reason == "no_meaning_here"


def test_listed_transfer_and_its_webhook_are_one_event():
    posted = read_transfer(transfer()).items[0]
    body = json.loads(transfer(environment=None, timestamp=None))

    verdict = adapter("adyen").itemize(raw=json.dumps(body).encode(), account=ACCOUNT)

    [found] = verdict.items
    assert (found.dedupe_key, found.fingerprint) == (posted.dedupe_key, posted.fingerprint)
    assert (found.sequence, found.live) == (3, None)
    live = adapter("adyen").itemize(raw=transfer(environment="live"), account=ACCOUNT)
    assert live.reason == "mode_mismatch"
