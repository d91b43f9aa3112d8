"""A request for a refund as it comes in: what is asked for, its form, and asking the same twice.

Owns what every door hands to `refund`; looks at no rule and reserves nothing. Serves RF-2, RF-11,
RF-18.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from payops.core import audit, ids
from payops.core.actors import Actor
from payops.core.models import Person
from payops.core.money import Money
from payops.flows.refunds.acts import given
from payops.flows.refunds.decisions import AT_REQUEST
from payops.flows.refunds.facts import Said
from payops.flows.refunds.terms import RefundRefused
from payops.payments.models import Payment, Refund, RefundDecision

SOURCES = ("console", "api", "ticket", "bulk")
KEY_MAX, NOTE_MAX, REF_MAX, SYSTEM_MAX = 200, 400, 120, 32
FIELDS_MAX, FIELD_MAX, VALUE_MAX = 24, 48, 400


@dataclass(frozen=True, slots=True)
class RefundAsk:
    """What is asked for; `request_key` makes asking twice the same refund.

    `amount` None asks for all that is left. `account` is the merchant account the asker believes
    the charge was made on ("stripe/demo"), "" where nobody says.
    """

    payment: Payment
    amount: Money | None
    reason_code: str
    note: str
    evidence: Mapping[str, str]
    request_key: str
    requested_by: Person
    source: str = "console"
    ticket_system: str = ""
    ticket_ref: str = ""
    offline: bool = False
    goodwill: bool = False
    retry_of: Refund | None = None
    account: str = ""


def check_form(ask: RefundAsk) -> None:
    """What no row could hold."""
    if ask.amount is not None and ask.amount.minor <= 0:
        raise RefundRefused(f"a refund gives back more than nothing; asked was {ask.amount}")
    if ask.source not in SOURCES:
        raise RefundRefused(f"a refund is asked for through one of {SOURCES}, not {ask.source!r}")
    for name, value, most in (
        ("request key", ask.request_key, KEY_MAX),
        ("note", ask.note, NOTE_MAX),
        ("ticket", ask.ticket_ref, REF_MAX),
        ("ticket system", ask.ticket_system, SYSTEM_MAX),
    ):
        if len(value) > most or "\x00" in value:
            raise RefundRefused(f"the {name} has at most {most} characters, none of them NUL")
    if not ask.request_key.strip():
        raise RefundRefused("a refund needs a request key, so that asking twice pays once")
    if len(ask.evidence) > FIELDS_MAX:
        raise RefundRefused(f"at most {FIELDS_MAX} fields of evidence fit")
    for name, text in ask.evidence.items():
        if not 1 <= len(name) <= FIELD_MAX or len(str(text)) > VALUE_MAX or "\x00" in str(text):
            raise RefundRefused(
                f"the evidence {name[:FIELD_MAX]!r} has a name of 1 to {FIELD_MAX} and at most "
                f"{VALUE_MAX} characters"
            )


def said_by(ask: RefundAsk) -> Said:
    return Said(
        amount=ask.amount,
        reason_code=ask.reason_code,
        evidence=given(dict(ask.evidence)),
        requester_id=ask.requested_by.pk,
        requester=ask.requested_by.name,
        source=ask.source,
        request_key=ask.request_key,
        account=ask.account,
        offline=ask.offline,
        goodwill=ask.goodwill,
        promise_id=ask.retry_of.promise_id if ask.retry_of else "",
    )


def same_request(known: Refund, ask: RefundAsk, actor: Actor, now: datetime) -> Refund:
    """RF-11: asked again, the same refund as it stands now; the repeat is logged (RF-2)."""
    asked = RefundDecision.objects.filter(refund=known, stage=AT_REQUEST).first()
    was_minor = asked.facts.get("asked_minor") if asked else known.amount_minor
    stood = (was_minor, known.currency if was_minor is not None else "")
    asks = (ask.amount.minor, ask.amount.currency) if ask.amount else (None, "")
    before = (known.payment_id, known.reason_code, known.offline, known.goodwill)
    told = (ask.payment.pk, ask.reason_code, ask.offline, ask.goodwill)
    retries = (known.retry_of_id, ask.retry_of.pk if ask.retry_of else None)
    if stood != asks or before != told or retries[0] != retries[1]:
        raise RefundRefused(
            f"request key {ask.request_key} was used for {known.amount} of "
            f"{ids.render(Payment.PREFIX, known.payment_id)} ({known.reason_code}, "
            f"{known.public_id}); now {ask.amount or 'all that is left'} of "
            f"{ask.payment.public_id} ({ask.reason_code}) is asked: use a new key"
        )
    repeated = audit.event(
        book=known.book,
        actor=actor,
        action="refund.repeated",
        subject_id=known.public_id,
        now=now,
        reason=f"asked again through {ask.source}; it is {known.state}",
    )
    audit.record([repeated])
    return known


def record_refusal(ask: RefundAsk, refusal: RefundRefused, actor: Actor, now: datetime) -> None:
    """No row can hold it, so the refusal stands beside the payment (RF-18)."""
    with transaction.atomic(durable=True):
        refused = audit.event(
            book=ask.payment.book,
            actor=actor,
            action="refund.not_recorded",
            subject_id=ask.payment.public_id,
            now=now,
            reason=str(refusal),
            evidence={
                "request_key": ask.request_key[:KEY_MAX].replace("\x00", ""),
                "asked": str(ask.amount or "all that is left"),
                "reason_code": ask.reason_code[:FIELD_MAX],
                "source": ask.source[:FIELD_MAX],
            },
        )
        audit.record([refused])
