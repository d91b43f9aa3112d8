"""The ways of an event that cannot be applied at once: parked, dead, redriven, not ours."""

from __future__ import annotations

import json
import time
from typing import Any
from unittest import mock

import pytest
from django.db import transaction

from ledger.models import JournalEntry
from payops.cases.models import CaseEntry
from payops.core import clock
from payops.core.models import AuditEvent
from payops.flows.payouts import dispatch as payout_dispatch
from payops.flows.payouts import events as payout_events
from payops.webhooks import inbox, services
from payops.webhooks.models import Delivery, ProviderEvent
from tests.builders import drain, post_standard, post_stripe, reload, standard_event
from tests.flows.lifecycle import Teller, balances, stripe_event
from tests.flows.provider import approved
from tests.people import actor
from tests.psp.signed import fixture
from tests.stories import accepted, sent_payout

pytestmark = pytest.mark.django_db(transaction=True)


def told_early(merchant_ref: str) -> dict[str, Any]:
    """A paid event that names the provider's id alone."""
    data = {
        "id": f"spo_{merchant_ref}",
        "object": "payout",
        "reference": None,
        "amount": 120_000,
        "currency": "EUR",
        "status": "paid",
        "created": int(time.time()),
    }
    return standard_event("payout.paid", data)


def test_an_event_of_a_payout_not_known_yet_is_parked_and_released_when_it_is() -> None:
    """WH-10: never forced."""
    body = told_early("P-EARLY")
    assert post_standard(body) == 200
    drain()
    event = ProviderEvent.objects.get()
    assert (event.state, event.waits_for) == ("PARKED", "payout:standard/demo:spo_P-EARLY")

    payout = approved("1200.00", merchant_ref="P-EARLY")
    with mock.patch.object(payout_dispatch, "_submit", lambda row, _: accepted(row)):
        drain()

    event = ProviderEvent.objects.get()
    assert (event.state, event.outcome) == ("PROCESSED", "payout paid")
    assert balances(payout) == {"1100": -120_000, "2000": 120_000}


def test_a_return_waits_for_the_paid_event_and_posts_nothing_before_it() -> None:
    """WH-10, WH-11"""
    payout = sent_payout("1200.00")
    teller = Teller(payout)
    teller.tell("reversed")
    drain()
    event = ProviderEvent.objects.get()
    assert (event.state, event.waits_for) == ("PARKED", f"{payout.public_id}:paid")
    assert balances(payout) == {"2000": 120_000, "2100": -120_000}

    teller.tell("paid")
    drain()

    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"PROCESSED"}
    assert reload(payout).state == "EXCEPTION"


def test_repeats_of_a_parked_event_are_on_the_timeline_once_there_is_one() -> None:
    """WH-7, PX-9"""
    payout = sent_payout("1200.00")
    teller = Teller(payout)
    teller.tell("reversed")
    drain()
    for _ in range(2):
        teller.tell("reversed")
    drain()
    assert AuditEvent.objects.filter(action="event.duplicate_ignored").count() == 2

    teller.tell("paid")
    drain()

    lines = CaseEntry.objects.filter(kind="duplicate").values_list("refers_to", flat=True)
    event = ProviderEvent.objects.get(type="payout.reversed")
    assert (event.state, list(lines)) == ("PROCESSED", [event.public_id] * 2)


def test_an_impossible_event_is_dead_at_once_with_all_an_operator_needs() -> None:
    """WH-11, WH-17, WH-18, WH-21"""
    payout = sent_payout("1200.00")
    teller = Teller(payout)
    teller.tell("canceled")
    drain()
    teller.tell("paid")
    drain()

    event = ProviderEvent.objects.get(type="payout.paid")
    assert (event.state, event.failure_kind, event.attempts) == ("DEAD", "structural", 1)
    assert event.last_error == (
        f"StructuralMismatch: payout.paid is not possible for payout {payout.public_id} in CANCELED"
    )
    assert event.provider_event_id == teller.bodies["paid"]["id"]
    assert event.object_id == payout.provider_ref
    assert event.first_failed_at is not None and len(event.failures) == 1
    assert Delivery.objects.filter(dedupe_key=event.dedupe_key).count() == 1
    assert (reload(payout).state, balances(payout)) == ("CANCELED", {})


