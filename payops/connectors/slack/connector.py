"""Slack: chat.postMessage with a bot token, or an incoming webhook where there is none.

Address: https://xoxb-token@slack.com/api/?channel=C0123456789, or the webhook's own URL without
credentials, which is a secret itself. An answer with ok:false is an error whatever its status;
some of these say themselves that it may have been done. Posting has no key and no query.
"""

import re
from collections.abc import Mapping
from typing import Any

from payops.connectors.address import read_address
from payops.connectors.base import AddressMalformed, ConnectorOutcome, Message, OutcomeKind
from payops.connectors.exchange import Call, Exchanged, child, exchange, line_of, text_of, word
from payops.core.http import HttpClient

OPTIONS = frozenset({"channel"})
CHANNEL = re.compile(r"[A-Z0-9]{2,20}|#[a-z0-9_-]{1,79}")
TIMESTAMP = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")
SUBJECT_CHARS_MAX = 200
# A section holds 3000 characters, and escaping makes text longer.
SECTION_CHARS_MAX = 3000
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# error -> what it lets us conclude; every other one is final.
FAILED = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "service_unavailable",
        "team_added_to_org",
        "not_authed",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
    }
)
UNKNOWN = frozenset({"fatal_error", "internal_error", "request_timeout"})


class SlackConnector:
    """See `payops.connectors.base.MessageConnector`."""

    name = "slack"

    def __init__(self, address: str, http: HttpClient) -> None:
        self._at = read_address(address, system="Slack", known=OPTIONS)
        self._http = http
        self._token = self._at.user or self._at.secret
        self._channel = self._at.options.get("channel", "")
        if self._token and not CHANNEL.fullmatch(self._channel):
            raise AddressMalformed("the address of Slack with a token needs ?channel=<id>")
        if not self._token and self._channel:
            raise AddressMalformed("an incoming webhook of Slack has its channel already")

    def send(self, *, message: Message, deadline_s: float) -> ConnectorOutcome:
        masked = {"message_id": message.message_id, "repeat": message.is_repeat}
        if self._token:
            body = {
                "channel": message.recipient or self._channel,
                **texts(message),
                "unfurl_links": False,
                "unfurl_media": False,
                "metadata": {
                    "event_type": "payops_notice",
                    "event_payload": {"message_id": message.message_id},
                },
            }
            headers = {
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json; charset=utf-8",
            }
            url = f"{self._at.base_url}/chat.postMessage"
        else:
            body, headers, url = texts(message), {}, self._at.base_url
        call = Call(method="POST", url=url, headers=headers, json_body=body, masked=masked)
        said = exchange(http=self._http, call=call, deadline_s=deadline_s, error_words=_words)
        return self._posted(said) if self._token else _hooked(said)

    def _posted(self, said: Exchanged) -> ConnectorOutcome:
        error = word(child(said.body, "error"), 60)
        if said.kind is not None:
            return said.outcome()
        if child(said.body, "ok") is not True:
            return said.outcome(_kind_of(error), error or "answer_unreadable")
        ts = child(said.body, "ts")
        if not isinstance(ts, str) or not TIMESTAMP.fullmatch(ts):
            return said.outcome("unknown", "answer_unreadable")
        return said.sent(ref=f"{word(child(said.body, 'channel'), 40)} {ts}".strip(), url=None)


def texts(message: Message) -> dict[str, object]:
    """What is shown and what is notified; escaped, so that neither holds a mention or a link."""
    subject = line_of(message.subject, SUBJECT_CHARS_MAX)
    subject = f"Repeat: {subject}" if message.is_repeat else subject
    shown = _fitting(f"{subject}\n{text_of(message.text, SECTION_CHARS_MAX)}", SECTION_CHARS_MAX)
    blocks: list[Mapping[str, object]] = [_section(shown)]
    if message.deep_link:
        link = message.deep_link.translate(ENTITIES).replace("|", "%7C")
        blocks.append(_section(f"<{link}|Open in PayOps>"))
    return {"text": subject.translate(ENTITIES), "blocks": blocks}


def _section(text: str) -> dict[str, object]:
    """`verbatim`: an address in the text stays text."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _fitting(text: str, chars_max: int) -> str:
    """Escaped and no longer than allowed, never cut inside an entity."""
    escaped = text.translate(ENTITIES)
    while len(escaped) > chars_max:
        text = text[: len(text) - max(1, (len(escaped) - chars_max) // 5)]
        escaped = f"{text.translate(ENTITIES)}…"
    return escaped


def _hooked(said: Exchanged) -> ConnectorOutcome:
    if said.kind is not None:
        return said.outcome()
    if said.text.strip() != "ok":
        return said.outcome("unknown", "answer_unreadable")
    return said.sent(ref=None, url=None)


def _kind_of(error: str) -> OutcomeKind:
    if error in FAILED:
        return "failed"
    return "unknown" if error in UNKNOWN or not error else "refused"


def _words(body: Any, text: str) -> str:
    """A webhook tells its error as plain text, the API as a member."""
    return word(child(body, "error") if isinstance(body, dict) else text, 60)
