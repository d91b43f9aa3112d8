"""What became of a refund: one idempotent outcome, whoever tells it, in any order (D8, F3, F31).

Our own response, an event, a listing and a refund that was found all meet in `apply`. It keeps what
happened as facts and derives the state from them; `refunds.entries` derives the entries. Owns
refunds once they were sent; never decides one, never calls a provider, never posts by itself.
Serves RF-7, RF-9, RF-13, RF-16, F5, F29.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from ledger import posting
from payops.cases.services import Finding
from payops.core import state
from payops.core.actors import Actor
from payops.core.money import Money
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import entries as refund_entries
from payops.flows.refunds.news import (
    ACCEPTED,
    CANCELED,
    CANCELED_CODE,
    FAILURES,
    LEFT,
    NO_CODE,
    RETURNED,
    SUCCEEDED,
    TOLD,
    Told,
    told_of,
)
from payops.flows.refunds.steps import SENT, Steps
from payops.payments import refundable
from payops.payments.models import Refund

__all__ = [
    "ACCEPTED",
    "CANCELED",
    "CANCELED_CODE",
    "FAILURES",
    "LEFT",
    "NO_CODE",
    "RETURNED",
    "SENT",
    "SUCCEEDED",
    "TOLD",
    "Applied",
    "Told",
    "apply",
    "apply_many",
    "catch_up",
    "differs",
    "hold_for_ledger",
    "holders",
    "ledger_key",
    "provider_key",
    "settled_key",
    "told_of",
    "was_sent",
]

State = Refund.State


@dataclass(frozen=True, slots=True)
class Applied:
    """What follows: entries to post, a case to open, keys that parked events wait for.

    `words` say what came of it; `changed` False: it was known already. `kept` says that a promise
    broken before is kept by this attempt: the cases of its failures are resolved with it.
    """

    postings: tuple[posting.Posting, ...] = ()
    finding: Finding | None = None
    words: str = ""
    released: tuple[str, ...] = ()
    changed: bool = False
    kept: str = ""


def provider_key(address: str, provider_ref: str) -> str:
    """Events wait for this until a refund with the provider's reference is known here."""
    return f"refund:{address}:{provider_ref}"


def settled_key(refund: Refund) -> str:
    """Events wait for this while a call of the refund has no outcome; released with any outcome."""
    return f"{refund.public_id}:settled"


def ledger_key(refund: Refund) -> str:
    """Events wait for this while the journal has not taken what is known."""
    return f"{refund.public_id}:ledger"


def was_sent(refund: Refund) -> bool:
    """News of it can be true: it left, or may have. One that the provider refused never existed."""
    if refund.state == State.FAILED:
        return refund.accepted_at is not None
    return refund.state in (*SENT, *Refund.EXECUTED, State.FAILED_LATE, State.RETURNED)


def holders(named: Iterable[tuple[UUID, str]]) -> dict[tuple[UUID, str], Refund]:
    """Which refund has each reference at each account, read at once; for `differs`."""
    wanted = {(account_id, ref) for account_id, ref in named if ref}
    if not wanted:
        return {}
    rows = Refund.objects.filter(
        account_id__in={account_id for account_id, _ in wanted},
        provider_ref__in=[ref for _, ref in wanted],
    )
    return {(row.account_id, row.provider_ref): row for row in rows.order_by("-pk")}


def differs(
    refund: Refund,
    *,
    provider_ref: str,
    amount: Money | None,
    held: Mapping[tuple[UUID, str], Refund] | None = None,
) -> str:
    """Why news cannot be of this refund as we know it, "" when they can; then nothing is applied.

    No two refunds share a reference: one that was taken for made outside needs a person. `held`:
    what `holders` answered for the reference, read when not given.
    """
    if not was_sent(refund) or refund.offline:
        return (
            f"the provider has {provider_ref} for {refund.public_id}, which is {refund.state} here"
            " and was never sent to it"
        )
    if refund.provider_ref and provider_ref and provider_ref != refund.provider_ref:
        return f"the news is about {provider_ref}; {refund.public_id} is {refund.provider_ref}"
    if amount is not None and amount != refund.amount:
        return f"the provider says {amount}, {refund.public_id} is {refund.amount}"
    if provider_ref and not refund.provider_ref:
        named = (refund.account_id, provider_ref)
        other = (held if held is not None else holders([named])).get(named)
        if other is not None and other.pk != refund.pk:
            return f"{provider_ref} is {other.public_id} here; it cannot be {refund.public_id} too"
    return ""


def apply(
    refund: Refund,
    told: Told,
    *,
    refs: posting.Refs,
    actor: Actor,
    now: datetime,
    posted: Collection[str] | None = None,
    trace_id: str = "",
) -> Applied:
    """Record the news, save it and recount the payment; under the payment's and refund's lock.

    `posted`: the event classes that stand for the refund, read from the journal when not given.
    While the journal refuses the acceptance, a success is kept and a failure is the caller's to
    park on `ledger_key`.
    """
    standing = {} if posted is None else {refund.public_id: posted}
    news = [(refund, told)]
    return apply_many(news, refs=refs, actor=actor, now=now, standing=standing, trace_id=trace_id)[
        0
    ]


