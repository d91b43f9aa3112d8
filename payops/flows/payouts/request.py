"""A payout from its request to its release: asked for by one, decided by others, then sent on.

The request is one act of one person (or of a system on a person's behalf). A granted release goes
to its submission window as news; `payouts.dispatch` submits it. Serves PX-13, PX-15, AP-1, D2, D5,
D6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from ledger import posting
from payops.core import ids, locks, messages, rates, state
from payops.core.actors import Actor, service
from payops.core.messages import News
from payops.core.models import Person, ProviderAccount
from payops.core.money import Money
from payops.flows.payouts import postings as payout_postings
from payops.payments.models import Beneficiary, Payout
from payops.payments.services import next_submission_window
from payops.psp import registry

ACTOR = service("payout-release")
State = Payout.State
KIND = "payout_release"
TWINS_SHOWN_MAX = 5


class PayoutRefused(ValueError):
    """The request or act does not fit; the text names the rule with its figures."""


@dataclass(frozen=True, slots=True)
class PayoutAsk:
    """What is asked for; `request_key` makes asking twice the same payout."""

    account: ProviderAccount
    beneficiary: Beneficiary
    amount: Money
    merchant_ref: str
    request_key: str
    reason: str
    requested_by: Person
    source: str = "console"
    funding: str = "psp_balance"
    reissue_of: Payout | None = None


def request_payout(*, ask: PayoutAsk, actor: Actor, now: datetime) -> Payout:
    """Create the payout and ask for its release. Raises PayoutRefused."""
    with transaction.atomic(durable=True):
        return ask_release(ask, actor=actor, now=now)


def ask_release(ask: PayoutAsk, *, actor: Actor, now: datetime) -> Payout:
    """`request_payout` inside the caller's transaction (the runbook's re-issue step)."""
    beneficiary = locks.row(Beneficiary, ask.beneficiary.pk)
    known = Payout.objects.filter(book=ask.account.book, request_key=ask.request_key).first()
    if known is not None:
        return _same_request(known, ask)
    _check_ask(ask, now)
    payout = Payout(
        book=ask.account.book,
        account=ask.account,
        beneficiary=beneficiary,
        amount_minor=ask.amount.minor,
        currency=ask.amount.currency,
        funding=ask.funding,
        merchant_ref=ask.merchant_ref,
        reissue_of=ask.reissue_of,
        requested_by=ask.requested_by,
        source=ask.source,
        request_key=ask.request_key,
        bank_hash=beneficiary.bank_hash,
        created_at=now,
    )
    state.save(payout, actor=actor, now=now, action="payout.requested", reason=ask.reason)
    approval = approvals.request_approval(
        book=payout.book,
        kind=KIND,
        subject_id=payout.public_id,
        title=f"Pay {payout.amount} to {beneficiary.name} ({payout.merchant_ref})",
        facts=release_facts(payout),
        reason=ask.reason,
        actor=actor,
        now=now,
        requested_by=ask.requested_by,
        amount=payout.amount,
        cumulative_key=beneficiary.public_id,
        risk=beneficiary.risk,
        barred=[beneficiary.bank_changed_by_id] if beneficiary.bank_changed_by_id else [],
        consequences=release_consequences(payout, now),
    )
    payout.ask_approval(approval_id=approval.public_id)
    state.save(payout, actor=actor, now=now, action="payout.approval_asked")
    return payout


def release_facts(payout: Payout) -> dict[str, Any]:
    """Exactly what is approved (D6)."""
    return {
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "beneficiary": payout.beneficiary.public_id,
        "bank_hash": payout.bank_hash,
        "bank_masked": payout.beneficiary.bank_masked,
        "account": payout.account.address,
        "merchant_ref": payout.merchant_ref,
        "funding": payout.funding,
        "source": payout.source,
        "reissue_of": payout.reissue_of.public_id if payout.reissue_of else "",
        "template": payout_postings.TEMPLATE_VERSION,
    }


def release_consequences(payout: Payout, now: datetime) -> list[dict[str, Any]]:
    entry = payout_postings.initiated(payout, posting.Refs(), now)
    caused = [consequence_of(entry), {"kind": "call", "words": f"submitted to {payout.account}"}]
    twins = Payout.objects.filter(book=payout.book, merchant_ref=payout.merchant_ref)
    for twin in twins.exclude(pk=payout.pk).order_by("created_at")[:TWINS_SHOWN_MAX]:
        words = f"the reference {twin.merchant_ref} stands on {twin.public_id} ({twin.state}) too"
        caused.append({"kind": "warning", "words": words})
    return caused


def consequence_of(entry: posting.Posting) -> dict[str, Any]:
    """One journal entry as the approver sees it before deciding (F7)."""
    return {
        "kind": "entry",
        "words": entry.description,
        "lines": [
            {
                "account": leg.account,
                "party": leg.party,
                "amount_minor": leg.amount_minor,
                "currency": leg.currency,
            }
            for leg in entry.legs
        ],
    }


def on_release_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Carry the decision to the payout; a granted one goes on to its submission window."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, ids.parse(approval.subject_id, "po")[1])
        if payout.state not in (State.AWAITING_APPROVAL, State.APPROVED, State.BLOCKED):
            return
        if approval.state == ApprovalRequest.State.APPROVED:
            if payout.state == State.AWAITING_APPROVAL:
                payout.approve()
                state.save(payout, actor=ACTOR, now=now, action="payout.approved")
            send_dispatch(payout, now, attempt="1")
        else:
            payout.cancel(reason=f"the release was {approval.state.lower()}")
            state.save(payout, actor=ACTOR, now=now, action="payout.canceled")


def retry_release(*, payout_id: UUID, reason: str, actor: Actor, now: datetime) -> Payout:
    """A person asks for the gates of a blocked payout to be looked at again."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, payout_id)
        if payout.state != State.BLOCKED or not payout.approval_id:
            raise PayoutRefused(f"{payout.merchant_ref} is {payout.state}, not BLOCKED")
        payout.approve()
        state.save(payout, actor=actor, now=now, action="payout.release_retried", reason=reason)
        send_dispatch(payout, now, attempt=now.isoformat())
        return payout


