"""Beneficiaries: verifying their details, and changing them only through approval (F27, PX-6).

New details are sealed before they are asked for; the request and its hash carry only the mask,
the keyed hash and the ciphertext. Applied details cool down before money goes to them.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from payops.core import audit, crypto, ids, locks
from payops.core.actors import Actor
from payops.core.models import Person
from payops.payments.models import Beneficiary, Payout
from payops.payments.services import cooldown_end

KIND = "bank_detail_change"
UNSENT = (Payout.State.AWAITING_APPROVAL, Payout.State.APPROVED, Payout.State.BLOCKED)
ACCOUNT = re.compile(r"[A-Z0-9][A-Z0-9 -]{5,40}[A-Z0-9]")


class BankChangeRefused(ValueError):
    """The new details cannot be asked for; the text says which field and why."""


def verify(*, beneficiary_id: UUID, evidence: str, actor: Actor, now: datetime) -> Beneficiary:
    """A person confirms the details, naming how they know (a call back, a bank letter)."""
    if len(evidence.strip()) < 8:
        raise BankChangeRefused("verifying details needs the evidence used, in words")
    with transaction.atomic(durable=True):
        seller = locks.row(Beneficiary, beneficiary_id)
        if seller.bank_changed_by_id is not None and seller.bank_changed_by_id == actor.person_id:
            raise BankChangeRefused(
                f"you asked for the details of {seller.bank_masked}, so somebody else verifies them"
            )
        seller.verified_at = now
        seller.verified_by_id = actor.person_id
        seller.verified_evidence = evidence.strip()[:240]
        seller.save()
        _audit(seller, "beneficiary.verified", evidence, actor, now)
        return seller


def request_bank_change(
    *,
    beneficiary_id: UUID,
    holder: str,
    account: str,
    reason: str,
    actor: Actor,
    now: datetime,
) -> ApprovalRequest:
    """Ask for new bank details; nothing changes until others approve. Raises BankChangeRefused."""
    holder, account = holder.strip(), account.strip().upper()
    if not holder or len(holder) > 120:
        raise BankChangeRefused("the account holder has 1 to 120 characters")
    if not ACCOUNT.fullmatch(account):
        raise BankChangeRefused("the account has 7 to 42 letters and digits, such as an IBAN")
    with transaction.atomic(durable=True):
        seller = locks.row(Beneficiary, beneficiary_id)
        details = {"holder": holder, "account": account.replace(" ", "")}
        fresh_hash = crypto.keyed_hash(json.dumps(details, sort_keys=True))
        if fresh_hash == seller.bank_hash:
            raise BankChangeRefused(f"these are the details on file already ({seller.bank_masked})")
        sealed = crypto.seal(seller.data_key, json.dumps(details).encode())
        return approvals.request_approval(
            book=seller.book,
            kind=KIND,
            subject_id=seller.public_id,
            title=f"New bank details for {seller.name}: {mask(details['account'])}",
            facts={
                "bank_hash": fresh_hash,
                "bank_hash_before": seller.bank_hash,
                "bank_masked": mask(details["account"]),
                "bank_masked_before": seller.bank_masked,
                "sealed": base64.b64encode(sealed).decode(),
                "cooldown_hours": seller.book.bank_detail_cooldown_hours,
            },
            reason=reason,
            actor=actor,
            now=now,
            requested_by=Person.objects.get(pk=actor.human()),
            risk=seller.risk,
            consequences=[
                {"kind": "change", "words": f"{seller.bank_masked} → {mask(details['account'])}"},
                {
                    "kind": "hold",
                    "words": "nothing is paid to the new details for "
                    f"{seller.book.bank_detail_cooldown_hours} hours",
                },
            ],
        )


def lock(beneficiary_id: str) -> Beneficiary:
    """Taken before the approval's row, so that a request meanwhile waits (lock order)."""
    return locks.row(Beneficiary, ids.parse(beneficiary_id, "be")[1])


def apply_bank_change(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """Put the approved details in force, unverified and cooling down (inside a transaction)."""
    facts: dict[str, Any] = approval.facts
    seller = lock(approval.subject_id)
    if seller.bank_hash != facts["bank_hash_before"]:
        raise BankChangeRefused("the details on file changed meanwhile; ask again")
    _void_releases_to_old_details(seller, actor, now)
    seller.bank_ciphertext = base64.b64decode(facts["sealed"])
    seller.bank_hash = facts["bank_hash"]
    seller.bank_masked = facts["bank_masked"]
    seller.bank_changed_at = now
    seller.bank_changed_by = approval.requested_by
    seller.bank_change_approval_id = approval.public_id
    seller.payable_from = cooldown_end(seller.book, now)
    seller.verified_at = None
    seller.verified_by = None
    seller.verified_evidence = ""
    seller.save()
    _audit(seller, "beneficiary.bank_changed", approval.reason, actor, now)


def _void_releases_to_old_details(seller: Beneficiary, actor: Actor, now: datetime) -> None:
    """What was approved named the old details (D6); such payouts end and are asked for anew."""
    waiting = Payout.objects.filter(beneficiary=seller, state__in=UNSENT)
    for payout in locks.rows(Payout, waiting.values_list("pk", flat=True)).values():
        approvals.void_open(
            book=seller.book,
            subject_id=payout.public_id,
            reason="the beneficiary's bank details changed",
            actor=actor,
            now=now,
        )


def mask(account: str) -> str:
    return f"{account[:2]}·· ···· {account[-4:]}"


def _audit(seller: Beneficiary, action: str, reason: str, actor: Actor, now: datetime) -> None:
    audit.record(
        [
            audit.event(
                book=seller.book,
                actor=actor,
                action=action,
                subject_id=seller.public_id,
                now=now,
                reason=reason,
                evidence={"bank_masked": seller.bank_masked},
            )
        ]
    )
