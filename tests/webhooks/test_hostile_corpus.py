"""Two thousand hostile signed bodies at the edge: no 5xx, each kept byte for byte or refused.

Between them come good events of every provider: all of those are processed, and nothing that a
hostile body says of money is booked (WH-2, WH-9, WH-14, WH-17, WH-21, D17, I1).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import as_json, check_all
from payops.core import audit, clock, crypto
from payops.core.lanes import LANES
from payops.core.models import DataKey
from payops.flows import turns
from payops.payments.models import Payment
from payops.webhooks.models import Delivery, Payload, ProviderEvent, RefusalCount
from payops.webhooks.noise import noise
from tests import builders
from tests.stories import sent_payout
from tests.webhooks.four_providers import PROVIDERS, Senders, capture, sealed, url_of
from tests.webhooks.four_providers import paypal_signer as paypal_signer
from tests.webhooks.four_providers import senders as senders
from tests.webhooks.hostile_bodies import Hostile, batches, corpus

pytestmark = pytest.mark.django_db(transaction=True)

GOOD_EVERY = 10
GOOD_CENTS = 7
# More than the attempts that any lane allows.
ROUNDS_MAX = 14
DRAIN_S = 60.0
DECIDED = {"PROCESSED", "IGNORED", "PARKED", "DEAD"}
# Why a body that its provider signed is not stored: nothing in it is believed, or it is not ours.
REFUSED = {
    "account_mismatch",
    "header_missing",
    "item_ambiguous",
    "item_malformed",
    "mode_mismatch",
    "signature_mismatch",
    "signature_missing",
    "thin_event",
    "too_many_items",
}


@pytest.fixture(autouse=True)
def quiet() -> Iterable[None]:
    """Each dead letter is one traceback in the log of a worker."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def post(senders: Senders, provider: str, raw: bytes, headers: dict[str, str]) -> int:
    meta: Any = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    answer = Client().post(url_of(provider), data=raw, content_type="application/json", **meta)
    return answer.status_code


def good(provider: str, number: int) -> tuple[bytes, str]:
    mark = f"G{provider[:2].upper()}{number:06d}"
    body = capture(provider, mark, amount=GOOD_CENTS)
    return json.dumps(sealed(body) if provider == "adyen" else body).encode(), f"sev_{mark}"


def until_all_is_decided() -> None:
    """Drain as workers do; what is left waits for a retry, and time passes until none does."""
    for _ in range(ROUNDS_MAX):
        while sum(turns.work(lane, budget_s=DRAIN_S).claimed for lane in LANES):
            pass
        left = ProviderEvent.objects.filter(state="RECEIVED")
        waiting = left.filter(failure_kind="transient", attempts__gt=0).exclude(last_error="")
        assert waiting.count() == left.count()
        if not left.exists():
            return
        left.update(due_at=clock.utc_now() - timedelta(seconds=1))
    raise AssertionError(f"{left.count()} events are still tried after {ROUNDS_MAX} rounds")


def send(senders: Senders, body: Hostile) -> int:
    if body.signed_inside:
        return post(senders, body.provider, body.raw, {})
    headers = senders.headers(body.provider, body.raw, event_id=body.event_id)
    return post(senders, body.provider, body.raw, headers)


def raw_bodies() -> dict[tuple[str, str], bytes]:
    """(provider, sha256) → the stored bytes, decrypted."""
    keys = DataKey.objects.in_bulk()
    stored = {
        payload.pk: (
            payload.sha256,
            crypto.open_sealed(keys[payload.data_key_id], payload.ciphertext),
        )
        for payload in Payload.objects.all()
    }
    receipts = Delivery.objects.exclude(payload=None).values_list("account__provider", "payload")
    return {(provider, stored[key][0]): stored[key][1] for provider, key in receipts}


