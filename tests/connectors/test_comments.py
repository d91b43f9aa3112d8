"""Words on a ticket that others opened: said once, refused for good, or honestly unknown (RF-8)."""

from __future__ import annotations

from typing import Any

import pytest

from payops.connectors.base import Comment
from payops.connectors.jira.connector import JiraConnector
from payops.connectors.servicenow.connector import ServiceNowConnector
from tests.connectors.http_server import Answer, serving
from tests.connectors.systems import Jira
from tests.flows.test_refund_tickets import Desk

DEADLINE_S = 2.0


def said(system: Any, ref: str, text: str = "Refund rf_1 of 30.00 EUR: done.") -> Any:
    make = JiraConnector if isinstance(system, Jira) else ServiceNowConnector
    comment = Comment(external_ref=ref, text=text)
    return make(system.url, system.http).comment(comment=comment, deadline_s=DEADLINE_S)


def board() -> Jira:
    return Jira(issues=[{"key": "REF-12", "comments": [], "labels": [], "status": "To Do"}])


def service_desk() -> Desk:
    system = Desk()
    system.holds("INC0000007")
    return system


BOTH = pytest.mark.parametrize(
    ("make", "ref"), [(board, "REF-12"), (service_desk, "INC0000007")], ids=["jira", "servicenow"]
)


@BOTH
def test_a_comment_is_said_with_its_words(make: Any, ref: str) -> None:
    with serving(make()) as system:
        outcome = said(system, ref)

    assert (outcome.kind, outcome.external_ref) == ("sent", ref)
    told = str(system.issues if isinstance(system, Jira) else system.rows)
    assert "Refund rf_1 of 30.00 EUR: done." in told


@BOTH
def test_a_ticket_that_is_not_there_is_refused_for_good(make: Any, ref: str) -> None:
    with serving(make()) as system:
        outcome = said(system, ref + "9")

    assert outcome.kind == "refused"


@BOTH
@pytest.mark.parametrize(
    "form", ["", "ops-1", "REF-12/transitions", "INC1^ORnumber=INC2", "x" * 99]
)
def test_a_reference_of_another_form_never_leaves(make: Any, ref: str, form: str) -> None:
    """No operator of a query and no path of an address comes in with a ticket's number."""
    with serving(make()) as system:
        with pytest.raises(ValueError, match="looks like"):
            said(system, form)

        assert system.asked == []


@BOTH
def test_a_comment_whose_answer_is_lost_is_unknown(make: Any, ref: str) -> None:
    with serving(make()) as system:
        cut = Answer(hang="cut")
        system.script = [cut] if isinstance(system, Jira) else [None, cut]
        outcome = said(system, ref)

    assert outcome.kind == "unknown"


def test_a_search_that_fails_says_nothing_and_may_be_repeated() -> None:
    with serving(service_desk()) as system:
        system.script = [Answer(503)]
        outcome = said(system, "INC0000007")

    assert (outcome.kind, outcome.reason[:7]) == ("failed", "search_")
    assert "work_notes" not in system.rows[0]


def test_an_instance_that_does_not_understand_the_query_changes_no_other_ticket() -> None:
    with serving(service_desk()) as system:
        system.script = [
            Answer(
                200,
                {
                    "result": [
                        {"sys_id": "0" * 32, "number": "INC0000001", "state": "1"},
                    ]
                },
            )
        ]
        outcome = said(system, "INC0000007")

    assert (outcome.kind, outcome.reason) == ("refused", "query_not_understood")
    assert len(system.asked) == 1
