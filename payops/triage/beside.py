"""Advice beside a charge, a refund, a dispute: said for its figures as they are now, and kept.

The rules speak at once; what they said is one append-only row for each input, with engine, version,
hash and time (AI-9). Where a model is configured, news goes out that it may be asked; its words
stand beside only for the same input. Switched off, nothing is read, written or shown (AI-10). It
decides nothing and no executing code can import it (D1, AI-2, I16).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from payops.cases import advice
from payops.cases.advice import About, Recommendation
from payops.core import messages
from payops.core.messages import News
from payops.payments.models import Dispute, Payment, Refund
from payops.payments.refund_table import Rules
from payops.triage import disputes, model, prompts, refunds, retries
from payops.triage.refunds import Asked
from payops.triage.rules import ASK, ENGINE, WITH_RULES
from payops.triage.said import Said, hash_of


def is_on() -> bool:
    return settings.PAYOPS_ADVICE in WITH_RULES


def for_charge(
    payment: Payment, *, asked: Asked, rules: Rules, now: datetime
) -> list[Recommendation]:
    """Before a refund is asked for: what to ask for, and what speaks against it."""
    if not is_on():
        return []
    facts = refunds.facts_of(payment, asked=asked, rules=rules, now=now)
    about = About(payment.book, payment.public_id, refunds.ABOUT)
    return _said(about, refunds.VERSION, facts, refunds.advise, now)


def for_refund(
    refund: Refund, *, refused_by: tuple[str, ...], rules: Rules, now: datetime
) -> list[Recommendation]:
    """Beside a refund, while it is decided about and afterwards."""
    if not is_on():
        return []
    asked = Asked(
        amount_minor=refund.amount_minor,
        reason_code=refund.reason_code,
        # Names of what was filled in; what was typed there is never read.
        evidence=tuple(sorted(str(name) for name, said in refund.evidence.items() if said)),
        refund=refund,
        refused_by=refused_by,
    )
    facts = refunds.facts_of(refund.payment, asked=asked, rules=rules, now=now)
    about = About(refund.book, refund.public_id, refunds.ABOUT)
    return _said(about, refunds.VERSION, facts, refunds.advise, now)


def for_failed_payment(payment: Payment, *, now: datetime) -> list[Recommendation]:
    """Whether and when to try again; nothing for a payment that did not fail."""
    if not is_on() or payment.state != Payment.State.FAILED:
        return []
    facts = retries.facts_of(payment, now=now)
    about = About(payment.book, payment.public_id, retries.ABOUT)
    return _said(about, retries.VERSION, facts, retries.advise, now)


def for_dispute(dispute: Dispute, *, now: datetime) -> list[Recommendation]:
    if not is_on():
        return []
    facts = disputes.facts_of(dispute, now=now)
    about = About(dispute.book, dispute.public_id, disputes.ABOUT)
    return _said(about, disputes.VERSION, facts, disputes.advise, now)


def _said(
    about: About,
    version: str,
    facts: dict[str, Any],
    advise: Callable[[dict[str, Any]], Said],
    now: datetime,
) -> list[Recommendation]:
    """The rules' words first, then the model's for the same input where it has spoken."""
    key = {"subject_id": about.subject_id, "about": about.about}
    own = {**key, "engine": ENGINE, "version": version, "input_hash": hash_of(facts)}
    row = advice.kept(**own) or _write(about, version, own["input_hash"], facts, advise(facts), now)
    if row is None:
        return []
    if settings.PAYOPS_ADVICE == ENGINE:
        return [row]
    hashed = prompts.prompt_about(row).input_hash
    found = advice.kept(**key, engine=model.ENGINE, version=model.VERSION, input_hash=hashed)
    return [row, found] if found is not None and not found.discarded else [row]


def _write(
    about: About, version: str, hashed: str, facts: dict[str, Any], said: Said, now: datetime
) -> Recommendation | None:
    with transaction.atomic():
        advice.write(
            about=about,
            engine=ENGINE,
            version=version,
            input_hash=hashed,
            input_facts=facts,
            summary=said.summary,
            likely_cause=said.likely_cause,
            next_step=said.next_step,
            suggests=said.suggests,
            output=said.output,
            now=now,
        )
        if settings.PAYOPS_ADVICE != ENGINE:
            payload = {"subject_id": about.subject_id, "about": about.about, "input_hash": hashed}
            key = f"{about.subject_id}:{about.about}:{version}:{hashed[:32]}"
            messages.send([News(about.book, ASK, key, {**payload, "version": version})], now=now)
    return advice.kept(
        subject_id=about.subject_id,
        about=about.about,
        engine=ENGINE,
        version=version,
        input_hash=hashed,
    )