def apply_many(
    news: Sequence[tuple[Refund, Told]],
    *,
    refs: posting.Refs,
    actor: Actor,
    now: datetime,
    standing: Mapping[str, Collection[str]],
    trace_id: str = "",
) -> list[Applied]:
    """`apply` for a batch, written together step by step; `standing` is `posted` by public id."""
    assert connection.in_atomic_block, "an outcome is written in one transaction"
    for refund, _ in news:
        assert was_sent(refund), (
            f"{refund.public_id} in {refund.state} has no outcome at a provider"
        )
    steps = [Steps(refund, told, trace_id=trace_id) for refund, told in news]
    applied: dict[Steps, Applied] = {}
    for batch in refundable.one_by_payment(steps, lambda each: each.refund.payment_id):
        _take_together(batch, actor, now)
        changed = [each for each in batch if each.words and not each.pending]
        refundable.recount_many(each.refund.payment_id for each in changed)
        applied |= {each: _applied(each, refs, standing, now) for each in batch}
    return [applied[each] for each in steps]


def _take_together(batch: Sequence[Steps], actor: Actor, now: datetime) -> None:
    """Every step of a refund is written before its next one is taken."""
    waiting = [each.refund for each in batch if each.waited and each.refund.retry_of_id is None]
    others = refund_entries.beside(waiting) if waiting else {}
    moving = [each.take(others.get(each.refund.payment_id)) for each in batch]
    while moving:
        taken = [(each, next(each, None)) for each in moving]
        changes = [change for _, change in taken if change is not None]
        state.save_changes(changes, actor=actor, now=now)
        moving = [each for each, change in taken if change is not None]


def _applied(
    steps: Steps, refs: posting.Refs, standing: Mapping[str, Collection[str]], now: datetime
) -> Applied:
    refund, words = steps.refund, ", ".join(steps.words)
    if steps.pending:
        known = Applied(words="known already; the journal has not taken it yet")
        return Applied(words=f"refund {words}", changed=True) if words else known
    if not words:
        return Applied(words=f"known already: the refund is {refund.state}")
    posted = standing.get(refund.public_id)
    posted = posted if posted is not None else refund_entries.posted_classes(refund)
    entries = tuple(refund_entries.due(refund, posted, refs=refs))
    found = None
    if refund.obligation and not steps.was_owed:
        found = refund_cases.failed(refund, words, now=now, trace_id=steps.trace_id)
    released = _released(refund) if steps.waited else ()
    kept = _kept(refund) if steps.waited else ""
    return Applied(entries, found, f"refund {words}", released, changed=True, kept=kept)


def hold_for_ledger(
    refund: Refund, told: Told, *, words: str, actor: Actor, now: datetime
) -> Applied:
    """Executed, and the journal refuses it: the facts are kept, the entries follow (RF-9).

    Instead of `apply`, after its transaction was rolled back. A failure told in the same breath
    waits for its event.
    """
    refund.provider_ref = told.provider_ref or refund.provider_ref
    refund.movement_ref = told.movement_ref or refund.movement_ref
    refund.accepted_at = refund.accepted_at or told.at
    if SUCCEEDED in told.reached:
        refund.succeeded_at = refund.succeeded_at or told.at
    refund.shares = refund.shares or refund_entries.share(refund)
    heading = State.SUCCEEDED if refund.succeeded_at else State.ACCEPTED
    refund.wait_for_ledger(heading_for=heading)
    evidence = {"told": told.facts()}
    state.save(
        refund,
        actor=actor,
        now=now,
        action="refund.ledger_pending",
        reason=words,
        evidence=evidence,
    )
    refundable.recount(refund.payment_id)
    words = "executed, ledger pending"
    return Applied((), None, words, _released(refund), changed=True, kept=_kept(refund))


def catch_up(refund: Refund, *, refs: posting.Refs, actor: Actor, now: datetime) -> Applied:
    """What the journal owes a LEDGER_PENDING refund; the caller posts it, or rolls back."""
    if refund.heading_for == State.SUCCEEDED:
        refund.ledger_has_success()
    else:
        refund.ledger_has_acceptance()
    state.save(refund, actor=actor, now=now, action="refund.ledger_caught_up")
    refundable.recount(refund.payment_id)
    posted = refund_entries.posted_classes(refund)
    entries = tuple(refund_entries.due(refund, posted, refs=refs))
    return Applied(entries, None, "the journal has it", (ledger_key(refund),), changed=True)


def _released(refund: Refund) -> tuple[str, ...]:
    return provider_key(refund.account.address, refund.provider_ref), settled_key(refund)


def _kept(refund: Refund) -> str:
    if refund.retry_of_id is None or refund.obligation:
        return ""
    return f"paid again as {refund.public_id}: the provider took it as {refund.provider_ref}"
