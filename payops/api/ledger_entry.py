"""Turns the facts of a request into a posting, and its outcome into an answer (LJ-13 to LJ-18).

The key's system tells of an event, a finance person answers for it. Final refusals are kept under
the Idempotency-Key, what time can change is not (D17a); what the books rule out opens a case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import OperationalError, transaction

from ledger.errors import KeyConflict, LateApprovalNeeded, LedgerBusy, LedgerRefused
from ledger.facts import Posting, Refs
from payops.api import on_behalf, reads
from payops.api.authentication import actor_of
from payops.api.entry_serializers import EntryAnswer, EntryRequest, problems_of
from payops.api.idempotency import Answer, Call
from payops.api.problems import Problem, invalid_fields
from payops.core import ids, tracing
from payops.core.models import Person
from payops.core.roles import Act
from payops.flows import late_postings, ledger_entry
from payops.flows.ledger_entry import EntryAsk, FieldRefused

REQUEST_ID_CHARS_MAX = 120


@dataclass(frozen=True, slots=True)
class Told:
    """One request as it arrived; `request_id` is kept on the entry (LJ-16)."""

    call: Call
    request_id: str


class NotYet(Problem):
    """Refused as things stand; `wanted` is what was to be posted, `error` why it was not."""

    def __init__(self, wanted: Posting, error: LedgerBusy) -> None:
        super().__init__("not-now", f"{error.words}. Nothing was posted; the key stays free.")
        self.wanted = wanted
        self.error = error


def request_id_from(header: str | None) -> str:
    """The caller's own X-Request-Id when it can be kept, else one made here."""
    text = (header or "").strip()
    if 0 < len(text) <= REQUEST_ID_CHARS_MAX and text.isascii() and text.isprintable():
        return text
    return f"rq_{ids.uuid7().hex}"


def post(told: Told, *, now: datetime) -> Answer:
    """One entry for this call, inside the caller's transaction. Raises Problem."""
    call, fields = told.call, _fields(told.call.facts)
    person = on_behalf.person_of(
        fields["on_behalf_of"],
        act=Act.PROPOSE_JOURNAL,
        act_words="ask for journals, so nobody in finance would answer for it",
        now=now,
    )
    ask = _ask(told, fields)
    wanted = _posting(ask, now)
    try:
        outcome = ledger_entry.post(ask, wanted, actor=actor_of(call.api_key), now=now)
    except KeyConflict as conflict:
        raise Problem(
            "posting-key-reused",
            f"{conflict.words}. The entry of the first facts stands; another movement has"
            " another movement_ref, an error is reversed and posted anew.",
            stored_fingerprint=conflict.stored,
            given_fingerprint=conflict.given,
        ) from conflict
    except LedgerRefused as refusal:
        raise Problem("entry-refused", f"{refusal.words}.") from refusal
    except LedgerBusy as error:
        if isinstance(error.__cause__, OperationalError):
            raise Problem("try-again", "The ledger is busy; nothing was posted.") from error
        raise NotYet(wanted, error) from error
    body = _body(told, outcome.entry_public_id, replayed=outcome.replayed, person=person)
    return Answer(200 if outcome.replayed else 201, body, outcome.entry_public_id, str(person.pk))


def explain(told: Told, refused: NotYet, *, now: datetime) -> Problem:
    """After the refused transaction is gone: people learn of what they have to do."""
    actor, error = actor_of(told.call.api_key), refused.error
    if isinstance(error, LateApprovalNeeded):
        with transaction.atomic(durable=True):
            late_postings.note([error], now=now)
        return refused
    if not isinstance(error, ledger_entry.IMPOSSIBLE):
        return refused
    with transaction.atomic(durable=True):
        case = ledger_entry.open_exception(refused.wanted, error, actor=actor, now=now)
    return Problem(
        "impossible-state",
        f"{error.words}. Nothing was posted and the key stays free; {case.public_id} is open"
        " for it.",
        case_id=case.public_id,
    )


def _fields(facts: dict[str, Any]) -> dict[str, Any]:
    request = EntryRequest(data=facts)
    if not request.is_valid():
        raise invalid_fields(problems_of(request.errors))
    return request.validated_data


def _ask(told: Told, fields: dict[str, Any]) -> EntryAsk:
    call = told.call
    refs = Refs(
        **{name: value for name, value in fields["refs"].items() if value},
        api_request_id=told.request_id,
        request_idempotency_key=call.key,
        trace_id=tracing.current() or uuid4().hex,
    )
    return EntryAsk(
        book=call.api_key.book,
        event_class=fields["event_class"],
        variant=fields["variant"],
        subject_id=fields["subject_id"],
        movement_ref=fields["movement_ref"],
        currency=fields["currency"],
        amounts=fields["amounts"],
        parties=fields["parties"],
        occurred_at=fields["occurred_at"],
        description=fields["description"],
        refs=refs,
    )


def _posting(ask: EntryAsk, now: datetime) -> Posting:
    try:
        return ledger_entry.posting_of(ask, now=now)
    except FieldRefused as refusal:
        if refusal.lasting:
            raise invalid_fields({refusal.field: [refusal.words]}) from refusal
        errors = [{"field": refusal.field, "detail": refusal.words}]
        raise Problem("unknown-reference", f"{refusal}.", errors=errors) from refusal


def _body(told: Told, entry_id: str, *, replayed: bool, person: Person) -> dict[str, Any]:
    entry = reads.entry_of(told.call.api_key.book, entry_id)
    return {**EntryAnswer(entry).data, "replayed": replayed, "requested_by": str(person.pk)}
