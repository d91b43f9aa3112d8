"""Settings → Connections and Settings → Advice (RB-5, PX-10, AI-9, F32)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from payops.cases import advice
from payops.cases.advice import Told
from payops.cases.models import Case, Dispatch
from payops.console.reads import advice as reads
from payops.core import clock
from payops.core.models import Book
from payops.flows import notices
from tests.builders import drain
from tests.connectors.http_server import Answer, serving
from tests.connectors.systems import Jira, Slack
from tests.console.work import browser, text_of
from tests.flows.lifecycle import Teller, decide_case, open_case
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)


def tell(book: Book) -> None:
    with transaction.atomic(durable=True):
        notices.send(
            book=book,
            case=None,
            key="n1",
            audience="finance",
            subject="Something <b>happened</b>",
            body="x",
            now=clock.utc_now(),
        )


def test_the_page_shows_hosts_and_outcomes_and_never_a_secret(settings: Any) -> None:
    settings.JIRA_URL = "https://a%40b.example:tok-secret@x.atlassian.net/"
    with serving(Slack(script=[Answer(hang="cut")])) as system:
        settings.HTTP_ALLOW = frozenset({system.netloc})
        settings.SLACK_URL = system.url
        tell(Book.objects.get(is_system=False))
        drain()

        page = text_of(browser("lena").get("/settings/connections/"))

    assert "very-secret" not in page and "tok-secret" not in page
    assert "127.0.0.1" in page
    assert "The address of Jira needs ?project=KEY" in page
    assert "Unknown sends wait" in page and "waits for policy" in page
    assert "Something &lt;b&gt;happened&lt;/b&gt;" in page
    assert "Set PAYOPS_TEAMS_URL" in page
    assert "Send test message" not in page


def test_an_engineer_sends_a_test_message_and_nobody_else_may(settings: Any) -> None:
    with serving(Slack()) as system, serving(Jira()) as board:
        settings.HTTP_ALLOW = frozenset({system.netloc, board.netloc})
        settings.SLACK_URL, settings.JIRA_URL = system.url, board.url
        for who, status in (("lena", 403), ("ada", 403), ("audrey", 403), ("eli", 302)):
            answer = browser(who).post("/settings/connections/try/", {"connector": "slack"})
            assert answer.status_code == status, who
        for name in ("jira", "teams", "local", "nobody"):
            browser("eli").post("/settings/connections/try/", {"connector": name})
        drain()

        page = text_of(browser("eli").get("/settings/connections/"))

    assert [post["text"] for post in system.posts] == ["Test message from PayOps"]
    assert [asked.path for asked in board.asked] == ["/rest/api/3/search/jql"]
    assert dict(Dispatch.objects.values_list("connector", "state")) == {
        "slack": "SENT",
        "jira": "SENT",
    }
    assert "Send test message" in page and "Try a search" in page


def test_filters_of_the_sends_are_read_and_refused_in_words() -> None:
    page = text_of(browser("lena").get("/settings/connections/?state=NOPE"))

    assert "Filter not understood" in page


def test_the_case_shows_its_tickets_outside_with_their_address(settings: Any) -> None:
    """PX-10"""
    with serving(Jira()) as board:
        settings.HTTP_ALLOW = frozenset({board.netloc})
        settings.JIRA_URL = board.url
        payout = paid_payout("3100.00")
        Teller(payout).tell("failed")
        drain()
        decide_case(payout, "release")
        drain()
        case = Case.objects.get()

        page = text_of(browser("lena").get(f"/cases/{case.public_id}/"))

    assert f'href="http://{board.netloc}/browse/OPS-1"' in page
    assert "Jira ticket OPS-1 opened" in page


def test_rates_compare_a_suggestion_with_the_first_decision_carried_out_after_it() -> None:
    """AI-9: accepted, overridden, undecided; the discarded count, and count for nothing."""
    payout = paid_payout("3100.00")
    Teller(payout).tell("failed")
    drain()
    case = open_case(payout)
    assert case is not None
    now = clock.utc_now()
    for number, suggests in enumerate(("release", "escalate", "")):
        _advise(case, f"m{number}", suggests, number * 500, took_ms=100)
    _advise(case, "m0", "", 700, took_ms=300, discarded="no JSON")
    decide_case(payout, "release")
    _advise(case, "m0", "escalate", 100, took_ms=200, key="after")

    book = Book.objects.get(is_system=False)
    found = {row.model: row for row in reads.rates(book, now=now)}

    def counts(row: reads.Rate) -> tuple[int, ...]:
        return (row.written, row.discarded, row.suggested, row.decided, row.accepted)

    assert counts(found["m0"]) == (3, 1, 2, 1, 1)
    assert (found["m0"].rate_text, found["m0"].median_ms, found["m0"].cost_text) == (
        "100 %",
        200,
        "0.0008",
    )
    assert counts(found["m1"]) == (1, 0, 1, 1, 0)
    assert (found["m1"].rate_text, found["m1"].overridden) == ("0 %", 1)
    assert counts(found["m2"]) == (1, 0, 0, 0, 0)
    assert found["m2"].rate_text == "no decision yet"
    assert counts(found[""]) == (1, 0, 1, 1, 0)
    assert reads.rates(book, now=now + reads.COUNTED + timedelta(days=1)) == []

    page = text_of(browser("audrey").get("/settings/advice/"))
    assert "no decision yet" in page and "No JSON" in page
    shown = text_of(browser("audrey").get(f"/cases/{case.public_id}/"))
    assert shown.count('<section class="advice"') == 2
    assert "No JSON" not in shown


def test_the_advice_page_says_how_it_is_switched(settings: Any) -> None:
    settings.PAYOPS_ADVICE = "model"
    settings.ADVICE_MODEL = {
        **settings.ADVICE_MODEL,
        "url": "https://models.example/v1",
        "model": "small-1",
        "key": "sk-very-secret",
        "daily_cost_cap_micros": 2_500_000,
    }

    page = text_of(browser("lena").get("/settings/advice/"))

    assert "Rules, and a model beside them" in page
    assert "small-1" in page and "2.5000" in page
    assert "very-secret" not in page
    assert browser("ada").get("/settings/advice/").status_code == 403


def _advise(
    case: Case,
    model: str,
    suggests: str,
    cost: int,
    *,
    took_ms: int,
    discarded: str = "",
    key: str = "",
) -> None:
    advice.write(
        case=case,
        engine="model",
        version="1",
        input_hash=f"{model}{suggests}{discarded}{key}",
        input_facts={},
        summary=f"said by {model}",
        likely_cause="x",
        next_step="x",
        suggests=suggests,
        told=Told(model=model, prompt_version="1", took_ms=took_ms, cost_micros=cost),
        discarded=discarded,
        now=clock.utc_now(),
    )
