"""The hourly head leaves the house by mail, and a mail that fails loses nothing (I11)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from payops.connectors.base import ConnectorOutcome, Message
from payops.core import anchors, clock
from payops.flows import anchor_mail
from tests.audit.story import seal_all

pytestmark = pytest.mark.usefixtures("owners_world")


class Relay:
    """Takes the place of the mail relay; `kind` is what it answers."""

    kind = "sent"
    sent: list[Message] = []

    def __init__(self, address: str) -> None:
        assert address == "smtp://relay/?from=a@b.example"

    def send(self, *, message: Message, deadline_s: float) -> ConnectorOutcome:
        self.sent.append(message)
        now = clock.utc_now()
        kind: Any = self.kind
        return ConnectorOutcome(kind=kind, started_at=now, finished_at=now, reason="relay_away")


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch, settings: Any) -> type[Relay]:
    settings.EMAIL_URL = "smtp://relay/?from=a@b.example"
    monkeypatch.setenv("PAYOPS_ANCHOR_MAIL", "auditor@example.com")
    monkeypatch.setattr(anchor_mail, "EmailConnector", Relay)
    monkeypatch.setattr(Relay, "sent", [])
    return Relay


def test_the_head_is_mailed_once_an_hour(relay: type[Relay]) -> None:
    seal_all()
    now = clock.utc_now().replace(minute=5)

    anchor = anchor_mail.anchor_and_mail(now)
    assert anchor_mail.anchor_and_mail(now.replace(minute=6)) is None

    assert anchor is not None
    assert [m.recipient for m in relay.sent] == ["auditor@example.com"]
    assert relay.sent[0].message_id == f"anchor-{now:%Y%m%dT%H}"
    assert relay.sent[0].text == anchor.line()


def test_a_mail_that_fails_is_logged_and_the_head_stays_on_disk(
    relay: type[Relay], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seal_all()
    monkeypatch.setattr(relay, "kind", "failed")

    with caplog.at_level(logging.WARNING):
        anchor = anchor_mail.anchor_and_mail(clock.utc_now())

    assert [a.hash for a in anchors.read()] == [anchor.hash if anchor else ""]
    assert "the head of the audit chain was not mailed: relay_away" in caplog.text


def test_without_mail_the_head_is_on_disk_alone(relay: type[Relay], settings: Any) -> None:
    seal_all()
    settings.EMAIL_URL = ""

    assert anchor_mail.anchor_and_mail(clock.utc_now()) is not None
    assert relay.sent == []


def test_a_place_that_cannot_be_written_is_an_error_in_the_log_and_stops_nothing(
    relay: type[Relay],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seal_all()
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("PAYOPS_ANCHOR_DIR", str(tmp_path / "file" / "anchors"))

    with caplog.at_level(logging.ERROR):
        assert anchor_mail.anchor_and_mail(clock.utc_now()) is None

    assert "the head of the audit chain was not written down: " in caplog.text
    assert relay.sent == []
