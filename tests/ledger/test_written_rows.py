"""What is written is what was given, however many entries go at once (LJ-14, LJ-16, AU-3)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from ledger.drafts import ENTRY_COLUMNS, FEW, LINE_COLUMNS
from ledger.facts import Posting
from ledger.matrix_row import Leg
from ledger.models import JournalEntry, JournalLine, PostingKey
from ledger.posting import Refs, post, reverse
from payops.core import audit
from payops.core.models import AuditEvent, Book
from tests.ledger.scene import CAPTURE_FAILED, LEDGER, NOW, Scene, capture, make_book, public_id

AWKWARD = ("it's", 'say "so"', "back\\slash", "tab\tnew\nline\rend", "\\N", "%s {} Δ €", "';--", "")
LEGS = st.builds(
    Leg,
    account=st.sampled_from(["1100", "2000", "4000"]),
    amount_minor=st.integers(-(10**15), 10**15),
    currency=st.sampled_from(["EUR", "JPY"]),
    party=st.text(max_size=12),
    reporting_minor=st.none() | st.integers(-(10**15), 10**15),
)


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 400])
def test_every_text_is_kept_whether_it_is_inserted_or_copied(count: int) -> None:
    scene = Scene(make_book())
    postings = [_awkward(scene, number) for number in range(count)]

    outcomes = scene.post(*postings)

    for posting, outcome in zip(postings, outcomes, strict=True):
        entry = JournalEntry.objects.get(pk=outcome.entry_id)
        assert (entry.description, entry.movement_ref) == (
            posting.description,
            posting.movement_ref,
        )
        assert Refs(**{name: getattr(entry, name) for name in _refs()}) == posting.refs
        assert (entry.idempotency_key, entry.fingerprint) == (posting.key, posting.fingerprint)
        lines = entry.lines.order_by("position").values_list("party", "amount_minor", "position")
        assert list(lines) == [
            (leg.party, leg.amount_minor, n) for n, leg in enumerate(posting.legs)
        ]
        key = PostingKey.objects.get(book=scene.book, key=posting.key)
        assert (key.entry_id, key.fingerprint, key.refusal) == (
            entry.pk,
            posting.fingerprint,
            None,
        )


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, FEW + 1])
def test_the_audit_row_of_an_entry_hashes_as_it_reads(count: int) -> None:
    """The hashed text is written by hand; reading the row back gives the same hash."""
    scene = Scene(make_book())
    postings = [_awkward(scene, number) for number in range(count)]

    scene.post(*postings)

    rows = AuditEvent.objects.filter(book=scene.book, action="ledger.posted")
    assert len(rows) == count
    for row in rows:
        assert row.content_hash == audit.content_hash(audit.canonical(row))
        entry = JournalEntry.get(row.subject_id)
        assert row.evidence["key"] == entry.idempotency_key
        assert row.evidence["merchant_reference"] == entry.merchant_reference
        assert "payout_id" not in row.evidence


@pytest.mark.django_db
def test_a_batch_may_hold_reversals_and_other_entries() -> None:
    """The reversed entry stands in a column that all others leave null."""
    scene = Scene(make_book())
    first = JournalEntry.get(scene.post(capture(scene, public_id("pa")))[0].entry_public_id)

    with transaction.atomic():
        done = reverse(
            first, reason="it's wrong", actor=LEDGER, now=NOW, event_class=CAPTURE_FAILED
        )
        post(capture(scene, public_id("pa")), actor=LEDGER, now=NOW)

    assert JournalEntry.get(done.entry_public_id).reverses_id == first.pk
    row = AuditEvent.objects.get(subject_id=done.entry_public_id)
    assert row.evidence["reverses"] == first.public_id
    assert row.content_hash == audit.content_hash(audit.canonical(row))


def test_every_column_is_written_or_filled_in_by_the_database() -> None:
    """A column added to the tables is added to the rows, or a test says so."""
    for model, columns in ((JournalEntry, ENTRY_COLUMNS), (JournalLine, LINE_COLUMNS)):
        kept = {field.attname for field in model._meta.concrete_fields}
        assert kept - set(columns) <= {"xid", "reverses_id"}, model
        assert set(columns) <= kept


@given(lines=st.lists(LEGS, max_size=4))
def test_the_fingerprint_is_that_of_plain_json(lines: list[Leg]) -> None:
    """LJ-14: fingerprints stored before stay comparable."""
    posting = Posting(
        book=Book(code="x"),
        event_class="payment.captured",
        subject_id="pa_x",
        movement_ref="",
        legs=tuple(lines),
        occurred_at=NOW,
        description="",
    )
    facts: list[Any] = [
        sorted(
            [leg.account, leg.party, leg.currency, leg.amount_minor, leg.reporting_minor or 0]
            for leg in lines
        ),
        "",
    ]
    plain = json.dumps(facts, separators=(",", ":")).encode()

    assert posting.fingerprint == hashlib.sha256(plain).hexdigest()


def _awkward(scene: Scene, number: int) -> Posting:
    text = AWKWARD[number % len(AWKWARD)]
    lines = (
        Leg("1100", 7 + number, "EUR", f"stripe/{text}"),
        Leg("2000", -7 - number, "EUR", f"be_{text}"),
    )
    refs = Refs(payment_id=f"pa_{text}", merchant_reference=f"order {text}", psp_reference=text)
    given = capture(scene, public_id("pa"), movement_ref=f"mv {text}", refs=refs)
    return Posting(
        book=given.book,
        event_class=given.event_class,
        subject_id=given.subject_id,
        movement_ref=given.movement_ref,
        legs=lines,
        occurred_at=NOW,
        description=f"captured {text}",
        refs=refs,
    )


def _refs() -> tuple[str, ...]:
    return tuple(Refs.__slots__)
