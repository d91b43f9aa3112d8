"""PX-12: a payout goes back to PAID only where policy allows and the provider shows it paid."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.cases.services import CaseRefused
from payops.core import clock
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import exception_steps
from payops.payments.models import Hold
from tests import books, builders
from tests.builders import approve_all, drain, post_standard, reload, standard_event
from tests.people import actor
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)


def failed_late() -> tuple[Any, Case]:
    payout = paid_payout("900.00")
    told = builders.payout_object(payout, "failed", failure_code="could_not_process")
    assert post_standard(standard_event("payout.failed", told)) == 200
    drain()
    return payout, Case.objects.get()


def propose(case: Case) -> Any:
    return payout_exception.propose(
        case_id=case.pk,
        resolution="restore",
        hold_beneficiary=False,
        reason="the bank confirms the credit",
        actor=actor("amara"),
        now=clock.utc_now(),
    )


def shows(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    answer = {"status": status, "raw_status": status, "amount": "900.00 EUR", "asked_at": "now"}
    steps = exception_steps.steps_of

    def told(plan: dict[str, Any]) -> list[Any]:
        return [
            type(step)(step.name, step.words, step.act, (lambda run: answer) if step.asks else None)
            for step in steps(plan)
        ]

    book = exception_steps.RUNBOOK
    fake = type(book)(book.name, book.version, told, book.on_refused)
    monkeypatch.setattr(exception_steps, "RUNBOOK", fake)


def test_delivered_payout_returns_to_paid_and_nothing_is_posted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payout, case = failed_late()
    entries = JournalEntry.objects.count()
    shows(monkeypatch, "paid")

    approve_all(propose(case))
    drain()

    assert reload(payout).state == "PAID"
    assert Case.objects.get().state == "RESOLVED"
    assert JournalEntry.objects.count() == entries
    assert Hold.objects.filter(released_at=None).count() == 0


def test_payout_that_the_provider_shows_failed_is_not_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payout, case = failed_late()
    shows(monkeypatch, "failed")

    approve_all(propose(case))
    drain()

    assert reload(payout).state == "EXCEPTION"
    assert Case.objects.get().state == "TRIAGED"


def test_policy_that_forbids_it_refuses_the_proposal() -> None:
    _, case = failed_late()
    books.with_settings(hold_rollback_allowed=False)

    with pytest.raises(CaseRefused, match="policy of Meridian Marketplace GmbH does not allow"):
        propose(case)

    assert Case.objects.get().state == "OPEN"
