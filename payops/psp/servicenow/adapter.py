"""Reads the records that a ServiceNow business rule posts: a refund asked for in a ticket.

Believes a shared token in a header, or an HMAC over the raw body where the account says so.
Serves WH-2, WH-4, RF-1, RF-2.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

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
from payops.psp.strictjson import text_or_none
from payops.psp.tickets import Ticket

TOKEN_HEADER = "x-servicenow-token"  # noqa: S105 - the name of a header
SIGNATURE_HEADER = "x-servicenow-signature"
HMAC = "hmac"
HEADER_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
# The record's member for each thing a wish says; the setting field_<name> names another one.
MEMBERS = {
    "number": "number",
    "request_id": "request_id",
    "charge": "charge",
    "amount": "amount",
    "currency": "currency",
    "reason": "reason",
    "note": "note",
    "requester": "opened_by",
    "evidence": "evidence",
}


class ServiceNowAdapter:
    """One record per body; see `payops.psp.base.WebhookAdapter`."""

    name = "servicenow"

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
        by_hmac = account.settings.get("auth") == HMAC
        default = SIGNATURE_HEADER if by_hmac else TOKEN_HEADER
        stated = account.settings.get("auth_header", "").lower()
        name = stated if HEADER_NAME.fullmatch(stated) else default
        value, reason = signing.header(headers, name)
        if reason:
            return signing.refused(reason)
        if by_hmac:
            secret_id, reason = tickets.signing_secret(raw, value, secrets)
        else:
            secret_id, reason = _token_secret(value, secrets)
        if reason:
            return signing.refused(reason)
        return tickets.authentication_of(secret_id, lambda: _ticket(raw, account.settings))

    def itemize(self, *, raw: bytes, account: AccountFacts) -> Authentication:
        return tickets.authentication_of(None, lambda: _ticket(raw, account.settings))

    def parse(
        self, raw: bytes, item_index: int = 0, settings: Mapping[str, str] = NO_SETTINGS
    ) -> NormalizedEvent:
        """`settings` name the members of the record. Raises EventRefused."""
        if item_index != 0:
            raise EventRefused("no_such_item")
        return tickets.event_of(_ticket(raw, settings))

    def refusal_status(self, authentication: Authentication) -> int:
        return 413 if authentication.reason == "body_too_large" else 401

    def success_body(self) -> tuple[bytes, str]:
        return b'{"received":true}', "application/json"


def _token_secret(given: str, secrets: Sequence[SecretValue]) -> tuple[str, str]:
    """(id of the secret that the header repeats, why none); digests, so no length is told."""
    verified = ""
    shown = signing.hmac_sha256(b"token", given.encode("ascii"))
    for secret in secrets:
        if not secret.value:
            continue
        known = signing.hmac_sha256(b"token", secret.value.encode("utf-8", "surrogatepass"))
        if signing.any_equal(known, [shown]) and not verified:
            verified = secret.id
    usable = any(secret.value for secret in secrets)
    return verified, "" if verified else ("signature_mismatch" if usable else "secret_missing")


def _ticket(raw: bytes, settings: Mapping[str, str]) -> Ticket:
    """Raises EventRefused."""
    record = strictjson.read_object(raw)
    names = {name: _member(settings, name) for name in MEMBERS}
    found = {name: record.get(member) for name, member in names.items()}
    evidence = found["evidence"]
    if evidence is not None and not isinstance(evidence, dict):
        raise EventRefused("evidence_malformed", names["evidence"])
    return Ticket(
        system="servicenow",
        event_type=tickets.KIND,
        status=text_or_none(record.get("state")) or "",
        number=found["number"],
        # Without one the record itself is the request.
        request_id=found["request_id"] or record.get("sys_id"),
        charge=found["charge"],
        amount=found["amount"],
        currency=found["currency"] or settings.get("currency"),
        reason=found["reason"],
        note=found["note"],
        requester=found["requester"],
        evidence=evidence or {},
        occurred_at=signing.utc_from_unix(record.get("created")),
        paths=names,
    )


def _member(settings: Mapping[str, str], name: str) -> str:
    stated = settings.get(f"field_{name}", "")
    return stated if FIELD.fullmatch(stated) else MEMBERS[name]
