"""Microsoft Teams through a workflow: "when a webhook request is received", an Adaptive Card.

Address: the workflow's own URL, whole; its signature is the credential, so the URL is a secret.
202 says that the workflow took it, not that the card was shown. Text goes into runs of a
RichTextBlock, which know no markdown; the button is the only link.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from payops.connectors.base import AddressMalformed, ConnectorOutcome, Message
from payops.connectors.exchange import Call, child, exchange, json_bytes, line_of, text_of, word
from payops.core.http import HttpClient

CARD_TYPE = "application/vnd.microsoft.card.adaptive"
CARD_VERSION = "1.4"
SUBJECT_CHARS_MAX = 200
TEXT_CHARS_MAX = 4000
# What a message to a channel may weigh; theirs is 28 KB.
MESSAGE_BYTES_MAX = 27_000
ADDRESS_CHARS_MAX = 2000


class TeamsConnector:
    """See `payops.connectors.base.MessageConnector`."""

    name = "teams"

    def __init__(self, address: str, http: HttpClient) -> None:
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise AddressMalformed("the address of Teams is not a URL") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or len(parts.path) < 2:
            raise AddressMalformed("the address of Teams must be the workflow's own https URL")
        if parts.username or parts.password or parts.fragment or len(address) > ADDRESS_CHARS_MAX:
            raise AddressMalformed("the address of Teams is not a workflow's URL")
        self._url = address
        self._host = f"{parts.hostname}:{port}" if port else parts.hostname
        self._http = http

    def __repr__(self) -> str:
        return f"TeamsConnector({self._host})"

    def send(self, *, message: Message, deadline_s: float) -> ConnectorOutcome:
        call = Call(
            method="POST",
            url=self._url,
            json_body=envelope(message),
            masked={"message_id": message.message_id, "repeat": message.is_repeat},
        )
        said = exchange(
            http=self._http,
            call=call,
            deadline_s=deadline_s,
            error_words=lambda body, text: word(child(child(body, "error"), "code")),
        )
        if said.kind is not None:
            return said.outcome()
        if said.status not in (200, 202):
            return said.outcome("unknown", f"status_{said.status}")
        return said.sent(ref=None, url=None)


def envelope(message: Message) -> dict[str, object]:
    """The card in its envelope, its text cut until it fits."""
    chars = TEXT_CHARS_MAX
    made = _envelope(message, chars)
    while len(json_bytes(made)) > MESSAGE_BYTES_MAX and chars > 100:
        chars //= 2
        made = _envelope(message, chars)
    return made


def _envelope(message: Message, chars: int) -> dict[str, object]:
    subject = line_of(message.subject, SUBJECT_CHARS_MAX)
    body: list[Mapping[str, object]] = [
        _block(f"Repeat: {subject}" if message.is_repeat else subject, bold=True)
    ]
    lines = text_of(message.text, chars).split("\n")
    body += [_block(line) for line in lines if line.strip()]
    card: dict[str, object] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "body": body,
    }
    if message.deep_link:
        card["actions"] = [
            {"type": "Action.OpenUrl", "title": "Open in PayOps", "url": message.deep_link}
        ]
    attachment = {"contentType": CARD_TYPE, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _block(text: str, *, bold: bool = False) -> dict[str, object]:
    run: dict[str, object] = {"type": "TextRun", "text": text}
    if bold:
        run |= {"weight": "Bolder", "size": "Medium"}
    return {"type": "RichTextBlock", "inlines": [run]}
