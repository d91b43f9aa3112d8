"""However many people press at once, a period is revalued once and a run taken back once."""

from __future__ import annotations

from typing import Any

import pytest

from ledger import revaluation
from ledger.models import JournalEntry, RevaluationRun
from payops.core import clock
from payops.flows import revaluation as flow
from payops.flows.revaluation import RevaluationRefused
from tests.ledger.euros import Story
from tests.people import actor
from tests.races import race
from tests.rates import known_rate

pytestmark = pytest.mark.django_db(transaction=True)


def test_sixteen_runs_at_once_post_one() -> None:
    story = Story()
    story.receive()
    period = story.closing("2026-03")
    known_rate("EUR", "USD", "1.0950", as_of=revaluation.end_of(period, story.book))
    who, now = actor("marco"), clock.utc_now()

    ran = race(16, lambda _: flow.run(book=story.book, period_id=period.pk, actor=who, now=now))

    assert [each.is_new for each in ran].count(True) == 1
    assert (RevaluationRun.objects.count(), story.result) == (1, 73)
    assert JournalEntry.objects.filter(event_class="fx.revalued").count() == 1


def test_sixteen_reversals_at_once_take_back_once() -> None:
    story = Story()
    story.receive()
    ran = story.revalue()
    who, now = actor("marco"), clock.utc_now()

    def take_back(_: int) -> Any:
        try:
            return flow.reverse(
                book=story.book, run_id=ran.run.pk, reason="wrong", actor=who, now=now
            )
        except RevaluationRefused as refusal:
            return str(refusal)

    said = race(16, take_back)

    assert said.count("run 1 was taken back by run 2") == 15
    assert (RevaluationRun.objects.count(), story.result) == (2, 0)
