"""Every order of a dispute's events ends in one state and one balance per account (F31, D9, LJ-18).

All orders of seven facts in memory, by the product's own rules; all 24 orders of four events for
every provider through the inbox, told one by one and all at once, and the replay proof holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from ledger import posting
from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock, ids
from payops.core.models import Book, ProviderAccount
from payops.flows.disputes import books as dispute_books
from payops.flows.disputes import events as dispute_events
from payops.flows.disputes import postings as dispute_postings
from payops.flows.disputes.books import Standing
from payops.flows.disputes.course import Fact
from payops.payments.models import Beneficiary, Dispute, Payment
from payops.webhooks.models import ProviderEvent
from tests import books
from tests.builders import drain
from tests.flows.dispute_tales import Tale
from tests.replaying import named, replayed_months

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STORY = (
    ("opened", 0, ""),
    ("funds_withdrawn", 1, "m1"),
    ("won", 10, ""),
    ("funds_returned", 11, "m2"),
    ("funds_withdrawn", 20, "m3"),
    ("lost", 30, ""),
    ("funds_returned", 40, "m4"),
)
ONE_BY_ONE, AT_ONCE = "one by one", "at once"
TOLD = {
    "stripe": ("opened", "withdrawn", "won", "returned"),
    "adyen": ("opened", "withdrawn", "returned", "again"),
    "paypal": ("opened", "withdrawn", "review", "lost"),
    "standard": ("withdrawn", "returned", "again", "lost"),
}
CAPTURED = {"1100": 10_000, "2000": -9_000, "4000": -1_000}
HELD_OUT = {"1300": 10_000, "2310": -9_000, "4000": -1_000}
ENDS: dict[str, tuple[str, int, dict[str, int]]] = {
    "stripe": ("WON", 1, CAPTURED),
    "adyen": ("OPEN", 2, HELD_OUT),
    "paypal": ("LOST", 1, {}),
    "standard": ("LOST", 2, {}),
}
RECOMPUTED = ["I1", "I2", "I3", "I4", "I5", "I10", "I17", "I18"]


def facts(story: Sequence[tuple[str, int, str]] = STORY) -> list[Fact]:
    return [
        Fact(kind=kind, at=START + timedelta(hours=hour), key=f"{kind}{hour}", ref=ref)
        for kind, hour, ref in story
    ]


def unsaved(borne_by: str) -> Dispute:
    book = Book(code="t", reporting_currency="EUR", refund_fee_policy="returned")
    payment = Payment(
        book=book,
        beneficiary=Beneficiary(reference="S-1"),
        captured_minor=10_000,
        platform_fee_minor=1_000,
        currency="EUR",
    )
    return Dispute(
        id=ids.uuid7(),
        book=book,
        payment=payment,
        account=ProviderAccount(provider="stripe", slug="demo"),
        provider_ref="du_1",
        amount_minor=10_000,
        currency="EUR",
        borne_by=borne_by,
        opened_at=START,
    )


def told_in(order: Sequence[Fact], borne_by: str) -> tuple[Dispute, dict[str, int]]:
    """State and balances after each fact was applied in its turn."""
    dispute, standing, total = unsaved(borne_by), Standing(), Counter[str]()
    for fact in order:
        dispute.facts = [*dispute.facts, fact.kept()]
        course = dispute_events.take_over(dispute)
        found = dispute_books.steps(
            dispute,
            course,
            standing,
            refs=posting.Refs(),
            at=fact.at,
            split=lambda _: dispute_postings.split_of(
                book=dispute.book,
                payment=dispute.payment,
                amount_minor=dispute.amount_minor,
                borne_by=dispute.borne_by,
                refunds=[],
                others=[],
            ),
        )
        for step in found:
            taken = step.post or step.undo
            for leg in taken.legs:
                total[leg.account] += leg.amount_minor if step.post else -leg.amount_minor
    return dispute, {code: minor for code, minor in sorted(total.items()) if minor}


def test_all_5040_orders_of_two_rounds_and_an_appeal_end_alike() -> None:
    ends = set()
    for order in permutations(facts()):
        dispute, left = told_in(order, "seller")
        ends.add((dispute.state, dispute.round, tuple(left.items())))
    assert ends == {("WON", 2, ())}


@pytest.mark.parametrize(
    ("borne_by", "left"),
    [
        ("seller", {"1100": -10_000, "2000": 9_000, "4000": 1_000}),
        ("platform", {"1100": -10_000, "5100": 10_000}),
    ],
)
def test_all_orders_of_a_lost_second_round_end_alike(borne_by: str, left: dict[str, int]) -> None:
    ends = set()
    for order in permutations(facts(STORY[:6])):
        dispute, found = told_in(order, borne_by)
        ends.add((dispute.state, dispute.round, tuple(found.items())))
    assert ends == {("LOST", 2, tuple(left.items()))}


def test_told_again_under_another_event_changes_nothing() -> None:
    """Repeats of every fact, one minute later and under keys of their own, in every place."""
    again = [
        Fact(kind=f.kind, at=f.at + timedelta(minutes=1), key=f"{f.key}-again", ref=f.ref)
        for f in facts(STORY[:4])
    ]
    for order in permutations([*facts(STORY[:4]), again[1], again[3]]):
        dispute, left = told_in(order, "seller")
        assert (dispute.state, dispute.round, left) == ("WON", 1, {})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", [ONE_BY_ONE, AT_ONCE])
def test_every_order_of_a_refund_beside_a_chargeback_ends_in_one_balance(how: str) -> None:
    """The refund was made first; told late, what the seller bears is booked anew (LJ-8)."""
    books.with_settings(case_storm_cap=100_000)
    words = ("refunded", "opened", "withdrawn", "lost")
    orders = list(permutations(words))
    tales = [Tale("standard") for _ in orders]
    for tale in tales:
        tale.tell("captured")
    drain()

    for place in range(len(words)):
        for tale, order in zip(tales, orders, strict=True):
            tale.tell(order[place])
        if how == ONE_BY_ONE:
            drain()
    drain()

    assert [tale.balances() for tale in tales] == [{"1100": -3_000, "5100": 3_000}] * 24
    flags = {(t.dispute.state, t.dispute.refunded_before_minor) for t in tales}
    assert flags == {("LOST", 3_000)}
    assert {t.dispute.hold_minor for t in tales} == {6_300}
    breaks = check_all(Moment(now=clock.utc_now()), only=RECOMPUTED)
    assert {key: found.breaks for key, found in breaks.items() if found.breaks} == {}
    assert [named(proof) for proof in replayed_months() if not proof.holds] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", [ONE_BY_ONE, AT_ONCE])
@pytest.mark.parametrize("provider", list(TOLD))
def test_every_order_at_the_inbox_ends_in_one_state_and_one_balance(
    provider: str, how: str
) -> None:
    books.with_settings(case_storm_cap=100_000)
    orders = list(permutations(TOLD[provider]))
    tales = [Tale(provider) for _ in orders]
    for tale in tales:
        tale.tell("captured")
    drain()

    for place in range(len(TOLD[provider])):
        for tale, order in zip(tales, orders, strict=True):
            tale.tell(order[place])
        if how == ONE_BY_ONE:
            drain()
    drain()

    state, number, left = ENDS[provider]
    ends = [(t.dispute.state, t.dispute.round, t.dispute.provider_ref) for t in tales]
    assert ends == [(state, number, tale.ref) for tale in tales]
    assert [tale.balances() for tale in tales] == [left] * 24
    states = ProviderEvent.objects.values_list("state", flat=True)
    assert set(states) == {"PROCESSED"}
    open_cases = Case.objects.filter(rule="dispute").exclude(state__in=Case.CLOSED)
    assert open_cases.count() == (24 if state == "OPEN" else 0)
    breaks = check_all(Moment(now=clock.utc_now()), only=RECOMPUTED)
    assert {key: found.breaks for key, found in breaks.items() if found.breaks} == {}
    assert [named(proof) for proof in replayed_months() if not proof.holds] == []
    assert JournalEntry.objects.filter(event_class="dispute.funds_withdrawn").exists()
