"""Teams and Slack: what is sent, what each answer means, what a hostile text can do (RB-5, D3)."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from payops.connectors.base import AddressMalformed, Message, as_repeat
from payops.connectors.registry import message_connector
from payops.connectors.slack.connector import SlackConnector, texts
from payops.connectors.teams.connector import MESSAGE_BYTES_MAX, TeamsConnector, envelope
from payops.core.http import HttpClient
from tests.connectors.http_server import Answer, serving
from tests.connectors.systems import Slack, Teams

MESSAGE = Message(
    message_id="0190d3a1b2c37d4e8f90a1b2c3d4e5f6",
    recipient="",
    subject="Payout P-10492 failed",
    text="Cause: bank <rejection> & more\n<!channel> [click](https://evil.example)",
    deep_link="https://payops.example.com/cases/cs_1/?a=1&b=2",
)
SYSTEMS = {
    "teams": ("teams", Teams),
    "slack": ("slack", Slack),
    "hook": ("slack", lambda: Slack(hook=True)),
}


@pytest.fixture(params=sorted(SYSTEMS))
def system(request: Any) -> Any:
    name, make = SYSTEMS[request.param]
    with serving(make()) as running:
        running.name = name
        running.kind = request.param
        yield running


def send(system: Any, message: Message = MESSAGE, deadline_s: float = 2.0) -> Any:
    connector = message_connector(name=system.name, address=system.url, http=system.http)
    return connector.send(message=message, deadline_s=deadline_s)


def shown(system: Any) -> list[Any]:
    return system.cards if system.kind == "teams" else system.posts


def test_a_message_arrives_with_its_link_and_a_repeat_is_marked(system: Any) -> None:
    first, repeat = send(system), send(system, as_repeat(MESSAGE))

    assert (first.kind, repeat.kind) == ("sent", "sent")
    told = [json.dumps(each) for each in shown(system)]
    assert ["Repeat: Payout P-10492 failed" in each for each in told] == [False, True]
    assert all("https://payops.example.com/cases/cs_1/?a=1" in each for each in told)
    if system.kind == "slack":
        assert first.external_ref == "C0123456789 1700000001.000100"
        assert shown(system)[0]["metadata"]["event_payload"] == {"message_id": MESSAGE.message_id}


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (Answer(400, b"invalid_payload"), "refused", "status_400"),
        (Answer(401, b""), "failed", "login_401"),
        (Answer(403, b"action_prohibited"), "refused", "status_403"),
        (Answer(404, b"no_service"), "refused", "status_404"),
        (Answer(409, b""), "unknown", "status_409"),
        (Answer(410, b"channel_is_archived"), "refused", "status_410"),
        (Answer(429, b"", {"Retry-After": "30"}), "failed", "rate_limited"),
        (Answer(429, b"", {"Retry-After": "tomorrow"}), "failed", "rate_limited"),
        (Answer(500, b"rollup_error"), "unknown", "status_500"),
        (Answer(302, b"", {"Location": "https://evil.example/"}), "refused", "redirect_302"),
    ],
)
def test_answers_and_what_they_mean(system: Any, answer: Answer, kind: str, reason: str) -> None:
    system.script = [answer]

    outcome = send(system)

    assert outcome.kind == kind
    assert outcome.reason.startswith(reason)
    assert outcome.retry_after_s == (30 if answer.headers.get("Retry-After") == "30" else None)
    assert len(system.asked) == 1


@pytest.mark.parametrize(("hang", "arrived"), [("before", 0), ("after", 1), ("cut", 1)])
def test_silence_is_unknown_whether_or_not_it_arrived(system: Any, hang: str, arrived: int) -> None:
    system.script = [Answer(hang=hang)]
    began = time.monotonic()

    outcome = send(system, deadline_s=0.5)

    assert outcome.kind == "unknown"
    assert time.monotonic() - began < 2.0
    assert len(shown(system)) == arrived


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("channel_not_found", "refused"),
        ("not_in_channel", "refused"),
        ("is_archived", "refused"),
        ("msg_too_long", "refused"),
        ("ratelimited", "failed"),
        ("rate_limited", "failed"),
        ("invalid_auth", "failed"),
        ("token_revoked", "failed"),
        ("service_unavailable", "failed"),
        ("internal_error", "unknown"),
        ("fatal_error", "unknown"),
    ],
)
def test_an_error_of_slack_counts_although_its_status_is_200(error: str, kind: str) -> None:
    with serving(Slack(script=[Answer(200, {"ok": False, "error": error})])) as system:
        system.name = "slack"
        outcome = send(system)

    assert (outcome.kind, outcome.reason) == (kind, error)


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"null", b'{"ok": "true"}', b'{"ok": true}', b'{"ok": true, "ts": 7}']
)
def test_garbage_from_slack_is_unknown(body: bytes) -> None:
    with serving(Slack(script=[Answer(200, body)])) as system:
        system.name = "slack"
        outcome = send(system)

    assert (outcome.kind, outcome.reason) == ("unknown", "answer_unreadable")


def test_a_webhook_that_does_not_say_ok_is_unknown() -> None:
    with serving(Slack(hook=True, script=[Answer(200, b"<html>welcome")])) as system:
        system.name = "slack"
        assert send(system).kind == "unknown"


def test_slack_shows_no_mention_no_markup_and_no_link_of_a_hostile_text() -> None:
    said = texts(replace(MESSAGE, subject="<!everyone> & <@U1>", deep_link="https://p/?a|b<c>"))

    assert said["text"] == "&lt;!everyone&gt; &amp; &lt;@U1&gt;"
    first, second = said["blocks"]
    assert first["text"]["text"] == (
        "&lt;!everyone&gt; &amp; &lt;@U1&gt;\nCause: bank &lt;rejection&gt; &amp; more\n"
        "&lt;!channel&gt; [click](https://evil.example)"
    )
    assert first["text"]["verbatim"] is True
    assert second["text"]["text"] == "<https://p/?a%7Cb&lt;c&gt;|Open in PayOps>"


@pytest.mark.parametrize("text", ["&" * 9000, "a\n" * 9000, "<é" * 9000, "\u202e\x00x"])
def test_long_and_odd_texts_fit_every_limit(system: Any, text: str) -> None:
    assert send(system, replace(MESSAGE, text=text, subject=text)).kind == "sent"


def test_a_card_is_cut_until_it_fits() -> None:
    made = envelope(replace(MESSAGE, text="\U0001f600\n" * 4000))

    assert len(json.dumps(made)) <= MESSAGE_BYTES_MAX


def test_a_card_reads_markdown_as_text() -> None:
    card = envelope(MESSAGE)["attachments"][0]["content"]  # type: ignore[index]

    assert [each["inlines"][0]["text"] for each in card["body"]] == [
        "Payout P-10492 failed",
        "Cause: bank <rejection> & more",
        "<!channel> [click](https://evil.example)",
    ]
    assert [each["url"] for each in card["actions"]] == [MESSAGE.deep_link]


def test_no_secret_in_what_is_kept_or_shown(system: Any) -> None:
    connector = message_connector(name=system.name, address=system.url, http=system.http)

    shown_texts = f"{connector!r} {send(system)}"

    assert "very-secret" not in shown_texts


@pytest.mark.parametrize(
    ("make", "address"),
    [
        (TeamsConnector, ""),
        (TeamsConnector, "https://prod.logic.azure.com"),
        (TeamsConnector, "https://user:very-secret@prod.logic.azure.com/x"),
        (SlackConnector, "https://xoxb-very-secret@slack.com/api/"),
        (SlackConnector, "https://xoxb-very-secret@slack.com/api/?channel=<!here>"),
        (SlackConnector, "https://hooks.slack.com/services/very-secret?channel=C1"),
    ],
)
def test_addresses_that_cannot_be_used_say_why_without_the_secret(make: Any, address: str) -> None:
    with pytest.raises(AddressMalformed) as refusal:
        make(address, HttpClient())

    assert "very-secret" not in str(refusal.value)
