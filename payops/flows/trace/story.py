"""One chain told in order: everything that happened, and short answers to auditors' questions.

Pure functions over rows already read (AU-3, AU-4, AU-7). Every actor is a verified login or a
named service (AU-8, F35).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from payops.core import clock
from payops.core.roles import LABELS, Role
from payops.flows.trace.given_back import decided
from payops.flows.trace.parts import (
    CHANGED,
    POSTED,
    WHO,
    WHY,
    Answer,
    Line,
    event_by_receipt,
    line_text,
    render,
)
from payops.flows.trace.parts import who as named_actor
from payops.flows.trace.records import Records

PRODUCT = "PayOps"
NEW = "(new)"
SERVICES = {
    "payout-dispatch": "sending payouts",
    "payout-exception": "payout exceptions",
    "payout-release": "releasing payouts",
    "payout-unsent": "payouts never sent",
    "provider-events": "provider events",
    "refund-dispatch": "sending refunds",
    "refund-ledger": "posting refunds",
    "bootstrap": "setting up",
}
POSTERS = frozenset({*SERVICES, "runbook"})


def story(records: Records) -> tuple[Line, ...]:
    """Everything that happened, oldest first: one line per receipt, change, entry, decision."""
    lines = [
        *_receipt_lines(records),
        *_audit_lines(records),
        *_decision_lines(records),
        *decided(records),
        *_sending_lines(records),
        *_entry_lines(records),
        *_runbook_lines(records),
    ]
    return tuple(sorted(lines, key=lambda line: (line.at, line.kind, line.id)))


def answers(records: Records) -> tuple[Answer, ...]:
    """What auditors ask (AU-3), about the newest payout, payment or refund of the chain."""
    subjects = [*records.payments, *records.payouts, *records.refunds]
    if not subjects:
        return ()
    subject = subjects[-1]
    changes = [row for row in records.audit if row.subject_id == subject.public_id]
    changes = [row for row in changes if row.from_state != row.to_state]
    moved = [(row, _cause_of(row, records)) for row in changes]
    told = [f"{change(row)} by {cause or who(row)}" for row, cause in moved]
    posted = [f"{entry.event_class} ({entry.public_id})" for entry in records.entries]
    exported = [
        f"{item.export.reference} as document {item.document_no} ({item.export.state.lower()})"
        for item in records.exports
    ]
    last = changes[-1] if changes else None
    why = f"{subject.state}; nothing says when it became so"
    if last is not None:
        because = f": {last.reason}" if last.reason else ""
        local = last.created_at.astimezone(clock.zone(subject.book.time_zone))
        why = f"{subject.state} since {local:%Y-%m-%d %H:%M} by {who(last)}{because}"
    first = f"{changes[0].action} by {who(changes[0])}" if changes else "nobody is recorded"
    return (
        Answer("Who triggered it?", first, named(changes[:1])),
        Answer(
            "Which event changed its state?",
            "; ".join(told) or "none did",
            tuple(cause for _, cause in moved if cause),
        ),
        Answer("What was posted?", "; ".join(posted) or "nothing", named(records.entries)),
        Answer(
            "What was exported?",
            "; ".join(exported) or "nothing yet: no export has been made",
            named([item.entry for item in records.exports]),
        ),
        Answer("Why this status?", why, named([last] if last else [])),
    )


def _receipt_lines(records: Records) -> Iterable[Line]:
    events = {event.public_id: event for event in records.events}
    belongs = event_by_receipt(records)
    for row in records.receipts:
        event = events.get(belongs.get(row.pk, ""))
        about = f" of {event.type} {event.provider_event_id}" if event else ""
        checked = "signature valid" if row.signature_ok else f"refused: {row.signature_reason}"
        again = ", a duplicate" if row.duplicate else ""
        words = f"receipt{about} from {row.account.address}: {checked}{again}"
        line = f"{words}, answered {row.status_sent}"
        yield Line(row.created_at, "receipt", row.public_id, row.account.address, line)
    for event in records.events:
        if event.finished_at:
            words = f"{event.type} ended {event.state}: {event.outcome}"
            yield Line(event.finished_at, "event", event.public_id, by("inbox"), words)


def _audit_lines(records: Records) -> Iterable[Line]:
    for row in records.audit:
        words = f"{row.action} on {row.subject_id}"
        changed = row.from_state != row.to_state
        if changed:
            words += f": {change(row)}"
        if row.reason:
            words += f" ({row.reason})"
        told = (WHO, CHANGED, WHY) if changed else (WHO,)
        yield Line(row.created_at, "audit", row.public_id, who(row), words, told)


def _decision_lines(records: Records) -> Iterable[Line]:
    for row in records.decisions:
        seat = LABELS[Role(row.seat)]
        words = f"{row.verdict} as {seat} on {render('ap', row.request_id)}: {row.reason}"
        yield Line(row.created_at, "decision", row.public_id, row.login, words, (WHO, WHY))


def _sending_lines(records: Records) -> Iterable[Line]:
    for gate in records.gates:
        words = f"gates {gate.ruleset}: {'passed' if gate.passed else 'blocked'}"
        yield Line(gate.created_at, "gate", gate.public_id, by("gates"), words, (WHY,))
    sent_by = {
        intent.pk: by("refund-dispatch" if intent.kind == "refund" else "payout-dispatch")
        for intent in records.intents
    }
    for call in records.calls:
        sender = sent_by[call.intent_id]
        words = f"{call.operation} no. {call.attempt} of {render('it', call.intent_id)}"
        yield Line(call.created_at, "call", call.public_id, sender, f"{words} sent")
        if call.finished_at:
            ended = f"{words} ended {call.outcome} {call.provider_ref or call.error_code}".rstrip()
            yield Line(call.finished_at, "call", call.public_id, sender, ended)


def _entry_lines(records: Records) -> Iterable[Line]:
    lines = defaultdict(list)
    for line in records.lines:
        lines[line.entry_id].append(line_text(line))
    for row in records.entries:
        words = f"posted {row.event_class} on {row.posting_on}: {'; '.join(lines[row.pk])}"
        yield Line(row.created_at, "entry", row.public_id, poster(row), words, (POSTED,))


def _runbook_lines(records: Records) -> Iterable[Line]:
    for step in records.steps:
        if step.done_at:
            words = f"runbook step {step.position} {step.name}: {step.status}"
            yield Line(step.done_at, "step", f"step:{step.pk.hex}", by("runbook"), words)
    for ticket in records.tickets:
        words = f"ticket {ticket.system} {ticket.number}"
        yield Line(ticket.created_at, "ticket", ticket.public_id, by("runbook"), words)
    for message in records.messages:
        words = f"message to {message.audience}: {message.subject}"
        yield Line(message.created_at, "message", f"message:{message.pk.hex}", by("runbook"), words)


def who(row: Any) -> str:
    """A verified login, or the service by its work ("PayOps, provider events")."""
    return by(row.service) if row.service and not row.login else named_actor(row)


def by(service: str) -> str:
    return f"{PRODUCT}, {SERVICES.get(service, service.replace('-', ' '))}"


def poster(entry: Any) -> str:
    """An entry keeps one name: that of a service has a known one, every other is a login."""
    return by(entry.posted_by) if entry.posted_by in POSTERS else entry.posted_by


def change(row: Any) -> str:
    return f"{row.from_state} to {row.to_state}" if row.from_state else f"{row.to_state} {NEW}"


def _cause_of(row: Any, records: Records) -> str:
    """The provider event a state change names as its cause; "" when a person or service did it."""
    said = str(row.evidence.get("event_id", ""))
    if said:
        return said
    same = (e for e in records.events if row.trace_id and e.trace_id == row.trace_id)
    return next((event.public_id for event in same), "")


def named(rows: Iterable[Any]) -> tuple[str, ...]:
    return tuple(row.public_id for row in rows)
