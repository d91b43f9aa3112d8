"""Decisions at the same moment, on real connections (F25, AP-4, WH-24)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from approvals import refusals, services
from approvals.models import ApprovalDecision, ApprovalRequest
from approvals.services import Decided
from payops.core.models import AuditEvent
from tests.approvals.asking import NOW, ask, fresh, news_of, vote
from tests.people import actor
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
AT = NOW + timedelta(hours=1)


def kinds(results: list[object]) -> Counter[str]:
    return Counter(
        each.kind if isinstance(each, Decided) else type(each).__name__ for each in results
    )


def test_sixteen_decisions_on_one_seat_record_one() -> None:
    """F25: 1 recorded, 15 already_decided."""
    request = ask("12400.00")

    results = race(16, lambda i: vote(request, ("marco", "ingrid")[i % 2]))

    assert kinds(results) == {"recorded": 1, "already_decided": 15}
    assert ApprovalDecision.objects.filter(request=request).count() == 1
    assert AuditEvent.objects.filter(action="approval.decision.approve").count() == 1


def test_sixteen_final_decisions_approve_once_and_send_one_message() -> None:
    request = ask("10.00", cumulative_key="be_1")

    results = race(16, lambda i: vote(request, ("lena", "tomas")[i % 2]))

    assert kinds(results) == {"approved": 1, "already_decided": 15}
    assert news_of(request) == [request.public_id]


def test_two_seats_at_once_give_exactly_one_final_decision() -> None:
    """AP-1"""
    for _ in range(8):
        request = ask("12400.00")

        results = race(2, lambda i, r=request: vote(r, ("marco", "chen")[i]))  # type: ignore[misc]

        assert kinds(results) == {"recorded": 1, "approved": 1}
        assert fresh(request).state == "APPROVED"
        assert news_of(request) == [request.public_id]


def test_approval_against_rejection_ends_in_one_state() -> None:
    for _ in range(8):
        request = ask("10.00")

        results = race(
            2,
            lambda i, r=request: vote(r, ("lena", "tomas")[i], ("approve", "reject")[i]),  # type: ignore[misc]
        )

        final = (kinds(results) - Counter({"already_decided": 1})).popitem()[0]
        assert kinds(results)["already_decided"] == 1
        assert fresh(request).state == final.upper()
        assert request.decisions.count() == 1


def test_requests_of_one_beneficiary_at_once_see_each_other() -> None:
    """D2: sixteen at the same moment; the first is alone, the second sees one, and so on."""
    results = race(16, lambda i: ask("4000.00", cumulative_key="be_1"))

    assert [r for r in results if isinstance(r, Exception)] == []
    tiers = Counter(request.tier for request in results)
    assert tiers == {"lower": 1, "middle": 11, "top": 4}


def test_the_same_question_asked_sixteen_times_at_once_is_one_request() -> None:
    results = race(16, lambda i: ask("10.00", subject_id="po_1"))

    assert len({request.pk for request in results}) == 1
    assert ApprovalRequest.objects.count() == 1


def test_the_days_lock_is_taken_before_the_row_lock() -> None:
    """SC-4: one order everywhere, read from the SQL."""
    request = ask("10.00", cumulative_key="be_1")

    with CaptureQueriesContext(connection) as seen:
        vote(request, "lena")

    kinds_of_lock = [
        "day" if "pg_advisory_xact_lock" in query["sql"] else "row"
        for query in seen
        if "pg_advisory_xact_lock" in query["sql"] or "FOR NO KEY UPDATE" in query["sql"]
    ]
    assert kinds_of_lock == ["day", "row"]


def test_undo_against_execution_has_one_winner() -> None:
    """F9: taken back or executed, never both."""
    for _ in range(8):
        request = ask("10.00")
        vote(request, "lena")

        results = race(2, lambda i, r=request: (undo, execute)[i](r))  # type: ignore[misc]

        stored = fresh(request)
        refused = [each for each in results if isinstance(each, Exception)]
        assert len(refused) == 1
        if stored.state == "VOID":
            assert isinstance(refused[0], refusals.NotApproved)
            assert stored.executed_at is None
        else:
            assert isinstance(refused[0], refusals.AlreadyExecuted)
            assert (stored.state, stored.executed_at) == ("APPROVED", AT)


def undo(request: ApprovalRequest) -> ApprovalRequest:
    return services.undo(
        request_id=request.public_id, reason="wrong seller", actor=actor("lena"), now=AT
    )


def execute(request: ApprovalRequest) -> ApprovalRequest:
    with transaction.atomic():
        return services.begin_execution(
            request_id=request.public_id,
            content_hash=request.content_hash,
            now=AT,
            actor=actor("lena"),
        )
