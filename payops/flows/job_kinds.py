"""The kinds of bulk act, a row each: who may, what is looked at, what is done to one row (F8).

Acting on a row is the service of the single act; nothing is decided here that it does not decide.
Approvals have no kind: nobody decides in bulk. Discarding only asks, by one approval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.rules import CASE_RULES
from payops.core import jobs, locks, outbox
from payops.core.actors import Actor
from payops.core.ids import UnknownId
from payops.core.jobs import JobRefused
from payops.core.models import Book, Message, Person
from payops.core.roles import Act, acts_of
from payops.flows.refunds import bulk as refund_bulk
from payops.webhooks import services as inbox
from payops.webhooks.models import ProviderEvent

NOTE_MAX = 240
DISCARD_MAX = 500


class KeptRefusal(str):
    """Words of a refusal whose own records stay, as those of a refused refund do."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One row of a plan; `refusal` says why it would be refused as things stand."""

    subject_id: str
    label: str
    cause: str
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """`look` describes rows before anybody acts; `act` does one row inside a transaction."""

    key: str
    verb: str
    noun: str
    needs: Act
    consequence: str
    look: Callable[[Book, Sequence[str]], list[Planned]]
    act: Callable[[str, Mapping[str, Any], Actor, datetime], str] | None
    check: Callable[[Mapping[str, Any], datetime], dict[str, Any]]
    asks: tuple[str, ...]
    rows_max: int = jobs.ROWS_MAX

    @property
    def only_asks(self) -> bool:
        """Confirming it asks for an approval; no row is acted on before."""
        return self.act is None

    def title(self, count: int) -> str:
        return f"{self.verb} {count} {self.noun}{'' if count == 1 else 's'}"


# ---- dead letters --------------------------------------------------------------------------


def _look_at_dead(book: Book, subject_ids: Sequence[str]) -> list[Planned]:
    """Events that may be acted on are dead; each by its cause."""
    return _look_at_events(book, subject_ids, (ProviderEvent.State.DEAD,))


def _look_at_redrivable(book: Book, subject_ids: Sequence[str]) -> list[Planned]:
    return _look_at_events(
        book, subject_ids, (ProviderEvent.State.DEAD, ProviderEvent.State.IGNORED)
    )


def _look_at_events(book: Book, subject_ids: Sequence[str], fit: Sequence[str]) -> list[Planned]:
    keys = _keys(ProviderEvent, subject_ids)
    found = ProviderEvent.objects.filter(book=book).in_bulk([key for key in keys.values() if key])
    rows = []
    for subject_id, key in keys.items():
        event = found.get(key) if key else None
        if event is None:
            rows.append(Planned(subject_id, "", "not found", "there is no such event in this book"))
            continue
        state, refusal = event.state, ""
        if state not in fit or (state == "IGNORED" and not event.reprocessable):
            refusal = f"it is {state}, no dead letter"
        label = f"{event.type} {event.provider_event_id}"
        rows.append(Planned(subject_id, label, event.cause or event.outcome or state, refusal))
    return rows


