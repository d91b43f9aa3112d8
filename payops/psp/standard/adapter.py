"""Reads the generic provider, whose webhooks follow Standard Webhooks 1.0.0.

`webhook-id` is the event id and the dedupe key; a body that names another id is dead-lettered.
Never accepts a `v1a` entry as `v1`. Serves WH-2, WH-4, WH-9, WH-26 and WH-29.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from payops.core.money import Money, MoneyError
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
from payops.psp.methods import method_or_none
from payops.psp.standard import disputes
from payops.psp.strictjson import child, id_or_none, text_or_none

KEY_MARK = "whsec_"
SCHEME = "v1"
OUR_REF = re.compile(r"[a-z]{2}_[0-9a-f]{32}", re.ASCII)
# type -> (kind, the object status that must go with it; None where any does)
KINDS: Mapping[str, tuple[str, str | None]] = {
    "payout.created": ("payout.initiated", None),
    "payout.in_transit": ("payout.in_transit", "in_transit"),
    "payout.paid": ("payout.paid", "paid"),
    "payout.failed": ("payout.failed", "failed"),
    "settlementFailed": ("payout.failed", "failed"),
    "payout.reversed": ("payout.returned", "reversed"),
    "payout.canceled": ("payout.canceled", "canceled"),
    "payment.captured": ("payment.captured", None),
    "payment.failed": ("payment.failed", None),
    "refund.created": ("refund.accepted", None),
    "refund.succeeded": ("refund.succeeded", "succeeded"),
    "refund.failed": ("refund.failed_late", "failed"),
    "refund.reversed": ("refund.returned", "reversed"),
    "refund.canceled": ("refund.canceled", "canceled"),
    "dispute.opened": ("dispute.opened", None),
    "dispute.updated": ("dispute.updated", None),
    "dispute.funds_withdrawn": ("dispute.funds_withdrawn", None),
    "dispute.funds_returned": ("dispute.funds_returned", None),
    "dispute.won": ("dispute.won", "won"),
    "dispute.lost": ("dispute.lost", "lost"),
    "dispute.closed": ("dispute.closed", "closed"),
}
# A refund can be born in its end.
BORN = {"succeeded": "refund.succeeded", "failed": "refund.failed"}
HIGH = ("payout.", "dispute.", "refund.failed", "refund.reversed", "settlementFailed")


class StandardAdapter:
    """One signed event per body; see `payops.psp.base.WebhookAdapter`."""

    name = "standard"

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
        values = []
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            value, reason = signing.header(headers, name)
            if reason:
                return signing.refused(reason)
            values.append(value)
        event_id, stamp, signatures = values
        if id_or_none(event_id) is None or "." in event_id:
            # The signed text joins its parts with dots, so an id with one could shift them.
            return signing.refused("header_malformed")
        signed_at = signing.unix_seconds(stamp)
        if signed_at is None:
            return signing.refused("timestamp_malformed")
        candidates = _candidates(signatures)
        if not 0 < len(candidates) <= LIMITS.signatures_max:
            return signing.refused("signature_mismatch" if not candidates else "header_malformed")
        secret_id, usable = _verifying_secret(raw, event_id, stamp, candidates, secrets)
        if secret_id is None:
            return signing.refused("signature_mismatch" if usable else "secret_missing")
        reason = signing.tolerance_reason(signed_at=signed_at, now=now)
        if reason:
            return signing.refused(reason, secret_id)
        return _read(raw, event_id, secret_id, account)

    def itemize(self, *, raw: bytes, account: AccountFacts) -> Authentication:
        return _read(raw, None, None, account)

    def parse(
        self, raw: bytes, item_index: int = 0, settings: Mapping[str, str] = NO_SETTINGS
    ) -> NormalizedEvent:
        """The canonical event. Raises EventRefused."""
        if item_index != 0:
            raise EventRefused("no_such_item")
        return _normalize(strictjson.read_object(raw))

    def refusal_status(self, authentication: Authentication) -> int:
        return 413 if authentication.reason == "body_too_large" else 401

    def success_body(self) -> tuple[bytes, str]:
        return b'{"received":true}', "application/json"


def money_from_standard(amount: object, currency: object, path: str = "data.amount") -> Money:
    """ISO minor units already. Raises EventRefused, naming `path`."""
    if type(amount) is not int:
        raise EventRefused("amount_malformed", path)
    if not isinstance(currency, str):
        raise EventRefused("amount_malformed", "data.currency")
    if amount < 0:
        raise EventRefused("amount_negative", path)
    try:
        return Money(amount, currency)
    except MoneyError as error:
        raise EventRefused("amount_malformed", path) from error


def _candidates(signatures: str) -> list[bytes]:
    found = []
    for entry in signatures.split(" "):
        scheme, _, text = entry.partition(",")
        if scheme == SCHEME:
            try:
                digest = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue
            # Several texts decode to the same bytes; only the one that is written so is exact.
            if base64.b64encode(digest).decode("ascii") == text:
                found.append(digest)
    return found


def _verifying_secret(
    raw: bytes,
    event_id: str,
    stamp: str,
    candidates: list[bytes],
    secrets: Sequence[SecretValue],
) -> tuple[str | None, bool]:
    """(id of the secret that verifies, whether any secret was usable)."""
    verified, usable = None, False
    signed_head = f"{event_id}.{stamp}.".encode("ascii")
    for secret in secrets:
        key = _key(secret.value)
        if not key:
            continue
        usable = True
        digest = signing.hmac_sha256(key, signed_head, raw)
        if signing.any_equal(digest, candidates) and verified is None:
            verified = secret.id
    return verified, usable


def _key(value: str) -> bytes:
    text = value.removeprefix(KEY_MARK)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _read(
    raw: bytes, event_id: str | None, secret_id: str | None, account: AccountFacts
) -> Authentication:
    """`event_id` is the signed header's; a listed body has none and is named by its own id."""
    try:
        event = strictjson.read_object(raw)
        named = event_id or id_or_none(event.get("id"))
        if named is None:
            raise EventRefused("event_id_missing")
        if event.get("id", named) != named:
            raise EventRefused("event_id_mismatch")
        item = _item(event, named)
    except EventRefused as error:
        return Authentication(ok=True, secret_id=secret_id, parse_error=error.reason)
    if item.live is not None and item.live is not account.live:
        return signing.refused("mode_mismatch", secret_id)
    return Authentication(ok=True, secret_id=secret_id, items=(item,))


