"""One chain as a picture: its records as nodes, causes before effects.

Pure functions over rows already read. What the chain cannot have yet (a bank line, an export) is
named as such, so that nobody takes its absence for a fact (AU-1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from payops.core.roles import LABELS, Role
from payops.flows.trace.given_back import given_back
from payops.flows.trace.parts import (
    NOT_YET,
    Edge,
    Node,
    event_by_receipt,
    line_text,
    money_node,
    reference_id,
    render,
)
from payops.flows.trace.records import Records

SENT_STATES = ("IN_TRANSIT", "PAID", "EXCEPTION", "FAILED", "RETURNED")


def picture(records: Records) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """Nodes oldest first and the edges between them, causes before effects."""
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    for part in (
        _request_part,
        given_back,
        _sending_part,
        _event_part,
        _case_part,
        _journal_part,
        _open_part,
    ):
        for made in part(records):
            if isinstance(made, Node):
                nodes.setdefault(made.id, made)
            else:
                edges.append(made)
    known = [edge for edge in edges if edge.source in nodes and edge.target in nodes]
    return tuple(nodes.values()), tuple(dict.fromkeys(known))


def node_of(public_id: str, records: Records, nodes: Iterable[Node]) -> str:
    """The node that shows this record: itself, or the one it is part of."""
    shown = [node.id for node in nodes]
    part_of = {line.public_id: render("je", line.entry_id) for line in records.lines}
    events = event_by_receipt(records)
    for row in records.receipts:
        part_of[row.public_id] = receipts_id(events.get(row.pk, row.public_id))
    part_of |= {row.public_id: row.subject_id for row in records.audit}
    wanted = public_id if public_id in shown else part_of.get(public_id, "")
    return wanted if wanted in shown else next(iter(shown), "")


def receipts_id(event_id: str) -> str:
    return f"receipts:{event_id}"


def _request_part(records: Records) -> Iterable[Node | Edge]:
    for seller in records.beneficiaries:
        facts = {"bank": seller.bank_masked, "country": seller.country, "risk": seller.risk}
        yield Node(
            "Beneficiary",
            seller.public_id,
            seller.reference,
            at=seller.created_at,
            words=f"paid to {seller.bank_masked}",
            href_kind="beneficiary",
            facts=facts,
        )
    for payment in records.payments:
        yield money_node("Payment", payment, "payment")
        yield Edge(payment.public_id, render("be", payment.beneficiary_id), "for the seller")
    for payout in records.payouts:
        yield money_node("Payout", payout, "payout")
        yield Edge(render("be", payout.beneficiary_id), payout.public_id, "is paid by")
        if payout.reissue_of_id:
            yield Edge(render("po", payout.reissue_of_id), payout.public_id, "re-issued as")
    decided = defaultdict(list)
    for decision in records.decisions:
        decided[decision.request_id].append(decision)
    for request in records.approvals:
        yield Node(
            "Approval",
            request.public_id,
            request.title,
            request.state,
            request.created_at,
            request.rule_fired,
            "approval",
            {
                "kind": request.kind,
                "tier": request.tier,
                "seats": list(request.seats),
                "policy": f"{request.policy_version.name} v{request.policy_version.version}",
                "content_hash": request.content_hash,
            },
        )
        yield Edge(request.subject_id, request.public_id, "asked for")
        for decision in decided[request.pk]:
            yield Node(
                "Decision",
                decision.public_id,
                LABELS[Role(decision.seat)],
                "APPROVED" if decision.verdict == "approve" else "REJECTED",
                decision.created_at,
                decision.reason,
                "approval",
                {"login": decision.login, "content_hash": decision.content_hash},
            )
            yield Edge(render("ap", decision.request_id), decision.public_id, "decided by")
    for gate in records.gates:
        yield Node(
            "Gate decision",
            gate.public_id,
            gate.ruleset,
            "PASSED" if gate.passed else "BLOCKED",
            gate.created_at,
            "every gate passed" if gate.passed else "blocked",
            "",
            {"results": gate.results},
        )
        yield Edge(
            gate.approval_id or render("po", gate.payout_id), gate.public_id, "gates checked"
        )


def _sending_part(records: Records) -> Iterable[Node | Edge]:
    gates = {(gate.payout_id, gate.approval_id): gate.public_id for gate in records.gates}
    by_subject = {payout.public_id: payout for payout in records.payouts}
    for intent in records.intents:
        facts = {"idempotency_key": intent.idempotency_key, "request_hash": intent.request_hash}
        yield Node(
            "Intent",
            intent.public_id,
            intent.kind,
            intent.state,
            intent.created_at,
            intent.outcome,
            "",
            facts,
        )
        payout = by_subject.get(intent.subject_id)
        gate = gates.get((payout.pk, intent.approval_id), "") if payout else ""
        yield Edge(gate or intent.subject_id, intent.public_id, "intends")
    for call in records.calls:
        yield Node(
            "Provider call",
            call.public_id,
            f"{_spaced(call.operation)} no. {call.attempt}",
            call.outcome.upper() or "OPEN",
            call.created_at,
            call.error_code,
            "",
            {"status": call.status_code, "fence": call.fence, "request": call.request_masked},
        )
        yield Edge(render("it", call.intent_id), call.public_id, "called")
    for row in records.money():
        if not row.provider_ref:
            continue
        reference = reference_id(row)
        yield Node(
            "Provider reference",
            reference,
            row.provider_ref,
            facts={"account": row.account.address},
            words=f"its name at {row.account.address}",
        )
        sources = [c for c in records.calls if c.provider_ref == row.provider_ref]
        yield Edge(sources[-1].public_id if sources else row.public_id, reference, "answered")


def _event_part(records: Records) -> Iterable[Node | Edge]:
    grouped = defaultdict(list)
    events = event_by_receipt(records)
    for receipt in records.receipts:
        grouped[events.get(receipt.pk, receipt.public_id)].append(receipt)
    told = {event.public_id: event for event in records.events}
    for event_id, receipts in grouped.items():
        first = receipts[0]
        good = sum(receipt.signature_ok for receipt in receipts)
        count = len(receipts)
        yield Node(
            "Receipts",
            receipts_id(event_id),
            "1 receipt" if count == 1 else f"{count} receipts",
            "VERIFIED" if good == count else "REFUSED",
            first.created_at,
            f"{good} with a valid signature at {first.account.address}",
            "receipt",
            {"sha256": sorted({receipt.sha256 for receipt in receipts}), "count": count},
        )
        yield Edge(receipts_id(event_id), event_id, "told of")
        if event_id in told:
            yield _event_node(told.pop(event_id))
    yield from map(_event_node, told.values())
    references = {(r.account_id, r.provider_ref): r for r in records.money()}
    for event in records.events:
        row = references.get((event.account_id, event.object_id))
        if row is not None:
            yield Edge(reference_id(row), receipts_id(event.public_id), "sent")


def _event_node(event: Any) -> Node:
    facts = {"provider_event_id": event.provider_event_id, "attempts": event.attempts}
    return Node(
        "Event",
        event.public_id,
        event.type,
        event.state,
        event.created_at,
        event.outcome,
        "event",
        facts | {"trace_id": event.trace_id},
    )


def _case_part(records: Records) -> Iterable[Node | Edge]:
    causes = _events_of_subject(records)
    for case in records.cases:
        yield Node(
            "Case",
            case.public_id,
            case.title,
            case.state,
            case.created_at,
            case.root_cause,
            "case",
            {"rule": case.rule, "period": case.period, "resolution": case.resolution},
        )
        yield Edge(causes.get(case.subject_id, case.subject_id), case.public_id, "opened")
    for hold in records.holds:
        covered = ("po", hold.payout_id) if hold.payout_id else ("be", hold.beneficiary_id)
        yield Node(
            "Hold",
            hold.public_id,
            hold.source,
            "RELEASED" if hold.released_at else "HELD",
            hold.created_at,
            hold.reason,
            "hold",
            {"covers": render(*covered), "released_at": text(hold.released_at)},
        )
        yield Edge(hold.case_id or render(*covered), hold.public_id, "holds")
    runs = {run.pk: run for run in records.runs}
    earlier: dict[Any, str] = {}
    for step in records.steps:
        run = runs[step.run_id]
        yield Node(
            "Runbook step",
            f"step:{step.pk.hex}",
            f"{step.position}. {_spaced(step.name)}",
            step.status,
            step.done_at or step.created_at,
            step.error,
            "case",
            {"runbook": f"{run.runbook} {run.version}", "key": step.key},
        )
        before = earlier.get(step.run_id, "")
        yield Edge(before or run.approval_id, f"step:{step.pk.hex}", "then" if before else "ran")
        earlier[step.run_id] = f"step:{step.pk.hex}"
    for ticket in records.tickets:
        label = f"{ticket.system} {ticket.number}"
        yield Node("Ticket", ticket.public_id, label, at=ticket.created_at, href_kind="ticket")
        yield Edge(render("cs", ticket.case_id), ticket.public_id, "ticket")
    for message in records.messages:
        key = f"message:{message.pk.hex}"
        yield Node("Message", key, message.subject, at=message.created_at, words=message.audience)
        yield Edge(render("cs", message.case_id), key, "told")
    for document in records.evidence:
        key = f"evidence:{document.pk.hex}"
        facts = {"sha256": document.sha256, "size_bytes": document.size_bytes}
        label = f"document {document.sha256[:12]}"
        yield Node("Evidence", key, label, at=document.created_at, facts=facts)
        yield Edge(document.subject_id, key, "attached")


def _journal_part(records: Records) -> Iterable[Node | Edge]:
    lines = defaultdict(list)
    for line in records.lines:
        lines[line.entry_id].append(line)
    for entry in records.entries:
        yield Node(
            "Journal entry",
            entry.public_id,
            entry.event_class,
            "REVERSAL" if entry.reverses_id else "POSTED",
            entry.created_at,
            entry.description,
            "entry",
            {
                "posting_request": entry.idempotency_key,
                "posting_on": entry.posting_on.isoformat(),
                "period": entry.period.code,
                "matrix_version": entry.matrix_version,
                "lines": [line_text(line) for line in lines[entry.pk]],
            },
        )
        cause = entry.event_id or entry.approval_id or entry.case_id or entry.subject_id
        yield Edge(cause, entry.public_id, "posted")
        if entry.reverses_id:
            yield Edge(render("je", entry.reverses_id), entry.public_id, "reversed by")


def _open_part(records: Records) -> Iterable[Node | Edge]:
    """What a chain has at its end: the match with the bank, and the export to the ERP."""
    sent = [row for row in records.payouts if row.state in SENT_STATES]
    sent_or_paid = [*sent, *(p for p in records.payments if p.state == "CAPTURED")]
    for row in sent_or_paid:
        key = f"bank_line:{row.public_id}"
        words = "not matched with a settlement or bank line yet"
        yield Node("Match status", key, "not matched yet", NOT_YET, words=words)
        yield Edge(reference_id(row), key, "to be matched with")
    for item in records.exports:
        export = item.export
        facts = {"target": export.target, "entries": export.entries, "mode": export.mode}
        words = f"{export.target}, {export.from_on} to {export.to_on}"
        yield Node(
            *("ERP export", export.public_id, export.reference, export.state),
            at=export.created_at,
            words=words,
            href_kind="export",
            facts=facts,
        )
        yield Edge(item.entry.public_id, export.public_id, f"exported as {item.document_no}")
    exported = {item.entry_id for item in records.exports}
    if waiting := [entry for entry in records.entries if entry.pk not in exported]:
        words = "not part of an export to the ERP yet"
        yield Node("ERP export", "export", "not exported yet", NOT_YET, words=words)
        for entry in waiting:
            yield Edge(entry.public_id, "export", "to be exported")


def _events_of_subject(records: Records) -> dict[str, str]:
    """Subject -> the event of the chain that opened a case about it: the first that failed it."""
    causes: dict[str, str] = {}
    for row in records.audit:
        if row.action == "case.opened" and row.trace_id:
            event = next((e for e in records.events if e.trace_id == row.trace_id), None)
            if event is not None and event.subject_id:
                causes.setdefault(event.subject_id, event.public_id)
    return causes


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def text(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""
