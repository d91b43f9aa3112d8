"""The hash written beside the act is the one verification computes again, byte for byte (I11)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import AuditEvent, Book
from payops.payments.models import Payment

EXAMPLES = 400
BOOK = Book(pk=UUID("01900000-0000-7000-8000-000000000001"))
# What PostgreSQL can hold; surrogates have no UTF-8 and NUL no place in a text.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
ACTORS = st.builds(Actor, channel=TEXT, person_id=st.uuids(), login=TEXT) | st.builds(
    Actor, channel=TEXT, service=TEXT.filter(bool)
)


def _model(row: audit.AuditRow) -> AuditEvent:
    return AuditEvent(**row._asdict() | {"evidence": json.loads(row.evidence)})


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    actor=ACTORS,
    texts=st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT),
    evidence=st.dictionaries(TEXT, VALUES, max_size=6),
    now=MOMENTS,
)
def test_the_text_written_by_hand_is_the_encoders(
    actor: Actor, texts: tuple[str, ...], evidence: dict[str, Any], now: datetime
) -> None:
    action, subject_id, from_state, to_state, reason, trace_id = texts

    row = audit.event(
        book=BOOK,
        actor=actor,
        action=action,
        subject_id=subject_id,
        now=now,
        from_state=from_state,
        to_state=to_state,
        reason=reason,
        evidence=evidence,
        trace_id=trace_id,
    )

    assert row.content_hash == audit.content_hash(audit.canonical(_model(row)))
    assert json.loads(row.evidence) == evidence


def test_the_columns_copied_are_all_columns_of_the_table_but_the_databases_own() -> None:
    columns = {field.column for field in AuditEvent._meta.concrete_fields}

    assert set(audit.AuditRow._fields) == columns - {"xid"}


@pytest.mark.django_db
def test_every_kind_of_text_is_read_back_as_it_was_hashed() -> None:
    book = Book.objects.get(code="system")
    awkward = 'tab\t newline\n return\r back\\slash \\N quote" \u2028 é 中 😀 \x01\x7f'
    row = audit.event(
        book=book,
        actor=Actor(channel="worker", service="tested"),
        action="tested",
        subject_id="x",
        now=datetime(2026, 3, 1, 11, 0, 0, 5, tzinfo=UTC),
        to_state=Payment.State.CAPTURED,
        reason=awkward,
        evidence={"told": awkward, awkward: [awkward, 10**18, None, True]},
    )

    with transaction.atomic():
        audit.record([row])

    read = AuditEvent.objects.get(pk=row.id)
    assert (read.reason, read.to_state) == (awkward, "CAPTURED")
    assert read.evidence == {"told": awkward, awkward: [awkward, 10**18, None, True]}
    assert audit.content_hash(audit.canonical(read)) == row.content_hash == read.content_hash
