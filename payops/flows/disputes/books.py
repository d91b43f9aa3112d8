"""What a dispute's entries must be by now, and the steps from what stands to that (LJ-12, LJ-18).

Whatever the order in which its facts came, the same facts end in the same balances: what is
missing is posted, what facts rule out by now is reversed. Pure but for `standing_of`, which reads
the journal; the caller posts. Serves F31 and the worked check (c).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger import posting
from ledger.models import JournalEntry
from payops.flows.disputes import postings as dispute_postings
from payops.flows.disputes.course import Course, Round
from payops.payments.models import Dispute

OPENED, TAKEN = "dispute.opened", "dispute.funds_withdrawn"
RETURNED, LOST, FEE = "dispute.funds_returned", "dispute.lost", "fee.charged"
CLASSES = (OPENED, TAKEN, RETURNED, LOST, FEE)
# Not an inquiry: the seller is held from the opening on.
HOLDING = (Dispute.State.OPEN, Dispute.State.UNDER_REVIEW, Dispute.State.LOST)
# As the journal has it; a replay reads no journal and knows its own postings instead.
Entry = JournalEntry | posting.Posting
Split = Callable[[datetime], dict[str, int]]
FEE_KEPT = "fee"


@dataclass(slots=True)
class Standing:
    """Unreversed entries by (round, class), and how often a class was ever posted."""

    entries: dict[tuple[int, str], Entry] = field(default_factory=dict)
    times: Counter[tuple[int, str]] = field(default_factory=Counter)

    def has(self, number: int, event_class: str) -> bool:
        return (number, event_class) in self.entries

    def put(self, number: int, entry: Entry) -> None:
        self.entries[number, entry.event_class] = entry
        self.times[number, entry.event_class] += 1

    def movement(self, number: int, event_class: str) -> str:
        """The movement's own name; posted again after a reversal it has a number behind it."""
        name, before = event_class.partition(".")[2], self.times[number, event_class]
        return f"{name}:{before + 1}" if before else name


@dataclass(frozen=True, slots=True)
class Step:
    """Post this; or take that entry back."""

    post: posting.Posting | None = None
    undo: Any = None
    reason: str = ""


def standing_of(dispute: Dispute) -> Standing:
    """What the journal has of the dispute."""
    standing = Standing()
    if dispute._state.adding:
        return standing
    subjects = [dispute_postings.subject_of(dispute, n + 1) for n in range(len(dispute.rounds) + 1)]
    known = JournalEntry.objects.filter(
        book=dispute.book, event_class__in=CLASSES, subject_id__in=subjects
    )
    for entry in known.select_related("reversed_by").order_by("pk"):
        number = number_of(entry.subject_id)
        if getattr(entry, "reversed_by", None) is None:
            standing.put(number, entry)
        else:
            standing.times[number, entry.event_class] += 1
    return standing


def steps(
    dispute: Dispute,
    course: Course,
    standing: Standing,
    *,
    refs: posting.Refs,
    at: datetime,
    split: Split,
) -> list[Step]:
    """The way to what the facts ask for; fixes who bears a new round on `dispute.rounds`."""
    work = _Work(dispute, standing, refs, split)
    if not course.rounds:
        work.before_money(course)
    for number, each in enumerate(course.rounds, 1):
        work.taken(number, each)
        if each.back is not None:
            work.undo(number, LOST, "the money came back")
            work.returned(number, each.back.at)
        elif not course.is_lost:
            work.undo(number, LOST, "the provider decided anew")
        elif not standing.has(number, LOST):
            work.lost(number, course.ended_at or at)
    if course.rounds:
        work.fees(course)
    return work.found


