"""Who may decide and who may not, with the words they are given (AP-4, D5, SE-4, F22, F24)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from approvals import refusals, services
from approvals.eligibility import eligibility
from approvals.models import ApprovalDecision
from payops.core import ids
from payops.core.actors import Actor
from payops.core.models import AuditEvent, User
from tests.approvals.asking import NOW, ask, euros, fresh, grant, meridian, vote
from tests.people import actor, login, person

pytestmark = pytest.mark.django_db
AT = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("username", "refusal", "words"),
    [
        ("amara", refusals.RequesterBarred, "You asked for this"),
        ("amara-2", refusals.RequesterBarred, "through whichever login"),
        ("root", refusals.NotYourDecision, "You hold no role that counts here"),
        ("lena", refusals.NotYourDecision, "You hold Payments operations lead"),
        ("sofia", refusals.NotYourDecision, "This needs Finance manager and Compliance"),
        ("audrey", refusals.PersonBarred, "Auditor, which decides nothing"),
        ("ada", refusals.PersonBarred, "Access administrator, which decides nothing"),
        ("eli", refusals.NotYourDecision, "You hold Integration engineer"),
    ],
)
def test_only_the_seats_of_the_tier_decide(
    username: str, refusal: type[refusals.ApprovalRefused], words: str
) -> None:
    """AP-1, AP-4, s0_a: 12,400.00 is for the finance manager and compliance."""
    request = ask("12400.00")

    with pytest.raises(refusal, match=words) as refused:
        vote(request, username)

    assert type(refused.value) is refusal
    assert fresh(request).state == "PENDING"
    assert not request.decisions.exists()
    shown = eligibility(request, person(username), AT)
    assert (shown.seats, shown.rule, shown.reason) == ((), refusal.rule, refused.value.words)
    kept = AuditEvent.objects.get(subject_id=request.public_id, action="approval.decision_refused")
    assert kept.person == person(username)
    assert kept.login == username
    assert kept.reason == refused.value.words
    assert kept.evidence["rule"] == refusal.rule
    assert kept.evidence["verdict"] == "approve"


def test_refusal_names_the_rule_with_its_numbers() -> None:
    request = ask("12400.00")

    with pytest.raises(refusals.NotYourDecision) as refused:
        vote(request, "lena")

    assert refused.value.words == (
        "This needs Finance manager and Compliance (payout_exception v1: middle, 12,400.00 EUR is "
        "5,000.00 EUR to 50,000.00 EUR inclusive). You hold Payments operations lead."
    )
    assert refused.value.numbers["total_minor"] == 1_240_000


def test_requester_is_barred_even_with_every_seat() -> None:
    """D5: holding the role does not help."""
    request = ask("12400.00", by="marco")

    with pytest.raises(refusals.RequesterBarred):
        vote(request, "marco")

    assert vote(request, "ingrid").kind == "recorded"


def test_whoever_changed_the_bank_details_is_barred() -> None:
    """D5: barred persons come with the request and are part of it."""
    request = ask("12400.00", barred=[person("marco")])

    with pytest.raises(refusals.PersonBarred, match="you changed the bank details"):
        vote(request, "marco")

    assert request.barred == [str(person("marco").pk)]
    assert eligibility(request, person("ingrid"), AT).seats == ("finance_manager",)


def test_whoever_types_a_request_for_somebody_else_is_barred_too() -> None:
    """D5: the requester is the person on whose behalf it is asked; the typist is no approver."""
    with transaction.atomic():
        request = services.request_approval(
            book=meridian(),
            kind="payout_release",
            subject_id=ids.render("po", ids.uuid7()),
            title="P-1",
            facts={},
            reason="on the phone",
            actor=actor("lena"),
            now=NOW,
            requested_by=person("amara"),
            amount=euros("10.00"),
        )

    with pytest.raises(refusals.PersonBarred):
        vote(request, "lena")
    assert vote(request, "tomas").kind == "approved"


def test_an_api_request_bars_the_person_on_whose_behalf_it_asks() -> None:
    """D5"""
    with transaction.atomic():
        request = services.request_approval(
            book=meridian(),
            kind="payout_release",
            subject_id=ids.render("po", ids.uuid7()),
            title="P-2",
            facts={},
            reason="shop back end",
            actor=Actor(channel="api", service="shop-backend"),
            now=NOW,
            requested_by=person("lena"),
            amount=euros("10.00"),
        )

    with pytest.raises(refusals.RequesterBarred):
        vote(request, "lena")


def test_a_role_granted_less_than_24_hours_ago_does_not_count() -> None:
    request = ask("10.00")
    grant("priya", "ops_lead", asked_by="ada", at=AT - timedelta(hours=23, minutes=59))

    with pytest.raises(refusals.NotYourDecision, match="held for 23 of the 24 hours it takes"):
        vote(request, "priya", now=AT)

    assert vote(request, "priya", now=AT + timedelta(minutes=1)).kind == "approved"


def test_a_role_granted_by_the_requester_does_not_count() -> None:
    request = ask("10.00", by="amara")
    grant("priya", "ops_lead", asked_by="amara", at=NOW - timedelta(days=30))

    with pytest.raises(refusals.NotYourDecision, match="granted by the requester"):
        vote(request, "priya")


def test_a_role_granted_to_oneself_does_not_count() -> None:
    request = ask("10.00")
    grant("priya", "ops_lead", asked_by="priya", at=NOW - timedelta(days=30))

    with pytest.raises(refusals.NotYourDecision, match="granted by yourself"):
        vote(request, "priya")


def test_a_revoked_role_and_a_left_person_decide_nothing() -> None:
    request = ask("12400.00")
    held = person("marco").role_grants.get()
    held.revoked_at = AT - timedelta(minutes=1)
    held.save()
    leaver = person("ingrid")
    leaver.left_at = AT - timedelta(days=1)
    leaver.save()

    with pytest.raises(refusals.NotYourDecision, match="You hold no role that counts"):
        vote(request, "marco")
    with pytest.raises(refusals.PersonBarred, match="Ingrid Solberg left"):
        vote(request, "ingrid")


def test_an_access_administrator_decides_nothing_whatever_else_is_held() -> None:
    """F24: exclusion beats group membership."""
    request = ask("12400.00")
    grant("chen", "access_admin", asked_by="ada", at=NOW)

    with pytest.raises(refusals.PersonBarred, match="Access administrator"):
        vote(request, "chen")


def test_inactive_login_and_login_without_person_decide_nothing() -> None:
    request = ask("10.00")
    lena = login("lena")
    lena.is_active = False
    lena.save()
    User.objects.create(username="nobody", password="!")

    for username in ("lena", "nobody"):
        with pytest.raises(refusals.NotYourDecision, match="persons decide"):
            vote(request, username)

    acts = AuditEvent.objects.filter(
        subject_id=request.public_id, action="approval.decision_refused"
    )
    assert set(acts.values_list("login", "service")) == {
        ("lena", ""),
        ("nobody", "login without a person"),
    }


def test_one_person_fills_one_seat_of_several_and_chooses_it() -> None:
    """AP-4, F22"""
    request = ask("12400.00")
    grant("chen", "finance_manager", asked_by="ada", at=NOW - timedelta(days=2))
    assert eligibility(request, person("chen"), AT).seats == ("finance_manager", "compliance")

    with pytest.raises(refusals.SeatChoiceNeeded, match="Finance manager or Compliance"):
        vote(request, "chen")
    with pytest.raises(refusals.NotYourDecision, match="'treasury' is not open to you"):
        vote(request, "chen", seat="treasury")
    assert vote(request, "chen", seat="compliance").kind == "recorded"
    with pytest.raises(refusals.SecondDecision, match="one person decides once"):
        vote(request, "chen", seat="finance_manager")

    assert ApprovalDecision.objects.filter(request=request).count() == 1
    assert vote(request, "marco").kind == "approved"
