"""What a dispute has come to, from everything told of it, in whatever order (D9, RF-15, F31).

A pure function of a set of facts: their own times decide, never their arrival. Money goes out and
comes back in turn, so two tellings of one movement are one, and each time it goes out again begins
a round. The latest verdict stands until the provider opens the matter anew. Never reads a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from payops.payments.models import Dispute
from payops.psp.base import NormalizedEvent

State = Dispute.State
OPENED, UPDATED, EVIDENCE_SENT = "opened", "updated", "evidence_sent"
TAKEN, BACK = "funds_withdrawn", "funds_returned"
VERDICTS = {"won": State.WON, "lost": State.LOST, "closed": State.CLOSED}
# A person's word that nothing more will be answered; the provider's own word may still differ.
ACCEPTED = "loss_accepted"
# A refund told late changed who bears it; it says nothing of the dispute itself.
RESHARED = "reshared"
INQUIRY, SECOND_ROUND = "inquiry", "second_round"
# Of facts with one time: what can only have come first.
PLACE = {OPENED: 0, UPDATED: 1, EVIDENCE_SENT: 1, RESHARED: 1, TAKEN: 2, BACK: 3}
SECOND_PLACE, VERDICT_PLACE = 4, 5
# How providers say that it is their turn, or ours.
THEIR_TURN = ("under_review", "information_supplied", "waiting_for_buyer_response")
OUR_TURN = ("needs_response", "waiting_for_seller_response", "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing told of a dispute; `key` is the teller's own id, `ref` that of the movement."""

    kind: str
    at: datetime
    key: str
    ref: str = ""
    stage: str = ""
    status: str = ""
    turn: str = ""
    reason: str = ""
    amount_minor: int | None = None
    fee_minor: int = 0
    due_at: datetime | None = None
    refundable: bool | None = None

    @property
    def place(self) -> tuple[datetime, int, str]:
        if self.kind in VERDICTS or self.kind == ACCEPTED:
            rank = VERDICT_PLACE
        elif self.kind == TAKEN and self.stage == SECOND_ROUND:
            rank = SECOND_PLACE
        else:
            rank = PLACE[self.kind]
        return self.at, rank, self.key

    def kept(self) -> dict[str, Any]:
        """As the dispute keeps it; what says nothing is left out."""
        moments = {"at": self.at.isoformat()}
        if self.due_at is not None:
            moments["due_at"] = self.due_at.isoformat()
        texts = ("kind", "key", "ref", "stage", "status", "turn", "reason")
        said = {name: getattr(self, name) for name in (*texts, "fee_minor")}
        told = {name: value for name, value in said.items() if value}
        given = {"amount_minor": self.amount_minor, "refundable": self.refundable}
        return {**told, **moments, **{name: v for name, v in given.items() if v is not None}}


@dataclass(frozen=True, slots=True)
class Round:
    """Money that went out, and its way back where it came."""

    taken: Fact
    back: Fact | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """Where the dispute stands; `ended_at` is None while it is live."""

    state: Dispute.State
    rounds: tuple[Round, ...] = ()
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    evidence_sent_at: datetime | None = None
    due_at: datetime | None = None
    refundable: bool | None = None
    is_inquiry: bool = False
    reason: str = ""
    status: str = ""
    amount_minor: int | None = None
    fees: tuple[int, ...] = field(default=())

    @property
    def is_out(self) -> bool:
        """The provider has the money now."""
        return bool(self.rounds) and self.rounds[-1].back is None

    @property
    def is_lost(self) -> bool:
        return self.state == State.LOST and self.is_out


def fact_of(said: NormalizedEvent, *, at: datetime) -> Fact:
    """What one event tells; `at` where the provider gives no time."""
    kind = said.kind.partition(".")[2]
    ref = said.failure_movement_ref if kind == BACK else said.movement_ref
    return Fact(
        kind=kind,
        at=said.occurred_at or at,
        key=f"{said.raw_type}:{said.provider_event_id}",
        ref=ref or "",
        stage=said.stage or "",
        status=said.status,
        turn=_turn(said),
        reason=said.failure_code or "",
        amount_minor=said.amount.minor if said.amount else None,
        fee_minor=said.fee.minor if said.fee and kind in (TAKEN, *VERDICTS) else 0,
        due_at=said.due_at,
        refundable=said.refundable,
    )


