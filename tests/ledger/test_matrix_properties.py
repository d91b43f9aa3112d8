"""Whatever the matrix posts balances: each row alone, and any sequence the ledger accepts (I17)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import selectors
from ledger.errors import (
    ImpossibleState,
    KeyConflict,
    LedgerError,
    Malformed,
    PredecessorMissing,
    Unbalanced,
)
from ledger.facts import Posting
from ledger.matrix import MATRIX
from ledger.models import JournalEntry, JournalLine
from payops.core.models import Book
from payops.core.money import MINOR_MAX
from tests.ledger.matrix_stories import BY_MATRIX, posting_of, staged
from tests.ledger.scene import Scene, make_book, public_id, rate

pytestmark = pytest.mark.django_db
RATES = {"USD": "0.9217", "JPY": "0.0061", "KWD": "3.0003", "ISK": "0.0067"}
CURRENCIES = ["EUR", *RATES]
EDGES = [0, 1, 2, 3, 99, 10**9, MINOR_MAX // 4, MINOR_MAX - 1, MINOR_MAX, 2**63 - 1, 2**63]
EDGE = st.one_of(st.sampled_from(EDGES), st.integers(min_value=0, max_value=10**12))
SMALL = st.integers(min_value=0, max_value=10**9)
EXPECTED = (ImpossibleState, KeyConflict, Malformed, PredecessorMissing, Unbalanced)


@pytest.fixture
def book() -> Book:
    for currency, value in RATES.items():
        rate(currency, "EUR", value)
    return make_book()


def test_every_row_and_variant_balances_in_its_currency_and_in_reporting_currency(
    book: Book,
) -> None:
    """LJ-2, I5: no line is left over, no line changes its side by conversion."""

    @given(
        chosen=st.sampled_from(BY_MATRIX),
        currency=st.sampled_from(CURRENCIES),
        parts=st.lists(SMALL, min_size=4, max_size=4).filter(any),
    )
    @settings(max_examples=150, deadline=None)
    def holds(chosen: tuple[str, str], currency: str, parts: list[int]) -> None:
        event_class, variant = chosen
        scene, subject, payment = Scene(book, currency=currency), public_id("po"), public_id("pa")
        scene.post(*staged(scene, event_class, subject, payment=payment))
        wanted = posting_of(
            scene, event_class, subject, variant=variant, payment=payment, parts=parts
        )

        if len(wanted.legs) < 2:
            return
        outcome = scene.post(wanted)[0]

        lines = JournalLine.objects.filter(entry_id=outcome.entry_id)
        values = list(lines.values_list("amount_minor", "reporting_minor"))
        assert len(values) == len(wanted.legs)
        assert sum(amount for amount, _ in values) == 0
        assert sum(reporting for _, reporting in values) == 0
        assert all(own * reporting >= 0 for own, reporting in values)

    holds()


def test_each_row_and_variant_is_accepted_after_its_predecessors(book: Book) -> None:
    """LJ-18: no row asks for what can never have been posted."""
    for event_class, variant in BY_MATRIX:
        scene, subject, payment = Scene(book), public_id("po"), public_id("pa")
        before = staged(scene, event_class, subject, payment=payment)

        scene.post(
            *before, posting_of(scene, event_class, subject, variant=variant, payment=payment)
        )

    assert JournalEntry.objects.filter(book=book).count() >= len(BY_MATRIX)


def test_each_row_is_refused_without_its_predecessors(book: Book) -> None:
    """LJ-18: and nothing of it is written."""
    asked = {name for name, _ in BY_MATRIX if MATRIX[name].follows}
    for event_class in sorted(asked):
        variant = next(name for name, pairs in MATRIX[event_class].variants.items() if pairs)
        scene, payment = Scene(book), public_id("pa")
        lonely = posting_of(scene, event_class, public_id("po"), variant=variant, payment=payment)

        with pytest.raises(PredecessorMissing, match=event_class):
            scene.post(lonely)

    assert len(asked) == 35
    assert not JournalEntry.objects.filter(book=book).exists()


def test_any_sequence_the_ledger_accepts_leaves_the_trial_balance_nil(book: Book) -> None:
    """I17: in five currencies, up to the edge of what an amount may be, and beyond it."""
    step = st.tuples(
        st.sampled_from(BY_MATRIX),
        st.sampled_from(CURRENCIES),
        st.lists(EDGE, min_size=4, max_size=4),
        st.integers(min_value=0, max_value=2),
        st.booleans(),
    )

    @given(steps=st.lists(step, min_size=1, max_size=12))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def holds(steps: list[tuple[tuple[str, str], str, list[int], int, bool]]) -> None:
        own = make_book()
        payment, subjects = public_id("pa"), [public_id("po") for _ in range(3)]
        accepted = 0
        for number, ((event_class, variant), currency, parts, which, led) in enumerate(steps):
            scene = Scene(own, currency=currency)
            subject = payment if event_class.startswith("payment.") else subjects[which]
            before = staged(scene, event_class, subject, payment=payment) if led else []
            wanted = posting_of(
                scene,
                event_class,
                subject,
                variant=variant,
                payment=payment,
                parts=parts,
                movement_ref=f"mv_{number}",
            )
            accepted += sum(_taken(scene, each) for each in (*before, wanted))
        assert JournalEntry.objects.filter(book=own).count() == accepted
        trial = selectors.trial_balance(book=own)
        for currency in {row.currency for row in trial}:
            assert sum(r.balance_minor for r in trial if r.currency == currency) == 0
        assert sum(row.reporting_minor for row in trial) == 0

    holds()


def _taken(scene: Scene, posting: Posting) -> bool:
    """Whether it made a new entry; anything but a named refusal is a failure of the test."""
    try:
        return not scene.post(posting)[0].replayed
    except LedgerError as error:
        assert isinstance(error, EXPECTED), error
        return False
