"""E-mail: what each answer of a relay lets us conclude (design "Exactly once, honestly")."""

import email
import email.policy
import time
from dataclasses import replace

import pytest

from payops.connectors.base import Message, as_repeat
from payops.connectors.email.connector import EmailAddressMalformed, EmailConnector, read_relay
from tests.connectors.smtp_server import DRIP, HANG_UP, SILENCE, relay

MESSAGE = Message(
    message_id="cs_0190d3a1b2c37d4e8f90a1b2c3d4e5f6.notify",
    recipient="finance@example.com",
    subject="Payout P-10492 failed after it was paid",
    text="Decide the case.\n.dot first\nÜberweisung",
    deep_link="https://payops.example.com/cases/cs_1/",
)


def send(url: str, message: Message = MESSAGE, deadline_s: float = 5.0):
    return EmailConnector(url).send(message=message, deadline_s=deadline_s)


def test_message_arrives_whole_with_a_stable_id():
    with relay() as seen:
        first = send(seen.url)
        repeat = send(seen.url, as_repeat(MESSAGE))

    assert (first.kind, repeat.kind) == ("sent", "sent")
    mails = [email.message_from_bytes(t, policy=email.policy.default) for t in seen.texts]
    assert [mail["Message-ID"] for mail in mails] == [
        "<cs_0190d3a1b2c37d4e8f90a1b2c3d4e5f6.notify@example.com>"
    ] * 2
    assert first.external_ref == mails[0]["Message-ID"]
    assert mails[0]["Subject"] == "Payout P-10492 failed after it was paid"
    assert mails[1]["Subject"] == "[repeat] Payout P-10492 failed after it was paid"
    assert mails[0]["To"] == "finance@example.com"
    assert mails[0]["Auto-Submitted"] == "auto-generated"
    assert mails[0].get_content().replace("\r\n", "\n") == (
        "Decide the case.\n.dot first\nÜberweisung\n\nhttps://payops.example.com/cases/cs_1/\n"
    )
    assert seen.texts[0].isascii()


@pytest.mark.parametrize(
    ("answers", "kind", "reason"),
    [
        ({"greet": "554 no"}, "failed", "smtpconnecterror"),
        ({"greet": HANG_UP}, "failed", "smtpserverdisconnected"),
        ({"mail": "451 later"}, "failed", "smtp_451"),
        ({"mail": "550 no"}, "refused", "smtp_550"),
        ({"rcpt": "450 busy"}, "failed", "smtp_450"),
        ({"rcpt": "550 unknown user"}, "refused", "smtp_550"),
        ({"rcpt": HANG_UP}, "failed", "smtpserverdisconnected"),
        ({"data": "451 later"}, "failed", "smtp_451"),
        ({"data": "554 no"}, "refused", "smtp_554"),
        ({"text": "451 later"}, "failed", "smtp_451"),
        ({"text": "554 spam"}, "refused", "smtp_554"),
        ({"text": HANG_UP}, "unknown", "smtpserverdisconnected"),
    ],
)
def test_answers_and_what_they_mean(answers, kind, reason):
    with relay(answers) as seen:
        outcome = send(seen.url)

    assert (outcome.kind, outcome.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({"greet": SILENCE}, "failed"),
        ({"ehlo": DRIP}, "failed"),
        ({"rcpt": SILENCE}, "failed"),
        ({"text": SILENCE}, "unknown"),
        ({"text": DRIP}, "unknown"),
    ],
)
def test_deadline_covers_the_whole_conversation(answers, kind):
    with relay(answers) as seen:
        began = time.monotonic()
        outcome = send(seen.url, deadline_s=0.5)
        took = time.monotonic() - began

    assert (outcome.kind, outcome.reason) == (kind, "deadline")
    assert 0.4 < took < 2.0


def test_closed_port_is_failed():
    with relay() as gone:
        url = gone.url

    assert send(url).kind == "failed"


def test_password_is_never_sent_without_encryption():
    with relay() as seen:
        url = seen.url.replace("smtp://", "smtp://me:very-secret@")
        outcome = send(url)

    assert (outcome.kind, outcome.reason) == ("refused", "tls_or_login_not_offered")
    assert not any("AUTH" in command for command in seen.commands)
    assert seen.texts == []


@pytest.mark.parametrize(
    "change",
    [
        {"recipient": "a@example.com\r\nRCPT TO:<b@example.com>"},
        {"recipient": "a@example.com, b@example.com"},
        {"recipient": "nobody"},
        {"message_id": "x>\r\nBcc: b@example.com"},
        {"text": "\ud800"},
    ],
)
def test_message_that_cannot_be_written_is_refused_unsent(change):
    with relay() as seen:
        outcome = send(seen.url, replace(MESSAGE, **change))

    assert (outcome.kind, outcome.reason) == ("refused", "message_malformed")
    assert seen.commands == []


def test_line_breaks_in_a_subject_cannot_add_a_header():
    with relay() as seen:
        outcome = send(seen.url, replace(MESSAGE, subject="a\r\nBcc: b@example.com"))

    assert outcome.kind == "sent"
    mail = email.message_from_bytes(seen.texts[0], policy=email.policy.default)
    assert (mail["Subject"], mail["Bcc"]) == ("a Bcc: b@example.com", None)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "mail.example.com",
        "http://x/?from=a@b.c",
        "smtp://h",
        "smtp:///?from=a@b.c",
        "smtp://h:port/?from=a@b.c",
        "smtp://h/?from=nobody",
    ],
)
def test_addresses_that_cannot_be_used(address):
    with pytest.raises(EmailAddressMalformed):
        EmailConnector(address)


def test_relay_of_an_address():
    plain = read_relay("smtp://h/?from=a@b.example")
    secure = read_relay("smtps://me:p%40ss@h:2465/?from=a@b.example")
    asked = read_relay("smtp://h:587/?from=a@b.example&starttls=1")

    assert (plain.port, plain.is_tls, plain.needs_starttls) == (25, False, False)
    assert (secure.port, secure.is_tls, secure.needs_starttls) == (2465, True, False)
    assert (secure.user, secure.password) == ("me", "p@ss")
    assert (asked.port, asked.needs_starttls) == (587, True)
    assert "p@ss" not in repr(secure)
