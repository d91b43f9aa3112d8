"""Payment events: one Payment per provider reference, one journal outcome per movement (WH-29).

`captured` may arrive before or without `authorized`; older news never regresses newer state (F31).
Where a provider captures in parts, each part is a movement and an entry of its own, up to what was
authorised (RF-4). The book's policies say whether an authorisation is posted and how a sale is
presented (LJ-7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from django.db import connection

from ledger import matrix, policies, posting
from ledger.models import JournalEntry
from payops.core import bulk, ids
from payops.core.money import Money
from payops.core.queues import StructuralMismatch
from payops.flows.batch import Batch, EventWork
from payops.payments.models import Beneficiary, Payment
from payops.psp.base import NormalizedEvent

# By the whole unique key and row by row: the plan cannot depend on how full the table is.
FIND = """
SELECT w.account_id, w.provider_ref, p.id
FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS w(book_id, account_id, provider_ref)
CROSS JOIN LATERAL (SELECT id FROM payments_payment
  WHERE book_id = w.book_id AND account_id = w.account_id AND provider_ref = w.provider_ref
  LIMIT 1) AS p
"""
METHOD_CHARS_MAX = 32
# An authorisation that ends without a capture: the event class that takes its memo pair back.
RELEASED_AS = {"payment.expired": "payment.expired", "payment.canceled": "payment.voided"}
FINAL = (Payment.State.CAPTURED, Payment.State.FAILED, Payment.State.CANCELED)


def find(works: Sequence[EventWork]) -> dict[tuple[UUID, str], UUID]:
    """(account, provider reference) of the payments already known."""
    wanted = {
        (work.account.book_id, work.account.pk, work.said.provider_ref)
        for work in works
        if work.said.kind.startswith("payment.")
    }
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(FIND, [bulk.array(column) for column in zip(*sorted(wanted), strict=True)])
        return {(account, ref): key for account, ref, key in cursor.fetchall()}


def sellers(works: Sequence[EventWork]) -> dict[tuple[UUID, str], Beneficiary]:
    """(book, reference) of the beneficiaries that payments of the batch are collected for."""
    wanted = [work for work in works if work.said.kind.startswith("payment.")]
    references = {work.said.seller_ref for work in wanted} - {None}
    if not references:
        return {}
    books = {work.account.book_id for work in wanted}
    found = Beneficiary.objects.filter(book_id__in=books, reference__in=references)
    return {(seller.book_id, seller.reference): seller for seller in found}


def payment_known(address: str, provider_ref: str) -> str:
    """What refunds and disputes of a charge wait for: that it is known, and captured."""
    return f"payment:{address}:{provider_ref}"


def apply(batch: Batch, work: EventWork) -> None:
    key = batch.payment_keys.get((work.account.pk, work.said.provider_ref))
    payment = batch.payments.get(key) if key else None
    if payment is None:
        _create(batch, work)
    elif payment.state == Payment.State.CAPTURED and _is_part(work.said):
        _capture_more(batch, work, payment, work.said)
    elif payment.state == Payment.State.CAPTURED and _authorizes_more(work.said, payment):
        _learn_authorized(batch, work, payment)
    elif payment.state in FINAL:
        work.ignore(f"the payment is {payment.state} already", payment.public_id)
    else:
        _advance(batch, work, payment)


def _create(batch: Batch, work: EventWork) -> None:
    said = work.said
    amount = said.amount
    if amount is None:
        raise StructuralMismatch(f"{said.raw_type} {said.provider_ref} names no amount")
    born = {
        "payment.authorized": Payment.State.AUTHORIZED,
        "payment.captured": Payment.State.CAPTURED,
        "payment.failed": Payment.State.FAILED,
        # Told before its authorisation, which then changes nothing any more.
        "payment.expired": Payment.State.CANCELED,
        "payment.canceled": Payment.State.CANCELED,
    }[said.kind]
    captured = born == Payment.State.CAPTURED
    payment = Payment(
        id=_key(batch, work),
        book=work.account.book,
        account=work.account,
        beneficiary=_seller(batch, work),
        state=born,
        provider_ref=said.provider_ref,
        merchant_ref=said.merchant_ref or "",
        amount_minor=amount.minor,
        currency=amount.currency,
        captured_minor=amount.minor if captured else 0,
        fee_minor=said.fee.minor if said.fee else 0,
        platform_fee_minor=said.platform_fee.minor if said.platform_fee else 0,
        method=(said.method or "")[:METHOD_CHARS_MAX],
        failure_code=said.failure_code or "",
        captured_at=work.occurred_at if captured else None,
        created_at=batch.now,
    )
    payment.trace_id = work.event.trace_id
    batch.payments[payment.pk] = payment
    batch.payment_keys[(work.account.pk, said.provider_ref)] = payment.pk
    batch.changed_payments[payment.pk] = payment
    batch.released.append((payment.book, payment_known(work.account.address, said.provider_ref)))
    if captured:
        _post_capture(batch, work, payment)
    elif born == Payment.State.AUTHORIZED and policies.posts_authorizations(payment.book):
        _post_memo(batch, work, payment, "payment.authorized", payment.amount_minor)
    work.done(f"payment {born.lower()}", payment.public_id)


def _advance(batch: Batch, work: EventWork, payment: Payment) -> None:
    said = work.said
    if said.kind == "payment.authorized":
        work.ignore("the payment is AUTHORIZED already", payment.public_id)
        return
    payment.trace_id = work.event.trace_id
    if said.kind == "payment.failed":
        payment.fail(failure_code=said.failure_code or "")
        if _authorization_posted(batch, payment):
            _post_memo(batch, work, payment, "payment.voided", payment.amount_minor)
    elif said.kind in RELEASED_AS:
        payment.cancel()
        if _authorization_posted(batch, payment):
            released_as = RELEASED_AS[said.kind]
            _post_memo(batch, work, payment, released_as, payment.amount_minor)
    else:
        _capture(batch, work, payment, said)
    batch.changed_payments[payment.pk] = payment
    work.done(f"payment {payment.state.lower()}", payment.public_id)


def _capture(batch: Batch, work: EventWork, payment: Payment, said: NormalizedEvent) -> None:
    amount = said.amount
    if amount is None or amount.currency != payment.currency or amount.minor > payment.amount_minor:
        raise StructuralMismatch(
            f"captured {amount} of payment {payment.public_id} authorised for {payment.amount}"
        )
    payment.capture(captured_minor=amount.minor, at=work.occurred_at)
    batch.released.append((payment.book, payment_known(work.account.address, said.provider_ref)))
    payment.fee_minor = said.fee.minor if said.fee else payment.fee_minor
    if said.platform_fee:
        payment.platform_fee_minor = said.platform_fee.minor
    _post_capture(batch, work, payment)
    if _authorization_posted(batch, payment):
        rest = payment.amount_minor - payment.captured_minor
        _post_memo(batch, work, payment, "payment.authorization_used", payment.captured_minor)
        if rest:
            _post_memo(batch, work, payment, "payment.voided", rest)


def _is_part(said: NormalizedEvent) -> bool:
    """A capture that has a reference of its own beside its payment's."""
    of_payment = said.original_provider_ref == said.provider_ref
    return said.kind == "payment.captured" and of_payment and bool(said.movement_ref)


