"""What the approver of a discard sees: the letters themselves, never ids alone (AP-1, WH-20)."""

from __future__ import annotations

import re

import pytest
from django.db import transaction

from approvals.models import ApprovalRequest
from payops.console.reads import named_events as reads
from payops.core import clock
from payops.core.models import Book
from payops.webhooks import services
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.console.test_jobs import begin, plan
from tests.console.work import browser, text_of
from tests.flows.test_jobs import letters
from tests.people import actor

pytestmark = pytest.mark.django_db(transaction=True)


def asked(events: list[ProviderEvent], note: str = "traffic of a load test") -> ApprovalRequest:
    begin(plan(kind="discard_events", row=[e.public_id for e in events]), note=note)
    return ApprovalRequest.objects.get(kind="dead_letter_discard")


def test_each_letter_is_a_row_with_amount_cause_error_and_link():
    dead = letters(2)

    page = text_of(browser("noor").get(f"/approvals/{asked(dead).public_id}/"))

    table = page.split("<caption>2 dead letters</caption>")[1].split("</table>")[0]
    for event in dead:
        assert f'href="/inbox/{event.public_id}/"' in table
    assert table.count("payment.captured") == 2
    assert table.count('value="5.00 EUR"') == 2
    assert table.count("standard/demo") == 2
    assert dead[0].cause in table
    assert table.count("S-NOBODY") >= 2
    assert len(re.findall(r'<td data-label="Received"><time', table)) == 2


def test_note_and_rule_are_said_once():
    request = asked(letters(1))

    for reader in ("noor", "eli", "audrey"):
        page = text_of(browser(reader).get(f"/approvals/{request.public_id}/"))
        assert page.count("traffic of a load test") == 1
        assert page.count(request.rule_fired) == 0, "the table's one row says it"


def test_rows_stop_at_the_limit_and_the_others_are_named(monkeypatch):
    monkeypatch.setattr(reads, "SHOWN_MAX", 2)
    dead = letters(3)

    page = text_of(browser("noor").get(f"/approvals/{asked(dead).public_id}/"))

    assert "3 dead letters, the first 2 here" in page
    assert page.count('<tr class="top"><td data-label="Event">') == 2
    assert "1 more by their id" in page
    last = sorted(event.public_id for event in dead)[-1]
    assert page.count(f'href="/inbox/{last}/"') == 1


def test_letter_that_moved_on_meanwhile_is_told():
    dead = letters(2)
    request = asked(dead)
    with transaction.atomic():
        services.redrive(
            event_ids=[dead[0].public_id],
            note="found the seller",
            actor=actor("eli"),
            now=clock.utc_now(),
        )

    named = reads.named_events(request.book, request.facts["event_ids"])
    page = text_of(browser("noor").get(f"/approvals/{request.public_id}/"))

    assert named is not None and named.moved_on == 1
    assert "1 of the shown is no dead letter any more; the discard would be refused." in page


def test_events_of_another_book_are_counted_not_shown():
    """Attack: an approval naming a foreign event shows nothing of it."""
    (dead,) = letters(1)
    other = Book.objects.exclude(pk=builders.account().book_id).first()
    assert other is not None

    named = reads.named_events(other, [dead.public_id, "no id at all"])

    assert named is not None
    assert (named.count, named.rows, named.unknown) == (2, [], 2)
    assert reads.named_events(other, []) is None
