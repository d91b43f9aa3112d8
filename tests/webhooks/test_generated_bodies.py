"""Ten thousand generated bodies: valid events changed at random, then signed (WH-2, WH-17, I1).

Every fixture of every provider is a starting point. The numbers come from one seed, so a body that
breaks something breaks it in every run.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from payops.core import clock
from payops.psp import registry
from payops.psp.base import EventRefused
from payops.webhooks.bodies import bodies_of
from payops.webhooks.models import Delivery, Payload, ProviderEvent, RefusalCount
from payops.webhooks.noise import noise
from tests.webhooks.four_providers import FIXTURES, PROVIDERS, SELLER, Senders
from tests.webhooks.four_providers import paypal_signer as paypal_signer
from tests.webhooks.four_providers import senders as senders
from tests.webhooks.hostile_bodies import BLOCKS, MERCHANT_ACCOUNT, holder_of, places, signature_of
from tests.webhooks.test_hostile_corpus import good, raw_bodies, until_all_is_decided
from tests.webhooks.test_hostile_corpus import quiet as quiet

pytestmark = pytest.mark.django_db(transaction=True)

SEED = 20260102
BODIES = 10_000
GOOD_EVERY = 20
CHANGES_MAX = 2
BYTES_SHARE = 0.05
# So many are processed in the order they came in; a batch that holds a bad row is split down to it,
# so the rest is put in order first: ten thousand such splits prove no more than the first hundreds.
AS_THEY_COME = 500
SELLER_OF_FIXTURES = "S-204"
READABLE = [
    json.loads(block.text) for block in BLOCKS if not block.reason and len(block.text) < 9999
]
LETTERS = "aZ0 _-:|.,;/\\'\"<>{}[]%$\u00e9\u0153\u0395\u0663\u2028\u202e\U0001f600\x7f\x1f"
Body = dict[str, Any]


class Generator:
    """One body after the other, each with a signature that fits it."""

    def __init__(self, senders: Senders) -> None:
        self._senders, self._dice = senders, random.Random(SEED)
        self._bases = {
            provider: [
                json.loads(path.read_text().replace(SELLER_OF_FIXTURES, SELLER))
                for path in sorted((FIXTURES / provider / "fixtures").glob("*.json"))
            ]
            for provider in PROVIDERS
        }

    def next(self, number: int) -> tuple[str, bytes, dict[str, str]]:
        """(provider, raw, headers)."""
        provider = PROVIDERS[number % len(PROVIDERS)]
        body = json.loads(json.dumps(self._dice.choice(self._bases[provider])))
        _name(provider, body, f"F{number:06d}")
        for _ in range(self._dice.randint(1, CHANGES_MAX)):
            self._change(body)
        inside = provider == "adyen" and "notificationItems" in body
        if inside:
            _sign_items(body)
        raw = json.dumps(body, ensure_ascii=self._dice.random() < 0.5).encode("utf-8", "replace")
        if self._dice.random() < BYTES_SHARE:
            raw = self._other_bytes(raw)
        if inside and self._dice.random() < 0.9:
            return provider, raw, {}
        event_id = f"sev_F{number:06d}"
        return provider, raw, self._senders.headers(provider, raw, event_id=event_id)

    def _change(self, body: Body) -> None:
        paths = list(places(body))
        if not paths:
            return
        path, other = self._dice.choice(paths), self._dice.choice(paths)
        holder, last = holder_of(body, path), path[-1]
        act: Callable[[], None] = self._dice.choice(
            [
                lambda: holder.__setitem__(last, self._value()),
                lambda: holder.__setitem__(last, self._value()),
                lambda: holder.__setitem__(last, [holder[last]]),
                lambda: holder.__setitem__(last, {"value": holder[last]}),
                lambda: holder.__setitem__(last, str(holder[last])[:400]),
                lambda: holder.__setitem__(last, copy.deepcopy(holder_of(body, other)[other[-1]])),
                lambda: holder.__delitem__(last),
            ]
        )
        act()

    def _value(self) -> object:
        dice = self._dice
        kind = dice.randrange(6)
        if kind == 0:
            return dice.randint(-(10**17), 10**17)
        if kind == 1:
            return dice.choice((True, False, None, 0.5, -1.5, 10**19, [], {}))
        if kind == 2:
            return "".join(dice.choices(LETTERS, k=dice.randint(0, 60)))
        if kind == 3:
            return "".join(chr(dice.randrange(1, 0xD800)) for _ in range(dice.randint(1, 20)))
        return copy.deepcopy(dice.choice(READABLE))

    def _other_bytes(self, raw: bytes) -> bytes:
        changed = bytearray(raw)
        for _ in range(self._dice.randint(1, 4)):
            place = self._dice.randrange(len(changed))
            act = self._dice.randrange(4)
            if act == 0:
                changed[place] = self._dice.randrange(256)
            elif act == 1:
                changed[place:place] = self._dice.randbytes(self._dice.randint(1, 8))
            elif act == 2:
                del changed[place : place + self._dice.randint(1, 30)]
            else:
                changed[place:place] = changed[: self._dice.randrange(1, 40)]
            if not changed:
                break
        return bytes(changed)


def _name(provider: str, body: Body, mark: str) -> None:
    """Ids of its own, so that no two bodies are the same event."""
    if provider == "stripe":
        body["id"], body["data"]["object"]["id"] = f"evt_{mark}", f"ob_{mark}"
    elif provider == "standard":
        body["id"], body["data"]["id"] = f"sev_{mark}", f"sob_{mark}"
    elif provider == "paypal":
        body["id"] = f"WH-{mark}"
    elif "notificationItems" in body:
        for number, holder in enumerate(body["notificationItems"]):
            holder["NotificationRequestItem"] |= {
                "pspReference": f"{mark}N{number}",
                "merchantAccountCode": MERCHANT_ACCOUNT,
            }
    else:
        body["data"]["id"] = mark


def _sign_items(body: Body) -> None:
    listed = body["notificationItems"]
    for holder in listed if isinstance(listed, list) else []:
        item = holder.get("NotificationRequestItem") if isinstance(holder, dict) else None
        if isinstance(item, dict) and isinstance(item.get("additionalData"), dict):
            item["additionalData"]["hmacSignature"] = signature_of(item)


def unreadable_last() -> None:
    """Events whose body their adapter refuses fall due after all the others."""
    now = clock.utc_now()
    waiting = list(ProviderEvent.objects.filter(state="RECEIVED").select_related("account"))
    bodies = bodies_of(waiting)
    unreadable = []
    for event in waiting:
        reader = registry.adapter(event.account.provider)
        try:
            reader.parse(bodies[event.payload_id], event.item_index, event.account.settings)
        except EventRefused:
            unreadable.append(event.pk)
    ready = ProviderEvent.objects.filter(state="RECEIVED")
    ready.update(due_at=now - timedelta(hours=2))
    ready.filter(pk__in=unreadable).update(due_at=now - timedelta(hours=1))


def test_ten_thousand_generated_bodies_are_kept_or_refused(senders: Senders) -> None:
    generator, answers, goods = Generator(senders), Counter[tuple[str, int]](), 0
    sent: dict[tuple[str, str], bytes] = {}
    accepted: set[tuple[str, str]] = set()

    for number in range(BODIES):
        provider, raw, headers = generator.next(number)
        status = senders.post(provider, raw, headers).status_code
        answers[provider, status] += 1
        key = provider, hashlib.sha256(raw).hexdigest()
        sent[key] = raw
        if status == 200:
            accepted.add(key)
        if number % GOOD_EVERY == 0:
            whole, event_id = good(provider, number)
            signed = (
                {} if provider == "adyen" else senders.headers(provider, whole, event_id=event_id)
            )
            assert senders.post(provider, whole, signed).status_code == 200
            goods += 1
        if number == AS_THEY_COME:
            until_all_is_decided()
    unreadable_last()
    until_all_is_decided()

    assert sum(answers.values()) == BODIES
    assert {status for _, status in answers} == {200, 401}
    assert all(answers[provider, 200] > BODIES // 8 for provider in PROVIDERS), answers
    stored = raw_bodies()
    for key, raw in sent.items():
        assert stored.get(key) == (raw if key in accepted else None), (key, raw[:500])
    noise.flush(now=clock.utc_now())
    refused = sum(row.kept + row.dropped for row in RefusalCount.objects.all())
    assert refused == sum(count for (_, status), count in answers.items() if status == 401)
    captured = ProviderEvent.objects.filter(
        state="PROCESSED", provider_event_id__contains="G", outcome="payment captured"
    )
    assert captured.exclude(amount_minor=7).count() == 0
    assert captured.count() == goods == BODIES // GOOD_EVERY
    assert (
        Payload.objects.count()
        == Delivery.objects.values("payload").exclude(payload=None).distinct().count()
    )
