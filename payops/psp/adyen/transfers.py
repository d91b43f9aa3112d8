"""Adyen's transfer webhooks, and a transfer as the API shows it: the same object both times.

Owns status and history of an outgoing bank transfer to canonical payout kinds, and what its event
history proves about money that left and came back. `sequenceNumber` numbers the tellings of one
transfer from 1, so id and number name an event. Serves WH-4, WH-10, WH-15, WH-28, WH-29, PX-3.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from payops.core.money import Money
from payops.psp import signing, strictjson
from payops.psp.adyen import fields
from payops.psp.adyen.amounts import money_from_adyen
from payops.psp.adyen.statuses import BANK_STATUSES, IMPLIED, OTHER_STATUSES
from payops.psp.base import (
    AccountFacts,
    Authentication,
    EventRefused,
    Lane,
    NormalizedEvent,
    WebhookItem,
)
from payops.psp.strictjson import child, text_or_none

CREATED = "balancePlatform.transfer.created"
UPDATED = "balancePlatform.transfer.updated"
TYPES = (CREATED, UPDATED)
ENVIRONMENTS = {"test": False, "live": True}
SEQUENCE_MAX = 10**6
HISTORY_MAX = 200
GAVE_BACK = ("payout.failed", "payout.returned", "payout.canceled")

Transfer = Mapping[str, Any]


def read(
    raw: bytes, secret_id: str | None, account: AccountFacts, *, listed: bool
) -> Authentication:
    """The one item of a verified body; a listed one names no environment."""
    try:
        body = strictjson.read_object(raw)
        item = _item(raw, body)
    except EventRefused as error:
        return Authentication(ok=True, secret_id=secret_id, parse_error=error.reason)
    if item.live is not account.live and not (listed and "environment" not in body):
        return signing.refused("mode_mismatch", secret_id)
    return Authentication(ok=True, secret_id=secret_id, items=(item,))


def normalize(body: Mapping[str, Any]) -> NormalizedEvent:
    """The canonical event. Raises EventRefused."""
    event_type, transfer = _envelope(body)
    if event_type not in TYPES:
        return _of_no_meaning(body, event_type, transfer)
    transfer_id, sequence = _identity(transfer)
    kind, reason = _kind(transfer)
    amount = None if kind == "ignored" else amount_of(transfer)
    return NormalizedEvent(
        kind=kind,
        provider="adyen",
        provider_event_id=f"{transfer_id}:{sequence}",
        provider_ref=transfer_id,
        raw_type=event_type,
        status=text_or_none(transfer.get("status")) or "",
        occurred_at=_occurred_at(body, transfer),
        live=_live(body),
        merchant_ref=fields.merchant_ref(transfer.get("reference")),
        our_ref=fields.our_ref(transfer.get("reference")),
        amount=amount,
        currency=amount.currency if amount else None,
        failure_code=failure_code(transfer, kind),
        failure_message=text_or_none(transfer.get("reason")) if kind in GAVE_BACK else None,
        movement_ref=movement_ref(transfer),
        failure_movement_ref=money_back_ref(transfer, kind),
        reason=reason,
    )


def amount_of(transfer: Transfer) -> Money:
    """Raises EventRefused."""
    stated = child(transfer, "amount")
    return money_from_adyen(stated.get("value"), stated.get("currency"), path="data.amount")


def is_ours_to_read(transfer: Transfer) -> bool:
    """Only money that leaves by bank is a payout; cards, fees and money coming in are not."""
    return transfer.get("category") == "bank" and transfer.get("direction") == "outgoing"


def reached(transfer: Transfer) -> frozenset[str]:
    """Every kind that the transfer's status and history prove (WH-15)."""
    statuses = [transfer.get("status"), *(event.get("status") for event in history(transfer))]
    kinds = {BANK_STATUSES.get(str(status), "") for status in statuses} - {""}
    return frozenset(kinds | {before for kind in kinds for before in IMPLIED.get(kind, ())})


def history(transfer: Transfer) -> list[dict[str, Any]]:
    """The transfer's own events, oldest first."""
    listed = transfer.get("events")
    if not isinstance(listed, list):
        return []
    return [event for event in listed[-HISTORY_MAX:] if isinstance(event, dict)]


def failure_code(transfer: Transfer, kind: str) -> str | None:
    if kind not in GAVE_BACK:
        return None
    return text_or_none(transfer.get("reason"), fields.FAILURE_CODE_CHARS_MAX)


def movement_ref(transfer: Transfer) -> str | None:
    """The movement that took the money from our balance; known once it is booked."""
    return _movement(transfer, sign=-1)


def money_back_ref(transfer: Transfer, kind: str) -> str | None:
    """The movement that gave it back. A failure before booking moved no balance and has none."""
    if kind not in GAVE_BACK:
        return None
    found = _movement(transfer, sign=1)
    if found is None and kind == "payout.returned":
        transfer_id = fields.reference(transfer.get("id"))
        return f"{transfer_id}:back" if transfer_id else None
    return found


