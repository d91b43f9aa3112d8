"""My queue and all, figures and history of a request (F22, F24, AU-4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import refusals, selectors
from tests.approvals.asking import NOW, ask, euros, vote
from tests.people import person

pytestmark = pytest.mark.django_db
AT = NOW + timedelta(hours=1)


def queue(username: str) -> list[tuple[str, tuple[str, ...]]]:
    items = selectors.my_queue(person(username), AT)
    return [(item.request.subject_id, item.mine.seats) for item in items]


def test_my_queue_holds_what_i_may_decide_now() -> None:
    """F22, F24: every person of a seat sees the task."""
    ask("10.00", subject_id="small")
    middle = ask("12400.00", subject_id="middle")
    ask("50000.01", subject_id="large", by="sofia")

    assert queue("lena") == queue("tomas") == [("small", ("ops_lead",))]
    assert queue("marco") == [("middle", ("finance_manager",))]
    assert queue("sofia") == []
    assert queue("henrik") == [("large", ("treasury",))]
    for username in ("amara", "amara-2", "audrey", "ada", "root"):
        assert queue(username) == []

    vote(middle, "marco")
    assert queue("ingrid") == []
    assert queue("chen") == [("middle", ("compliance",))]


def test_all_open_says_why_a_request_is_not_mine() -> None:
    ask("12400.00", subject_id="middle")

    (item,) = selectors.all_open(person("amara"), AT)

    assert item.mine.seats == ()
    assert (item.mine.rule, item.mine.reason[:21]) == ("requester_barred", "You asked for this (a")
    assert item.at.open_seats == ("finance_manager", "compliance")


def test_expired_requests_are_in_no_queue() -> None:
    ask("10.00")

    assert selectors.all_open(person("lena"), NOW + timedelta(hours=72)) == []


def test_the_queue_costs_the_same_for_one_and_for_thirty() -> None:
    counts = []
    for wanted in (1, 30):
        while len(selectors.all_open(person("lena"), AT)) < wanted:
            ask("10.00", cumulative_key="be_1")
        reader = person("lena")
        with CaptureQueriesContext(
            connection,
        ) as seen:
            selectors.my_queue(reader, AT)
        counts.append(len(seen))

    assert counts[0] == counts[1] <= 5


def test_the_queue_uses_the_tier_of_today_not_of_the_moment_of_asking() -> None:
    ask("4000.00", subject_id="first", cumulative_key="be_1")
    ask("4000.00", subject_id="second", cumulative_key="be_1")

    assert queue("lena") == []
    assert [subject for subject, _ in queue("marco")] == ["first", "second"]


def test_cumulative_figures_of_a_request() -> None:
    ask("4000.00", cumulative_key="be_1")
    request = ask("2500.50", cumulative_key="be_1")

    figures = selectors.cumulative(request)

    assert figures.own == euros("2500.50")
    assert figures.others == euros("4000.00")
    assert figures.others_count == 1
    assert figures.total == euros("6500.50")


def test_history_of_a_request_holds_decisions_and_refused_attempts() -> None:
    """AU-4, AU-5"""
    request = ask("12400.00")
    with pytest.raises(refusals.RequesterBarred):
        vote(request, "amara")
    vote(request, "marco", now=AT + timedelta(minutes=1))
    vote(request, "chen", now=AT + timedelta(minutes=2))

    told = selectors.history_of(request)

    assert [(d.person.name, d.seat) for d in told.decisions] == [
        ("Marco Bianchi", "finance_manager"),
        ("Chen Wei", "compliance"),
    ]
    assert [act.action for act in told.acts] == [
        "approval.requested",
        "approval.decision_refused",
        "approval.decision.approve",
        "approval.decision.approve",
        "approval.approved",
    ]
