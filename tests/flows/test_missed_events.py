"""Events that never reached us are listed at the provider and go through the same gates (WH-27)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ledger.models import JournalEntry
from payops.cases.models import Case, CaseEntry
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.core.models import AuditEvent, Message, ProviderAccount
from payops.core.queues import Postpone
from payops.flows import calls, missed_events
from payops.flows.payouts import silent as silent_payouts
from payops.payments.models import Payout
from payops.psp import registry
from payops.psp.calling import NotFound, PayoutState
from payops.webhooks import listed
from payops.webhooks.models import Delivery, Listing, Payload, ProviderEvent
from tests.accounts import with_secret
from tests.builders import (
    account,
    drain,
    payout_object,
    post_standard,
    reload,
    standard_event,
)
from tests.conftest import STANDARD_SECRET
from tests.flows.lifecycle import balances
from tests.flows.provider import Provider, approved, settle
from tests.flows.view import View, change, come_due
from tests.races import race
from tests.stories import sent_payout

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = 120_000
SENT = {"2000": AMOUNT, "2100": -AMOUNT}
PAID = {"1100": -AMOUNT, "2000": AMOUNT}
LONG_AGO_S = 600


@pytest.fixture(autouse=True)
def invariants_hold() -> Iterator[None]:
    yield
    findings = check_all(
        Moment(now=clock.utc_now()), only=["I1", "I2", "I3", "I4", "I5", "I10", "I17", "I18"]
    )
    assert {key: finding.breaks for key, finding in findings.items() if finding.breaks} == {}


@pytest.fixture(autouse=True)
def only_the_generic_provider_is_listed(transactional_db: None) -> None:
    for provider in set(registry.with_calls()) - {"standard"}:
        change(provider, listing_every_s=0)


def made(payout: Payout, kind: str = "payout.paid", **more: Any) -> dict[str, Any]:
    """An event that the provider made and that nobody received, some time ago."""
    body = standard_event(kind, payout_object(payout, kind.partition(".")[2], **more))
    body["created"] = int(time.time()) - LONG_AGO_S
    return body


def list_now() -> Listing:
    assert missed_events.ask_all(clock.utc_now()) == 1
    drain()
    return Listing.objects.latest("created_at")


def test_a_missed_event_is_found_stored_and_applied_like_any_other(view: View) -> None:
    payout = sent_payout("1200.00")
    body = made(payout)
    view.list([body])

    listing = list_now()

    assert (listing.listed, listing.known, listing.missing, listing.error) == (1, 0, 1, "")
    event, receipt = ProviderEvent.objects.get(), Delivery.objects.get()
    assert (event.state, event.provider_event_id) == ("PROCESSED", body["id"])
    assert (event.object_id, event.amount_minor, event.lane) == (
        payout.provider_ref,
        AMOUNT,
        "high",
    )
    assert (receipt.channel, receipt.signature_reason) == ("listing", "listed_at_provider")
    assert (receipt.status_sent, receipt.dedupe_key) == (0, event.dedupe_key)
    assert (reload(payout).state, balances(payout)) == ("PAID", PAID)
    assert AuditEvent.objects.get(action="events.recovered").reason == (
        "1 event had not reached us"
    )


def test_what_the_register_knows_is_counted_and_nothing_is_written(view: View) -> None:
    """WH-12, WH-13: our own register tells, not the provider's."""
    payout = sent_payout("1200.00")
    body = made(payout)
    assert post_standard(body) == 200
    drain()
    view.list([body])

    listing = list_now()

    assert (listing.listed, listing.known, listing.missing) == (1, 1, 0)
    assert (ProviderEvent.objects.count(), Delivery.objects.count()) == (1, 1)
    assert Payload.objects.count() == 1


def test_an_event_that_may_still_be_on_its_way_is_left_alone(view: View) -> None:
    payout = sent_payout("1200.00")
    body = made(payout)
    body["created"] = int(time.time())
    view.list([body])

    listing = list_now()

    assert (listing.listed, listing.known, listing.missing) == (1, 0, 0)
    assert not ProviderEvent.objects.exists()


def test_the_webhook_that_comes_after_the_listing_is_a_repetition(view: View) -> None:
    payout = sent_payout("1200.00")
    body = made(payout)
    view.list([body])
    list_now()

    assert post_standard(body) == 200
    drain()

    receipts = Delivery.objects.order_by("created_at").values_list("channel", "duplicate")
    assert list(receipts) == [("listing", False), ("webhook", True)]
    assert AuditEvent.objects.filter(action="event.duplicate_ignored").count() == 1
    assert balances(payout) == PAID


def test_listing_and_webhook_at_the_same_moment_make_one_event(view: View) -> None:
    """WH-24, I3: sixteen writers, half of them by webhook."""
    payout = sent_payout("1200.00")
    bodies = [made(payout, failure_code=f"code_{n}") for n in range(3)]
    rows = [missed_message(page=0)]
    view.list(bodies)

    def act(i: int) -> Any:
        if i % 2:
            return [post_standard(body) for body in bodies]
        missed_events.list_missed(rows, clock.utc_now())
        return None

    results = race(16, act)
    drain()

    assert [each for each in results if isinstance(each, Exception)] == []
    assert ProviderEvent.objects.count() == 3
    assert Delivery.objects.filter(duplicate=False).count() == 3
    used = set(ProviderEvent.objects.values_list("payload_id", flat=True))
    assert used <= set(Payload.objects.values_list("pk", flat=True))
    found = sum(Listing.objects.values_list("missing", flat=True))
    assert found == Delivery.objects.filter(channel="listing").count()
    assert JournalEntry.objects.filter(event_class="payout.paid").count() == 1


