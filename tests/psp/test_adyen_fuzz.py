"""Whatever Adyen's address receives, a verdict comes out and nothing is raised (WH-2)."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from payops.psp.adyen.signature import signed_text
from payops.psp.base import KINDS, Authentication, EventRefused, NormalizedEvent
from payops.psp.registry import adapter
from payops.psp.strictjson import read_object
from tests.psp.adyen_signed import (
    ACCOUNT,
    header,
    item,
    notification,
    read,
    signed,
    transfer,
)
from tests.psp.test_adyen_webhooks import hmac_by_hand
from tests.psp.test_fuzz import HEADER_TEXT, JSON_VALUES

EXAMPLES = 150
ITEM = signed(item())
TRANSFER = json.loads(transfer())
ITEM_PLACES = sorted({*ITEM, "reason", "operations", "paymentMethod"})
TRANSFER_PLACES = sorted(TRANSFER) + [f"data.{name}" for name in TRANSFER["data"]]
FIELD_TEXT = st.text(
    alphabet=st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=30
)


def assert_read_or_refused(raw: bytes) -> None:
    for index in (0, 1):
        try:
            event = adapter("adyen").parse(raw, index)
        except EventRefused as refused:
            assert refused.reason
        else:
            assert isinstance(event, NormalizedEvent)
            assert event.kind in KINDS


def assert_storable(verdict: Authentication) -> None:
    """Every fact fits the column that keeps it, so that one item cannot spoil its batch."""
    for found in verdict.items:
        assert len(found.dedupe_key) <= 600 and len(found.provider_event_id) <= 255
        assert len(found.object_id) <= 255 and len(found.currency or "") <= 3
        assert len(found.reason) <= 64 and len(found.event_type) <= 120
        assert found.amount_minor is None or 0 <= found.amount_minor <= 10**15
        assert bool(found.dedupe_key) is found.verified


@settings(max_examples=EXAMPLES, deadline=None)
@given(raw=st.binary(max_size=400), mark=HEADER_TEXT)
def test_any_bytes(raw, mark):
    assert not read(raw).ok
    assert not read(raw, {"hmacsignature": mark}).ok

    verdict = read(raw, header(raw))

    assert verdict.ok is bool(verdict.parse_error or verdict.items)
    adapter("adyen").itemize(raw=raw, account=ACCOUNT)
    assert_read_or_refused(raw)


@settings(max_examples=EXAMPLES, deadline=None)
@given(place=st.sampled_from(ITEM_PLACES), value=JSON_VALUES)
def test_item_with_any_member_replaced(place, value):
    raw = notification({**ITEM, place: value}, ITEM)

    verdict = read(raw)

    assert_storable(verdict)
    assert_read_or_refused(raw)


@settings(max_examples=EXAMPLES, deadline=None)
@given(values=st.dictionaries(st.sampled_from(sorted(item())), FIELD_TEXT, max_size=5))
def test_item_signed_over_any_text(values):
    """Signed as Adyen would sign it, so that it is verified and then read or refused."""
    told: dict[str, Any] = {**item(), **values}
    try:
        text = signed_text(told).decode()
    except EventRefused:
        text = ""
    raw = notification({**told, "additionalData": {"hmacSignature": hmac_by_hand(text)}})

    verdict = read(raw)

    assert_storable(verdict)
    assert_read_or_refused(raw)


@settings(max_examples=EXAMPLES, deadline=None)
@given(place=st.sampled_from(TRANSFER_PLACES), value=JSON_VALUES)
def test_transfer_with_any_member_replaced(place, value):
    body = json.loads(json.dumps(TRANSFER))
    holder = body["data"] if place.startswith("data.") else body
    holder[place.removeprefix("data.")] = value
    raw = json.dumps(body).encode()

    verdict = read(raw, header(raw))

    assert_storable(verdict)
    assert_read_or_refused(raw)


@settings(max_examples=EXAMPLES, deadline=None)
@given(change=st.tuples(st.integers(0, 10_000), st.integers(1, 255)))
def test_any_other_byte_under_the_header_is_refused(change):
    raw = transfer()
    place, flip = change[0] % len(raw), change[1]
    changed = raw[:place] + bytes([raw[place] ^ flip]) + raw[place + 1 :]

    assert read(changed, header(raw)).reason == "signature_mismatch"


@settings(max_examples=EXAMPLES, deadline=None)
@given(values=st.dictionaries(st.sampled_from(sorted(item())), FIELD_TEXT, min_size=1))
def test_two_readings_never_share_a_signed_text(values):
    """Without escaping, only the guard against colons keeps two items apart."""
    told = {**item(), **values}
    try:
        text = signed_text(told)
    except EventRefused:
        return
    parts = text.decode().split(":")
    amount = told["amount"] if isinstance(told["amount"], dict) else {}
    rebuilt = {
        "pspReference": parts[0],
        "originalReference": parts[1],
        "merchantAccountCode": parts[2],
        "merchantReference": ":".join(parts[3:-4]),
        "value": parts[-4],
        "currency": parts[-3],
        "eventCode": parts[-2],
        "success": parts[-1],
    }
    given = {**told, "value": amount.get("value", ""), "currency": amount.get("currency", "")}
    assert rebuilt == {name: str(given[name]) for name in rebuilt}
    assert read_object(notification(told))
