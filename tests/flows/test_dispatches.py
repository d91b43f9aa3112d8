"""Tickets and messages outside: once, or honestly unknown (PX-10, PX-11, RB-5, F32).

The systems are real HTTP servers; workers are killed between the call and its record.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction

from payops.cases.models import (
    Case,
    CaseEntry,
    Dispatch,
    LocalMessage,
    LocalTicket,
    TicketLink,
)
from payops.cases.services import open_local_ticket
from payops.core import clock
from payops.core.models import AuditEvent, Book, Message
from payops.flows import dispatches, notices, outside
from tests.builders import drain
from tests.connectors.http_server import Answer, System, serving
from tests.connectors.smtp_server import HANG_UP, relay
from tests.connectors.systems import Jira, ServiceNow, Slack, Teams
from tests.flows.lifecycle import Teller, decide_case
from tests.flows.provider import KILLED
from tests.people import actor
from tests.simulator.process import ROOT
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def outer(settings: Any) -> Iterator[Any]:
    """Point the product at fake systems; `outer(ServiceNow(), Slack())` serves them."""
    running: list[Any] = []

    def serve(*systems: System) -> None:
        for system in systems:
            running.append(serving(system))
            running[-1].__enter__()
            settings.HTTP_ALLOW = frozenset({*settings.HTTP_ALLOW, system.netloc})
            setattr(settings, f"{type(system).__name__.upper()}_URL", system.url)

    yield serve
    for each in running:
        each.__exit__(None, None, None)


def failed_case() -> Case:
    payout = paid_payout("3100.00")
    Teller(payout).tell("failed")
    drain()
    return Case.objects.select_related("book").get(subject_id=payout.public_id)


def ticket_of(case: Case) -> LocalTicket:
    with transaction.atomic(durable=True):
        now = clock.utc_now()
        ticket = open_local_ticket(
            case=case,
            correlation_id=f"{case.public_id}:ticket",
            title=case.title,
            body="What to do next.",
            priority="high",
            now=now,
        )
        outside.open_ticket(ticket=ticket, case=case, now=now)
    return ticket


def notice(key: str = "n1", audience: str = "compliance, treasury") -> LocalMessage:
    with transaction.atomic(durable=True):
        return notices.send(
            book=Book.objects.get(is_system=False),
            case=None,
            key=key,
            audience=audience,
            subject="Something happened",
            body="Look at it.",
            path="/inbox/",
            now=clock.utc_now(),
        )


def later(span: timedelta = timedelta(hours=1)) -> None:
    """What waits is due, leases are over, and what a dead worker began is long ago."""
    past = clock.utc_now() - timedelta(seconds=1)
    pending = Message.objects.filter(state="PENDING")
    pending.update(due_at=past)
    pending.filter(leased_until__isnull=False).update(leased_until=past)
    Dispatch.objects.filter(begun_at__isnull=False).update(begun_at=past - span)


def states() -> dict[str, str]:
    return dict(Dispatch.objects.values_list("connector", "state"))


def worker_dies(system: System, at: str, moment: str) -> int:
    """A worker of its own kills itself there; answers its exit code."""
    connections.close_all()
    name = type(system).__name__.upper()
    done = subprocess.run(
        [sys.executable, "-m", "tests.flows.dying_worker"],
        cwd=ROOT,
        env={
            **os.environ,
            "PAYOPS_HTTP_ALLOW": system.netloc,
            f"PAYOPS_{name}_URL": system.url,  # type: ignore[attr-defined]
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        },
        input=f"{at} {moment} outside\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return int(done.stdout)


def test_a_decided_case_has_its_ticket_and_its_notice_everywhere_once(outer: Any) -> None:
    """PX-10, RB-1 C and D: the runbook opens the ticket, tells people, and the end is told."""
    desk, board, room, chat = ServiceNow(), Jira(), Teams(), Slack()
    outer(desk, board, room, chat)
    payout = paid_payout("3100.00")
    Teller(payout).tell("failed")
    drain()

    decide_case(payout, "release")
    later()
    drain()

    case = Case.objects.get()
    assert case.state == "RESOLVED"
    links = TicketLink.objects.filter(case=case).order_by("system")
    assert [(link.system, link.number) for link in links] == [
        ("jira", "OPS-1"),
        ("local", LocalTicket.objects.get().number),
        ("servicenow", "INC0000001"),
    ]
    assert desk.rows[0]["correlation_id"] == links[2].public_id
    assert board.issues[0]["labels"] == [f"payops-{links[0].public_id}"]
    assert (desk.rows[0]["state"], board.issues[0]["status"]) == ("6", "Done")
    assert desk.rows[0]["work_notes"].startswith("The case was closed: Return to the seller's")
    assert len(board.issues[0]["comments"]) == 1
    assert (len(room.cards), len(chat.posts)) == (1, 1)
    assert set(Dispatch.objects.values_list("state", flat=True)) == {"SENT"}
    assert Dispatch.objects.count() == 6
    urls = Dispatch.objects.filter(connector="jira").values_list("external_url", flat=True)
    assert set(urls) == {f"http://{board.netloc}/browse/OPS-1"}
    lines = CaseEntry.objects.filter(case=case, kind="ticket").values_list("text", flat=True)
    assert sorted(lines) == [
        "Jira ticket OPS-1 opened",
        "Jira ticket OPS-1 was told that the case is closed",
        "ServiceNow ticket INC0000001 opened",
        "ServiceNow ticket INC0000001 was told that the case is closed",
    ]
    assert AuditEvent.objects.filter(action="dispatch.sent").count() == 6
    assert not Message.objects.exclude(state="DONE").exists()


@pytest.mark.parametrize("make", [ServiceNow, Jira])
def test_a_worker_killed_between_create_and_record_leaves_one_ticket(outer: Any, make: Any) -> None:
    """Exactly once: the search by our id finds what the dead worker made."""
    system = make()
    outer(system)
    case = failed_case()
    ticket_of(case)

    for moment in ("after", "after", "before"):
        assert worker_dies(system, "payops.flows.dispatches:_try", moment) == KILLED
        later()
    drain()

    made = system.rows if make is ServiceNow else system.issues
    row = Dispatch.objects.get()
    assert (len(made), row.state, row.attempts) == (1, "SENT", 4)
    assert TicketLink.objects.filter(system=row.connector).count() == 1
    assert CaseEntry.objects.get(kind="ticket").text.endswith(" found")


def test_a_search_that_lags_is_given_time_before_anything_is_created(outer: Any) -> None:
    """Jira shows a new issue seconds to minutes late; a hasty second search would make two."""
    system = Jira()
    outer(system)
    case = failed_case()
    ticket_of(case)
    assert worker_dies(system, "payops.flows.dispatches:_try", "after") == KILLED
    system.lag = 1

    later(timedelta(seconds=30))
    drain()
    waiting = Message.objects.get(topic="ticket.outside")
    system.lag = 0
    later()
    drain()

    assert waiting.due_at > clock.utc_now() + timedelta(minutes=2)
    assert (len(system.issues), Dispatch.objects.get().state) == (1, "SENT")


@pytest.mark.parametrize("make", [Slack, Teams])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_message_whose_end_nobody_saw_is_unknown_and_not_sent_again(
    outer: Any, make: Any, moment: str
) -> None:
    """Chat has neither key nor query."""
    system = make()
    outer(system)
    notice()

    assert worker_dies(system, "payops.flows.dispatches:_try", moment) == KILLED
    for _ in range(3):
        later()
        drain()

    row = Dispatch.objects.get()
    assert len(system.asked) == (1 if moment == "after" else 0)
    assert (row.state, row.reason) == ("UNKNOWN", "interrupted: nobody saw how it ended")
    assert LocalMessage.objects.count() == 1
    assert AuditEvent.objects.filter(action="dispatch.unknown").count() == 1
    assert not Message.objects.exclude(state="DONE").exists()


def test_policy_may_repeat_what_is_unknown_and_then_it_is_marked(outer: Any, settings: Any) -> None:
    system = Slack(script=[Answer(hang="cut")])
    outer(system)
    notice()
    drain()
    assert (states(), len(system.posts)) == ({"slack": "UNKNOWN"}, 1)
    assert dispatches.resend_unknown(clock.utc_now()) == 0

    settings.RESEND_UNKNOWN = True
    assert dispatches.resend_unknown(clock.utc_now()) == 1
    drain()

    first, second = system.posts
    assert (first["text"], second["text"]) == (
        "Something happened",
        "Repeat: Something happened",
    )
    assert first["metadata"] == second["metadata"]
    assert states() == {"slack": "SENT"}


def test_policy_ends_after_three_sends(outer: Any, settings: Any) -> None:
    settings.RESEND_UNKNOWN = True
    system = Teams(script=[Answer(hang="cut")] * 9)
    outer(system)
    notice()

    for _ in range(6):
        drain()
        later()

    assert (len(system.asked), states()) == (dispatches.SENDS_MAX, {"teams": "UNKNOWN"})
    assert dispatches.resend_unknown(clock.utc_now()) == 0


def test_a_repeat_that_fails_does_not_forget_that_the_first_may_have_arrived(
    outer: Any, settings: Any
) -> None:
    settings.RESEND_UNKNOWN = True
    system = Slack(script=[Answer(hang="cut"), Answer(401)])
    outer(system)
    notice()
    drain()
    later()
    drain()
    assert states() == {"slack": "UNKNOWN"}

    settings.RESEND_UNKNOWN = False
    later()
    drain()

    assert (len(system.asked), states()) == (2, {"slack": "UNKNOWN"})


def test_rate_limits_wait_as_long_as_they_ask_and_are_not_charged(outer: Any) -> None:
    system = Slack(script=[Answer(429, b"", {"Retry-After": "120"})])
    outer(system)
    notice()
    drain()
    message = Message.objects.get(topic="notice.outside")
    assert (message.attempts, states()) == (0, {"slack": "PENDING"})
    assert timedelta(seconds=110) < message.due_at - clock.utc_now() <= timedelta(seconds=120)

    later()
    drain()

    assert (states(), len(system.posts)) == ({"slack": "SENT"}, 1)


def test_a_refusal_is_final_and_one_connector_does_not_hold_up_another(outer: Any) -> None:
    system, room = Slack(script=[Answer(200, {"ok": False, "error": "is_archived"})]), Teams()
    outer(system, room)
    notice()

    drain()

    assert states() == {"slack": "REFUSED", "teams": "SENT"}
    assert Dispatch.objects.get(connector="slack").reason == "is_archived"
    assert not Message.objects.exclude(state="DONE").exists()


def test_failures_are_tried_again_with_backoff_until_they_are_a_dead_letter(outer: Any) -> None:
    system = Slack(script=[Answer(401)] * 30)
    outer(system)
    notice()

    for _ in range(25):
        drain()
        later()

    message = Message.objects.get(topic="notice.outside")
    assert (message.state, message.attempts, len(system.asked)) == ("DEAD", 20, 20)
    assert states() == {"slack": "PENDING"}
    assert "slack: failed login_401" in message.last_error


def test_the_same_notice_twice_goes_out_once(outer: Any) -> None:
    system = Slack()
    outer(system)
    notice()
    notice()

    drain()

    assert (len(system.posts), Dispatch.objects.count()) == (1, 1)


def test_mail_goes_to_the_people_of_the_audience_and_an_interrupted_one_is_unknown(
    settings: Any,
) -> None:
    """RB-5: begun is committed before the send."""
    with relay({"text": HANG_UP}) as seen:
        settings.EMAIL_URL = seen.url
        notice(audience="compliance, treasury")
        drain()

    rows = Dispatch.objects.select_related("message")
    assert {(row.connector, row.state) for row in rows} == {("email", "UNKNOWN")}
    people = {row.recipient.split("@")[0].split(".")[0] for row in rows}
    assert people == {"chen", "fatima", "sofia", "henrik"}
    assert len(seen.texts) == 4
    for row in rows:
        told = f"Message-ID: <{row.pk.hex}@example.com>".encode()
        assert sum(told in text for text in seen.texts) == 1


def test_a_late_writer_finds_its_attempt_taken_and_changes_nothing(outer: Any) -> None:
    """A paused worker wakes up after its attempt was judged interrupted."""
    system = Slack()
    outer(system)
    notice()
    key = Dispatch.objects.get().pk
    attempt = dispatches._begin(key, clock.utc_now())
    assert attempt is not None
    later()
    drain()
    assert states() == {"slack": "UNKNOWN"}

    dispatches._record(attempt, dispatches._try(attempt.dispatch), clock.utc_now())

    assert states() == {"slack": "UNKNOWN"}


def test_an_address_taken_away_refuses_and_says_so(outer: Any, settings: Any) -> None:
    outer(Slack())
    notice()
    settings.SLACK_URL = ""

    drain()

    row = Dispatch.objects.get()
    assert (row.state, row.reason) == ("REFUSED", "slack has no address any more")


def test_an_address_that_cannot_be_used_refuses_without_showing_it(settings: Any) -> None:
    settings.SLACK_URL = "https://xoxb-very-secret@slack.com/api/"
    notice()

    drain()

    row = Dispatch.objects.get()
    assert row.state == "REFUSED"
    assert row.reason == "the address of Slack with a token needs ?channel=<id>"


def test_nothing_is_written_where_nothing_is_configured() -> None:
    notice()

    drain()

    assert (LocalMessage.objects.count(), Dispatch.objects.count()) == (1, 0)


def test_a_trial_is_one_attempt_and_a_ticket_system_is_only_searched(outer: Any) -> None:
    system, desk = Slack(script=[Answer(401)]), ServiceNow()
    outer(system, desk)
    book, now = Book.objects.get(is_system=False), clock.utc_now()
    for name in ("slack", "servicenow"):
        outside.send_trial(book=book, connector=name, actor=actor("eli"), now=now)

    drain()

    assert states() == {"slack": "REFUSED", "servicenow": "SENT"}
    assert [asked.method for asked in desk.asked] == ["GET"]
    assert AuditEvent.objects.filter(action="connector.tried").count() == 2
    with pytest.raises(outside.TestRefused, match="jira is not configured"):
        outside.send_trial(book=book, connector="jira", actor=actor("eli"), now=now)
