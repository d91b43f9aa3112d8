"""Reads Stripe's v1 webhooks: verifies `Stripe-Signature` and cuts the body into one item.

Never accepts a thin v2 event on this route, a future timestamp, or an event of the other mode.
Serves WH-2, WH-4, WH-9, WH-23, WH-26 and SE-1.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from payops.psp import signing, strictjson
from payops.psp.base import (
    LIMITS,
    NO_SETTINGS,
    AccountFacts,
    Authentication,
    EventRefused,
    Fetch,
    Lane,
    NormalizedEvent,
    SecretValue,
    WebhookItem,
)
from payops.psp.stripe import events
from payops.psp.stripe.amounts import money_from_stripe

SIGNATURE_HEADER = "stripe-signature"
HIGH_PREFIXES = ("payout.", "charge.dispute.", "refund.failed", "charge.refund.updated")
STANDARD_PREFIXES = ("charge.", "refund.", "invoice.", "payment_intent.", "transfer.", "topup.")


class StripeAdapter:
    """One signed event per body; see `payops.psp.base.WebhookAdapter`."""

    name = "stripe"

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
        stamps, candidates = _signature_parts(value)
        if len(stamps) != 1 or not 0 < len(candidates) <= LIMITS.signatures_max:
            return signing.refused("header_malformed" if stamps else "timestamp_malformed")
        signed_at = signing.unix_seconds(stamps[0])
        if signed_at is None:
            return signing.refused("timestamp_malformed")
        secret_id = _verifying_secret(raw, stamps[0], candidates, secrets)
        if secret_id is None:
            usable = any(secret.value for secret in secrets)
            return signing.refused("signature_mismatch" if usable else "secret_missing")
        reason = signing.tolerance_reason(signed_at=signed_at, now=now)
        if reason:
            return signing.refused(reason, secret_id)
        return _read(raw, secret_id, account)

    def itemize(self, *, raw: bytes, account: AccountFacts) -> Authentication:
        return _read(raw, None, account)

    def parse(
        self, raw: bytes, item_index: int = 0, settings: Mapping[str, str] = NO_SETTINGS
    ) -> NormalizedEvent:
        """The canonical event. Raises EventRefused."""
        if item_index != 0:
            raise EventRefused("no_such_item")
        return events.normalize(strictjson.read_object(raw))

    def refusal_status(self, authentication: Authentication) -> int:
        return 413 if authentication.reason == "body_too_large" else 401

    def success_body(self) -> tuple[bytes, str]:
        return b'{"received":true}', "application/json"


def _signature_parts(value: str) -> tuple[list[str], list[bytes]]:
    stamps, candidates = [], []
    for part in value.split(","):
        scheme, _, text = part.partition("=")
        if scheme == "t":
            stamps.append(text)
        elif scheme == "v1":
            candidates.append(text.encode("ascii"))
    return stamps, candidates


def _verifying_secret(
    raw: bytes, stamp: str, candidates: list[bytes], secrets: Sequence[SecretValue]
) -> str | None:
    verified = None
    for secret in secrets:
        if not secret.value:
            continue
        key = secret.value.encode("utf-8", "surrogatepass")
        digest = signing.hmac_sha256(key, stamp.encode("ascii"), b".", raw)
        if signing.any_equal(digest.hex().encode("ascii"), candidates) and verified is None:
            verified = secret.id
    return verified


def _read(raw: bytes, secret_id: str | None, account: AccountFacts) -> Authentication:
    try:
        event = strictjson.read_object(raw)
        if str(event.get("object", "")).startswith("v2."):
            return signing.refused("thin_event", secret_id)
        item = _item(event)
    except EventRefused as error:
        return Authentication(ok=True, secret_id=secret_id, parse_error=error.reason)
    if item.live is not None and item.live is not account.live:
        return signing.refused("mode_mismatch", secret_id)
    return Authentication(ok=True, secret_id=secret_id, items=(item,))


def _item(event: dict[str, Any]) -> WebhookItem:
    event_id, event_type, subject = events.envelope(event)
    object_id = strictjson.id_or_none(subject.get("id")) or ""
    try:
        amount = money_from_stripe(subject.get("amount"), subject.get("currency"))
    except EventRefused:
        # Many objects carry no amount; one that must have it is refused by `parse`.
        amount = None
    request_id, request_key = _request(event.get("request"))
    return WebhookItem(
        index=0,
        provider_event_id=event_id,
        dedupe_key=f"{event_id}:{object_id}",
        fingerprint=strictjson.fingerprint(
            {
                "type": event_type,
                "object": object_id,
                "amount": subject.get("amount"),
                "currency": subject.get("currency"),
                "status": subject.get("status"),
                "failure_code": subject.get("failure_code") or subject.get("failure_reason"),
            }
        ),
        event_type=event_type,
        object_id=events.warned_charge(subject) or object_id,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        occurred_at=signing.utc_from_unix(event.get("created")),
        live=events.live_flag(event, subject),
        lane=_lane(event_type),
        request_id=request_id,
        request_idempotency_key=request_key,
    )


def _request(request: object) -> tuple[str | None, str | None]:
    """API versions before 2017-05-25 send the request id alone, as text."""
    if isinstance(request, str):
        return strictjson.id_or_none(request), None
    if not isinstance(request, dict):
        return None, None
    key = strictjson.text_or_none(request.get("idempotency_key"), LIMITS.id_chars_max)
    return strictjson.id_or_none(request.get("id")), key


def _lane(event_type: str) -> Lane:
    if event_type.startswith(HIGH_PREFIXES):
        return "high"
    return "standard" if event_type.startswith(STANDARD_PREFIXES) else "bulk"