def test_a_redriven_dead_letter_goes_through_the_same_gates_and_posts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """WH-16 to WH-19, WH-32: a note and the permission are needed; ids and failures stay."""
    payout = sent_payout("1200.00")
    teller = Teller(payout)
    with monkeypatch.context() as patched:
        patched.setitem(inbox.ATTEMPTS_MAX, "high", 1)
        patched.setitem(payout_events.HANDLERS, "payout.paid", _broken)
        teller.tell("paid")
        drain()
    event = ProviderEvent.objects.get()
    assert (event.state, event.failure_kind) == ("DEAD", "transient")
    for username, note in (("amara", "put right"), ("eli", " ")):
        with pytest.raises(services.RedriveRefused):
            redrive(event, username, note)
    assert ProviderEvent.objects.get().state == "DEAD"

    redrive(event, "eli", "the mapping was corrected")
    drain()

    event = ProviderEvent.objects.get()
    assert (event.state, event.provider_event_id) == ("PROCESSED", teller.bodies["paid"]["id"])
    assert "eli: the mapping was corrected" in event.operator_note
    assert [set(entry) for entry in event.failures] == [
        {"at", "attempt", "error"},
        {"at", "attempt", "redriven_by", "note"},
    ]
    teller.tell("paid")
    drain()
    with pytest.raises(services.RedriveRefused, match="is PROCESSED"):
        redrive(event, "eli", "once more")
    assert JournalEntry.objects.filter(event_class="payout.paid").count() == 1
    assert AuditEvent.objects.filter(action="event.redriven").count() == 1


@pytest.mark.parametrize("kind", ["payout.created", "payout.paid", "payout.failed"])
def test_stripe_settling_with_ourselves_is_ignored_with_a_reason(kind: str) -> None:
    """A payout.* event without our reference or a connected account is a settlement."""
    status = kind.partition(".")[2].replace("created", "pending")
    told = {
        "id": "po_1SettlementOfOurOwn",
        "object": "payout",
        "amount": 500_000,
        "currency": "eur",
        "status": status,
        "livemode": False,
        "metadata": {},
    }

    assert post_stripe(stripe_event(kind, told)) == 200
    drain()

    event = ProviderEvent.objects.get()
    assert (event.state, event.subject_id) == ("IGNORED", "")
    assert event.outcome == (
        f"settlement.{'initiated' if kind == 'payout.created' else status}: no payout of ours: "
        "the provider settles with us"
    )
    assert event.reprocessable
    assert not JournalEntry.objects.exists()


def redrive(event: ProviderEvent, username: str, note: str) -> int:
    with transaction.atomic():
        return services.redrive(
            event_ids=[event.public_id], note=note, actor=actor(username), now=clock.utc_now()
        )


def _broken(*_: Any) -> None:
    raise RuntimeError("the mapping is wrong")


def test_a_report_that_is_ready_is_kept_for_later() -> None:
    """WH-29: canonical, without an effect yet, so it can be processed again."""
    payout = sent_payout("1200.00", provider="adyen")
    body = json.loads(fixture("adyen", "refund_failed"))
    item = body["notificationItems"][0]["NotificationRequestItem"]
    item["eventCode"] = "REPORT_AVAILABLE"

    Teller(payout).keep(body)
    drain()

    event = ProviderEvent.objects.get(type="REPORT_AVAILABLE")
    assert (event.state, event.outcome, event.reprocessable) == (
        "IGNORED",
        "report.available: no meaning here yet",
        True,
    )
