"""What an entry must be, what must have come before it, how it is reversed, what it keeps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ledger.errors import (
    AlreadyReversed,
    ApprovalMissing,
    ImpossibleState,
    Malformed,
    OutsideMatrix,
    PartyMissing,
    PredecessorMissing,
    Unbalanced,
    UnknownAccount,
)
from ledger.facts import REF_NAMES
from ledger.matrix import FUNDING, MATRIX
from ledger.models import Account, JournalEntry
from ledger.posting import BATCH_MAX, Leg, Refs, post_many, predecessor, reverse
from payops.core.models import AuditEvent
from tests.ledger.scene import (
    CAPTURE_FAILED,
    LEDGER,
    NOW,
    Scene,
    capture,
    make_book,
    public_id,
    rate,
    refused,
)

pytestmark = pytest.mark.django_db


def _with_legs(scene: Scene, *lines: Leg) -> Any:
    return dataclasses.replace(capture(scene, public_id("pa")), legs=lines)


def test_lines_that_are_no_entry_are_refused_before_the_database_sees_them() -> None:
    """LJ-2: the imbalance is named with its amount and currency; nothing is written."""
    scene = Scene(make_book())
    psp, fees = Leg("1100", 100, "EUR", "stripe/demo"), Leg("4000", -100, "EUR")

    cases: list[tuple[type[Exception], tuple[Leg, ...], str]] = [
        (Unbalanced, (psp,), "1 lines"),
        (Unbalanced, (), "0 lines"),
        (Unbalanced, (psp, Leg("4000", -99, "EUR")), "0.01 EUR"),
        (Unbalanced, (psp, Leg("4000", -100, "USD")), "1.00 EUR"),
        (UnknownAccount, (psp, Leg("4001", -100, "EUR")), "no account '4001'"),
        (OutsideMatrix, (psp, Leg("5200", -100, "EUR")), "does not touch account 5200"),
        (PartyMissing, (Leg("1100", 100, "EUR"), fees), "kept per provider account"),
        (Malformed, (psp, Leg("4000", -100, "EUR", "somebody")), "no sub-ledger"),
        (Malformed, (psp, fees, Leg("2500", 0, "EUR")), "nil"),
        (Malformed, (Leg("1100", 100, "eur", "stripe/demo"), fees), "ISO 4217"),
        (Malformed, (dataclasses.replace(psp, reporting_minor=1), fees), "computed here"),
    ]
    for kind, lines, words in cases:
        posting = _with_legs(scene, *lines)
        assert words in refused(kind, lambda p=posting: scene.post(p)).words

    assert scene.entries() == 0
    assert not AuditEvent.objects.filter(book=scene.book, action="ledger.posted").exists()


def test_an_event_class_without_a_row_is_refused() -> None:
    scene = Scene(make_book())
    posting = dataclasses.replace(capture(scene, public_id("pa")), event_class="payment.magic")

    assert "payment.magic" in refused(OutsideMatrix, lambda: scene.post(posting)).words


def test_impossible_orders_never_reach_the_ledger() -> None:
    """LJ-18: what must come first is missing, or what rules it out is standing."""
    scene = Scene(make_book())
    payout = public_id("po")

    def post(name: str, movement: str = "mv_1") -> Any:
        posting = scene.posting(f"payout.{name}", payout, movement_ref=movement, amount=500)
        return scene.post(posting)

    missing = refused(PredecessorMissing, lambda: post("paid"))
    post("initiated")
    refused(PredecessorMissing, lambda: post("returned"))
    refused(PredecessorMissing, lambda: post("released"))
    post("paid")
    twice = refused(ImpossibleState, lambda: post("paid", "mv_2"))
    refused(ImpossibleState, lambda: post("failed"))
    refused(ImpossibleState, lambda: post("canceled"))

    assert "payout.initiated" in missing.words
    assert "payout.paid is posted already" in twice.words
    assert scene.balances() == {"1100": -500, "2000": 500}


def test_a_predecessor_in_the_same_batch_counts_in_order() -> None:
    scene = Scene(make_book())
    payout = public_id("po")
    initiated = scene.posting("payout.initiated", payout, amount=500)
    paid = scene.posting("payout.paid", payout, amount=500)

    refused(PredecessorMissing, lambda: scene.post(paid, initiated))
    outcomes = scene.post(initiated, paid)

    assert [outcome.replayed for outcome in outcomes] == [False, False]


def test_a_compensating_template_needs_its_name_and_an_approval() -> None:
    """LJ-21."""
    scene = Scene(make_book())
    payout = public_id("po")
    scene.post(scene.posting("payout.initiated", payout, amount=500))
    failed = scene.posting("payout.failed", payout, amount=500)

    for lacking in (
        dataclasses.replace(failed, template=""),
        dataclasses.replace(failed, refs=Refs()),
    ):
        refused(ApprovalMissing, lambda p=lacking: scene.post(p))
    scene.post(failed)

    entry = JournalEntry.objects.get(book=scene.book, event_class="payout.failed")
    assert (entry.template, entry.approval_id) == ("payout exception v1", "ap_" + "0" * 32)


def test_a_reversal_mirrors_its_entry_once_at_the_original_reporting_amounts() -> None:
    """LJ-8: it names the entry; a second one replays; a reversal is never reversed."""
    scene = Scene(make_book(reporting_currency="EUR"), currency="USD")
    rate("USD", "EUR", "0.9210")
    first = JournalEntry.get(scene.post(capture(scene, public_id("pa")))[0].entry_public_id)

    with transaction.atomic():
        done, again = (
            reverse(
                first,
                reason="captured twice",
                actor=LEDGER,
                now=NOW,
                event_class=CAPTURE_FAILED,
            )
            for _ in range(2)
        )

    second = JournalEntry.get(done.entry_public_id)
    assert (done.replayed, again.replayed, again.entry_id) == (False, True, done.entry_id)
    assert second.reverses_id == first.pk
    assert second.event_class == CAPTURE_FAILED
    assert second.movement_ref == first.public_id
    amounts = [
        [(line.amount_minor, line.reporting_minor) for line in entry.lines.order_by("position")]
        for entry in (first, second)
    ]
    assert amounts[0] == [(10_000, 9_210), (-9_000, -8_289), (-1_000, -921)]
    assert amounts[1] == [(-amount, -reporting) for amount, reporting in amounts[0]]
    assert scene.balances() == {}
    audit = AuditEvent.objects.get(subject_id=second.public_id)
    assert audit.reason == "captured twice"
    assert audit.evidence["reverses"] == first.public_id
    with transaction.atomic():
        refused(AlreadyReversed, lambda: reverse(second, reason="no", actor=LEDGER, now=NOW))
        refused(
            AlreadyReversed,
            lambda: reverse(first, reason="no", actor=LEDGER, now=NOW, movement_ref="other"),
        )


def test_a_reversed_predecessor_no_longer_counts() -> None:
    scene = Scene(make_book())
    payment = public_id("pa")
    scene.post(capture(scene, payment))
    found = predecessor(book=scene.book, event_class="payment.captured", subject_id=payment)
    assert found is not None

    with transaction.atomic():
        outcome = reverse(
            found,
            reason="the provider withdrew the capture",
            actor=LEDGER,
            now=NOW,
            event_class="payment.capture_failed",
        )

    entry = JournalEntry.get(outcome.entry_public_id)
    assert (entry.event_class, entry.reverses_id) == ("payment.capture_failed", found.pk)
    assert predecessor(book=scene.book, event_class="payment.captured", subject_id=payment) is None
    assert scene.balances() == {}


def test_every_trace_key_is_kept_and_the_audit_row_names_them() -> None:
    """LJ-16, AU-5."""
    scene = Scene(make_book())
    refs = Refs(**{name: f"{name[:20]}-1" for name in REF_NAMES})

    outcome = scene.post(capture(scene, public_id("pa"), refs=refs))[0]

    entry = JournalEntry.get(outcome.entry_public_id)
    assert {name: getattr(entry, name) for name in REF_NAMES} == dataclasses.asdict(refs)
    assert len(REF_NAMES) == 16
    row = AuditEvent.objects.get(subject_id=outcome.entry_public_id, action="ledger.posted")
    assert row.trace_id == refs.trace_id
    assert row.service == "ledger-tests"
    assert row.evidence.items() >= dataclasses.asdict(refs).items()
    assert row.evidence["key"] == entry.idempotency_key
    assert row.evidence["fingerprint"] == entry.fingerprint


def test_a_batch_takes_as_many_statements_as_one_posting() -> None:
    scene = Scene(make_book())
    scene.post(capture(scene, public_id("pa")))

    counts = []
    for size in (1, 20, 200):
        batch = [
            posting
            for _ in range(size)
            for posting in (
                capture(scene, public_id("pa")),
                scene.posting("payout.initiated", public_id("po"), amount=7),
            )
        ]
        with CaptureQueriesContext(connection) as queries:
            scene.post(*batch)
        counts.append(len(queries))

    assert counts[0] == 5, "the savepoint's look, what must come first, everything else at once"
    assert counts[1] == counts[2] <= 9
    assert scene.entries() == 1 + 2 + 40 + 400


def test_a_batch_has_a_limit() -> None:
    scene = Scene(make_book())
    batch = [capture(scene, public_id("pa"))] * (BATCH_MAX + 1)

    with transaction.atomic(), pytest.raises(ValueError, match="2001 postings"):
        post_many(batch, actor=LEDGER, now=NOW)
    with transaction.atomic():
        assert post_many([], actor=LEDGER, now=NOW) == []


def test_every_funding_of_a_payout_has_its_variants() -> None:
    for variant in FUNDING.values():
        assert variant in MATRIX["payout.paid"].variants
        assert variant in MATRIX["payout.return_received"].variants


def test_the_chart_of_a_book_is_the_whole_chart() -> None:
    """LJ-19."""
    book = make_book()

    codes = set(Account.objects.filter(book=book).values_list("code", flat=True))

    assert len(codes) == 54
    assert {code for row in MATRIX.values() for code in row.accounts} <= codes
