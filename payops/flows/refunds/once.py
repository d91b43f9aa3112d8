"""One refund per request, however often and through however many doors it comes (RF-2, RF-11).

A request is known by its key. While its refund stands, asking again is that refund as it is now. A
refund that the rules refused is looked at anew, because time may change what refused it (D17a):
only when the rules would no longer say the same is it asked for again, as a refund of its own. The
payment is locked first, as every writer of refunds does.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection
from django.db.models import Q

from payops.core import locks
from payops.core.actors import Actor
from payops.core.models import Book
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds.request import RefundAsk
from payops.payments.models import Payment, Refund, RefundDecision

KEY_CHARS_MAX = 160
# Behind the key of a request that was refused and is asked anew; never within a key.
AGAIN = "~"
ALL = "all"
REQUEST_STAGE = "request"


class OtherFacts(ValueError):
    """The request is known with other facts; the first stand, and nothing was done."""

    def __init__(self, known: Refund, words: str, *, stored: str, given: str) -> None:
        super().__init__(words)
        self.known = known
        self.stored = stored
        self.given = given


@dataclass(frozen=True, slots=True)
class Asked:
    """The refund of a request; `is_new` when this call made it."""

    refund: Refund
    is_new: bool


def key_of(door: str, *parts: str) -> str:
    """A key that people can read where it fits, and that no other request can have."""
    plain = ":".join((door, *parts))
    if len(plain) <= KEY_CHARS_MAX and AGAIN not in plain:
        return plain
    digest = hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()
    return f"{door}#{digest}"


def ask(wanted: RefundAsk, *, actor: Actor, now: datetime) -> Asked:
    """Inside the caller's transaction. Raises OtherFacts and RefundRefused."""
    assert connection.in_atomic_block, "a request and its refund are one transaction"
    book = wanted.payment.book
    locks.row(Payment, wanted.payment.pk)
    locks.name(f"refund-request:{book.pk}:{wanted.request_key}")
    known = latest(book, wanted.request_key)
    if known is None:
        return Asked(refund_flow.ask_refund(wanted, actor=actor, now=now), True)
    if known.state != Refund.State.REFUSED or known.approval_id:
        _check_same(known, wanted)
        same = replace(wanted, request_key=known.request_key)
        return Asked(refund_flow.ask_refund(same, actor=actor, now=now), False)
    anew = replace(wanted, request_key=_next_key(wanted.request_key, known))
    if _same_refusal(known, anew, now):
        return Asked(known, False)
    return Asked(refund_flow.ask_refund(anew, actor=actor, now=now), True)


def latest(book: Book, key: str) -> Refund | None:
    """The refund that stands for the request now."""
    keys = Q(request_key=key) | Q(request_key__startswith=key + AGAIN)
    rows = Refund.objects.filter(keys, book=book)
    return rows.select_related("book", "account", "payment").order_by("created_at", "pk").last()


def decision_of(refund: Refund) -> RefundDecision | None:
    """Why it was decided as it was when it was asked for."""
    rows = RefundDecision.objects.filter(refund=refund, stage=REQUEST_STAGE)
    return rows.order_by("created_at", "pk").last()


def _next_key(key: str, known: Refund) -> str:
    number = known.request_key.removeprefix(key).removeprefix(AGAIN) or "1"
    return f"{key}{AGAIN}{int(number) + 1}"


def _same_refusal(known: Refund, anew: RefundAsk, now: datetime) -> bool:
    """The rules would say word for word what they said: nothing is to be learned of another row."""
    decision = decision_of(known)
    if decision is None or _facts(known, decision) != _wanted(anew):
        return False
    seen = refund_flow.look(ask=anew, now=now)
    failed = {check.check: check.words for check in seen.checks if not check.passed}
    before = {each["check"]: each["words"] for each in decision.checks if not each["passed"]}
    return seen.verdict == "refused" and failed == before


def _check_same(known: Refund, wanted: RefundAsk) -> None:
    was, asked = _facts(known, decision_of(known)), _wanted(wanted)
    if was == asked:
        return
    raise OtherFacts(
        known,
        f"this request is {known.public_id} of {known.amount} of {was[0]} for {known.reason_code}"
        f" already; {asked[1]} of {asked[0]} for {asked[2]} is another one, so ask under an id of"
        " its own",
        stored=_fingerprint(was),
        given=_fingerprint(asked),
    )


def _facts(known: Refund, decision: RefundDecision | None) -> tuple[str, str, str]:
    asked_all = decision is not None and decision.facts.get("asked_minor") is None
    amount = ALL if asked_all else str(known.amount)
    return known.payment.public_id, amount, known.reason_code


def _wanted(wanted: RefundAsk) -> tuple[str, str, str]:
    amount = ALL if wanted.amount is None else str(wanted.amount)
    return wanted.payment.public_id, amount, wanted.reason_code


def _fingerprint(facts: tuple[str, str, str]) -> str:
    return hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()
