"""Entries that internal systems post (LJ-13 to LJ-18): which classes, checked how, refused where.

Owns the closed table of classes a system may post and the way from its facts to the one posting
path. Never takes lines: a system names an event, the journal matrix makes the lines. An event that
the books rule out as they stand opens one case for its subject, so that people find out why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from ledger import matrix, posting
from ledger.errors import ImpossibleState, LedgerBusy, PredecessorMissing
from ledger.facts import Posting, Refs
from ledger.matrix_row import Pair
from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Finding, Line
from payops.core import audit, clock, ids
from payops.core.actors import Actor
from payops.core.models import Book
from payops.core.money import Money, MoneyError
from payops.flows import parties
from payops.flows.parties import PartyUnknown
from payops.flows.trace import find as trace_find
from payops.payments.models import Payment

RULE = "ledger.impossible_predecessor"
TOLD = "ledger.entry_told"
IMPOSSIBLE = (PredecessorMissing, ImpossibleState)
CAPTURED = "payment.captured"
NO_REFS = Refs()

# Event class and why a system may post it.
SYSTEMS_MAY: dict[str, str] = {
    CAPTURED: "a capture by an acquirer whose events do not come in here",
    "fee.charged": "a fee that an invoice or a billing system states",
    "fee.refunded": "a fee given back on such an invoice",
    "fee.recharged": "the billing system knows the agreement with the seller",
    "psp.reserve_held": "the treasury system reads it on the PSP's balance report",
    "psp.reserve_released": "the treasury system reads it on the PSP's balance report",
    "bank.interest": "the treasury system reads it on the bank's statement",
    "bank.own_transfer": "the treasury system moved it between our own accounts",
    "tax.remitted": "the tax engine paid it",
    "seller.debt_collected": "the collections system received it at the bank",
}
# By class, or by its beginning: why no system posts it.
SYSTEMS_MAY_NOT: tuple[tuple[str, str], ...] = (
    ("payment.", "payments have a state of their own; their provider's events post it"),
    ("refund.", "refunds are approved, sent and answered here; their state posts it"),
    ("dispute.", "disputes have a state of their own; their provider's events post it"),
    ("payout.", "payouts are approved, sent and answered here; their state and runbooks post it"),
    ("settlement.", "the batch and the bank line are matched first; the match posts it"),
    ("receipt.", "an unidentified bank line has a case and an owner; they post it"),
    ("debit.", "an unidentified bank line has a case and an owner; they post it"),
    ("reserve.", "people decide what is held back from a seller"),
    ("psp.topup", "people approve money that leaves for a PSP"),
    ("psp.transfer", "people approve money that moves between PSPs"),
    ("fee.accrued", "the close run posts it and takes it back"),
    ("seller.debt_reclassed", "the close run posts it and takes it back"),
    ("fx.", "conversions and revaluations need both legs and their rates"),
    ("adjustment.", "a person asks for it with evidence, another one grants it"),
    ("write_off", "a person asks for it with evidence, another one grants it"),
    ("funds.", "a person asks for it with evidence, another one grants it"),
    ("entry.reversed", "a person asks for it on the entry's page, another one grants it"),
)


class FieldRefused(ValueError):
    """One field of the request cannot be posted; `lasting` when time cannot change that."""

    def __init__(self, name: str, words: str, *, lasting: bool = True) -> None:
        super().__init__(f"{name}: {words}")
        self.field = name
        self.words = words
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class EntryAsk:
    """An event as a system tells of it; amounts are decimal text in major units, by measure."""

    book: Book
    event_class: str
    subject_id: str
    movement_ref: str
    currency: str
    amounts: Mapping[str, str]
    occurred_at: datetime
    description: str
    variant: str = ""
    parties: Mapping[str, str] = field(default_factory=dict)
    refs: Refs = NO_REFS


def why_not(event_class: str) -> str:
    """Why a system may not post the class; "" when it may."""
    if event_class in SYSTEMS_MAY:
        return ""
    for named, words in SYSTEMS_MAY_NOT:
        if event_class == named or (named.endswith(".") and event_class.startswith(named)):
            return words
    return "the journal matrix has no such class"


def posting_of(ask: EntryAsk, *, now: datetime) -> Posting:
    """The posting of the event. Raises FieldRefused, which names the field."""
    if words := why_not(ask.event_class):
        may = ", ".join(sorted(SYSTEMS_MAY))
        raise FieldRefused("event_class", f"{words}; systems post {may}")
    if ask.occurred_at > now:
        raise FieldRefused(
            "occurred_at",
            f"{ask.occurred_at.isoformat()} has not come yet; post an event after it happened",
            lasting=False,
        )
    _check_subject(ask)
    pairs = _pairs(ask)
    legs = matrix.legs(
        ask.event_class,
        variant=ask.variant,
        amounts=_amounts(ask, pairs),
        currency=ask.currency,
        parties=_parties(ask, pairs),
    )
    return Posting(
        book=ask.book,
        event_class=ask.event_class,
        subject_id=ask.subject_id,
        movement_ref=ask.movement_ref,
        legs=legs,
        occurred_at=ask.occurred_at,
        description=ask.description,
        refs=ask.refs,
        reason=f"told by {ask.refs.api_request_id}" if ask.refs.api_request_id else "",
    )


def post(ask: EntryAsk, wanted: Posting, *, actor: Actor, now: datetime) -> posting.Outcome:
    """Through the one posting path, in the caller's transaction; what the system told is kept word
    for word beside its entry. Raises LedgerError."""
    outcome = posting.post(wanted, actor=actor, now=now)
    if not outcome.replayed:
        audit.record(
            [
                audit.event(
                    book=ask.book,
                    actor=actor,
                    action=TOLD,
                    subject_id=outcome.entry_public_id,
                    now=now,
                    evidence={"told": _told(ask)},
                    trace_id=ask.refs.trace_id,
                )
            ]
        )
    return outcome


def ask_of(book: Book, told: Mapping[str, Any]) -> EntryAsk:
    """What `post` kept, as it was asked."""
    at = datetime.fromisoformat(told["occurred_at"])
    return EntryAsk(**{**told, "book": book, "occurred_at": at, "refs": Refs(**told["refs"])})


def _told(ask: EntryAsk) -> dict[str, Any]:
    told = {f.name: getattr(ask, f.name) for f in fields(ask) if f.name != "book"}
    refs = {name: value for name, value in asdict(ask.refs).items() if value}
    plain = {"occurred_at": ask.occurred_at.isoformat(), "refs": refs}
    return {**told, "amounts": dict(ask.amounts), "parties": dict(ask.parties), **plain}


def open_exception(wanted: Posting, error: LedgerBusy, *, actor: Actor, now: datetime) -> Case:
    """One open case per subject; each further attempt is a line of it. Within a transaction."""
    assert connection.in_atomic_block
    debits = sum(leg.amount_minor for leg in wanted.legs if leg.amount_minor > 0)
    currency = wanted.legs[0].currency
    finding = Finding(
        book=wanted.book,
        rule=RULE,
        fingerprint=wanted.subject_id,
        period=_period(wanted, now),
        subject_id=wanted.subject_id,
        title=f"{wanted.event_class} of {wanted.subject_id} was refused",
        amount_minor=debits,
        currency=currency,
        reporting_minor=debits if currency == wanted.book.reporting_currency else None,
        trace_id=wanted.refs.trace_id,
    )
    case = cases.open_case(finding, actor=actor, now=now)
    words = (
        f"{actor.service} told of {wanted.event_class} over {Money(debits, currency)}"
        f" (movement {wanted.movement_ref}); refused: {error.words}"
    )
    line = Line(
        "refused",
        f"refused:{wanted.event_class}:{wanted.fingerprint[:32]}",
        words,
        wanted.subject_id,
        facts={"key": wanted.key, "fingerprint": wanted.fingerprint},
    )
    cases.append(case, [line], actor=actor, now=now)
    return case


def _period(wanted: Posting, now: datetime) -> str:
    """That of the open case, so that a new month does not open a second one."""
    rows = Case.objects.filter(book=wanted.book, rule=RULE, fingerprint=wanted.subject_id)
    known = rows.exclude(state__in=Case.CLOSED).order_by("created_at").first()
    if known is not None:
        return known.period
    return clock.period_of(clock.business_day(now, time_zone=wanted.book.time_zone))


def _check_subject(ask: EntryAsk) -> None:
    """An id of ours is one of this book; a payment held here is posted by its own events."""
    for name, text in (("subject_id", ask.subject_id), *_own_ids(ask.refs)):
        try:
            prefix, key = ids.parse(text)
        except ids.UnknownId:
            if name == "subject_id":
                continue
            raise FieldRefused(name, f"{text!r} is not a public id of ours") from None
        if not _exists(ask.book, prefix, key):
            raise FieldRefused(name, f"{text} is not known in {ask.book.code}", lasting=False)
        if ask.event_class == CAPTURED and name == "subject_id" and prefix == Payment.PREFIX:
            raise FieldRefused(
                name,
                f"{text} is a payment held here; its capture is posted by its provider's event",
            )


def _own_ids(refs: Refs) -> list[tuple[str, str]]:
    named = ("payment_id", "payout_id", "refund_id", "dispute_id")
    return [(f"refs.{name}", getattr(refs, name)) for name in named if getattr(refs, name)]


def _exists(book: Book, prefix: str, key: UUID) -> bool:
    model = trace_find.MODELS.get(prefix)
    return model is not None and model._default_manager.filter(pk=key, book=book).exists()


def _pairs(ask: EntryAsk) -> tuple[Pair, ...]:
    variants = matrix.row_of(ask.event_class).variants
    if ask.variant not in variants:
        known = ", ".join(repr(name) for name in variants)
        raise FieldRefused("variant", f"{ask.variant!r} is none of {known}")
    return variants[ask.variant]


def _amounts(ask: EntryAsk, pairs: tuple[Pair, ...]) -> dict[str, int]:
    measures = list(dict.fromkeys(pair.measure for pair in pairs))
    amounts = {}
    for name, text in ask.amounts.items():
        if name not in measures:
            raise FieldRefused(
                f"amounts.{name}", f"there is no such measure; {', '.join(measures)} are"
            )
        try:
            amounts[name] = Money.from_decimal(text, ask.currency).minor
        except MoneyError as error:
            raise FieldRefused(f"amounts.{name}", str(error)) from error
    if not any(amounts.values()):
        raise FieldRefused("amounts", f"every amount is nil; give some of {', '.join(measures)}")
    return amounts


def _parties(ask: EntryAsk, pairs: tuple[Pair, ...]) -> dict[str, str]:
    kinds = {pair.party_key: pair.party_kind for pair in pairs if pair.party_kind}
    if unknown := sorted(set(ask.parties) - set(kinds)):
        known = ", ".join(sorted(kinds)) or "no party at all"
        raise FieldRefused(f"parties.{unknown[0]}", f"the event has no such party, but {known}")
    named = {}
    for name, kind in kinds.items():
        if not ask.parties.get(name):
            if any(_uses(ask, pair) for pair in pairs if pair.party_key == name):
                raise FieldRefused(f"parties.{name}", "the event is booked per this party; name it")
            continue
        try:
            named[name] = parties.party_of(book=ask.book, kind=kind, named=ask.parties[name])
        except PartyUnknown as error:
            raise FieldRefused(f"parties.{name}", str(error), lasting=False) from error
    return named


def _uses(ask: EntryAsk, pair: Pair) -> bool:
    return ask.amounts.get(pair.measure, "0").strip("0.") != ""
