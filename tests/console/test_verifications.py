"""The page of a parked event: what it waits for, until when, what was asked (WH-10, WH-15)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payops.console.reads.verifications import proof_of, waited_for
from payops.core import clock
from payops.webhooks.models import ProviderEvent, Verification
from tests import builders
from tests.flows.lifecycle import Teller
from tests.stories import sent_payout

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_parked_event_says_what_it_waits_for_and_when_the_provider_is_asked(as_):
    payout = sent_payout("1200.00")
    Teller(payout).tell("reversed")
    builders.drain()
    event = ProviderEvent.objects.select_related("account").get()

    page = as_("eli").get(f"/inbox/{event.public_id}/").content.decode()
    listed = as_("eli").get("/inbox/?state=PARKED").content.decode()

    proof = proof_of(event)
    assert proof is not None
    assert proof.waits_for == f"the paid event of {payout.public_id}"
    assert proof.asked_by == event.created_at + timedelta(hours=1)
    assert f"the paid event of {payout.public_id}" in page
    assert "The provider was not asked yet." in page
    assert f"waits for the paid event of payout {payout.merchant_ref}" in listed


def test_the_answers_of_the_provider_are_on_the_page(as_):
    payout = sent_payout("1200.00")
    Teller(payout).tell("paid")
    builders.drain()
    event = ProviderEvent.objects.get()
    Verification.objects.create(
        book=event.book,
        event=event,
        cause="policy",
        verdict="agrees",
        provider_status="paid",
        amount_minor=120_000,
        currency="EUR",
        words="confirmed by the provider: it is <b>paid</b> there",
        asked_at=clock.utc_now(),
    )

    page = as_("eli").get(f"/inbox/{event.public_id}/").content.decode()

    assert "Asked at the provider" in page and "before acting" in page
    assert "it is &lt;b&gt;paid&lt;/b&gt; there" in page


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("seq:adyen/demo:3JERI65VWQ4:3", "update 3 of 3JERI65VWQ4"),
        ("payout:stripe/demo:po_1", "payout po_1 to be known here"),
        ("verify:ev_1", "the provider's answer; nothing is applied before it"),
        ("something:else", "something:else"),
    ],
)
def test_every_key_has_words(key, words):
    event = ProviderEvent(state="PARKED", waits_for=key)

    assert waited_for(event) == words
