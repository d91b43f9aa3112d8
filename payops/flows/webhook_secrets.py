"""What a granted webhook secret does: it is accepted from then on (D5, SE-1, WH-30).

Who knows a live secret can sign any event, so nobody brings one alone. Owns the facts that are
approved (never the value), the activation, and giving up a secret whose request ended otherwise.
Asking is in `payops/flows/accounts.py`. Retiring only removes trust and needs no second person.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from uuid import UUID

from approvals.models import ApprovalRequest
from payops.core.actors import Actor
from payops.flows.account_changes import AccountChangeRefused, account_at
from payops.webhooks import secrets
from payops.webhooks.models import Secret

KIND = "webhook_secret"
VALUE_HASH = re.compile(r"[0-9a-f]{64}")


def check(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved. Raises AccountChangeRefused."""
    account = account_at(str(facts.get("provider_account", "")))
    hint, value_hash = str(facts.get("hint", "")), str(facts.get("value_hash", ""))
    if len(hint) != secrets.HINT_CHARS or not VALUE_HASH.fullmatch(value_hash):
        raise AccountChangeRefused("a webhook secret is asked for by its last characters and hash")
    return {
        "provider_account": account.address,
        "hint": hint,
        "value_hash": value_hash,
        "secret": str(UUID(str(facts["secret"]))),
    }


def apply(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    account = account_at(facts["provider_account"])
    if account.book_id != approval.book_id:
        raise AccountChangeRefused(f"{account.address} belongs to another book")
    secrets.activate(
        key=UUID(facts["secret"]),
        account=account,
        value_hash=facts["value_hash"],
        now=now,
        actor=actor,
        reason=approval.reason,
    )


def give_up(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """Retire what waited for a request that ended without a grant; safe to repeat."""
    rows = Secret.objects.filter(pk=approval.facts["secret"], approval_id=approval.public_id)
    secret = rows.filter(active_from=None, retired_at=None).first()
    if secret is not None:
        words = f"the request ended {approval.state.lower()}"
        secrets.retire_secret(secret=secret, now=now, actor=actor, reason=words)
