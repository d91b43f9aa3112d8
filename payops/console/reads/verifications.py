"""What a parked event waits for and until when, and what the provider said when it was asked.

Reads only; two queries. Serves WH-10, WH-15.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from payops.core.models import Message
from payops.core.money import Money
from payops.flows.verification import DEADLINE, POLICY, TOPIC, question
from payops.webhooks.models import ProviderEvent, Verification

ROWS_MAX = 50
PENDING = Message.State.PENDING
CAUSES = {"policy": "before acting", "deadline": "after waiting too long"}
TONES = {"agrees": "good", "differs": "bad", "absent": "bad", "unanswered": "warn"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the provider about the event."""

    row: Verification
    cause: str
    tone: str
    amount: Money | None


@dataclass(frozen=True, slots=True)
class Question:
    """What is being asked: how often so far, the last answer, and when again (None: no more).

    `held` says why no question leaves now, where that is not the last answer.
    """

    asked: int
    asked_at: datetime | None
    said: str
    held: str
    again_at: datetime | None
    dead: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """`waits_for` is empty unless the event is parked; `asked_by` is when the provider is asked."""

    waits_for: str
    asked_by: datetime | None
    looked_at: datetime | None
    answers: tuple[Answer, ...]
    question: Question | None = None


def proof_of(event: ProviderEvent) -> Proof | None:
    """None: the event neither waits nor was ever asked about."""
    rows = event.verifications.order_by("-asked_at", "-pk")[:ROWS_MAX]
    answers = tuple(_answer(row) for row in rows)
    if event.state != ProviderEvent.State.PARKED:
        return Proof("", None, None, answers) if answers else None
    allowed_s = event.account.park_deadline_s
    asks = allowed_s > 0 and not event.waits_for.startswith("verify:")
    asked_by = event.created_at + timedelta(seconds=allowed_s) if asks else None
    return Proof(waited_for(event), asked_by, event.due_at, answers, _question(event))


def waited_for(event: ProviderEvent) -> str:
    """The key an event waits for, in words."""
    kind, _, rest = event.waits_for.partition(":")
    if kind == "verify":
        return "the provider's answer; nothing is applied before it"
    if kind == "seq":
        object_id, _, number = rest.rpartition(":")
        return f"update {number} of {object_id.rpartition(':')[2]}"
    if kind == "payout":
        return f"payout {rest.rpartition(':')[2]} to be known here"
    if rest == "paid":
        return f"the paid event of {kind}"
    return event.waits_for


def _question(event: ProviderEvent) -> Question | None:
    """The question that is open, else the latest; one that was redriven away is not looked at."""
    keys = [question(event, cause, event.book).key for cause in (POLICY, DEADLINE)]
    rows = Message.objects.filter(book_id=event.book_id, topic=TOPIC, key__in=keys)
    found = max(rows, key=lambda row: (row.state == PENDING, row.created_at), default=None)
    if found is None:
        return None
    said = str(found.payload.get("said", ""))
    at = found.payload.get("asked_at")
    return Question(
        asked=int(found.payload.get("asked", 0)),
        asked_at=datetime.fromisoformat(at) if isinstance(at, str) else None,
        said=said,
        held=found.last_error if found.last_error != said else "",
        again_at=found.due_at if found.state == PENDING else None,
        dead=found.state == Message.State.DEAD,
    )


def _answer(row: Verification) -> Answer:
    amount = None
    if row.amount_minor is not None and row.currency:
        amount = Money(row.amount_minor, row.currency)
    cause = CAUSES.get(row.cause, row.cause)
    return Answer(row, cause, TONES.get(row.verdict, "quiet"), amount)
