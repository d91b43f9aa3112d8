"""One outcome of a refund, whoever tells it: every order of the same news ends alike (D8, F31).

Any news any number of times, with people ending the obligation in between: the state and the
balance of every account follow from what was told, never from when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger import posting
from payops.core import clock, locks, state
from payops.core.actors import service
from payops.flows.refunds import entries as refund_entries
from payops.flows.refunds import obligations as refund_obligations
from payops.flows.refunds import outcome as refund_outcome
from payops.flows.refunds.outcome import Told
from payops.payments import refundable
from payops.payments.models import Payment, Refund
from tests.builders import approval_of, approve_all
from tests.flows.refund_life import PART, balances, begin, charged, counters, reload, sent
from tests.people import actor
from tests.refund_asks import carry_decisions

pytestmark = pytest.mark.django_db(transaction=True)
ACTOR = service("test")
# The failure of a provider that names the movement back, and of one that does not.
BACK = "failed, and back"
NEWS = {
    "accepted": ({"refund.accepted"}, ""),
    "succeeded": ({"refund.accepted", "refund.succeeded"}, ""),
    "failed": ({"refund.failed_late"}, ""),
    BACK: ({"refund.failed"}, "txn_back"),
    "canceled": ({"refund.canceled"}, ""),
    "returned": ({"refund.returned"}, "line_back"),
}
DECIDE = "lapse"
WORDS = st.lists(st.sampled_from([*NEWS, DECIDE]), min_size=1, max_size=7)


@pytest.fixture
def refund() -> Refund:
    return sent(charged("standard"))


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)


def held(refund: Refund) -> Refund:
    payment = locks.row(Payment, refund.payment_id)
    row = locks.row(Refund, refund.pk)
    row.payment = payment
    return row


def tell(row: Refund, word: str, ref: str = "srf_1") -> refund_outcome.Applied:
    reached, back_ref = NEWS[word]
    told = Told(
        reached=frozenset(reached),
        at=clock.utc_now(),
        by="test",
        provider_ref=ref,
        failure_movement_ref=back_ref,
        failure_code="" if word in ("returned", "canceled") else "declined",
    )
    applied = refund_outcome.apply(row, told, refs=posting.Refs(), actor=ACTOR, now=clock.utc_now())
    posting.post_many(applied.postings, actor=ACTOR, now=clock.utc_now())
    return applied


def decide(row: Refund) -> bool:
    """People end what is owed; answers whether anything was."""
    if row.obligation != "owed":
        return False
    row.obligation = "lapsed"
    state.save(row, actor=ACTOR, now=clock.utc_now(), action="refund.lapsed")
    refundable.recount(row.payment_id)
    entry = refund_obligations.entry_of(row, "lapsed", posting.Refs(), clock.utc_now())
    posting.post(entry, actor=ACTOR, now=clock.utc_now())
    return True


def run(row: Refund, words: Sequence[str]) -> bool:
    decided = False
    for word in words:
        if word == DECIDE:
            decided = (row.state not in refund_outcome.SENT and decide(row)) or decided
        else:
            tell(row, word)
    return decided


def ends(words: Sequence[str], *, decided: bool) -> tuple[str, dict[str, int]]:
    """By the sets alone: the state and what stands on each account."""
    told = set(words)
    left = bool(told & {"succeeded", "returned"})
    failed = bool(told & {"failed", BACK, "canceled"})
    back = "returned" in told or (BACK in told and left)
    owed = failed or back
    if back:
        end = "RETURNED"
    elif owed:
        end = "FAILED_LATE" if left else "FAILED"
    else:
        end = "SUCCEEDED" if left else "ACCEPTED"
    books = {} if decided else {"2000": 2_700, "4000": 300}
    books["2110"] = 0 if left or owed else -PART
    books["1100"] = -PART if left and not back else 0
    books["1210"] = PART if left and owed and not back else 0
    books["2150"] = -PART if owed and not decided else 0
    return end, {code: minor for code, minor in sorted(books.items()) if minor}


def test_every_order_of_any_news_ends_in_one_state_and_one_balance(refund: Refund) -> None:
    """D8, F31, I4: 1100, 1210, 2110, 2150 and the shares."""

    @given(words=WORDS.filter(lambda words: set(words) != {DECIDE}))
    @example(words=["failed", "succeeded", "returned"])
    @example(words=["returned", "failed", "accepted", "succeeded"])
    @example(words=["failed", DECIDE, "succeeded", "returned"])
    @example(words=[BACK, "accepted", DECIDE, "succeeded", BACK])
    @settings(max_examples=120, deadline=None)
    def holds(words: list[str]) -> None:
        with undone():
            row = held(refund)
            decided = run(row, words)
            state_then, books = ends(words, decided=decided)
            assert (row.state, balances(row.public_id)) == (state_then, books)
            owed = row.obligation == "owed"
            executed = PART if row.state in Refund.EXECUTED else 0
            assert counters(row.payment) == (PART if owed else 0, executed, 0)

    holds()


def test_news_that_is_known_changes_nothing_and_says_so(refund: Refund) -> None:
    with undone():
        row = held(refund)
        tell(row, "succeeded")
        again = tell(row, "succeeded")

        assert (again.changed, again.postings, again.finding) == (False, (), None)
        assert again.words == "known already: the refund is SUCCEEDED"


def test_the_first_failure_alone_opens_a_case(refund: Refund) -> None:
    with undone():
        row = held(refund)
        first, second = tell(row, "failed"), tell(row, "returned")

        assert first.finding is not None and first.finding.rule == "refund_failed"
        assert second.finding is None
        assert (
            second.words == "refund had left before it failed, came back: the money is ours again"
        )


def test_a_failure_that_is_told_after_its_money_names_the_cause(refund: Refund) -> None:
    with undone():
        row = held(refund)
        tell(row, "returned")
        assert row.failure_code == "returned"
        tell(row, "failed")

        assert (row.state, row.failure_code) == ("RETURNED", "declined")


def test_a_retry_bears_what_its_promise_bore_and_empties_2150(refund: Refund) -> None:
    """LJ-3: the new attempt posts under the failed one what ends its obligation."""
    _told(refund, "failed")
    again = _retried(refund)
    assert balances(refund.public_id) == {"2000": 2_700, "2150": -PART, "4000": 300}

    applied = _told(again, "succeeded", "srf_2")

    assert reload(again).shares == reload(refund).shares
    posted = [(each.event_class, each.subject_id) for each in applied.postings]
    assert posted == [
        ("refund.retried", refund.public_id),
        ("refund.succeeded", again.public_id),
    ]
    assert applied.kept == f"paid again as {again.public_id}: the provider took it as srf_2"
    gone = {"1100": -PART, "2000": 2_700, "4000": 300}
    assert balances(refund.public_id, again.public_id) == gone
    assert counters(refund.payment) == (0, PART, 0)


def test_a_retry_that_fails_is_owed_in_its_turn_and_lapses_under_itself(refund: Refund) -> None:
    _told(refund, "failed")
    again = _retried(refund)
    _told(again, "failed", "srf_2")

    assert (reload(refund).obligation, reload(again).obligation) == ("retried", "owed")
    with transaction.atomic():
        row = held(again)
        assert refund_entries.owed_by(row) is row
        assert decide(row)
    assert balances(refund.public_id, again.public_id) == {}
    assert counters(refund.payment) == (0, 0, 0)


def test_what_the_journal_refuses_is_kept_and_caught_up_with(refund: Refund) -> None:
    """RF-9: executed, ledger pending; a success told meanwhile is kept, the entries follow."""
    with undone():
        row, now = held(refund), clock.utc_now()
        told = Told(reached=frozenset({"refund.accepted"}), at=now, provider_ref="srf_1")
        kept = refund_outcome.hold_for_ledger(row, told, words="refused", actor=ACTOR, now=now)

        assert (row.state, row.heading_for, balances(row.public_id)) == (
            "LEDGER_PENDING",
            "ACCEPTED",
            {},
        )
        assert kept.released == (
            refund_outcome.provider_key("standard/demo", "srf_1"),
            refund_outcome.settled_key(row),
        )
        assert counters(row.payment) == (0, PART, 0)
        tell(row, "succeeded")
        assert (row.state, row.heading_for) == ("LEDGER_PENDING", "SUCCEEDED")

        done = refund_outcome.catch_up(row, refs=posting.Refs(), actor=ACTOR, now=now)
        posting.post_many(done.postings, actor=ACTOR, now=now)

        assert row.state == "SUCCEEDED"
        assert done.released == (refund_outcome.ledger_key(row),)
        assert balances(row.public_id) == ends(["succeeded"], decided=False)[1]


@pytest.mark.parametrize("state_now", ["REQUESTED", "REFUSED", "AWAITING_APPROVAL", "APPROVED"])
def test_news_of_what_was_never_sent_differs(refund: Refund, state_now: str) -> None:
    unsent = Refund(id=refund.pk, state=state_now, amount_minor=PART, currency="EUR")

    words = refund_outcome.differs(unsent, provider_ref="srf_1", amount=None)

    assert f"is {state_now} here and was never sent to it" in words


def test_a_reference_that_another_refund_has_differs(refund: Refund) -> None:
    """I7: what was taken for a refund made outside needs a person."""
    with undone():
        row = held(refund)
        tell(row, "accepted")
        other = Refund(
            state="UNKNOWN", account_id=row.account_id, amount_minor=PART, currency="EUR"
        )
        words = refund_outcome.differs(other, provider_ref="srf_1", amount=None)

    assert words == f"srf_1 is {row.public_id} here; it cannot be {other.public_id} too"


def _retried(failed: Refund) -> Refund:
    """Asked for again, granted and sent."""
    again = refund_obligations.retry(
        refund_id=failed.pk,
        reason="the customer has a new card",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    approve_all(approval_of(again.approval_id))
    carry_decisions()
    begin(again)
    return again


def _told(refund: Refund, word: str, ref: str = "srf_1") -> refund_outcome.Applied:
    with transaction.atomic():
        return tell(held(refund), word, ref)
