"""Posts entries as an internal system does."""

from __future__ import annotations

from typing import Any

from ledger.models import JournalEntry, PostingKey
from payops.core import clock
from tests.api.calling import post

ENTRIES = "/api/ledger/entries/"
BOTH = ["post_entry", "view_books"]


def fee(**changes: Any) -> dict[str, Any]:
    """A processing fee of 1.20 EUR; a member given as None is left out."""
    told = {
        "event_class": "fee.charged",
        "subject_id": "INV-2026-117",
        "movement_ref": "line-1",
        "currency": "EUR",
        "amounts": {"fee": "1.00", "input_tax": "0.20", "total": "1.20"},
        "parties": {"provider_account": "stripe/demo"},
        "occurred_at": clock.utc_now().isoformat(timespec="seconds"),
        "description": "Processing fee of invoice 117",
        "refs": {"provider_transaction_id": "txn_1", "merchant_reference": "M-1"},
        "on_behalf_of": "priya",
    } | changes
    return {name: value for name, value in told.items() if value is not None}


def send(body: Any, **more: Any) -> Any:
    return post(body, address=ENTRIES, **more)


def nothing_posted() -> bool:
    return not (JournalEntry.objects.exists() or PostingKey.objects.exists())


def fields_of(answer: Any) -> set[str]:
    return {error["field"] for error in answer.json()["errors"]}