def _item(event: Mapping[str, Any], event_id: str) -> WebhookItem:
    event_type = id_or_none(event.get("type"))
    if event_type is None:
        raise EventRefused("event_type_missing")
    subject = child(event, "data")
    if not subject:
        raise EventRefused("object_missing")
    object_id = id_or_none(subject.get("id")) or ""
    request = child(event, "request")
    try:
        amount = money_from_standard(subject.get("amount"), subject.get("currency"))
    except EventRefused:
        # Not every object carries an amount; one that must have it is refused by `parse`.
        amount = None
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
                "failure_code": subject.get("failure_code"),
            }
        ),
        event_type=event_type,
        object_id=object_id,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        occurred_at=signing.utc_from_unix(event.get("created")),
        live=event["live"] if isinstance(event.get("live"), bool) else None,
        lane=_lane(event_type),
        request_id=id_or_none(request.get("id")),
        request_idempotency_key=text_or_none(request.get("idempotency_key"), LIMITS.id_chars_max),
    )


def _normalize(event: Mapping[str, Any]) -> NormalizedEvent:
    event_id, event_type = id_or_none(event.get("id")), id_or_none(event.get("type"))
    if event_id is None or event_type is None:
        missing = "id" if event_id is None else "type"
        raise EventRefused(f"event_{missing}_missing", missing)
    subject = child(event, "data")
    kind, needed = KINDS.get(event_type, ("ignored", None))
    status = text_or_none(subject.get("status")) or ""
    if needed and status and status != needed:
        raise EventRefused("status_contradicts_type", "data.status")
    if event_type == "refund.created":
        kind = BORN.get(status, kind)
    object_id = id_or_none(subject.get("id")) or ""
    dispute = disputes.facts_of(kind, object_id, subject)
    amount = None
    if kind != "ignored":
        if not object_id:
            raise EventRefused("object_id_missing", "data.id")
        amount = money_from_standard(subject.get("amount"), subject.get("currency"))
    our_ref, merchant_ref = _references(subject)
    return NormalizedEvent(
        kind=kind,
        provider="standard",
        provider_event_id=event_id,
        provider_ref=object_id,
        raw_type=event_type,
        status=status,
        occurred_at=signing.utc_from_unix(event.get("created")),
        live=event["live"] if isinstance(event.get("live"), bool) else None,
        merchant_ref=merchant_ref,
        our_ref=our_ref,
        amount=amount,
        fee=_part(subject, "fee", amount),
        platform_fee=_part(subject, "platform_fee", amount),
        currency=amount.currency if amount else None,
        seller_ref=text_or_none(subject.get("seller"), LIMITS.id_chars_max),
        failure_code=dispute.reason or text_or_none(subject.get("failure_code")),
        failure_message=text_or_none(subject.get("failure_message")),
        # The provider numbers no movements: an object moves money once each way.
        movement_ref=dispute.movement_ref if dispute.is_one else object_id or None,
        failure_movement_ref=dispute.back_ref or _money_back_ref(kind, object_id),
        original_provider_ref=_payment_of(kind, subject),
        trace_ref=text_or_none(subject.get("trace_id"), LIMITS.id_chars_max),
        method=_method(kind, subject),
        reason="" if kind != "ignored" else "no_meaning_here",
        due_at=dispute.due_at,
        refundable=dispute.refundable,
        stage=dispute.stage,
    )


def _method(kind: str, subject: Mapping[str, Any]) -> str | None:
    if not kind.startswith("payment."):
        return None
    return method_or_none(subject.get("method"))


def _money_back_ref(kind: str, object_id: str) -> str | None:
    return f"{object_id}:back" if kind in ("payout.returned", "refund.returned") else None


def _payment_of(kind: str, subject: Mapping[str, Any]) -> str | None:
    """The payment that a refund or a dispute is about; nobody can act on one without it."""
    if not kind.startswith(("refund.", "dispute.")):
        return None
    payment = id_or_none(subject.get("payment"))
    if payment is None:
        raise EventRefused("payment_missing", "data.payment")
    return payment


def _part(subject: Mapping[str, Any], name: str, amount: Money | None) -> Money | None:
    """A fee in the payment's own currency, never more than the payment."""
    if amount is None or subject.get(name) is None:
        return None
    part = money_from_standard(subject[name], amount.currency, f"data.{name}")
    if part.minor > amount.minor:
        raise EventRefused(f"{name}_exceeds_amount", f"data.{name}")
    return part


def _references(subject: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(ours, the merchant's); a reference that is not in our form counts as the merchant's."""
    ours = id_or_none(subject.get("reference"))
    theirs = text_or_none(subject.get("merchant_reference"), LIMITS.id_chars_max)
    if ours and OUR_REF.fullmatch(ours):
        return ours, theirs
    return None, theirs or text_or_none(subject.get("reference"), LIMITS.id_chars_max)


def _lane(event_type: str) -> Lane:
    if event_type.startswith(HIGH):
        return "high"
    return "standard" if event_type.startswith(("payment.", "refund.")) else "bulk"
