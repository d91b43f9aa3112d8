"""What the rules of refunds look at, read in one statement under the payment's lock.

Never decides and never writes. Without the lock (the live look of a screen) the same facts are a
picture of the moment. Serves RF-3, RF-4, RF-14, D9, F1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from payops.core import ids, rates
from payops.core.money import Money
from payops.core.roles import Act, Role, acts_of
from payops.payments.models import Dispute, Payment, Refund
from payops.payments.refund_rules import Facts
from payops.payments.refund_table import NAME, Risk, Rules
from payops.psp import registry

SELLER_LOOKED_BACK = timedelta(days=90)
SELLER_DISPUTES_MAX = 100
SEEN = """
SELECT
  (SELECT coalesce(jsonb_agg(jsonb_build_array(
      r.id, r.state, r.amount_minor, r.obligation, r.reason_code, r.promise_id,
      extract(epoch FROM %(now)s - r.created_at)::bigint)), '[]')
    FROM payments_refund r WHERE r.payment_id = {payment}),
  (SELECT coalesce(jsonb_agg(jsonb_build_array(d.id, d.state, d.refundable)), '[]')
    FROM payments_dispute d WHERE d.payment_id = {payment}),
  (SELECT coalesce(jsonb_agg(g.role), '[]') FROM core_rolegrant g
    WHERE g.person_id = {person} AND g.granted_at <= %(now)s
      AND (g.revoked_at IS NULL OR g.revoked_at > %(now)s)),
  (SELECT r.id FROM payments_refund r
    WHERE r.book_id = {book} AND r.request_key = {request_key}),
  (SELECT v.id FROM approvals_policyversion v
    WHERE v.book_id = {book} AND v.name = %(policy)s AND v.active_from <= %(now)s
    ORDER BY v.version DESC LIMIT 1)
"""
NAMES = ("payment", "book", "person", "request_key")
READ = SEEN.format(**{name: f"%({name})s" for name in NAMES})
READ_MANY = f"""{SEEN.format(**{name: f"w.{name}" for name in NAMES})}
FROM unnest(%(payment)s::uuid[], %(book)s::uuid[], %(person)s::uuid[], %(request_key)s::text[])
  WITH ORDINALITY AS w({", ".join(NAMES)}, place) ORDER BY w.place
"""
OF_SELLER = """
SELECT count(*) FROM (SELECT 1 FROM payments_dispute d
  JOIN payments_payment p ON p.id = d.payment_id
  WHERE d.book_id = %s AND d.opened_at >= %s AND p.beneficiary_id = %s AND p.id <> %s
  LIMIT %s) AS lately
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody asks for, as far as the rules look at it."""

    amount: Money | None
    reason_code: str
    evidence: tuple[str, ...]
    requester_id: UUID
    requester: str
    source: str
    request_key: str = ""
    account: str = ""
    offline: bool = False
    goodwill: bool = False
    promise_id: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands beside the payment now; `known_id` is the refund that has the request key."""

    # (key, state, minor units, obligation, reason, promise, seconds since it was asked for)
    refunds: tuple[tuple[UUID, str, int, str, str, str, int], ...]
    disputes: tuple[Dispute, ...]
    roles: frozenset[Role]
    known_id: UUID | None
    policy_id: UUID | None


def see(*, payment: Payment, said: Said, now: datetime) -> Seen:
    """One statement; call it behind the payment's lock, or nobody may rely on it."""
    with connection.cursor() as cursor:
        asked: dict[str, Any] = dict(zip(NAMES, _asked(payment, said), strict=True))
        cursor.execute(READ, {**asked, "policy": NAME, "now": now})
        return _seen(*cursor.fetchone())


def see_many(asks: Sequence[tuple[Payment, Said]], *, now: datetime) -> list[Seen]:
    """`see` for the requests of a batch, in order, in one statement."""
    if not asks:
        return []
    columns = map(list, zip(*(_asked(payment, said) for payment, said in asks), strict=True))
    with connection.cursor() as cursor:
        asked: dict[str, Any] = dict(zip(NAMES, columns, strict=True))
        cursor.execute(READ_MANY, {**asked, "policy": NAME, "now": now})
        return [_seen(*row) for row in cursor.fetchall()]


def _asked(payment: Payment, said: Said) -> tuple[UUID, UUID, UUID, str]:
    return payment.pk, payment.book_id, said.requester_id, said.request_key


