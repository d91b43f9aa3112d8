"""ServiceNow and Jira: one ticket per correlation id, and what each answer means (PX-10, F32)."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from payops.connectors.base import (
    AddressMalformed,
    SearchUnanswered,
    Ticket,
    TicketAbsent,
    TicketFound,
    TicketUpdate,
    ensure_ticket,
)
from payops.connectors.jira.connector import JiraConnector, adf
from payops.connectors.registry import ticket_connector
from payops.connectors.servicenow.connector import ServiceNowConnector
from payops.core.http import HttpClient
from tests.connectors.http_server import Answer, serving
from tests.connectors.systems import Jira, ServiceNow

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = "tl_0190d3a1b2c37d4e8f90a1b2c3d4e5f6"
TICKET = Ticket(
    correlation_id=KEY,
    title="Payout P-10492 failed\nafter it was paid",
    body="First.\nSecond <b>& [x](y)\n\nThird.",
    priority="urgent",
    deep_link="https://payops.example.com/cases/cs_1/",
)
SYSTEMS = {"servicenow": ServiceNow, "jira": Jira}


@pytest.fixture(params=sorted(SYSTEMS))
def system(request: Any) -> Any:
    with serving(SYSTEMS[request.param]()) as running:
        running.name = request.param
        yield running


def connector(system: Any, address: str = "") -> Any:
    return ticket_connector(name=system.name, address=address or system.url, http=system.http)


def created(system: Any) -> int:
    return len(system.rows if system.name == "servicenow" else system.issues)


def find(system: Any) -> Any:
    return connector(system).find(correlation_id=KEY, deadline_s=2.0)


def create(system: Any, ticket: Ticket = TICKET, deadline_s: float = 2.0) -> Any:
    return connector(system).create(ticket=ticket, deadline_s=deadline_s)


def test_a_ticket_is_absent_then_created_then_found_under_the_same_number(system: Any) -> None:
    absent, made, found = find(system), create(system), find(system)

    number = {"servicenow": "INC0000001", "jira": "OPS-1"}[system.name]
    assert absent == TicketAbsent(correlation_id=KEY)
    assert (made.kind, made.external_ref) == ("sent", number)
    assert isinstance(found, TicketFound)
    assert (found.external_ref, found.external_url) == (number, made.external_url)
    assert made.external_url.startswith(f"http://{system.netloc}/")


def test_a_lost_answer_makes_one_ticket_and_the_second_try_finds_it(system: Any) -> None:
    """Exactly once, honestly: the work was done, the connection broke before we heard of it."""
    system.script = [Answer(200, {"result": [], "issues": []}), Answer(hang="cut")]
    tries = [
        ensure_ticket(connector=connector(system), ticket=TICKET, now=NOW, deadline_s=2.0)
        for _ in range(2)
    ]

    assert [(each.kind, each.already) for each in tries] == [("unknown", False), ("sent", True)]
    assert created(system) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (Answer(400, {"errors": {"summary": "long"}, "errorMessages": []}), "refused", "status_4"),
        (Answer(401, b"<html>"), "failed", "login_401"),
        (Answer(403, {"error": {"message": "Operation Failed"}}), "refused", "status_403"),
        (Answer(404, {"errorMessages": ["gone"]}), "refused", "status_404"),
        (Answer(409, {}), "unknown", "status_409"),
        (Answer(429, b"", {"Retry-After": "17"}), "failed", "rate_limited"),
        (Answer(500, b"oops"), "unknown", "status_500"),
        (Answer(503, b""), "unknown", "status_503"),
        (Answer(302, b"", {"Location": "https://login.example/"}), "refused", "redirect_302"),
        (Answer(201, b"<html>not json"), "unknown", "answer_unreadable"),
        (Answer(201, {"result": {"sys_id": "x"}, "key": "../evil"}), "unknown", "answer_unr"),
        (Answer(201, [NOW.year]), "unknown", "answer_unreadable"),
        (Answer(200, {"key": "OPS-1"}), "unknown", "answer_unreadable"),
        (Answer(201, b"[" * 100_000), "unknown", "answer_unreadable"),
    ],
)
def test_answers_to_a_creation_and_what_they_mean(
    system: Any, answer: Answer, kind: str, reason: str
) -> None:
    system.script = [answer]

    outcome = create(system)

    assert outcome.kind == kind
    assert outcome.reason.startswith(reason)
    assert outcome.retry_after_s == (17 if answer.status == 429 else None)
    assert created(system) == 0


@pytest.mark.parametrize(("hang", "made"), [("before", 0), ("after", 1)])
def test_silence_before_or_after_the_work_is_unknown_within_the_deadline(
    system: Any, hang: str, made: int
) -> None:
    system.script = [Answer(hang=hang)]
    began = time.monotonic()

    outcome = create(system, deadline_s=0.5)

    assert (outcome.kind, outcome.reason) == ("unknown", "deadline")
    assert time.monotonic() - began < 2.0
    assert created(system) == made


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401, b""),
        Answer(403, {}),
        Answer(429, b"", {"Retry-After": "9"}),
        Answer(500, b""),
        Answer(200, b"<html>"),
        Answer(200, {"result": "x", "issues": 7}),
        Answer(200, {"result": [{"correlation_id": "other"}], "issues": [{"key": "OPS-9"}]}),
        Answer(hang="before"),
    ],
)
def test_a_search_that_did_not_answer_creates_nothing(system: Any, answer: Answer) -> None:
    system.script = [answer]
    desk = connector(system)

    outcome = ensure_ticket(connector=desk, ticket=TICKET, now=NOW, deadline_s=0.5)

    assert outcome.kind == "failed"
    assert outcome.reason.startswith("search_")
    assert outcome.retry_after_s == (9 if answer.status == 429 else None)
    assert created(system) == 0


def test_an_address_that_nobody_serves_is_failed_and_a_private_one_is_refused(system: Any) -> None:
    """F32: what is not allowed by name must be public."""
    gone = SYSTEMS[system.name]()
    with serving(gone):
        address = gone.url
    closed = ticket_connector(
        name=system.name, address=address, http=HttpClient(allow=[gone.netloc])
    ).create(ticket=TICKET, deadline_s=2.0)
    private = ticket_connector(
        name=system.name,
        address=system.url.replace("http://", "https://"),
        http=HttpClient(),
    ).create(ticket=TICKET, deadline_s=2.0)

    assert (closed.kind, private.kind) == ("failed", "refused")
    assert private.reason == "address_not_allowed"
    assert system.asked == []


def test_wrong_credentials_are_failed_so_that_mending_them_is_enough(system: Any) -> None:
    outcome = connector(system, system.url.replace("p%40ss", "other").replace("tok%3A", "x")).find(
        correlation_id=KEY, deadline_s=2.0
    )

    assert isinstance(outcome, SearchUnanswered)
    assert outcome.reason == "login_401"


def test_an_update_comments_and_closes(system: Any) -> None:
    ref = create(system).external_ref
    update = TicketUpdate(
        correlation_id=KEY, external_ref=ref, comment="Paid again.\nhttps://x/", status="resolved"
    )

    outcome = connector(system).update(update=update, deadline_s=3.0)

    assert (outcome.kind, outcome.external_ref) == ("sent", ref)
    if system.name == "servicenow":
        assert (system.rows[0]["state"], system.rows[0]["work_notes"]) == ("6", update.comment)
    else:
        issue = system.issues[0]
        assert (issue["status"], issue["comments"]) == ("Done", [adf(update.comment, link="")])


def test_an_update_of_a_ticket_they_deleted_is_refused(system: Any) -> None:
    update = TicketUpdate(correlation_id=KEY, external_ref="OPS-7", comment="x", status=None)

    outcome = connector(system).update(update=update, deadline_s=3.0)

    assert outcome.kind == "refused"


def test_texts_are_cut_and_cleaned_to_what_each_field_takes(system: Any) -> None:
    hostile = "x" * 50_000 + "\u202e\x00\ud800"

    assert create(system, replace(TICKET, title=hostile, body=hostile)).kind == "sent"


@pytest.mark.parametrize("key", ['x" OR "1"="1', "a^b", "a b", "", "tl_é"])
def test_a_correlation_id_that_could_change_the_query_is_never_sent(system: Any, key: str) -> None:
    with pytest.raises(ValueError, match="correlation id"):
        connector(system).find(correlation_id=key, deadline_s=1.0)

    assert system.asked == []


def test_no_secret_in_what_is_kept_or_shown(system: Any) -> None:
    desk, outcome = connector(system), create(system)

    shown = f"{vars(desk)} {desk!r} {outcome}"
    for secret in ("p@ss/w0rd", "p%40ss", "tok:en", "tok%3Aen"):
        assert secret not in shown


def test_a_query_servicenow_did_not_understand_finds_nothing() -> None:
    """It answers such a query with every row there is."""
    with serving(ServiceNow(understands_queries=False)) as system:
        system.name = "servicenow"
        system.rows.append(
            {"sys_id": "a" * 32, "number": "INC1", "state": "1", "correlation_id": "other"}
        )

        found = find(system)

    assert isinstance(found, SearchUnanswered)
    assert found.reason == "query_not_understood"


def test_servicenow_with_a_token_is_a_bearer() -> None:
    with serving(ServiceNow()) as system:
        address = f"http://:abc@{system.netloc}/"
        desk = ServiceNowConnector(address, system.http)
        desk.find(correlation_id=KEY, deadline_s=2.0)

        assert system.asked[0].headers["authorization"] == "Bearer abc"


def test_markup_in_a_ticket_stays_text_and_the_link_is_the_only_link() -> None:
    doc = adf("a <b> [x](javascript:alert)\nh1. big\n\n\n\nend", link="https://payops/")

    assert doc["content"] == [
        {
            "type": "paragraph",
            "content": [
                {"type": "text", "text": "a <b> [x](javascript:alert)"},
                {"type": "hardBreak"},
                {"type": "text", "text": "h1. big"},
            ],
        },
        {"type": "paragraph", "content": [{"type": "text", "text": "end"}]},
        {
            "type": "paragraph",
            "content": [
                {
                    "type": "text",
                    "text": "Open in PayOps",
                    "marks": [{"type": "link", "attrs": {"href": "https://payops/"}}],
                }
            ],
        },
    ]


@pytest.mark.parametrize(
    ("make", "address"),
    [
        (ServiceNowConnector, "https://dev1.service-now.com/"),
        (ServiceNowConnector, "https://u:p@dev1.service-now.com/?table=../x"),
        (ServiceNowConnector, "https://u:p@dev1.service-now.com/?colour=red"),
        (ServiceNowConnector, "ftp://u:p@dev1.service-now.com/"),
        (JiraConnector, "https://a%40b.c:tok@x.atlassian.net/"),
        (JiraConnector, "https://x.atlassian.net/?project=OPS"),
        (JiraConnector, "https://a%40b.c:tok@x.atlassian.net/?project=OPS&project=FIN"),
        (JiraConnector, "https://a%40b.c:tok@x.atlassian.net:port/?project=OPS"),
        (JiraConnector, ""),
    ],
)
def test_addresses_that_cannot_be_used_say_why_without_the_secret(make: Any, address: str) -> None:
    with pytest.raises(AddressMalformed) as refusal:
        make(address, HttpClient())

    assert "tok" not in str(refusal.value).replace("api_token", "").replace(":token", "")
