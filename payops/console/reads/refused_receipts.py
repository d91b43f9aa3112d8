"""Refused receipts of one account: who sent what, and why nobody believed it.

Reads only; a page costs the same however much was refused. Bodies of refused receipts are never
kept, so there is none to show. Serves WH-8, WH-31.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from payops.console.filters import Control, Filters, choices
from payops.console.tones import word_of
from payops.core.models import ProviderAccount
from payops.webhooks import noise
from payops.webhooks.models import WEBHOOK, Delivery, RefusalCount

# What was refused is looked through by its reason; counted reasons are kept this long.
KNOWN_FOR = timedelta(days=noise.KEPT_DAYS)


@dataclass(frozen=True, slots=True)
class RefusedReceipt:
    """One receipt with its reason in words and the kind of sender it tells of."""

    row: Delivery
    reason: str
    kind: str


def controls(account: ProviderAccount, now: datetime) -> list[Control]:
    rows = RefusalCount.objects.filter(account=account, kept__gt=0, minute__gt=now - KNOWN_FOR)
    counted = set(rows.order_by().values_list("reason", flat=True).distinct())
    reasons = sorted(counted | set(noise.KINDS) | {"signature_mismatch"})
    return [
        Control("reason", "Reason", "select", choices([(name, word_of(name)) for name in reasons]))
    ]


def listed(account: ProviderAccount, wanted: Filters) -> QuerySet[Delivery]:
    """Newest first by the account's own index."""
    rows = Delivery.objects.filter(account=account, signature_ok=False, channel=WEBHOOK)
    return rows.filter(signature_reason=wanted["reason"]) if wanted["reason"] else rows


def shown(rows: Sequence[Delivery]) -> list[RefusedReceipt]:
    return [
        RefusedReceipt(row, word_of(row.signature_reason or "refused"), _kind(row)) for row in rows
    ]


def _kind(row: Delivery) -> str:
    return noise.KIND_WORDS[noise.KINDS.get(row.signature_reason, noise.FORGED)]
