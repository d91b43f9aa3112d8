"""What a decision needs, what it leaves behind, and the second of two (AP-3, AP-5, D6, F7, F25)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from approvals import refusals
from approvals.decisions import typed_confirmation_needed
from approvals.eligibility import eligibility
from payops.core.models import AuditEvent, Message
from payops.core.money import Money
from tests.approvals.asking import NOW, ask, fresh, news_of, vote
from tests.people import person

pytestmark = pytest.mark.django_db
AT = NOW + timedelta(hours=1)


def test_both_seats_approve_and_the_second_makes_it_final() -> None:
    """AP-1, AP-3, s0_a"""
    request = ask("12400.00")

    first = vote(request, "marco")
    assert (first.kind, fresh(request).state, news_of(request)) == ("recorded", "PENDING", [])
    second = vote(request, "chen")

    stored = fresh(request)
    assert second.kind == "approved"
    assert (stored.state, stored.decided_at) == ("APPROVED", AT)
    assert news_of(request) == [request.public_id]
    assert Message.objects.get(key=request.public_id).payload == {"approval_id": request.public_id}


def test_words_of_a_recorded_decision_say_what_is_left() -> None:
    local = AT.astimezone(ZoneInfo("Europe/Berlin"))
    decided = vote(ask("12400.00"), "marco")

    assert decided.words == (
        f"Recorded: approved by Marco Bianchi as Finance manager at {local:%Y-%m-%d %H:%M}. "
        "Still open: Compliance."
    )


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_decision_and_audit_hold_who_seat_why_evidence_and_policy(verdict: str) -> None:
    """AP-3, AP-5, AP-9, PX-17, AU-4: a refusal is recorded as completely as an approval."""
    request = ask("12400.00")

    vote(request, "marco", verdict, evidence=["mail of the bank", {"evidence_id": "x"}])

    decision = request.decisions.get()
    evidence = [{"content_shown": request.content_hash}, "mail of the bank", {"evidence_id": "x"}]
    assert (decision.person, decision.login) == (person("marco"), "marco")
    assert (decision.seat, decision.verdict) == ("finance_manager", verdict)
    assert decision.reason == "marco looked at the bank's message"
    assert decision.evidence == evidence
    assert (decision.content_hash, decision.policy_version) == (request.content_hash, 1)
    row = AuditEvent.objects.get(action=f"approval.decision.{verdict}")
    assert (row.person, row.subject_id) == (person("marco"), request.public_id)
    assert row.reason == decision.reason
    assert row.evidence["decision"] == decision.public_id
    assert row.evidence["seat"] == "finance_manager"
    assert row.evidence["evidence"] == evidence
    assert row.evidence["policy"] == "approval.payout_exception v1"
    assert row.evidence["rule"] == request.rule_fired


def test_one_rejection_by_any_seat_ends_the_request() -> None:
    """AP-5"""
    request = ask("12400.00")
    vote(request, "marco")

    rejected = vote(request, "chen", "reject")

    assert (rejected.kind, fresh(request).state) == ("rejected", "REJECTED")
    assert news_of(request) == [request.public_id]
    changes = AuditEvent.objects.filter(subject_id=request.public_id).exclude(to_state="")
    assert list(changes.order_by("created_at", "id").values_list("from_state", "to_state")) == [
        ("", "PENDING"),
        ("PENDING", "REJECTED"),
    ]


@pytest.mark.parametrize(
    ("change", "refusal", "words"),
    [
        ({"stepped_up_at": None}, refusals.StepUpNeeded, "Confirm your password"),
        (
            {"stepped_up_at": AT - timedelta(minutes=5, seconds=1)},
            refusals.StepUpNeeded,
            "301 seconds ago; it counts for 5 minutes",
        ),
        ({"stepped_up_at": AT + timedelta(seconds=1)}, refusals.StepUpNeeded, "Confirm it again"),
        ({"reason": "  "}, refusals.ReasonNeeded, "Write the reason"),
        ({"content_hash": "0" * 64}, refusals.ContentChanged, "Open the request again"),
        ({"content_hash": ""}, refusals.ContentChanged, "is not what is asked for"),
        ({"typed_confirmation": ""}, refusals.TypedConfirmationNeeded, "nothing was typed"),
        (
            {"typed_confirmation": "12400"},
            refusals.TypedConfirmationNeeded,
            r"Above 10,000.00 EUR .* type 12400.00 \(EUR\); '12400' was typed",
        ),
    ],
)
def test_a_decision_lacking_what_it_needs_is_refused_and_audited(
    change: dict[str, Any], refusal: type[refusals.ApprovalRefused], words: str
) -> None:
    """AP-3, D6, F7, AU-6"""
    request = ask("12400.00")

    with pytest.raises(refusal, match=words):
        vote(request, "marco", **change)

    assert not request.decisions.exists()
    kept = AuditEvent.objects.get(action="approval.decision_refused")
    assert (kept.subject_id, kept.evidence["rule"]) == (request.public_id, refusal.rule)
    assert vote(request, "marco", stepped_up_at=AT - timedelta(minutes=5)).kind == "recorded"


@pytest.mark.parametrize(
    ("amount", "typed"),
    [
        (Money(1_000_000, "EUR"), ""),
        (Money(1_000_001, "EUR"), "10000.01"),
        (Money(1_085_776, "USD"), ""),  # 10,857.76 USD x 0.9210 = 10,000.00 EUR
        (Money(1_085_777, "USD"), "10857.77"),
        (Money(1_700_000, "JPY"), "1700000"),
        (Money(100, "CHF"), "1.00"),  # no rate is known: it is typed
        (None, ""),
    ],
)
def test_the_amount_is_typed_above_the_books_limit(amount: Money | None, typed: str) -> None:
    """F7"""
    kind = "payout_exception" if amount else "bank_detail_change"

    assert typed_confirmation_needed(ask(amount, kind=kind)) == typed


def test_a_rejection_needs_no_typed_amount() -> None:
    assert vote(ask("12400.00"), "marco", "reject", typed_confirmation="").kind == "rejected"


def test_an_expired_request_takes_no_decision() -> None:
    request = ask("10.00")

    with pytest.raises(refusals.RequestClosed, match="expired at"):
        vote(request, "lena", now=NOW + timedelta(hours=72))

    assert eligibility(request, person("lena"), NOW + timedelta(hours=72)).rule == "request_closed"
    assert vote(request, "lena", now=NOW + timedelta(hours=71, minutes=59)).kind == "approved"


def test_the_second_approver_of_a_seat_is_told_who_was_first() -> None:
    """F25"""
    request = ask("12400.00")
    vote(request, "marco")
    local = AT.astimezone(ZoneInfo("Europe/Berlin"))

    second = vote(request, "ingrid")

    assert second.kind == "already_decided"
    assert second.words == (
        f"Already decided: approved by Marco Bianchi as Finance manager at {local:%Y-%m-%d %H:%M}. "
        "Nothing was recorded again."
    )
    assert request.decisions.count() == 1
    assert not AuditEvent.objects.filter(action="approval.decision_refused").exists()


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_decision_after_the_last_one_is_already_decided(verdict: str) -> None:
    """F25"""
    request = ask("10.00")
    vote(request, "lena", verdict)

    assert vote(request, "tomas", "approve").kind == "already_decided"
    assert vote(request, "lena", verdict).kind == "already_decided"
    with pytest.raises(refusals.NotYourDecision):
        vote(request, "sofia")
    with pytest.raises(refusals.RequesterBarred):
        vote(request, "amara")


def test_a_double_click_decides_once_and_a_change_of_mind_is_refused() -> None:
    request = ask("12400.00")
    vote(request, "marco")

    assert vote(request, "marco").kind == "already_decided"
    with pytest.raises(refusals.SecondDecision):
        vote(request, "marco", "reject")
    assert request.decisions.count() == 1


def test_every_refusal_is_an_approval_refused_with_a_rule_of_its_own() -> None:
    named = refusals.ApprovalRefused.__subclasses__() + refusals.NotYourDecision.__subclasses__()
    rules = [refusal.rule for refusal in named]

    assert len(rules) == len(set(rules))
    assert "refused" not in rules
