"""The table of lanes on the screens: in words, proposed, looked at over the last days (WH-23)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from approvals.models import ApprovalRequest
from payops.core import clock
from payops.core.models import Book
from payops.flows import lane_policy
from payops.webhooks import lanes
from payops.webhooks.models import ProviderEvent
from tests.builders import decide, drain, post_standard, standard_event
from tests.console.work import browser, shows, text_of

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/settings/policies/lanes/"


def form(**changes: str) -> dict[str, str]:
    """What the form posts when nothing is typed but a reason."""
    said: dict[str, str] = {"reason": "large payments come first"}
    rows = lanes.seeded(currency="EUR")["rows"]
    for place in range(len(rows) + 2):
        row: dict[str, Any] = rows[place] if place < len(rows) else {}
        said |= {
            f"r{place}_name": row.get("name", ""),
            f"r{place}_lane": row.get("lane", "high"),
            f"r{place}_types": " ".join(row.get("types", [])),
            f"r{place}_from_minor": "5000.00" if "from_minor" in row else "",
        }
    return {**said, **changes}


def words_of(answer: Any) -> str:
    return " ".join(strip_tags(text_of(answer).replace("<", " <")).split())


def event(kind: str, amount: int, currency: str = "EUR") -> None:
    said = {"id": f"spm_{kind}_{amount}", "amount": amount, "currency": currency}
    assert post_standard(standard_event(kind, said)) == 200


def test_the_table_is_shown_in_plain_words_to_everybody_who_reads_policies() -> None:
    page = browser("priya").get("/settings/policies/")

    assert shows(page, "Worth 5,000.00 EUR or more")
    assert shows(page, "Event payout.* or transfer*")
    assert "Propose a change of the lanes" not in page.content.decode()


def test_a_change_is_looked_at_over_the_last_days_and_then_asked_for() -> None:
    """WH-23: counts per lane, now and then."""
    for number in range(3):
        event("payment.captured", 100_000 + number)
    event("payment.captured", 600_000)
    event("payout.paid", 1)
    typed = form(r2_from_minor="1,000.01")

    look = browser("marco").post(URL, typed)

    assert look.status_code == 200
    assert shows(look, "5 events of the last 7 days: 2 would have waited in another lane.")
    assert shows(look, "Worth 5,000.00 EUR or more → high")
    assert shows(look, "Worth 1,000.01 EUR or more → high")
    assert ApprovalRequest.objects.count() == 0
    for lane, before, after in (("High", 2, 4), ("Standard", 3, 1), ("Bulk", 0, 0)):
        assert f"{lane} {before} {after}" in words_of(look)

    page = browser("marco").post(URL, {**typed, "step": "ask"}, follow=True)

    approval = ApprovalRequest.objects.get()
    assert approval.facts["rules"]["rows"][2] == {
        "name": "Large amount",
        "lane": "high",
        "from_minor": 100_001,
    }
    assert shows(page, "Proposed table of lanes") and shows(page, "Changed")
    assert shows(page, "2 would have waited in another lane")
    for username in ("ingrid", "sofia"):
        decide(approval, username)
    drain()
    after = browser("priya").get("/settings/policies/")
    assert shows(after, "Worth 1,000.01 EUR or more") and shows(after, "Version 2")
    decided = browser("marco").get(f"/approvals/{approval.public_id}/")
    assert shows(decided, "Proposed table of lanes")
    assert "would have waited" not in text_of(decided)


def test_a_rule_is_added_and_taken_away_by_its_name() -> None:
    typed = form(r0_name="", r3_name="Watched", r3_currencies="RUB, BYN", r3_below_minor="10.00")

    look = browser("marco").post(URL, typed)

    assert shows(look, "Added") and shows(look, "Removed")
    assert shows(look, "In BYN or RUB, worth less than 10.00 EUR → high")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Nothing differs from the active table; change a rule first."),
        ({"r2_from_minor": "5.000,00"}, "is not read as an amount"),
        ({"r2_from_minor": "5000.001"}, "has more than 2 decimals, too many for EUR"),
        ({"r3_types": "payout.*"}, "Name the rule; people read it by its name."),
        ({"r3_name": "x"}, "row 'x' names nothing to look at"),
        ({"r3_name": "x", "r3_accounts": "stripe/nobody"}, "names the accounts ['stripe/nobody']"),
        ({"r2_lane": "express"}, "express is not one of the available choices"),
        ({"reason": ""}, "Write why"),
    ],
)
@pytest.mark.parametrize("step", ["", "ask"])
def test_what_cannot_be_read_is_refused_on_the_form(
    changes: dict[str, str], words: str, step: str
) -> None:
    answer = browser("marco").post(URL, form(**changes) | {"step": step})

    assert answer.status_code == 422
    assert shows(answer, words)
    assert ApprovalRequest.objects.count() == 0


def test_the_outlook_is_one_bounded_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the newest events only and says so."""
    monkeypatch.setattr(lane_policy, "EVENTS_MAX", 2)
    for number in range(4):
        event("payment.captured", 100 + number)
    book, now = Book.objects.get(code="meridian"), clock.utc_now()

    with CaptureQueriesContext(connection) as seen:
        past = lane_policy.outlook(book=book, rules={"kind": "lanes", "rows": []}, now=now)

    events = [query["sql"] for query in seen if "webhooks_providerevent" in query["sql"]]
    assert len(events) == 1 and "LIMIT 3" in events[0]
    newest = ProviderEvent.objects.order_by("-id")[1]
    assert (past.events, past.is_cut, past.since) == (2, True, newest.created_at)
    assert past.counts == (("high", 0, 0), ("standard", 2, 2), ("bulk", 0, 0))
    later = lane_policy.outlook(
        book=book, rules={"kind": "lanes", "rows": []}, now=now + timedelta(days=8)
    )
    assert (later.events, later.is_cut) == (0, False)


def test_events_whose_kind_alone_would_decide_are_counted_apart() -> None:
    """What their adapter would say is not kept; nothing is guessed."""
    event("payout.paid", 1)
    event("payment.captured", 700_000)
    event("payment.captured", 1)

    past = lane_policy.outlook(
        book=Book.objects.get(code="meridian"),
        rules={"kind": "lanes", "rows": []},
        now=clock.utc_now(),
    )

    assert past.counts == (("high", 2, 0), ("standard", 1, 2), ("bulk", 0, 0))
    assert (past.moved, past.unsorted) == (1, 1)