def _redrive_event(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    inbox.redrive(event_ids=[subject_id], note=said["note"], actor=actor, now=now)
    return "redriven; it goes through the same gates again"


def _assign_event(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    owner = _owner(said)
    inbox.assign(event_ids=[subject_id], owner=owner, actor=actor, now=now)
    return f"now with {owner.name}" if owner else "now with nobody"


# ---- messages ------------------------------------------------------------------------------


def _look_at_messages(book: Book, subject_ids: Sequence[str]) -> list[Planned]:
    keys: dict[str, UUID | None] = {}
    for text in subject_ids:
        try:
            keys[text] = UUID(text)
        except ValueError:
            keys[text] = None
    found = Message.objects.filter(book=book).in_bulk([key for key in keys.values() if key])
    rows = []
    for subject_id, key in keys.items():
        message = found.get(key) if key else None
        if message is None:
            words = "there is no such message in this book"
            rows.append(Planned(subject_id, "", "not found", words))
            continue
        dead = message.state == Message.State.DEAD
        refusal = "" if dead else f"it is {message.state}, no dead letter"
        label = f"{message.topic} {message.key}"
        rows.append(Planned(str(key), label, message.cause or message.state, refusal))
    return rows


def _redrive_message(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    inbox.redrive(message_ids=[UUID(subject_id)], note=said["note"], actor=actor, now=now)
    return "redriven; it is handed to its handler again"


def _assign_message(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    owner = _owner(said)
    outbox.assign(message_ids=[UUID(subject_id)], owner=owner, actor=actor, now=now)
    return f"now with {owner.name}" if owner else "now with nobody"


# ---- cases ---------------------------------------------------------------------------------


def _look_at_cases(book: Book, subject_ids: Sequence[str]) -> list[Planned]:
    keys = _keys(Case, subject_ids)
    found = {
        case.pk: case
        for case in Case.objects.filter(book=book, pk__in=[key for key in keys.values() if key])
    }
    rows = []
    for subject_id, key in keys.items():
        case = found.get(key) if key else None
        if case is None:
            rows.append(Planned(subject_id, "", "not found", "there is no such case in this book"))
            continue
        refusal = f"it is {case.state}" if case.state in Case.CLOSED else ""
        rows.append(Planned(subject_id, case.title, CASE_RULES[case.rule].words, refusal))
    return rows


def _look_at_any_case(book: Book, subject_ids: Sequence[str]) -> list[Planned]:
    """A closed case takes comments too."""
    known = _look_at_cases(book, subject_ids)
    return [Planned(r.subject_id, r.label, r.cause, "" if r.label else r.refusal) for r in known]


def _assign_case(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    owner = _owner(said)
    if owner is not None and Act.WORK_CASE not in acts_of(owner.roles_at(now)):
        raise JobRefused(f"{owner.name} may not work on cases")
    cases.assign(case=_case(subject_id), owner=owner, actor=actor, now=now)
    return f"now with {owner.name}" if owner else "now with nobody"


def _snooze_case(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    until = datetime.fromisoformat(said["until"])
    cases.snooze(case=_case(subject_id), until=until, note=said["note"], actor=actor, now=now)
    return f"snoozed until {until:%Y-%m-%d %H:%M} UTC"


def _comment_case(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    cases.comment(case=_case(subject_id), text=said["note"], actor=actor, now=now)
    return "comment added"


def _case(subject_id: str) -> Case:
    return locks.row(Case, Case.key_of(subject_id))


# ---- refunds -------------------------------------------------------------------------------


def _look_at_refunds(book: Book, subject_ids: Sequence[str]) -> list[Planned]:
    """Lines of a file that was begun before; each is looked at anew when it is asked for."""
    rows = []
    for subject_id, line in refund_bulk.find(book, subject_ids).items():
        if line is None:
            rows.append(Planned(subject_id, "", "not found", "no file kept here has such a line"))
        else:
            rows.append(Planned(subject_id, refund_bulk.label_of(line), line.reason_code))
    return rows


def _ask_refund(subject_id: str, said: Mapping[str, Any], actor: Actor, now: datetime) -> str:
    refund = refund_bulk.ask_line(subject_id, actor=actor, now=now)
    if refund.refusal:
        return KeptRefusal(
            f"{refund.public_id} {refund_bulk.state_words(refund)}: {refund.refusal}"
        )
    return f"{refund.public_id} {refund_bulk.state_words(refund)}: {refund.amount}"


# ---- arguments -----------------------------------------------------------------------------


def _note(said: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    note = str(said.get("note", "")).strip()
    if not 1 <= len(note) <= NOTE_MAX:
        raise JobRefused(f"write a note of 1 to {NOTE_MAX} characters; it is kept with every row")
    return {"note": note}


def _who(said: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    text = str(said.get("owner", ""))
    if text in ("", "none"):
        return {"owner": "", "owner_name": "nobody"}
    try:
        person = Person.objects.filter(pk=UUID(text), left_at=None).first()
    except ValueError as error:
        raise JobRefused("the owner is none of the people of this company") from error
    if person is None:
        raise JobRefused("the owner is none of the people of this company")
    return {"owner": str(person.pk), "owner_name": person.name}


def _nothing(said: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {}


def _until(said: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    until = said.get("until")
    if isinstance(until, str):
        until = datetime.fromisoformat(until)
    if until is None or until <= now:
        raise JobRefused("a snooze needs a moment that is still to come, as 2026-03-04 09:00")
    return _note(said, now) | {"until": until.astimezone(UTC).isoformat()}


def _owner(said: Mapping[str, Any]) -> Person | None:
    return Person.objects.get(pk=UUID(said["owner"])) if said["owner"] else None


def _keys(model: Any, subject_ids: Sequence[str]) -> dict[str, UUID | None]:
    keys: dict[str, UUID | None] = {}
    for text in subject_ids:
        try:
            keys[text] = model.key_of(text)
        except UnknownId:
            keys[text] = None
    return keys


KINDS = {
    row.key: row
    for row in (
        Kind(
            "redrive_events",
            "Redrive",
            "event",
            Act.REDRIVE_EVENT,
            "Each event goes through the same gates and the same dedupe again; what had its effect "
            "before has none again.",
            _look_at_redrivable,
            _redrive_event,
            _note,
            ("note",),
        ),
        Kind(
            "assign_events",
            "Assign",
            "dead letter",
            Act.REDRIVE_EVENT,
            "Each letter gets an owner; nothing else changes.",
            _look_at_dead,
            _assign_event,
            _who,
            ("owner",),
        ),
        Kind(
            "discard_events",
            "Discard",
            "dead letter",
            Act.DISCARD_EVENT,
            "One approval names every event. They stay dead letters until others have approved it; "
            "the bodies stay for ever.",
            _look_at_dead,
            None,
            _note,
            ("note",),
            DISCARD_MAX,
        ),
        Kind(
            "redrive_messages",
            "Redrive",
            "message",
            Act.REDRIVE_EVENT,
            "Each message is handed to its handler again, under its own key.",
            _look_at_messages,
            _redrive_message,
            _note,
            ("note",),
        ),
        Kind(
            "assign_messages",
            "Assign",
            "dead message",
            Act.REDRIVE_EVENT,
            "Each message gets an owner; nothing else changes.",
            _look_at_messages,
            _assign_message,
            _who,
            ("owner",),
        ),
        Kind(
            "assign_cases",
            "Assign",
            "case",
            Act.WORK_CASE,
            "Each case gets the owner; an open one is triaged by it.",
            _look_at_cases,
            _assign_case,
            _who,
            ("owner",),
        ),
        Kind(
            "snooze_cases",
            "Snooze",
            "case",
            Act.WORK_CASE,
            "Each case leaves the queue until then; its clock keeps running.",
            _look_at_cases,
            _snooze_case,
            _until,
            ("until", "note"),
        ),
        Kind(
            "comment_cases",
            "Comment on",
            "case",
            Act.WORK_CASE,
            "The note is written on the timeline of each case.",
            _look_at_any_case,
            _comment_case,
            _note,
            ("note",),
        ),
        Kind(
            refund_bulk.KIND,
            "Ask for",
            "refund",
            Act.REQUEST_REFUND,
            "Each line is checked and decided as a single request is; what was asked for before is "
            "not asked for twice.",
            _look_at_refunds,
            _ask_refund,
            _nothing,
            (),
        ),
    )
}
