"""Asking twice, taking back, voiding, expiring, executing (AP-10, D5, D6, F9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from approvals import refusals, services
from approvals.hashing import FactsError
from approvals.models import ApprovalRequest
from payops.core import audit
from payops.core.actors import service
from payops.core.models import AuditEvent
from tests.approvals.asking import NOW, ask, euros, fresh, meridian, news_of, vote
from tests.people import actor, person

pytestmark = pytest.mark.django_db
AT = NOW + timedelta(hours=2)
WORKER = service("runbook")


def voided(request: ApprovalRequest, reason: str = "the amount changed") -> ApprovalRequest:
    with transaction.atomic():
        return services.void(request_id=request.public_id, reason=reason, actor=WORKER, now=AT)


def undone(request: ApprovalRequest, username: str, reason: str = "wrong seller") -> Any:
    return services.undo(request_id=request.public_id, reason=reason, actor=actor(username), now=AT)


def executed(request: ApprovalRequest, content_hash: str = "") -> ApprovalRequest:
    with transaction.atomic():
        return services.begin_execution(
            request_id=request.public_id,
            content_hash=content_hash or request.content_hash,
            now=AT,
            actor=WORKER,
        )


def test_a_request_is_written_with_one_audit_row_and_its_history() -> None:
    """I10, AU-4"""
    request = ask("12400.00")

    row = AuditEvent.objects.get(subject_id=request.public_id)
    assert (row.action, row.from_state, row.to_state) == ("approval.requested", "", "PENDING")
    assert row.person == person("amara")
    assert row.evidence["content_hash"] == request.content_hash
    assert row.evidence["policy"] == "approval.payout_exception v1"
    assert request.expires_at == NOW + timedelta(hours=72)
    assert request.history.count() == 1


def test_asking_again_for_the_same_is_the_same_request() -> None:
    first = ask("10.00", subject_id="po_1")

    again = ask("10.00", subject_id="po_1", now=AT)

    assert again.pk == first.pk
    assert ApprovalRequest.objects.filter(subject_id="po_1").count() == 1
    assert AuditEvent.objects.filter(subject_id=first.public_id).count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": "10.01"}, "another content"),
        ({"facts": {"bank_hash": "h2"}}, "another content"),
        ({"by": "lena"}, r"another requester \(Amara Okafor\)"),
        ({"risk": "raised"}, "another risk tier"),
        ({"cumulative_key": "be_2"}, "another cumulative key"),
    ],
)
def test_asking_for_something_else_needs_the_open_one_ended_first(
    change: dict[str, Any], words: str
) -> None:
    """D6: any change voids it."""
    first = ask("10.00", subject_id="po_1")

    with pytest.raises(refusals.PendingDiffers, match=words):
        ask(**{"amount": "10.00", "subject_id": "po_1", **change})

    voided(first)
    assert ask(**{"amount": "10.00", "subject_id": "po_1", **change}).pk != first.pk


def test_asking_again_with_more_persons_barred_is_not_the_same() -> None:
    ask("10.00", subject_id="po_1")

    with pytest.raises(refusals.PendingDiffers, match="other barred persons"):
        ask("10.00", subject_id="po_1", barred=[person("lena")])


def test_asking_after_the_time_is_over_expires_the_old_one() -> None:
    first = ask("10.00", subject_id="po_1")

    second = ask("10.00", subject_id="po_1", now=NOW + timedelta(hours=72))

    assert second.pk != first.pk
    assert fresh(first).state == "EXPIRED"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"facts": {"rate": 1.5}}, FactsError),
        ({"facts": {1: "x"}}, FactsError),
        ({"kind": "unheard_of"}, refusals.PolicyMissing),
        ({"amount": euros("-0.01")}, AssertionError),
        ({"risk": "low"}, AssertionError),
    ],
)
def test_a_request_that_cannot_be_judged_is_not_written(
    change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(**change)

    assert not ApprovalRequest.objects.exists()


def test_only_the_requester_withdraws_and_only_while_pending() -> None:
    request = ask("12400.00")
    words: dict[str, Any] = {"reason": "typed twice", "now": AT}

    with pytest.raises(refusals.NotYourRequest, match="Amara Okafor asked for this"):
        services.withdraw(request_id=request.public_id, actor=actor("marco"), **words)
    withdrawn = services.withdraw(request_id=request.public_id, actor=actor("amara-2"), **words)

    assert withdrawn.state == "WITHDRAWN"
    assert news_of(request) == [request.public_id]
    refused = AuditEvent.objects.get(action="approval.withdraw_refused")
    assert refused.person == person("marco")
    with pytest.raises(refusals.RequestClosed):
        vote(request, "marco")


@pytest.mark.parametrize("username", ["amara", "marco", "chen"])
def test_requester_and_deciders_undo_before_execution(username: str) -> None:
    """F9"""
    request = ask("12400.00")
    vote(request, "marco")
    vote(request, "chen")

    undone(request, username)

    stored = fresh(request)
    assert (stored.state, stored.void_reason) == ("VOID", "taken back: wrong seller")
    assert news_of(request) == [request.public_id, f"{request.public_id}:VOID"]
    row = AuditEvent.objects.get(action="approval.undone")
    assert (row.from_state, row.to_state) == ("APPROVED", "VOID")
    assert (row.person, row.reason) == (person(username), "taken back: wrong seller")
    assert request.decisions.count() == 2
    with pytest.raises(refusals.NotApproved, match="is VOID, not APPROVED"):
        executed(request)


def test_a_decision_is_undone_while_the_request_is_pending() -> None:
    """F9"""
    request = ask("12400.00")
    vote(request, "marco")

    assert undone(request, "marco").state == "VOID"
    assert news_of(request) == [request.public_id]


def test_nobody_else_undoes_and_nobody_undoes_what_is_executed() -> None:
    """F9"""
    request = ask("10.00")
    vote(request, "lena")

    with pytest.raises(refusals.NotYourRequest):
        undone(request, "tomas")
    with pytest.raises(refusals.ReasonNeeded):
        undone(request, "lena", reason=" ")
    executed(request)
    with pytest.raises(refusals.AlreadyExecuted, match="corrected by a new request"):
        undone(request, "lena")
    with pytest.raises(refusals.AlreadyExecuted):
        voided(request)

    assert fresh(request).state == "APPROVED"
    refused = AuditEvent.objects.filter(action="approval.undo_refused").order_by("id")
    assert [row.evidence["rule"] for row in refused] == [
        "not_yours",
        "reason_needed",
        "already_executed",
    ]


def test_execution_needs_the_granted_approval_of_exactly_this_content_once() -> None:
    """AP-10, D6, I9"""
    request = ask("12400.00")
    vote(request, "marco")
    with pytest.raises(refusals.NotApproved, match="PENDING, not APPROVED"):
        executed(request)
    vote(request, "chen")
    other = services.content_hash_of(
        request.kind, request.subject_id, request.facts, euros("12400.01")
    )

    with pytest.raises(refusals.ContentChanged, match="Void the approval and ask again"):
        executed(request, other)
    assert fresh(request).executed_at is None
    assert executed(request).executed_at == AT
    with pytest.raises(refusals.AlreadyExecuted):
        executed(request)

    assert AuditEvent.objects.filter(action="approval.execution_begun").count() == 1


def test_a_change_voids_everything_open_about_the_subject() -> None:
    """D6"""
    pending = ask("12400.00", subject_id="po_1")
    granted = ask("10.00", kind="payout_release", subject_id="po_1")
    vote(granted, "lena")
    done = ask("10.00", subject_id="po_2")
    rejected = ask(None, kind="dead_letter_discard", subject_id="po_1")
    vote(rejected, "marco", "reject")

    with transaction.atomic():
        ended = services.void_open(
            book=meridian(),
            subject_id="po_1",
            reason="bank details changed",
            actor=WORKER,
            now=AT,
        )

    assert {r.pk for r in ended} == {pending.pk, granted.pk}
    states = [fresh(r).state for r in (pending, granted, done, rejected)]
    assert states == ["VOID", "VOID", "PENDING", "REJECTED"]
    with pytest.raises(refusals.RequestClosed, match="bank details changed"):
        vote(pending, "marco")
    assert voided(pending).state == "VOID"
    with pytest.raises(refusals.RequestClosed):
        voided(rejected)


def test_requests_expire_when_their_time_is_over() -> None:
    old = ask("10.00")
    young = ask("10.00", now=NOW + timedelta(seconds=1))
    at = NOW + timedelta(hours=72)

    assert services.expire_due(at) == 1
    assert services.expire_due(at) == 0

    assert [fresh(r).state for r in (old, young)] == ["EXPIRED", "PENDING"]
    assert news_of(old) == [old.public_id]
    row = AuditEvent.objects.get(action="approval.expired")
    assert (row.service, row.from_state, row.to_state) == ("approvals", "PENDING", "EXPIRED")


def test_audit_rows_of_approvals_keep_their_content_hash() -> None:
    request = ask("12400.00")
    vote(request, "marco")
    with pytest.raises(refusals.RequesterBarred):
        vote(request, "amara")

    rows = list(AuditEvent.objects.filter(subject_id=request.public_id))
    assert len(rows) == 3
    for row in rows:
        assert audit.content_hash(audit.canonical(row)) == row.content_hash
