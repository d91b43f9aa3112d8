"""A few postings are written by what the process saw before; the database refuses what is stale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ledger import placing
from ledger.checks import ChartAccount
from ledger.errors import ImpossibleState, KeyConflict, Unbalanced
from ledger.models import Account, JournalEntry
from ledger.posting import post
from tests.ledger.scene import (
    LEDGER,
    NOW,
    Scene,
    capture,
    lock_period,
    make_book,
    public_id,
    refused,
)

pytestmark = pytest.mark.django_db
BALANCES = {"1100": 20_000, "2000": -18_000, "4000": -2_000}


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The first posting opened the month, its repetition saw it: the next one goes by memory."""
    scene = Scene(make_book())
    first = capture(scene, public_id("pa"))
    assert [scene.post(first)[0].replayed, scene.post(first)[0].replayed] == [False, True]
    months, chart = placing._KNOWN[scene.book.pk]
    assert ([month.code for month in months], sorted(chart)) == (
        ["2026-03"],
        ["1100", "2000", "4000"],
    )
    yield scene
    placing._KNOWN.pop(scene.book.pk, None)


def test_a_second_posting_is_one_message_that_holds_its_period_before_its_key(scene: Scene) -> None:
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        post(capture(scene, public_id("pa")), actor=LEDGER, now=NOW)

    (message,) = [query["sql"] for query in captured.captured_queries if '"ledger' in query["sql"]]
    parts = [part.split(" (")[0] for part in message.split("; ")]
    assert parts == [
        "SAVEPOINT ledger_batch",
        'INSERT INTO "ledger_journalentry"',
        'INSERT INTO "ledger_postingkey"',
        'INSERT INTO "ledger_journalline"',
        'INSERT INTO "core_auditevent"',
        "RELEASE SAVEPOINT ledger_batch",
    ]
    assert scene.balances() == BALANCES


def test_an_account_that_is_another_one_by_now_is_looked_up_again(scene: Scene) -> None:
    months, chart = placing._KNOWN[scene.book.pk]
    stale = {
        code: ChartAccount(str(uuid4()), account.party_kind) for code, account in chart.items()
    }
    placing._KNOWN[scene.book.pk] = (months, stale)

    scene.post(capture(scene, public_id("pa")))

    assert scene.balances() == BALANCES
    known = placing._KNOWN[scene.book.pk][1]["1100"].key
    assert known == str(Account.objects.get(book=scene.book, code="1100").pk)


def test_a_period_that_is_gone_is_looked_up_again(scene: Scene) -> None:
    months, chart = placing._KNOWN[scene.book.pk]
    placing._KNOWN[scene.book.pk] = ([month._replace(pk=uuid4()) for month in months], chart)

    scene.post(capture(scene, public_id("pa")))

    assert scene.balances() == BALANCES


def test_a_month_locked_meanwhile_takes_nothing_by_memory(scene: Scene) -> None:
    """I12: the event goes where the policy for late events says."""
    lock_period(scene.book, "2026-03")
    april = datetime(2026, 4, 2, 9, 0, tzinfo=UTC)

    outcome = scene.post(capture(scene, public_id("pa")), now=april)[0]

    entry = JournalEntry.objects.get(pk=outcome.entry_id)
    assert (entry.posting_on.isoformat(), entry.period.code) == ("2026-04-01", "2026-04")


def test_a_key_answered_before_answers_the_same(scene: Scene) -> None:
    """LJ-14: also where what is given now would be refused for another reason."""
    payment, payout = public_id("pa"), public_id("po")
    first = scene.post(capture(scene, payment))[0]
    initiated = scene.posting("payout.initiated", payout, amount=500)
    sent = scene.post(initiated)[0]
    canceled = scene.post(scene.posting("payout.canceled", payout, amount=500))[0]

    again = scene.post(capture(scene, payment))[0]
    resent = scene.post(initiated)[0]
    changed = capture(scene, payment, gross=1, seller_share=1, platform_fee=0)

    assert (again.entry_id, again.replayed) == (first.entry_id, True)
    assert (resent.entry_id, resent.replayed) == (sent.entry_id, True)
    assert canceled.replayed is False
    refused(KeyConflict, lambda: scene.post(changed))
    assert scene.entries() == 1 + 3


def test_a_refusal_leaves_the_transaction_usable(scene: Scene) -> None:
    payout = public_id("po")
    scene.post(scene.posting("payout.initiated", payout, amount=500))
    scene.post(scene.posting("payout.paid", payout, amount=500))
    twice = scene.posting("payout.paid", payout, amount=500, movement_ref="mv_2")
    broken = capture(scene, public_id("pa"), gross=5)

    with transaction.atomic():
        refused(ImpossibleState, lambda: post(twice, actor=LEDGER, now=NOW))
        refused(Unbalanced, lambda: post(broken, actor=LEDGER, now=NOW))
        kept = post(capture(scene, public_id("pa")), actor=LEDGER, now=NOW)

    assert JournalEntry.objects.filter(pk=kept.entry_id).exists()
    assert scene.entries() == 4