def test_every_hostile_body_is_kept_or_refused_and_every_good_one_processed(
    senders: Senders,
) -> None:
    payout = sent_payout("0.05")
    bodies = corpus(our_payout=payout.public_id)
    assert len(bodies) > 500 and {body.provider for body in bodies} == set(PROVIDERS)
    before = ProviderEvent.objects.count()
    goods: list[tuple[str, bytes]] = []
    answers: dict[int, int] = {}

    for number, body in enumerate(bodies):
        if number % GOOD_EVERY == 0:
            provider = PROVIDERS[number // GOOD_EVERY % len(PROVIDERS)]
            raw, event_id = good(provider, number)
            headers = senders.headers(provider, raw, event_id=event_id)
            if provider == "adyen":
                headers = {}
            assert post(senders, provider, raw, headers) == 200, number
            goods.append((provider, raw))
        answers[number] = send(senders, body)
    until_all_is_decided()

    told = Counter(answers.values())
    assert set(told) == {200, 401}, told
    assert before < ProviderEvent.objects.count()
    _each_is_where_it_belongs(bodies, answers)
    _good_ones_are_processed(goods)
    _no_unfit_sum_is_booked(bodies)
    noise.flush(now=clock.utc_now())
    counted = sum(row.kept + row.dropped for row in RefusalCount.objects.all())
    assert counted == told[401]
    audit.seal(now=clock.utc_now())
    checked: Any = as_json(check_all(Moment(now=clock.utc_now())))["invariants"]
    broken = {key: row["breaks"] for key, row in checked.items() if row["breaks"]}
    assert broken == {}


def test_batches_keep_their_good_items_and_refuse_the_others_alone(senders: Senders) -> None:
    """WH-8, WH-9: a forged neighbour neither spoils a good item nor passes beside it."""
    told = {}
    for name, raw in batches().items():
        answer = post(senders, "adyen", raw, {})
        receipts = Delivery.objects.filter(sha256=hashlib.sha256(raw).hexdigest())
        reasons = Counter(receipts.values_list("signature_reason", flat=True))
        told[name] = (answer, dict(reasons))
    builders.drain()

    good, forged, malformed = "", "signature_mismatch", "item_malformed"
    assert told == {
        "none": (401, {"header_missing": 1}),
        "one forged": (401, {forged: 1}),
        "another merchant": (401, {"account_mismatch": 1}),
        "forged, good": (200, {forged: 1, good: 1}),
        "good, forged, good": (200, {good: 2, forged: 1}),
        "good, nothing, good": (200, {good: 2, malformed: 1}),
        "good, text, number, list": (200, {good: 1, malformed: 3}),
        "the same twice": (200, {good: 2}),
        "200": (200, {good: 200}),
        "201": (401, {"too_many_items": 1}),
        "201 empty": (401, {"too_many_items": 1}),
        "holder without an item": (401, {malformed: 1}),
        "item in an item": (401, {"signature_missing": 1}),
    }
    outcomes = Counter(ProviderEvent.objects.values_list("state", "outcome"))
    assert outcomes == {("PROCESSED", "payment captured"): 1 + 2 + 2 + 1 + 1 + 200}
    assert Payment.objects.count() == 207


def _each_is_where_it_belongs(bodies: list[Hostile], answers: dict[int, int]) -> None:
    """Stored byte for byte and decided, or refused with its reason and no byte kept."""
    stored = raw_bodies()
    events: dict[tuple[str, str], list[ProviderEvent]] = defaultdict(list)
    for event in ProviderEvent.objects.select_related("account", "payload"):
        events[event.account.provider, event.payload.sha256].append(event)
    receipts = Delivery.objects.filter(payload=None)
    refused = {
        (provider, sha256): reason
        for provider, sha256, reason in receipts.values_list(
            "account__provider", "sha256", "signature_reason"
        )
    }
    for number, body in enumerate(bodies):
        key = body.provider, hashlib.sha256(body.raw).hexdigest()
        if answers[number] == 401:
            assert key not in stored, body.name
            reason = refused.get(key)
            # The receipts of a flood are capped; its count is not.
            assert reason is None or reason == body.reason or reason in REFUSED, (body.name, reason)
            assert body.signed_inside or not body.reason, body.name
            continue
        assert stored[key] == body.raw, body.name
        if body.reason:
            _is_dead_for(body, events[key])
        elif key in events:
            assert {event.state for event in events[key]} <= DECIDED, body.name


def _is_dead_for(body: Hostile, events: list[ProviderEvent]) -> None:
    [event] = events
    assert (event.type, event.state, event.failure_kind) == ("unparseable", "DEAD", "structural")
    assert event.last_error.endswith(f"cannot be read: {body.reason}") or (
        f": {body.reason} at " in event.last_error
    ), (body.name, event.last_error)


def _good_ones_are_processed(goods: list[tuple[str, bytes]]) -> None:
    """Each of them is one captured payment of seven cents, and its own event."""
    for provider in PROVIDERS:
        mine = {hashlib.sha256(raw).hexdigest() for of, raw in goods if of == provider}
        states = ProviderEvent.objects.filter(
            account__provider=provider, payload__sha256__in=mine
        ).values_list("state", "outcome")
        assert Counter(states) == {("PROCESSED", "payment captured"): len(mine)}, provider
    # A hostile event of seven cents does not exist.
    assert Payment.objects.filter(captured_minor=GOOD_CENTS).count() == len(goods)


def _no_unfit_sum_is_booked(bodies: list[Hostile]) -> None:
    unfit = {hashlib.sha256(body.raw).hexdigest() for body in bodies if body.unfit}
    assert len(unfit) > 400
    booked = ProviderEvent.objects.filter(payload__sha256__in=unfit, state="PROCESSED")
    names = {hashlib.sha256(body.raw).hexdigest(): body.name for body in bodies}
    assert [names[sha256] for sha256 in booked.values_list("payload__sha256", flat=True)] == []
