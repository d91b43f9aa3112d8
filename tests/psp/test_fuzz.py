"""Whatever comes over the wire, a verdict comes out and nothing is raised (WH-2)."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from payops.psp.base import KINDS, Authentication, EventRefused, NormalizedEvent
from payops.psp.registry import adapter
from tests.psp.signed import (
    STANDARD_SECRET,
    fixture,
    read_standard,
    read_stripe,
    standard_headers,
    stripe_headers,
)

EXAMPLES = 150
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
HEADER_TEXT = st.text(max_size=120)
STRIPE_EVENT = json.loads(fixture("stripe", "payout_failed_after_paid"))
STANDARD_EVENT = json.loads(fixture("standard", "payout_failed"))
STRIPE_PLACES = sorted(STRIPE_EVENT) + [f"object.{name}" for name in STRIPE_EVENT["data"]["object"]]
STANDARD_PLACES = sorted(STANDARD_EVENT) + [f"data.{name}" for name in STANDARD_EVENT["data"]]


@settings(max_examples=EXAMPLES, deadline=None)
@given(raw=st.binary(max_size=400), signature=HEADER_TEXT)
def test_stripe_never_raises_on_any_bytes(raw, signature):
    assert not read_stripe(raw, {"stripe-signature": signature}).ok

    verdict = read_stripe(raw, stripe_headers(raw))

    assert verdict.ok
    assert verdict.parse_error or verdict.items


@settings(max_examples=EXAMPLES, deadline=None)
@given(raw=st.binary(max_size=400), event_id=HEADER_TEXT, stamp=HEADER_TEXT, signature=HEADER_TEXT)
def test_standard_never_raises_on_any_bytes(raw, event_id, stamp, signature):
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": signature,
    }

    assert not read_standard(raw, headers).ok


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    place=st.sampled_from(
        sorted(STRIPE_EVENT) + [f"object.{n}" for n in STRIPE_EVENT["data"]["object"]]
    ),
    value=JSON_VALUES,
)
def test_stripe_event_with_any_member_replaced_is_read_or_refused(place, value):
    event = json.loads(json.dumps(STRIPE_EVENT))
    holder = event["data"]["object"] if place.startswith("object.") else event
    holder[place.removeprefix("object.")] = value
    raw = json.dumps(event).encode()

    verdict = read_stripe(raw)

    assert isinstance(verdict, Authentication)
    assert_parsed_or_refused("stripe", raw)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    place=st.sampled_from(STANDARD_PLACES),
    value=JSON_VALUES,
)
def test_standard_event_with_any_member_replaced_is_read_or_refused(place, value):
    event = json.loads(json.dumps(STANDARD_EVENT))
    holder = event["data"] if place.startswith("data.") else event
    holder[place.removeprefix("data.")] = value
    raw = json.dumps(event).encode()

    verdict = read_standard(
        raw, standard_headers(raw, event_id="sev_failed001"), secrets=(STANDARD_SECRET,)
    )

    assert isinstance(verdict, Authentication)
    assert_parsed_or_refused("standard", raw)


def assert_parsed_or_refused(provider: str, raw: bytes) -> None:
    try:
        event = adapter(provider).parse(raw, 0)
    except EventRefused as refused:
        assert refused.reason
    else:
        assert isinstance(event, NormalizedEvent)
        assert event.kind in KINDS