def changed_at(transfer: Transfer) -> datetime | None:
    """When the newest thing in the history happened."""
    for event in reversed(history(transfer)):
        found = fields.moment(event.get("bookingDate")) or fields.moment(event.get("updateDate"))
        if found is not None:
            return found
    return fields.moment(transfer.get("updatedAt"))


def as_webhook(transfer: Transfer) -> dict[str, object]:
    """The body Adyen would have posted for a transfer in this state, without its environment."""
    first = transfer.get("sequenceNumber") == 1
    return {"type": CREATED if first else UPDATED, "data": dict(transfer)}


def _envelope(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    event_type = fields.reference(body.get("type"))
    if event_type is None:
        raise EventRefused("event_type_missing", "type")
    transfer = child(body, "data")
    if not transfer:
        raise EventRefused("object_missing", "data")
    return event_type, transfer


def _identity(transfer: Transfer) -> tuple[str, int]:
    transfer_id = fields.reference(transfer.get("id"))
    if transfer_id is None:
        raise EventRefused("object_id_missing", "data.id")
    sequence = transfer.get("sequenceNumber")
    if type(sequence) is not int or not 1 <= sequence <= SEQUENCE_MAX:
        raise EventRefused("sequence_missing", "data.sequenceNumber")
    return transfer_id, sequence


def _kind(transfer: Transfer) -> tuple[str, str]:
    if not is_ours_to_read(transfer):
        return "ignored", "not_an_outgoing_bank_transfer"
    status = text_or_none(transfer.get("status")) or ""
    kind = BANK_STATUSES.get(status)
    if kind is not None:
        return kind, ""
    if status in OTHER_STATUSES:
        return "ignored", "status_without_meaning_here"
    raise EventRefused("status_unknown", "data.status")


def _movement(transfer: Transfer, *, sign: int) -> str | None:
    """The latest event that changed the balance itself in that direction."""
    for event in reversed(history(transfer)):
        mutations = event.get("mutations")
        moved = [
            mutation["balance"]
            for mutation in (mutations if isinstance(mutations, list) else [])
            if isinstance(mutation, dict) and type(mutation.get("balance")) is int
        ]
        if sum(moved) * sign > 0:
            found = fields.reference(event.get("transactionId"))
            return found or fields.reference(event.get("id"))
    return None


def _item(raw: bytes, body: Mapping[str, Any]) -> WebhookItem:
    event_type, transfer = _envelope(body)
    if event_type not in TYPES:
        return _item_of_no_meaning(raw, body, event_type, transfer)
    transfer_id, sequence = _identity(transfer)
    stated = child(transfer, "amount")
    try:
        amount = amount_of(transfer)
    except EventRefused:
        # A payout without a readable amount is refused by `normalize`; others need none.
        amount = None
    return WebhookItem(
        index=0,
        provider_event_id=f"{transfer_id}:{sequence}",
        dedupe_key=f"{transfer_id}:{sequence}",
        fingerprint=strictjson.fingerprint(
            {
                "object": transfer_id,
                "sequence": sequence,
                "status": transfer.get("status"),
                "reason": transfer.get("reason"),
                "reference": transfer.get("reference"),
                "value": stated.get("value"),
                "currency": stated.get("currency"),
                "category": transfer.get("category"),
                "direction": transfer.get("direction"),
            }
        ),
        event_type=event_type,
        object_id=transfer_id,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        occurred_at=_occurred_at(body, transfer),
        live=_live(body),
        lane=_lane(transfer),
        sequence=sequence,
    )


def _item_of_no_meaning(
    raw: bytes, body: Mapping[str, Any], event_type: str, subject: Transfer
) -> WebhookItem:
    """Other platform webhooks come to the same address; they carry no event id of their own."""
    digest = hashlib.sha256(raw).hexdigest()
    return WebhookItem(
        index=0,
        provider_event_id=fields.reference(subject.get("id")) or "",
        dedupe_key=f"{event_type}:{digest}",
        fingerprint=digest,
        event_type=event_type,
        object_id=fields.reference(subject.get("id")) or "",
        amount_minor=None,
        currency=None,
        occurred_at=fields.moment(body.get("timestamp")),
        live=_live(body),
        lane="bulk",
    )


def _of_no_meaning(body: Mapping[str, Any], event_type: str, subject: Transfer) -> NormalizedEvent:
    subject_id = fields.reference(subject.get("id")) or ""
    return NormalizedEvent(
        kind="ignored",
        provider="adyen",
        provider_event_id=subject_id,
        provider_ref=subject_id,
        raw_type=event_type,
        status=text_or_none(subject.get("status")) or "",
        occurred_at=fields.moment(body.get("timestamp")),
        live=_live(body),
        reason="no_meaning_here",
    )


def _occurred_at(body: Mapping[str, Any], transfer: Transfer) -> datetime | None:
    for found in (
        changed_at(transfer),
        fields.moment(body.get("timestamp")),
        fields.moment(transfer.get("creationDate")),
    ):
        if found is not None:
            return found
    return None


def _live(body: Mapping[str, Any]) -> bool | None:
    environment = body.get("environment")
    return ENVIRONMENTS.get(environment) if isinstance(environment, str) else None


def _lane(transfer: Transfer) -> Lane:
    return "high" if is_ours_to_read(transfer) else "bulk"