def _capture_more(batch: Batch, work: EventWork, payment: Payment, said: NormalizedEvent) -> None:
    """A further part; it waits while the authorisation that is known does not cover it."""
    amount = said.amount
    if amount is None or amount.currency != payment.currency:
        raise StructuralMismatch(
            f"captured {amount} of payment {payment.public_id} authorised for {payment.amount}"
        )
    if _capture_posted(batch, payment, said.movement_ref or ""):
        work.ignore(f"capture {said.movement_ref} is known", payment.public_id)
        return
    together = Money(payment.captured_minor + amount.minor, payment.currency)
    if together.minor > payment.amount_minor:
        words = f"captured {together} with this part, {payment.amount} are authorised"
        work.park(authorized_more(work.account.address, said.provider_ref), words)
        return
    fee_before = min(payment.platform_fee_minor, payment.captured_minor)
    if said.platform_fee:
        payment.platform_fee_minor = max(payment.platform_fee_minor, said.platform_fee.minor)
    platform_fee = min(payment.platform_fee_minor - fee_before, amount.minor)
    fee_minor = said.fee.minor if said.fee else 0
    payment.captured_minor = together.minor
    payment.fee_minor += fee_minor
    payment.trace_id = work.event.trace_id
    movement_ref = said.movement_ref or ""
    _post_part(batch, work, payment, amount.minor, platform_fee, fee_minor, movement_ref)
    batch.changed_payments[payment.pk] = payment
    work.done(f"a further {amount} captured, {together} in all", payment.public_id)


def _capture_posted(batch: Batch, payment: Payment, movement_ref: str) -> bool:
    """By the movement's own name, which the entry of every capture keeps."""
    if any(
        entry.subject_id == payment.public_id
        and entry.event_class == "payment.captured"
        and entry.refs.provider_transaction_id == movement_ref
        for entry in batch.postings
    ):
        return True
    if batch.rehearsal:
        return False
    return JournalEntry.objects.filter(
        book=payment.book,
        subject_id=payment.public_id,
        event_class="payment.captured",
        provider_transaction_id=movement_ref,
    ).exists()


