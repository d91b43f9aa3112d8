"""Reads Jira's issue webhooks: a refund that somebody asks for in an issue.

Verifies `X-Hub-Signature` over the raw body. Which custom field holds what is the account's
setting; an issue that names no such field is no request. Serves WH-2, WH-4, RF-1, RF-2.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from payops.psp import signing, strictjson, tickets
from payops.psp.base import (
    LIMITS,
    NO_SETTINGS,
    AccountFacts,
    Authentication,
    EventRefused,
    Fetch,
    NormalizedEvent,
    SecretValue,
)
from payops.psp.strictjson import child, int_or_none, text_or_none
from payops.psp.tickets import Ticket

SIGNATURE_HEADER = "x-hub-signature"
TOLD = frozenset({"jira:issue_created", "jira:issue_updated"})
FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
FIELD_NAMES = ("request", "charge", "amount", "currency", "reason", "note", "requester")


class JiraAdapter:
    """One signed issue event per body; see `payops.psp.base.WebhookAdapter`."""

    name = "jira"

    def fetches(
        self, *, raw: bytes, headers: Mapping[str, str], account: AccountFacts
    ) -> tuple[Fetch, ...]:
        return ()

    def authenticate(
        self,
        *,
        raw: bytes,
        headers: Mapping[str, str],
        secrets: Sequence[SecretValue],
        now: datetime,
        account: AccountFacts,
        fetched: Mapping[str, bytes] | None = None,
    ) -> Authentication:
        if len(raw) > LIMITS.body_bytes_max:
            return signing.refused("body_too_large")
        value, reason = signing.header(headers, SIGNATURE_HEADER)
        if reason:
            return signing.refused(reason)
        if not value.startswith("sha256="):
            return signing.refused("header_malformed")
        secret_id, reason = tickets.signing_secret(raw, value, secrets)
        if reason:
            return signing.refused(reason)
        return tickets.authentication_of(secret_id, lambda: _ticket(raw, account.settings))

    def itemize(self, *, raw: bytes, account: AccountFacts) -> Authentication:
        return tickets.authentication_of(None, lambda: _ticket(raw, account.settings))

    def parse(
        self, raw: bytes, item_index: int = 0, settings: Mapping[str, str] = NO_SETTINGS
    ) -> NormalizedEvent:
        """`settings` name the custom fields. Raises EventRefused."""
        if item_index != 0:
            raise EventRefused("no_such_item")
        return tickets.event_of(_ticket(raw, settings))

    def refusal_status(self, authentication: Authentication) -> int:
        return 413 if authentication.reason == "body_too_large" else 401

    def success_body(self) -> tuple[bytes, str]:
        return b'{"received":true}', "application/json"


def _ticket(raw: bytes, settings: Mapping[str, str]) -> Ticket:
    """Raises EventRefused."""
    event = strictjson.read_object(raw)
    issue = child(event, "issue")
    fields = child(issue, "fields")
    event_type = text_or_none(event.get("webhookEvent")) or ""
    names = {name: _field_name(settings, name) for name in FIELD_NAMES}
    reporter = child(fields, "reporter").get("emailAddress")
    return Ticket(
        system="jira",
        event_type=event_type,
        status=text_or_none(child(fields, "status").get("name")) or "",
        number=issue.get("key"),
        request_id=_named(fields, names["request"]) if names["request"] else issue.get("id"),
        charge=_named(fields, names["charge"]),
        amount=_named(fields, names["amount"]),
        currency=_named(fields, names["currency"]) or settings.get("currency"),
        reason=_named(fields, names["reason"]),
        note=_named(fields, names["note"] or "summary"),
        requester=_named(fields, names["requester"]) if names["requester"] else reporter,
        evidence={name: _named(fields, field) for name, field in _evidence_fields(settings)},
        occurred_at=_moment(event.get("timestamp")),
        paths=_paths(names),
        ignored=_ignored(event_type, fields, settings),
    )


def _ignored(event_type: str, fields: Mapping[str, Any], settings: Mapping[str, str]) -> str:
    if event_type not in TOLD:
        return "no_meaning_here"
    wanted = settings.get("issue_type", "")
    if wanted and child(fields, "issuetype").get("name") != wanted:
        return "another_issue_type"
    wanted = settings.get("status", "")
    if wanted and child(fields, "status").get("name") != wanted:
        return "another_status"
    return ""


def _field_name(settings: Mapping[str, str], name: str) -> str:
    stated = settings.get(f"field_{name}", "")
    return stated if FIELD.fullmatch(stated) else ""


def _evidence_fields(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """`tracking=customfield_10050,photo=customfield_10051` as pairs."""
    pairs = [part.strip().partition("=") for part in settings.get("evidence", "").split(",")]
    return [(name, field) for name, _, field in pairs if name and FIELD.fullmatch(field)]


def _named(fields: Mapping[str, Any], field: str) -> object:
    """A field's value; of a choice the chosen words."""
    value = fields.get(field) if field else None
    if isinstance(value, dict):
        return value.get("value", value.get("emailAddress", value))
    return value


def _paths(names: Mapping[str, str]) -> dict[str, str]:
    own = {name: f"issue.fields.{field or name}" for name, field in names.items()}
    return own | {
        "number": "issue.key",
        "request_id": own["request"] if names["request"] else "issue.id",
        "requester": own["requester"]
        if names["requester"]
        else "issue.fields.reporter.emailAddress",
        "evidence": "issue.fields",
    }


def _moment(value: object) -> datetime | None:
    """Milliseconds since 1970."""
    millis = int_or_none(value)
    if millis is None or not 0 <= millis < 10**14:
        return None
    return datetime.fromtimestamp(millis // 1000, tz=UTC)
