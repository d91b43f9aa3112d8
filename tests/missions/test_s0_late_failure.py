"""Story S0: a payout marked PAID comes back failed; the provider tells it twelve times."""

from __future__ import annotations

import pytest

from approvals.refusals import ApprovalRefused
from ledger.models import JournalEntry
from payops.cases.advice import latest_for
from payops.cases.models import Case, CaseEntry, LocalMessage, LocalTicket, RunbookRun
from payops.core import clock
from payops.core.models import AuditEvent
from payops.flows.payouts import exception as payout_exception
from payops.payments.models import Hold, Payout
from payops.webhooks.models import Delivery, ProviderEvent
from tests import builders
from tests.builders import approval_of, decide, drain, post_standard, reload, standard_event
from tests.people import actor
from tests.races import race
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)


def fail(payout: Payout, *, kind: str = "settlementFailed", code: str = "account_closed") -> dict:
    told = builders.payout_object(payout, "failed", failure_code=code)
    return standard_event(kind, told)


def test_s0_a_late_failure_after_paid_is_decided_and_executed_once() -> None:
    payout = paid_payout("12400.00", merchant_ref="P-10492")

    assert post_standard(fail(payout)) == 200
    drain()

    payout = reload(payout)
    assert (payout.state, payout.exception_from) == ("EXCEPTION", "PAID")
    case = Case.objects.get()
    assert (case.rule, case.subject_id, case.state) == ("payout_failure", payout.public_id, "OPEN")
    advice = latest_for(case)
    assert advice is not None and "ask the payee" in advice.likely_cause

    approval = payout_exception.propose(
        case_id=case.pk,
        resolution="request_details",
        hold_beneficiary=True,
        reason="the account is closed",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    assert (approval.tier, approval.seats) == ("middle", ["finance_manager", "compliance"])
    for nobody in ("lena", "amara", "amara-2", "root"):
        with pytest.raises(ApprovalRefused):
            decide(approval, nobody)
    assert not JournalEntry.objects.filter(event_class="payout.returned").exists()

    assert decide(approval, "marco").kind == "recorded"
    assert decide(approval, "chen").kind == "approved"
    drain()

    payout, case = reload(payout), Case.objects.get()
    assert (payout.state, case.state) == ("RETURNED", "WAITING")
    entry = JournalEntry.objects.get(event_class="payout.returned")
    assert sorted((line.account.code, line.amount_minor) for line in entry.lines.all()) == [
        ("1200", 1_240_000),
        ("2200", -1_240_000),
    ]
    assert (entry.case_id, entry.approval_id) == (case.public_id, approval.public_id)
    assert LocalTicket.objects.count() == 1
    assert LocalMessage.objects.filter(audience="payments operations, finance").count() == 1
    sources = Hold.objects.filter(released_at=None).values_list("source", flat=True)
    assert sorted(sources) == ["protective", "runbook", "runbook"]
    assert RunbookRun.objects.get().outcome == "done"


def test_s0_b_retry_storm_gives_one_case_one_execution_and_twelve_receipts() -> None:
    payout = paid_payout("3100.00")
    body = fail(payout, kind="payout.failed")

    assert race(12, lambda _: post_standard(body)) == [200] * 12
    drain()

    event = ProviderEvent.objects.get(provider_event_id=body["id"])
    assert event.state == "PROCESSED"
    assert Delivery.objects.filter(provider_event_id=body["id"]).count() == 12
    assert Case.objects.count() == 1
    told = CaseEntry.objects.filter(kind="duplicate").count()
    ignored = AuditEvent.objects.filter(action="event.duplicate_ignored").count()
    assert (told, ignored) == (11, 11)
    assert AuditEvent.objects.filter(action="payout.failed").count() == 1

    case = Case.objects.get()
    approval = payout_exception.propose(
        case_id=case.pk,
        resolution="hold",
        hold_beneficiary=False,
        reason="waiting for the bank",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    decide(approval_of(approval.public_id), "lena")
    drain()
    assert race(4, lambda _: post_standard(body)) == [200] * 4
    drain()

    assert RunbookRun.objects.count() == 1
    assert JournalEntry.objects.filter(event_class="payout.returned").count() == 1
