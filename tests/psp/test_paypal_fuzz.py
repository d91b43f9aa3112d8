"""Whatever comes over the wire from a PayPal look-alike, a verdict comes out (WH-2)."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from payops.psp.base import Authentication, Fetch
from payops.psp.registry import adapter
from tests.psp.paypal_signed import PAID, account, headers_of, read
from tests.psp.signed import FIXTURES
from tests.psp.test_fuzz import EXAMPLES, HEADER_TEXT, JSON_VALUES, assert_parsed_or_refused

FIXED = sorted((FIXTURES / "paypal" / "fixtures").glob("*.json"))
EVENTS = [json.loads(path.read_bytes()) for path in FIXED]
HEADERS = sorted(headers_of(PAID))
FACTS = [account(), account(verification="post_back"), account(trust_anchors="junk")]


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The path of every member and row of an event."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return []
    return [found for key, child in pairs for found in ((*path, key), *places(child, (*path, key)))]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    raw=st.binary(max_size=300) | st.just(PAID),
    values=st.lists(HEADER_TEXT, min_size=5, max_size=5),
    kept=st.sets(st.sampled_from(HEADERS)),
    facts=st.sampled_from(FACTS),
    pem=st.binary(max_size=200),
)
def test_never_raises_on_any_headers_bytes_or_certificate(raw, values, kept, facts, pem):
    told = headers_of(raw)
    headers = {
        name: told[name] if name in kept else text
        for name, text in zip(HEADERS, values, strict=True)
    }

    wanted = adapter("paypal").fetches(raw=raw, headers=headers, account=facts)
    verdict = read(raw, headers, facts=facts, fetched={each.name: pem for each in wanted})

    assert all(isinstance(each, Fetch) for each in wanted)
    assert not verdict.ok and verdict.reason


@settings(max_examples=EXAMPLES, deadline=None)
@given(raw=st.binary(max_size=300))
def test_signed_bytes_are_read_or_kept_as_unreadable(raw):
    verdict = read(raw)

    assert verdict.ok
    assert verdict.parse_error or verdict.items


@settings(max_examples=EXAMPLES * 2, deadline=None)
@given(
    where=st.integers(0, len(EVENTS) - 1).flatmap(
        lambda n: st.tuples(st.just(n), st.sampled_from(places(EVENTS[n])))
    ),
    value=JSON_VALUES,
)
def test_event_with_any_member_replaced_is_read_or_refused(where, value):
    number, (*path, last) = where
    event = json.loads(json.dumps(EVENTS[number]))
    holder = event
    for step in path:
        holder = holder[step]
    holder[last] = value
    raw = json.dumps(event).encode()

    assert isinstance(read(raw), Authentication)
    assert_parsed_or_refused("paypal", raw)