def _seen(
    of_payment: str, disputed: str, granted: str, known_id: UUID | None, policy_id: UUID | None
) -> Seen:
    refunds, disputes, roles = map(json.loads, (of_payment, disputed, granted))
    return Seen(
        refunds=tuple((UUID(key), *rest) for key, *rest in refunds),
        disputes=tuple(
            Dispute(id=UUID(key), state=state, refundable=refundable)
            for key, state, refundable in disputes
        ),
        roles=frozenset(Role(role) for role in roles),
        known_id=known_id,
        policy_id=policy_id,
    )


def facts_of(
    *,
    payment: Payment,
    said: Said,
    seen: Seen,
    rules: Rules,
    now: datetime,
    own: Refund | None = None,
) -> Facts:
    """The facts of one request; `own` is the refund itself where it exists already."""
    amount = said.amount
    kept_minor = _kept_minor(seen, said, own)
    left_minor = payment.captured_minor - payment.reserved_minor - payment.refunded_minor
    left_minor += kept_minor
    asked = amount if amount is not None else Money(left_minor, payment.currency)
    others = [
        row
        for row in seen.refunds
        if (own is None or row[0] != own.pk) and (not said.promise_id or row[5] != said.promise_id)
    ]
    prior = [row for row in others if row[1] not in ("REFUSED", "CANCELED")]
    blocking = [each for each in seen.disputes if each.blocks_refunds]
    early = [each for each in seen.disputes if each.state == "INQUIRY" and each not in blocking]
    settles_at = _settles_at(payment)
    return Facts(
        payment_id=payment.public_id,
        payment_state=str(payment.state),
        currency=payment.currency,
        captured_minor=payment.captured_minor,
        reserved_minor=payment.reserved_minor - kept_minor,
        refunded_minor=payment.refunded_minor,
        left_minor=left_minor,
        amount_minor=asked.minor,
        reporting_minor=rates.reporting_minor(asked, payment.book, now),
        account=payment.account.address,
        asked_currency=asked.currency,
        asked_account=said.account,
        settles_at=f"{settles_at:%Y-%m-%d %H:%M} UTC" if settles_at else "",
        settled=settles_at is not None and settles_at <= now,
        reason_code=said.reason_code,
        evidence=said.evidence,
        prior_refunds=len(prior),
        prior_refunded_minor=sum(row[2] for row in prior),
        blocking_disputes=tuple(each.public_id for each in blocking),
        early_disputes=tuple(each.public_id for each in early),
        prior_disputes=len(seen.disputes),
        seller_disputes=_of_seller(payment, said, rules, now),
        twins=tuple(
            ids.render(Refund.PREFIX, row[0])
            for row in prior
            if row[6] <= rules.twin_minutes * 60
            and row[1] in ("REQUESTED", "AWAITING_APPROVAL", "APPROVED", "DISPATCHING", "UNKNOWN")
            and (row[2], row[4]) == (asked.minor, said.reason_code)
        ),
        requester=said.requester,
        requester_may=Act.REQUEST_REFUND in acts_of(seen.roles),
        provider_refunds=takes_refunds(payment.account.provider),
        source=said.source,
        offline=said.offline,
        goodwill=said.goodwill,
        is_retry=bool(said.promise_id),
        asked_minor=None if amount is None else amount.minor,
    )


def takes_refunds(provider: str) -> bool:
    try:
        return registry.provider(provider).refunds is not None
    except registry.ProviderUnknown:
        return False


def _kept_minor(seen: Seen, said: Said, own: Refund | None) -> int:
    """What of the reserved is this refund's: its own reservation, or the promise it retries."""
    reserved = frozenset(map(str, Refund.RESERVED))
    if own is not None:
        return own.amount_minor if own.state in reserved or own.obligation == "owed" else 0
    if not said.promise_id:
        return 0
    return sum(row[2] for row in seen.refunds if row[5] == said.promise_id and row[3] == "owed")


def _settles_at(payment: Payment) -> datetime | None:
    """When the provider has given us the money, by the settlement lag of the account."""
    if payment.captured_at is None:
        return None
    return payment.captured_at + timedelta(days=payment.account.settlement_lag_days)


def _of_seller(payment: Payment, said: Said, rules: Rules, now: datetime) -> int:
    """Counted only where the reason's risk depends on it."""
    reason = rules.reasons.get(said.reason_code)
    if reason is None or reason.high_risk != Risk.WITH_PRIOR_DISPUTES:
        return 0
    if not rules.seller_disputes_min:
        return 0
    since = now - SELLER_LOOKED_BACK
    with connection.cursor() as cursor:
        cursor.execute(
            OF_SELLER,
            [payment.book_id, since, payment.beneficiary_id, payment.pk, SELLER_DISPUTES_MAX],
        )
        return int(cursor.fetchone()[0])
