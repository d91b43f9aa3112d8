"""Which entries the facts of a refund demand, and who bears it (LJ-3, LJ-18, D8).

Every order of the same news ends in the same balances, because entries follow from what is known
and what stands posted, never from which event came. Reads the journal; never posts. The caller
holds the payment's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from uuid import UUID

from ledger import policies, posting
from ledger.models import JournalEntry, JournalLine
from ledger.refund_shares import NOTHING, Shares
from payops.flows.refunds import postings as refund_postings
from payops.payments.models import Refund

ACCEPTED, SUCCEEDED, RETURNED = "refund.accepted", "refund.succeeded", "refund.returned"
EARLY, LATE = "refund.failed_early", "refund.failed_late"
RECLASSIFIED, RETRIED = "refund.failed_reclassified", "refund.retried"
LAPSED = "refund.obligation_lapsed"


def posted_classes(refund: Refund) -> set[str]:
    """The event classes that stand for a refund; a retry's promise stands under its holder."""
    standing = _standing(refund)
    if refund.retry_of_id is not None and RETRIED in _standing(holder_of(refund)):
        standing.add(ACCEPTED)
    return standing


def due(
    refund: Refund, posted: Collection[str], *, refs: posting.Refs
) -> Iterator[posting.Posting]:
    """The entries that the facts demand and the journal lacks, each dated by its own fact."""
    accepted_at, left_at = refund.accepted_at, refund.succeeded_at
    failed_at, back_at = refund.failed_at, refund.money_back_at
    if accepted_at is None:
        return
    early = EARLY in posted
    if ACCEPTED not in posted:
        if refund.retry_of_id is None:
            yield refund_postings.accepted(refund, refs, accepted_at)
        else:
            granted = replace(refs, approval_id=refs.approval_id or refund.approval_id)
            yield refund_postings.retried(holder_of(refund), granted, accepted_at)
    if left_at is not None and SUCCEEDED not in posted and RECLASSIFIED not in posted:
        make = refund_postings.failed_reclassified if early else refund_postings.succeeded
        yield make(refund, refs, left_at)
    if failed_at is not None and left_at is None and not early:
        yield refund_postings.failed_early(refund, refs, failed_at)
    told = early or LATE in posted
    if back_at is not None and RETURNED not in posted:
        yield refund_postings.returned(refund, refs, back_at, failure_posted=told)
    elif back_at is None and failed_at is not None and left_at is not None and not told:
        yield refund_postings.failed_late(refund, refs, failed_at)
    if refund.obligation == Refund.Obligation.LAPSED and LAPSED not in posted:
        known = ACCEPTED in posted
        variant = accepted_variant(refund) if known else _variant_now(refund)
        ended_at = failed_at or back_at or accepted_at
        yield refund_postings.lapsed(refund, refs, ended_at, variant=variant)


def holder_of(refund: Refund) -> Refund:
    """Of a retry: the attempt whose failure left the customer owed, the last accepted one before
    it. What ends that obligation is posted under it."""
    found = refund.retry_of
    while found is not None and found.accepted_at is None:
        found = found.retry_of
    assert found is not None, f"{refund.public_id} retries a refund that was never accepted"
    return found


def owed_by(refund: Refund) -> Refund:
    """The attempt under which 2150 is open: the refund itself once it was accepted."""
    return refund if refund.accepted_at is not None else holder_of(refund)


def accepted_variant(refund: Refund) -> str:
    """The variant that refund.accepted was posted in, as the journal shows it; for its lapse."""
    if refund.goodwill:
        return "goodwill"
    lines = JournalLine.objects.filter(
        entry__book_id=refund.book_id,
        entry__subject_id=refund.promise_id,
        entry__event_class=ACCEPTED,
        account__code="4010",
    )
    return "gross" if lines.exists() else ""


def beside(refunds: Sequence[Refund]) -> dict[UUID, list[Refund]]:
    """The other refunds of the payments of refunds that have a payment each, read at once."""
    found: dict[UUID, list[Refund]] = {refund.payment_id: [] for refund in refunds}
    rows = Refund.objects.filter(payment_id__in=list(found))
    for row in rows.exclude(pk__in=[refund.pk for refund in refunds]):
        found[row.payment_id].append(row)
    return found


def share(refund: Refund, others: Sequence[Refund] | None = None) -> dict[str, int]:
    """Who bears what of a refund that is accepted now; a retry bears what its promise bore.

    `others`: the refunds beside it, read when not given.
    """
    if refund.retry_of_id is not None:
        return dict(holder_of(refund).shares)
    payment = refund.payment
    if others is None:
        others = beside([refund])[refund.payment_id]
    return refund_postings.shares_of(
        captured=captured_shares(payment.captured_minor, payment.platform_fee_minor),
        before=standing_shares(others),
        amount_minor=refund.amount_minor,
        goodwill=refund.goodwill,
        book=refund.book,
    )


def captured_shares(captured_minor: int, platform_fee_minor: int) -> Shares:
    """As the captures were posted: a first part bears the fee up to itself."""
    platform_fee = min(platform_fee_minor, captured_minor)
    return Shares(seller_share=captured_minor - platform_fee, platform_fee=platform_fee)


def standing_shares(refunds: Iterable[Refund]) -> Shares:
    """The shares of the refunds that stand: each promise once, unless it has lapsed."""
    promises: dict[str, Shares] = {}
    lapsed = set()
    for refund in refunds:
        if refund.shares:
            parts = {name: refund.shares.get(name, 0) for name in asdict(NOTHING)}
            promises[refund.promise_id] = Shares(**parts)
        if refund.obligation == Refund.Obligation.LAPSED:
            lapsed.add(refund.promise_id)
    standing = (shares for promise, shares in promises.items() if promise not in lapsed)
    return sum(standing, start=NOTHING)


def _variant_now(refund: Refund) -> str:
    return policies.refund_variant(refund.book, goodwill=refund.goodwill)


def _standing(refund: Refund) -> set[str]:
    found = JournalEntry.objects.filter(
        book_id=refund.book_id, subject_id=refund.public_id, reversed_by=None
    )
    return set(found.values_list("event_class", flat=True))
