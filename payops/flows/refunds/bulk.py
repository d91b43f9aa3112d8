"""Refunds asked for by a file: looked at line by line first, then asked for one by one (F8, RF-1).

`preview` says of each line what asking would come to; `begin` keeps the file as it was shown and
makes the job; `ask_line` is one line of it, under the key of its place in that file, so that the
same file twice asks for nothing twice. Nothing is decided here: every line goes through the one
refund flow, and more easily than by hand never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from django.db import transaction

from payops.core import evidence, jobs
from payops.core.actors import Actor
from payops.core.jobs import Entry, JobRefused
from payops.core.models import Book, Evidence, Job, Person
from payops.core.money import Money
from payops.flows.refunds import once as refund_once
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds import subject as refund_subject
from payops.flows.refunds.once import OtherFacts
from payops.flows.refunds.request import RefundAsk, RefundRefused
from payops.flows.refunds.subject import NameRefused
from payops.formats import refund_file
from payops.formats.refund_file import Reading, Reject, Row
from payops.payments.models import Payment, Refund

KIND = "ask_refunds"
SOURCE = "bulk"
KEY_HEX = 32
FILE_NAME = "refunds.csv"
KEPT_FILES = 8
VERDICTS = {
    "auto": "granted by rule",
    "approval": "people decide",
    "refused": "refused",
    "known": "asked for already",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """What asking for one line would come to; `verdict` is one of VERDICTS."""

    row: Row
    verdict: str
    words: str
    payment: Payment | None = None
    amount: Money | None = None
    known: Refund | None = None

    @property
    def verdict_words(self) -> str:
        return VERDICTS[self.verdict]

    @property
    def asks(self) -> bool:
        return self.verdict in ("auto", "approval")


@dataclass(frozen=True, slots=True)
class Total:
    """How many lines of one verdict, and what they add up to in one currency."""

    verdict: str
    words: str
    count: int
    amount: Money | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file would ask for. While anything of it cannot be read, nothing can be begun."""

    reading: Reading
    rows: tuple[Planned, ...]

    @property
    def rejects(self) -> tuple[Reject, ...]:
        return self.reading.rejects

    @property
    def asking(self) -> tuple[Planned, ...]:
        return tuple(row for row in self.rows if row.asks)

    @property
    def totals(self) -> tuple[Total, ...]:
        """By verdict and currency, in the order of VERDICTS."""
        added: dict[tuple[str, str], tuple[int, int]] = {}
        for row in self.rows:
            key = (row.verdict, row.amount.currency if row.amount else "")
            count, minor = added.get(key, (0, 0))
            added[key] = (count + 1, minor + (row.amount.minor if row.amount else 0))
        order = list(VERDICTS)
        return tuple(
            Total(verdict, VERDICTS[verdict], count, Money(minor, code) if code else None)
            for (verdict, code), (count, minor) in sorted(
                added.items(), key=lambda each: (order.index(each[0][0]), each[0][1])
            )
        )


def preview(*, text: str, book: Book, person: Person, now: datetime) -> Preview:
    """Line by line what asking would come to now; reads only. Raises FileRefused."""
    reading = refund_file.read(text)
    # What lines further up would take of the same charge.
    taken: dict[UUID, int] = {}
    rows = [_planned(row, reading.sha256, book, person, taken, now) for row in reading.rows]
    return Preview(reading, tuple(rows))


def begin(*, text: str, filename: str, book: Book, actor: Actor, now: datetime) -> Job:
    """Keep the file and make the job of its lines. Raises JobRefused and FileRefused."""
    reading = refund_file.read(text)
    if reading.rejects:
        raise JobRefused(f"{len(reading.rejects)} cells cannot be read; correct them first")
    with transaction.atomic(durable=True):
        kept = evidence.attach(
            book=book,
            subject_id=f"{KIND}:{reading.sha256[:KEY_HEX]}",
            filename=filename or FILE_NAME,
            content_type="text/csv",
            content=text.encode(),
            actor=actor,
            now=now,
        )
        count = len(reading.rows)
        return jobs.create(
            book=book,
            kind=KIND,
            title=f"Ask for {count} refund{'' if count == 1 else 's'} of {kept.filename}",
            arguments={"file": kept.filename, "sha256": reading.sha256, "document": str(kept.pk)},
            entries=[Entry(line_id(kept.pk, row.line), label_of(row)) for row in reading.rows],
            actor=actor,
            now=now,
        )


def line_id(document: UUID, line: int) -> str:
    return f"{document.hex}:{line}"