def test_pages_are_read_to_the_end_and_one_listing_counts_them_all(view: View) -> None:
    payout = sent_payout("1200.00")
    view.list(*[[made(payout), made(payout, "payout.created")] for _ in range(3)])

    listing = list_now()

    assert (listing.listed, listing.missing) == (6, 6)
    assert listing.finished_at is not None
    assert len(view.listed_since) == 3


def test_a_long_listing_goes_on_from_its_cursor_in_another_message(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed_events, "PAGES_MAX", 1)
    payout = sent_payout("1200.00")
    view.list(*[[made(payout)] for _ in range(4)])

    listing = list_now()

    assert Listing.objects.count() == 1
    assert (listing.listed, listing.missing, listing.error) == (4, 4, "")
    assert Message.objects.filter(topic="account.list_events", state="DONE").count() == 4


def test_calls_held_back_in_the_middle_lose_no_page(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-22: the rest is listed once the valve opens again."""
    payout = sent_payout("1200.00")
    view.list([made(payout)], [made(payout)])
    turns = iter([None, Postpone("held back", clock.utc_now() + timedelta(hours=1))])

    def take_turn(_: ProviderAccount) -> None:
        refusal = next(turns, None)
        if refusal is not None:
            raise refusal

    monkeypatch.setattr(calls, "take_turn", take_turn)
    first = list_now()
    assert (first.listed, first.finished_at) == (1, None)

    come_due()
    drain()

    listing = Listing.objects.get()
    assert (listing.listed, listing.missing, listing.error) == (2, 2, "")
    assert listing.finished_at is not None


def test_a_failed_listing_is_told_and_the_next_one_starts_where_the_last_good_one_did(
    view: View,
) -> None:
    payout = sent_payout("1200.00")
    view.list([made(payout)])
    good = list_now()
    view.list([], error="status_403")
    missed_events.list_missed([missed_message(page=1)], clock.utc_now())
    broken = Listing.objects.latest("created_at")
    assert (broken.error, broken.missing) == ("status_403", 0)
    assert AuditEvent.objects.get(action="events.listing_failed").reason == "status_403"

    since = missed_events.since(account(), clock.utc_now())

    assert since == good.until - missed_events.OVERLAP


def test_a_listing_never_asks_for_more_than_the_provider_keeps() -> None:
    """WH-12: 30 days."""
    old = clock.utc_now() - timedelta(days=90)
    Listing.objects.create(
        book=account().book, account=account(), since=old, until=old, finished_at=old
    )
    now = clock.utc_now()

    assert missed_events.since(account(), now) == now - timedelta(days=30)


def test_an_account_that_is_not_to_be_listed_is_not(view: View) -> None:
    change(listing_every_s=0)

    assert missed_events.ask_all(clock.utc_now()) == 0


def test_an_account_that_no_webhook_can_reach_is_not_listed(view: View) -> None:
    """`standard/weekdays` has no secret: it misses nothing, and takes no other account's events."""
    assert missed_events.ask_all(clock.utc_now()) == 1

    news = Message.objects.get(topic="account.list_events")
    assert news.payload == {"account_id": str(account().pk)}


def test_accounts_with_the_same_credentials_take_only_what_is_theirs_for_certain(
    view: View,
) -> None:
    """I4: one event is never booked in two accounts."""
    weekdays = ProviderAccount.objects.get(slug="weekdays")
    with_secret("standard", STANDARD_SECRET, slug="weekdays")
    payout = sent_payout("1200.00")
    foreign = made(payout)
    foreign["data"] = {**foreign["data"], "id": "spo_somebody_s", "reference": None}
    view.list([made(payout), foreign])

    for which in (weekdays, account()):
        row = missed_message(page=0)
        row.payload = {"account_id": str(which.pk)}
        missed_events.list_missed([row], clock.utc_now())
    drain()

    event = ProviderEvent.objects.get()
    assert (event.account_id, event.object_id) == (account().pk, payout.provider_ref)
    assert balances(payout) == PAID


def test_two_schedulers_ask_once_per_slot(view: View) -> None:
    view.list([])
    now = clock.utc_now()

    asked = race(8, lambda i: missed_events.ask_all(now + timedelta(microseconds=i)))

    assert sorted(asked) == [0] * 7 + [1]
    assert Message.objects.filter(topic="account.list_events").count() == 1


def test_a_listed_body_that_cannot_be_read_is_a_dead_letter_once(view: View) -> None:
    view.list([{"id": "sev_broken", "type": "payout.paid", "created": 1}])

    for page in range(2):
        missed_events.list_missed([missed_message(page=page)], clock.utc_now())
        drain()

    event = ProviderEvent.objects.get()
    assert (event.state, event.type, event.failure_kind) == ("DEAD", "unparseable", "structural")
    assert Listing.objects.latest("created_at").known == 1


def test_a_listed_event_of_the_other_mode_is_refused(view: View) -> None:
    payout = sent_payout("1200.00")
    body = made(payout)
    body["live"] = True
    view.list([body])

    listing = list_now()

    assert (listing.listed, listing.missing) == (0, 0)
    assert not ProviderEvent.objects.exists()


def test_the_listed_item_is_the_posted_item() -> None:
    """One dedupe key and one fingerprint, so that a late webhook is a repetition."""
    payout = sent_payout("1200.00")
    body = made(payout)
    assert post_standard(body) == 200
    posted = ProviderEvent.objects.get()
    raw = json.dumps(body, sort_keys=True).encode()

    told = registry.adapter("standard").itemize(raw=raw, account=missed_events.facts_of(account()))

    item = told.items[0]
    assert (item.dedupe_key, item.fingerprint) == (posted.dedupe_key, posted.fingerprint)


def missed_message(*, page: int) -> Message:
    return Message(
        book=account().book,
        topic=missed_events.TOPIC,
        key=f"test:{page}",
        payload={"account_id": str(account().pk)},
        created_at=clock.utc_now(),
    )


# ---- a state without an event ------------------------------------------------------------------


def late_payout(view: View, status: str) -> Payout:
    payout = sent_payout("1200.00")
    view.payouts[payout.provider_ref] = PayoutState(
        provider_ref=payout.provider_ref,
        status=status,  # type: ignore[arg-type]
        raw_status=status,
        amount=payout.amount,
        our_ref=payout.public_id,
        merchant_ref=payout.merchant_ref,
        created_at=None,
    )
    return payout


def compare_after(days: int = 30) -> None:
    later = clock.utc_now() + timedelta(days=days)
    silent_payouts.compare([missed_message(page=9)], later)
    drain()


@pytest.mark.parametrize("status", ["paid", "failed", "returned", "canceled"])
def test_a_state_ahead_of_ours_without_any_event_is_a_case(view: View, status: str) -> None:
    """WH-27: both states named; nothing is applied without an event."""
    payout = late_payout(view, status)

    compare_after()
    compare_after()

    case = Case.objects.get()
    assert (case.rule, case.fingerprint) == ("missing_event", payout.public_id)
    assert case.title == (
        f"payout {payout.merchant_ref} is IN_TRANSIT here; the provider shows it as {status}, "
        "1,200.00 EUR"
    )
    assert CaseEntry.objects.filter(case=case, kind="missing").count() == 1
    assert view.asked == [payout.provider_ref]
    assert (reload(payout).state, balances(payout)) == ("IN_TRANSIT", SENT)


def test_a_payout_the_provider_has_on_its_way_too_is_no_case(view: View) -> None:
    late_payout(view, "in_transit")

    compare_after()

    assert not Case.objects.exists()


def test_a_payout_that_is_not_late_is_not_asked_about(view: View) -> None:
    late_payout(view, "paid")

    compare_after(days=0)

    assert view.asked == []


def test_a_payout_the_provider_does_not_have_any_more_is_a_case(view: View) -> None:
    payout = late_payout(view, "paid")
    view.payouts[payout.provider_ref] = NotFound(searched=payout.provider_ref)

    compare_after()

    assert Case.objects.get().title.endswith(f"the provider has no {payout.provider_ref}")


def test_an_event_that_waits_is_not_missing(view: View) -> None:
    payout = late_payout(view, "returned")
    body = standard_event("payout.reversed", payout_object(payout, "reversed"))
    assert post_standard(body) == 200
    drain()

    compare_after()

    assert not Case.objects.exists() and view.asked == []


def test_the_case_is_closed_when_its_event_comes_after_all(view: View) -> None:
    payout = late_payout(view, "paid")
    compare_after()
    assert silent_payouts.close_settled(clock.utc_now()) == 0
    assert post_standard(made(payout)) == 200
    drain()

    assert silent_payouts.close_settled(clock.utc_now()) == 1

    case = Case.objects.get()
    assert case.state == "RESOLVED"
    assert CaseEntry.objects.get(case=case, kind="closed").text == (
        f"its event came: payout {payout.merchant_ref} is PAID"
    )


# ---- against the provider itself ---------------------------------------------------------------


def test_the_provider_s_own_list_brings_back_what_was_never_delivered(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-27 over real HTTP: the webhooks are lost, the listing finds them."""
    monkeypatch.setattr(missed_events, "GRACE", timedelta(0))
    payout = settle(approved())
    provider.process.quiet()
    lost = len(provider.receiver.received)
    provider.receiver.received.clear()
    assert lost >= 1

    listing = list_now()

    assert (listing.missing, listing.error) == (lost, "")
    assert Delivery.objects.filter(channel="listing").count() == lost
    assert ProviderEvent.objects.filter(subject_id=payout.public_id).count() == lost
    assert listed.LISTED in set(Delivery.objects.values_list("signature_reason", flat=True))