def cancel(*, payout_id: UUID, reason: str, actor: Actor, now: datetime) -> Payout:
    """Take back a payout that has not left; its approval becomes void."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, payout_id)
        before = (State.DRAFT, State.BLOCKED, State.AWAITING_APPROVAL, State.APPROVED)
        if payout.state not in before:
            raise PayoutRefused(
                f"{payout.merchant_ref} is {payout.state}; only a payout that has not left can be "
                "canceled here"
            )
        if not reason.strip():
            raise PayoutRefused("canceling a payout needs a reason")
        payout.cancel(reason=reason[:240])
        state.save(payout, actor=actor, now=now, action="payout.canceled", reason=reason)
        approvals.void_open(
            book=payout.book,
            subject_id=payout.public_id,
            reason="the payout was canceled",
            actor=actor,
            now=now,
        )
        return payout


def send_dispatch(payout: Payout, now: datetime, *, attempt: str) -> None:
    due_at = next_submission_window(payout.account, now)
    news = News(
        payout.book,
        "payout.dispatch",
        f"{payout.public_id}:{attempt}",
        {"payout_id": payout.public_id},
        due_at=due_at,
        turn=str(payout.account_id),
    )
    messages.send([news], now=now)


def _same_request(known: Payout, ask: PayoutAsk) -> Payout:
    facts = (known.amount, known.beneficiary_id, known.account_id, known.merchant_ref)
    asked = (ask.amount, ask.beneficiary.pk, ask.account.pk, ask.merchant_ref)
    if facts != asked:
        raise PayoutRefused(
            f"request key {ask.request_key} was used for {known.amount} to "
            f"{known.beneficiary.reference} ({known.merchant_ref}); use a new key"
        )
    return known


def _check_ask(ask: PayoutAsk, now: datetime) -> None:
    if ask.amount.minor <= 0:
        raise PayoutRefused(f"a payout pays more than nothing; asked was {ask.amount}")
    if ask.beneficiary.book_id != ask.account.book_id:
        raise PayoutRefused("beneficiary and provider account belong to different books")
    if not registry.has_calls(ask.account.provider):
        raise PayoutRefused(
            f"{ask.account.address} is a ticket system; name the provider account that pays"
        )
    if not ask.merchant_ref.strip() or not ask.reason.strip():
        raise PayoutRefused("a payout needs a reference and a reason")
    if rates.reporting_minor(ask.amount, ask.account.book, now) is None:
        raise PayoutRefused(
            f"no rate of {ask.amount.currency} in {ask.account.book.reporting_currency} is known; "
            "the journal could not take the payout"
        )
    original = ask.reissue_of
    if original is not None and Payout.objects.filter(reissue_of=original).exists():
        raise PayoutRefused(f"{original.merchant_ref} was re-issued already; once is the limit")