class _Work:
    """Steps gathered for one dispute."""

    def __init__(
        self, dispute: Dispute, standing: Standing, refs: posting.Refs, split: Split
    ) -> None:
        self.dispute, self.standing, self.refs, self.split = dispute, standing, refs, split
        self.found: list[Step] = []

    def before_money(self, course: Course) -> None:
        dispute = self.dispute
        by_seller = dispute.borne_by == Dispute.Bearer.SELLER
        if not by_seller or course.state not in HOLDING or course.is_inquiry:
            self.undo(1, OPENED, "no money was taken from the seller")
            return
        at = course.opened_at
        assert at is not None, "a dispute was told of by something"
        fresh = self._fresh(at)
        if self.standing.has(1, OPENED):
            if self._kept(1) == fresh:
                return
            self.undo(1, OPENED, "what is disputed, or left of it, has changed")
        self._keep(1, fresh)
        if fresh["hold"]:
            movement = self.standing.movement(1, OPENED)
            entry = dispute_postings.hold(
                dispute, split=fresh, movement=movement, refs=self.refs, at=at
            )
            self._post(1, entry)

    def taken(self, number: int, each: Round) -> None:
        """Booked once; anew where a refund told late leaves the seller less, or more, to bear."""
        at, stands = each.taken.at, self.standing.has(number, TAKEN)
        if stands and each.back is not None:
            return
        fresh = self._fresh(at)
        if stands and self._kept(number) == fresh:
            return
        if stands:
            self.undo(number, LOST, "who bears it has changed")
            self.undo(number, TAKEN, "who bears it has changed")
        if self.standing.has(number, OPENED) and self._kept(number) != fresh:
            self.undo(number, OPENED, "what is disputed, or left of it, has changed")
        self._keep(number, fresh)
        entry = dispute_postings.withdrawn(
            self.dispute,
            number,
            split=fresh,
            held=self.standing.has(number, OPENED),
            movement=self.standing.movement(number, TAKEN),
            refs=self.refs,
            at=at,
        )
        self._post(number, entry)

    def returned(self, number: int, at: datetime) -> None:
        if not self.standing.has(number, RETURNED):
            split = self.dispute.rounds[number - 1]
            entry = dispute_postings.returned(
                self.dispute, number, split=split, refs=self.refs, at=at
            )
            self._post(number, entry)

    def lost(self, number: int, at: datetime) -> None:
        entry = dispute_postings.lost(
            self.dispute,
            number,
            split=self.dispute.rounds[number - 1],
            movement=self.standing.movement(number, LOST),
            refs=self.refs,
            at=at,
        )
        self._post(number, entry)

    def fees(self, course: Course) -> None:
        """Each fee once, on a round that has none yet."""
        posted = Counter(each[FEE_KEPT] for each in self.dispute.rounds if FEE_KEPT in each)
        left = sorted((Counter(course.fees) - posted).elements())
        for number, each in enumerate(course.rounds, 1):
            if left and not self.standing.has(number, FEE):
                minor = left.pop()
                entry = dispute_postings.fee(
                    self.dispute, number, fee_minor=minor, refs=self.refs, at=each.taken.at
                )
                self._post(number, entry)
                rounds = list(self.dispute.rounds)
                rounds[number - 1] = {**rounds[number - 1], FEE_KEPT: minor}
                self.dispute.rounds = rounds

    def undo(self, number: int, event_class: str, reason: str) -> None:
        entry = self.standing.entries.pop((number, event_class), None)
        if entry is not None:
            self.found.append(Step(undo=entry, reason=reason))

    def _post(self, number: int, entry: posting.Posting) -> None:
        self.standing.put(number, entry)
        self.found.append(Step(post=entry))

    def _fresh(self, at: datetime) -> dict[str, Any]:
        """Who bears how much, by what had happened to the charge until then."""
        now = {"amount": self.dispute.amount_minor, "borne_by": str(self.dispute.borne_by)}
        return {**self.split(at), **now}

    def _kept(self, number: int) -> dict[str, Any]:
        kept = dict(self.dispute.rounds[number - 1]) if len(self.dispute.rounds) >= number else {}
        kept.pop(FEE_KEPT, None)
        return kept

    def _keep(self, number: int, split: dict[str, Any]) -> None:
        """A new list each time: a row knows what changed by comparing."""
        rounds = list(self.dispute.rounds)
        before = rounds[number - 1] if len(rounds) >= number else {}
        fee = {FEE_KEPT: before[FEE_KEPT]} if FEE_KEPT in before else {}
        rounds[number - 1 : number] = [{**split, **fee}]
        self.dispute.rounds = rounds


def number_of(subject_id: str) -> int:
    """Which round a subject is."""
    return int(subject_id.partition("/")[2] or 1)