def _authorizes_more(said: NormalizedEvent, payment: Payment) -> bool:
    """Its capture was told first, with no more than itself to go by."""
    amount = said.amount
    if said.kind != "payment.authorized" or amount is None:
        return False
    return amount.currency == payment.currency and amount.minor > payment.amount_minor


def _learn_authorized(batch: Batch, work: EventWork, payment: Payment) -> None:
    assert work.said.amount is not None
    payment.amount_minor = work.said.amount.minor
    payment.trace_id = work.event.trace_id
    batch.changed_payments[payment.pk] = payment
    key = authorized_more(work.account.address, payment.provider_ref)
    batch.released.append((payment.book, key))
    work.done(f"the payment was authorised for {payment.amount}", payment.public_id)


def authorized_more(address: str, provider_ref: str) -> str:
    """What a part waits for that exceeds the authorisation known so far."""
    return f"authorized:{address}:{provider_ref}"


def _authorization_posted(batch: Batch, payment: Payment) -> bool:
    """Asked in books with the policy alone; an authorisation from before it was never posted."""
    if not policies.posts_authorizations(payment.book):
        return False
    in_batch = any(
        entry.event_class == "payment.authorized" and entry.subject_id == payment.public_id
        for entry in batch.postings
    )
    return in_batch or bool(
        posting.predecessor(
            book=payment.book, event_class="payment.authorized", subject_id=payment.public_id
        )
    )


def _post_capture(batch: Batch, work: EventWork, payment: Payment) -> None:
    """The first or only capture, under the payment's own reference."""
    captured_minor, platform_fee = payment.captured_minor, payment.platform_fee_minor
    if _is_part(work.said):
        # The fee of the whole payment, told with its first part.
        platform_fee = min(platform_fee, captured_minor)
    if platform_fee > captured_minor:
        raise StructuralMismatch(
            f"platform fee {platform_fee} exceeds the captured {captured_minor} minor units"
        )
    ref = payment.provider_ref
    _post_part(batch, work, payment, captured_minor, platform_fee, payment.fee_minor, ref)


def _post_part(
    batch: Batch,
    work: EventWork,
    payment: Payment,
    captured_minor: int,
    platform_fee: int,
    fee_minor: int,
    movement_ref: str,
) -> None:
    amounts = {
        "gross": captured_minor,
        "seller_share": captured_minor - platform_fee,
        "platform_fee": platform_fee,
    }
    variant = policies.capture_variant(payment.book)
    entry = _posting(work, payment, "payment.captured", amounts, variant=variant)
    batch.postings.append(replace(entry, movement_ref=movement_ref))
    if fee_minor:
        entry = _posting(work, payment, "fee.charged", {"fee": fee_minor, "total": fee_minor})
        batch.postings.append(replace(entry, movement_ref=movement_ref))


def _post_memo(
    batch: Batch, work: EventWork, payment: Payment, event_class: str, amount_minor: int
) -> None:
    variant = policies.authorization_variant(payment.book)
    amounts = {"amount": amount_minor}
    batch.postings.append(_posting(work, payment, event_class, amounts, variant=variant))


def _posting(
    work: EventWork,
    payment: Payment,
    event_class: str,
    amounts: dict[str, int],
    *,
    variant: str = "",
) -> posting.Posting:
    parties = {
        "seller": payment.beneficiary.reference,
        "provider_account": work.account.address,
    }
    return posting.Posting(
        book=payment.book,
        event_class=event_class,
        subject_id=payment.public_id,
        movement_ref=payment.provider_ref,
        legs=matrix.legs(
            event_class,
            variant=variant,
            amounts=amounts,
            currency=payment.currency,
            parties=parties,
        ),
        occurred_at=work.occurred_at,
        description=f"{event_class} {payment.merchant_ref or payment.provider_ref}",
        refs=work.refs(payment_id=payment.public_id),
    )


def _key(batch: Batch, work: EventWork) -> UUID:
    """A new one, or the one that a granted late posting of the event names."""
    shown = batch.shown_as.get(work.event.public_id, "")
    return Payment.key_of(shown) if shown.startswith(f"{Payment.PREFIX}_") else ids.uuid7()


def _seller(batch: Batch, work: EventWork) -> Beneficiary:
    reference = work.said.seller_ref or ""
    seller = batch.sellers.get((work.account.book_id, reference))
    if seller is None:
        raise StructuralMismatch(
            f"the event names seller {reference!r}, which is not a beneficiary of this book"
        )
    return seller
