"""The money of one charge: what refunds and disputes took of it, now and at every moment.

Moments come from the histories of the charge, its refunds and its disputes, so that the picture
says what the books said then. Minor units of the charge's one currency. Reads only. Serves RF-4,
RF-10, D9, OB-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from payops.console import svg_money
from payops.console.svg_money import Column, Part
from payops.console.templatetags.payops_tags import money_text
from payops.console.tones import word_of
from payops.payments.models import Dispute, Payment, Refund

MOMENTS_MAX = 500
LABELS = {
    "refunded": "Refunded",
    "reserved": "Reserved",
    "asked": "This refund",
    "disputed": "Disputed",
    "left": "Left",
}
# States in which the provider keeps or has taken the money of a dispute.
WITHDRAWN = (Dispute.State.OPEN, Dispute.State.UNDER_REVIEW, Dispute.State.LOST)


@dataclass(frozen=True, slots=True)
class Share:
    """One part of the bar as its legend shows it."""

    kind: str
    label: str
    minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class MoneyBar:
    """The charge now: `shares` add up to what was captured unless more was taken than that."""

    captured_minor: int
    currency: str
    shares: tuple[Share, ...]
    over_minor: int
    picture: SafeString

    @property
    def left_minor(self) -> int:
        return next(share.minor for share in self.shares if share.kind == "left")


@dataclass(frozen=True, slots=True)
class Moment:
    """The charge after something changed; `href` leads to what changed."""

    at: datetime
    words: str
    href: str
    captured: int = 0
    reserved: int = 0
    refunded: int = 0
    disputed: int = 0

    @property
    def figures(self) -> tuple[int, int, int, int]:
        return self.captured, self.reserved, self.refunded, self.disputed

    @property
    def left(self) -> int:
        return max(self.captured - self.reserved - self.refunded - self.disputed, 0)


@dataclass(frozen=True, slots=True)
class MoneyOverTime:
    """The picture, and the same moments for its table, oldest first."""

    moments: list[Moment]
    picture: SafeString


def bar_of(
    payment: Payment,
    *,
    disputed_minor: int = 0,
    asked_minor: int = 0,
    reserved_already: bool = True,
) -> MoneyBar:
    """The charge as its counters say; `asked_minor` is shown apart from what is left of it.

    `reserved_already`: the refund asked for stands in the reserved counter.
    """
    reserved = payment.reserved_minor - (asked_minor if reserved_already else 0)
    taken = payment.reserved_minor + payment.refunded_minor
    taken += 0 if reserved_already else asked_minor
    free = max(payment.captured_minor - taken, 0)
    disputed = min(disputed_minor, free)
    amounts = {
        "refunded": payment.refunded_minor,
        "reserved": max(reserved, 0),
        "asked": asked_minor,
        "disputed": disputed,
        "left": free - disputed,
    }
    shares = tuple(
        Share(kind, LABELS[kind], minor, payment.currency)
        for kind, minor in amounts.items()
        if minor or kind in ("refunded", "reserved", "left")
    )
    over = payment.over_refunded_minor + max(taken - payment.captured_minor, 0)
    return MoneyBar(
        captured_minor=payment.captured_minor,
        currency=payment.currency,
        shares=shares,
        over_minor=over,
        picture=svg_money.bar(
            parts=[Part(s.kind, s.minor, money_text(s.minor, s.currency)) for s in shares],
            title=f"Of {money_text(payment.captured_minor, payment.currency)} captured",
        ),
    )


def disputed_minor(disputes: Iterable[Dispute]) -> int:
    return sum(dispute.amount_minor for dispute in disputes if dispute.state in WITHDRAWN)


def over_time(
    payment: Payment, *, refunds: Sequence[Refund], disputes: Sequence[Dispute]
) -> MoneyOverTime:
    """The moments at which a figure changed; three queries, however many refunds there are."""
    rows = [
        *((row, None) for row in payment.history.order_by("history_date", "history_id")),
        *_history(Refund, refunds),
        *_history(Dispute, disputes),
    ]
    rows.sort(key=lambda pair: (pair[0].history_date, pair[0].history_id))
    captured = 0
    refund_now: dict[Any, tuple[int, int]] = {}
    dispute_now: dict[Any, int] = {}
    moments: list[Moment] = []
    for row, record in rows[:MOMENTS_MAX]:
        if record is None:
            words, captured = _payment_words(row, captured), row.captured_minor
        elif isinstance(record, Refund):
            refund_now[row.id] = _refund_share(row)
            words = _words("Refund", row)
        else:
            dispute_now[row.id] = row.amount_minor if row.state in WITHDRAWN else 0
            words = _words("Dispute", row)
        moment = Moment(
            at=row.history_date,
            words=words,
            href=_href(record),
            captured=captured,
            reserved=sum(share[0] for share in refund_now.values()),
            refunded=sum(share[1] for share in refund_now.values()),
            disputed=sum(dispute_now.values()),
        )
        if moments and moments[-1].at == moment.at:
            moments.pop()  # written together: only what it came to is a moment
        moments.append(moment)
    shown = [
        each
        for before, each in zip([None, *moments], moments, strict=False)
        if before is None or before.figures != each.figures
    ]
    return MoneyOverTime(shown, _picture(shown, payment.currency))


def _history(model: Any, records: Sequence[Any]) -> list[tuple[Any, Any]]:
    by_key = {record.pk: record for record in records}
    if not by_key:
        return []
    rows = model.history.filter(id__in=list(by_key)).order_by("history_date", "history_id")
    return [(row, by_key[row.id]) for row in rows[:MOMENTS_MAX]]


def _refund_share(row: Any) -> tuple[int, int]:
    """(reserved, refunded) as the counters count one refund."""
    if row.state in Refund.EXECUTED:
        return 0, row.amount_minor
    if row.state in Refund.RESERVED or row.obligation == Refund.Obligation.OWED:
        return row.amount_minor, 0
    return 0, 0


def _payment_words(row: Any, before: int) -> str:
    if row.captured_minor != before:
        return f"Captured {money_text(row.captured_minor - before, row.currency)}"
    return f"Payment {word_of(row.state).lower()}"


def _words(noun: str, row: Any) -> str:
    owed = f", {row.obligation}" if getattr(row, "obligation", "") else ""
    amount = money_text(row.amount_minor, row.currency)
    return f"{noun} of {amount}: {word_of(row.state).lower()}{owed}"


def _href(record: Any) -> str:
    if isinstance(record, Refund):
        return f"/refunds/{record.public_id}/"
    return f"/disputes/{record.public_id}/" if isinstance(record, Dispute) else ""


def _picture(moments: Sequence[Moment], currency: str) -> SafeString:
    return svg_money.columns(
        moments=[
            Column(
                f"{each.at:%Y-%m-%d} {each.words}",
                [
                    Part("refunded", each.refunded, money_text(each.refunded, currency)),
                    Part("reserved", each.reserved, money_text(each.reserved, currency)),
                    Part("disputed", each.disputed, money_text(each.disputed, currency)),
                    Part("left", each.left, money_text(each.left, currency)),
                ],
            )
            for each in moments
        ],
        title="The money of the charge over time",
    )