def label_of(row: Row) -> str:
    amount = row.amount or refund_file.ALL
    return f"line {row.line}: {amount} of {row.payment}, {row.reason_code}"


def state_words(refund: Refund) -> str:
    return str(refund.state).replace("_", " ").lower()


def find(book: Book, subject_ids: Sequence[str]) -> dict[str, Row | None]:
    """The lines by their ids; None where the file or the line is not there."""
    found: dict[str, Row | None] = {}
    for subject_id in subject_ids:
        document, line = _parts(subject_id)
        kept = _kept(document, book.pk) if document else None
        found[subject_id] = kept[1].get(line) if kept else None
    return found


def ask_line(subject_id: str, *, actor: Actor, now: datetime) -> Refund:
    """One line, inside the job's transaction. Raises JobRefused with words for its outcome."""
    document, line = _parts(subject_id)
    known = Evidence.objects.select_related("book")
    stored = known.filter(pk=document).first() if document else None
    kept = _kept(stored.pk, stored.book_id) if stored else None
    row = kept[1].get(line) if kept else None
    if stored is None or kept is None or row is None:
        raise JobRefused(f"there is no line {subject_id[:64]!r} in a file kept here")
    person = Person.objects.get(pk=actor.human())
    try:
        wanted = _ask_of(row, kept[0], _payment(row, stored.book), person)
        return refund_once.ask(wanted, actor=actor, now=now).refund
    except (NameRefused, OtherFacts, RefundRefused) as refusal:
        raise JobRefused(f"line {line}: {refusal}") from refusal


def _planned(
    row: Row, sha256: str, book: Book, person: Person, taken: dict[UUID, int], now: datetime
) -> Planned:
    try:
        payment = _payment(row, book)
    except NameRefused as refusal:
        return Planned(row, "refused", str(refusal), amount=row.amount)
    wanted = _ask_of(row, sha256, payment, person)
    known = refund_once.latest(book, wanted.request_key)
    if known is not None and known.state != Refund.State.REFUSED:
        words = f"it is {state_words(known)} and is not asked for twice"
        return Planned(row, "known", words, payment, known.amount, known)
    above = taken.get(payment.pk, 0)
    try:
        seen = refund_flow.look(ask=wanted, now=now)
    except RefundRefused as refusal:
        return Planned(row, "refused", str(refusal), payment, row.amount)
    left = seen.left.minor - above
    amount = replace(seen.amount, minor=left) if row.amount is None else seen.amount
    if seen.verdict == "refused" or not above:
        planned = Planned(row, seen.verdict, seen.words, payment, amount)
    elif amount.minor > left or left <= 0:
        words = (
            f"{amount} asked, {Money(max(left, 0), payment.currency)} left after the lines above"
        )
        planned = Planned(row, "refused", words, payment, amount)
    else:
        words = f"{seen.words}; lines above refund this charge too"
        planned = Planned(row, "approval", words, payment, amount)
    if planned.asks:
        taken[payment.pk] = above + amount.minor
    return planned


def _payment(row: Row, book: Book) -> Payment:
    """Raises NameRefused."""
    account = refund_subject.account_of(row.account, book=book) if row.account else None
    return refund_subject.payment_of(row.payment, book=book, account=account)


def _ask_of(row: Row, sha256: str, payment: Payment, person: Person) -> RefundAsk:
    place = (sha256[:KEY_HEX], str(row.line), payment.public_id)
    return RefundAsk(
        payment=payment,
        amount=row.amount,
        reason_code=row.reason_code,
        note=row.note,
        evidence=row.evidence,
        request_key=refund_once.key_of(SOURCE, *place),
        requested_by=person,
        source=SOURCE,
        account=row.account,
    )


def _parts(subject_id: str) -> tuple[UUID | None, int]:
    document, _, line = subject_id.partition(":")
    try:
        return UUID(hex=document), int(line)
    except ValueError:
        return None, 0


@lru_cache(maxsize=KEPT_FILES)
def _kept(document: UUID, book_id: UUID) -> tuple[str, dict[int, Row]] | None:
    """(hash, its lines) of a file that was begun; a stored file never changes."""
    rows = Evidence.objects.select_related("data_key").filter(pk=document, book_id=book_id)
    stored = rows.filter(subject_id__startswith=f"{KIND}:").first()
    if stored is None:
        return None
    reading = refund_file.read(evidence.content_of(stored).decode())
    return reading.sha256, {row.line: row for row in reading.rows}