def read(kept: Iterable[Mapping[str, Any]]) -> list[Fact]:
    """The facts a dispute keeps."""
    return [
        Fact(
            **{
                **told,
                "at": datetime.fromisoformat(told["at"]),
                "due_at": datetime.fromisoformat(told["due_at"]) if "due_at" in told else None,
            }
        )
        for told in kept
    ]


def course_of(facts: Iterable[Fact]) -> Course:
    told = sorted(facts, key=lambda fact: fact.place)
    rounds = rounds_of(told)
    verdict = _verdict(told, rounds)
    since = [f for f in told if verdict is None or f.place > verdict.place]
    reopened = verdict is None or _is_reopened(verdict, since, rounds)
    stage = _latest(since if reopened and verdict else told, "stage")
    is_inquiry = stage == INQUIRY and not rounds
    refundable = next((f.refundable for f in reversed(told) if f.refundable is not None), None)
    sent = [f.at for f in since if f.kind == EVIDENCE_SENT] if reopened else []
    if not reopened:
        assert verdict is not None
        state = _state_of(verdict)
    else:
        theirs = bool(sent) or _latest(since, "turn") == "theirs"
        state = State.UNDER_REVIEW if theirs else State.OPEN
        if is_inquiry and (not theirs or refundable):
            # A refund still ends it: under review it would seem to be barred.
            state = State.INQUIRY
    return Course(
        state=state,
        rounds=rounds,
        opened_at=told[0].at if told else None,
        ended_at=None if reopened or verdict is None else verdict.at,
        evidence_sent_at=_evidence(told),
        due_at=next((f.due_at for f in reversed(told) if f.due_at is not None), None),
        refundable=refundable,
        is_inquiry=is_inquiry,
        reason=_latest(told, "reason"),
        status=_latest(told, "status"),
        amount_minor=next((f.amount_minor for f in told if f.amount_minor is not None), None),
        fees=_fees(told, rounds),
    )


def rounds_of(told: Iterable[Fact]) -> tuple[Round, ...]:
    """Out, back, out: a movement that repeats the one before it tells of the same money."""
    rounds: list[Round] = []
    for fact in told:
        out = bool(rounds) and rounds[-1].back is None
        if fact.kind == TAKEN and not out:
            rounds.append(Round(fact))
        elif fact.kind == BACK and out:
            rounds[-1] = Round(rounds[-1].taken, fact)
    return tuple(rounds)


def _verdict(told: list[Fact], rounds: tuple[Round, ...]) -> Fact | None:
    """The latest one; money given back says won where nothing later says otherwise."""
    returns = [each.back for each in rounds if each.back is not None]
    spoken = [f for f in told if f.kind in VERDICTS or f.kind == ACCEPTED]
    return max([*spoken, *returns], key=lambda fact: fact.place, default=None)


def _state_of(verdict: Fact) -> Dispute.State:
    if verdict.kind == ACCEPTED:
        return State.LOST
    return VERDICTS.get(verdict.kind, State.WON)


def _is_reopened(verdict: Fact, since: list[Fact], rounds: tuple[Round, ...]) -> bool:
    """The provider opens it again, or takes the money again; a loss is not reopened by that."""
    if _state_of(verdict) == State.LOST:
        return False
    taken = [each.taken for each in rounds]
    return any(f.kind == OPENED or f in taken for f in since)


def _latest(told: list[Fact], name: str) -> str:
    return next((str(v) for f in reversed(told) if (v := getattr(f, name))), "")


def _evidence(told: list[Fact]) -> datetime | None:
    """When the answer to the latest demand left, as far as anybody said so."""
    sent = [f.at for f in told if f.kind == EVIDENCE_SENT or f.turn == "theirs"]
    return sent[0] if sent else None


def _fees(told: list[Fact], rounds: tuple[Round, ...]) -> tuple[int, ...]:
    """One fee a round at most: snapshots repeat it."""
    starts = [each.taken.place for each in rounds][1:]
    found: list[int] = []
    for first, last in zip([None, *starts], [*starts, None], strict=True):
        own = [
            f.fee_minor
            for f in told
            if f.fee_minor
            and (first is None or f.place >= first)
            and (last is None or f.place < last)
        ]
        found += own[:1]
    return tuple(found)


def _turn(said: NormalizedEvent) -> str:
    words = {said.status.lower(), said.raw_type.lower()}
    if any(word.endswith(THEIR_TURN) for word in words):
        return "theirs"
    if any(word.endswith(OUR_TURN) for word in words):
        return "ours"
    return ""
