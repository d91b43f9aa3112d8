"""Executed and not in the books: kept, told once, tried again until it is posted (RF-9, RC-16)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import connections

from ledger import posting
from ledger.errors import PeriodLocked
from payops.cases.models import Case, CaseEntry
from payops.core import clock
from payops.core.callers import Room
from payops.core.models import Message
from payops.flows import calls as valve
from payops.flows.refunds import ledger as refund_ledger
from payops.payments.models import Intent, Payment, Refund
from tests.builders import drain
from tests.flows.provider import Provider, later
from tests.flows.refunding import cases, entries, exactly_once, granted, movements, posted_once
from tests.refund_asks import reload

pytestmark = pytest.mark.django_db(transaction=True)
FIFTY = 50
REFUSES = """
CREATE OR REPLACE FUNCTION journal_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the journal is being restored'; END $$;
CREATE TRIGGER journal_refuses BEFORE INSERT ON ledger_journalentry FOR EACH ROW
  WHEN (NEW.event_class LIKE 'refund.%') EXECUTE FUNCTION journal_refuses()
"""
TAKES_AGAIN = "DROP FUNCTION IF EXISTS journal_refuses CASCADE"


@pytest.fixture(autouse=True)
def open_valve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap of the account is another test's matter."""
    monkeypatch.setattr(
        valve.AccountTurns, "room", lambda self, *, turn, wanted, take, now: Room(wanted)
    )


@contextmanager
def journal_refusing() -> Iterator[None]:
    """Nothing of a refund enters the journal, as when its tables are being restored."""
    _as_owner(REFUSES)
    try:
        yield
    finally:
        _as_owner(TAKES_AGAIN)


def _as_owner(statement: str) -> None:
    told = connections["owner"].settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    with psycopg.connect(
        **{name: told[key] for name, key in names.items()}, port=told["PORT"], autocommit=True
    ) as owner:
        owner.execute(statement)


def test_while_the_journal_refuses_fifty_refunds_wait_and_are_then_posted_once_each(
    provider: Provider,
) -> None:
    refunds = granted(provider, "standard", FIFTY)
    with journal_refusing():
        drain()
        for _ in range(3):
            later()
            drain()

        pending = Refund.objects.values_list("state", "heading_for").distinct()
        assert list(pending) == [("LEDGER_PENDING", "ACCEPTED")]
        assert movements(provider) == exactly_once(refunds), "executed all the same, once"
        assert entries() == Counter()
        opened = Case.objects.exclude(state="RESOLVED")
        own = set(opened.filter(rule="refund_ledger_pending").values_list("subject_id", flat=True))
        storm = opened.filter(rule="systemic")
        members = CaseEntry.objects.filter(case__in=storm, kind="storm_member")
        told = own | set(members.values_list("refers_to", flat=True))
        assert told == {refund.public_id for refund in refunds}, "each told, once or in the storm"
        assert storm.count() == 1 and opened.count() == len(own) + 1
        counted = Payment.objects.filter(refunds__isnull=False)
        assert set(counted.values_list("reserved_minor", "refunded_minor")) == {(0, 3_000)}

    later()
    drain()

    assert set(Refund.objects.values_list("state", "heading_for")) == {("ACCEPTED", "")}
    assert entries() == posted_once(refunds, "refund.accepted")
    assert not Case.objects.filter(rule="refund_ledger_pending").exclude(state="RESOLVED").exists()
    lines = CaseEntry.objects.filter(case__rule="refund_ledger_pending", kind="closed")
    assert lines.count() == len(own)
    assert not Message.objects.exclude(state="DONE").exists()
    assert movements(provider) == exactly_once(refunds)


def test_one_that_is_refused_keeps_none_of_its_batch_out_of_the_books(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    refunds = granted(provider, "standard", 5)
    odd, real = refunds[2].public_id, posting.post_many
    locked = PeriodLocked("2026-03 is locked", key=f"refund.accepted:{odd}")

    def refusing(postings, *, actor, now):  # type: ignore[no-untyped-def]
        if any(each.subject_id == odd for each in postings):
            raise locked
        return real(postings, actor=actor, now=now)

    monkeypatch.setattr(posting, "post_many", refusing)

    drain()

    states = {refund.public_id: reload(refund).state for refund in refunds}
    assert Counter(states.values()) == {"ACCEPTED": 4, "LEDGER_PENDING": 1}
    assert states[odd] == "LEDGER_PENDING"
    assert cases() == [("refund_ledger_pending", odd, "OPEN")]
    assert "2026-03 is locked" in Case.objects.get().title
    assert entries() == posted_once([r for r in refunds if r.public_id != odd], "refund.accepted")
    assert Intent.objects.get(subject_id=odd).state == "SUCCEEDED"

    monkeypatch.setattr(posting, "post_many", real)
    later()
    drain()

    assert reload(refunds[2]).state == "ACCEPTED"
    assert cases() == [("refund_ledger_pending", odd, "RESOLVED")]
    assert entries() == posted_once(refunds, "refund.accepted")


def test_a_refund_that_is_born_succeeded_heads_for_its_success(provider: Provider) -> None:
    provider.process.control("POST", "/rules", {"refund_status": "succeeded"})
    refunds = granted(provider, "stripe", 2)
    with journal_refusing():
        drain()
        assert set(Refund.objects.values_list("state", "heading_for")) == {
            ("LEDGER_PENDING", "SUCCEEDED")
        }

    later()
    drain()

    assert set(Refund.objects.values_list("state", flat=True)) == {"SUCCEEDED"}
    assert entries() == posted_once(refunds, "refund.accepted", "refund.succeeded")


def test_the_journal_is_asked_ever_more_slowly_and_never_given_up(provider: Provider) -> None:
    granted(provider)
    with journal_refusing():
        drain()
        message = Message.objects.get(topic="refund.post_ledger")
        for _ in range(30):
            later()
            drain()
        message.refresh_from_db()
        assert (message.state, message.attempts) == ("PENDING", 0)
        assert "the journal is being restored" in message.last_error

    assert refund_ledger._pause(timedelta(0)) <= timedelta(seconds=1.3)
    assert timedelta(minutes=3) < refund_ledger._pause(timedelta(hours=5)) <= timedelta(minutes=7)


def test_a_closing_message_that_comes_twice_posts_once(provider: Provider) -> None:
    refund = granted(provider)[0]
    with journal_refusing():
        drain()
    message = Message.objects.get(topic="refund.post_ledger")
    later()
    drain()

    refund_ledger.post([message], clock.utc_now())

    assert entries() == posted_once([refund], "refund.accepted")
    assert CaseEntry.objects.filter(kind="closed").count() == 1
