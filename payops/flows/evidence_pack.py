"""The evidence pack: one chain with everything an auditor needs to verify it without us (F36).

A zip with the chain, its journal entries, decisions and receipts (hashes, never bodies), the audit
rows with their seals, the links from those seals to the next anchored head, and the verifier
itself. Deterministic: the same chain at the same `now` gives the same bytes. Holds masked ids and
logins, no names and no bank details (AU-8). Making one is itself audited, under the manifest's
hash, so that a pack can be recognised later.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

import payops
from payops.core import anchors, audit
from payops.core.actors import Actor
from payops.core.models import AuditSeal
from payops.flows.trace.chain import Chain
from payops.flows.trace.records import Records

FORMAT = "payops-evidence-pack/1"
LINKS_MAX = 200_000
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
# A file of its own, not a module of this layer: it runs where the product is not installed.
VERIFIER = Path(payops.__file__).parent / "commands" / "verify_pack.py"


class NothingToPack(ValueError):
    """The chain is empty or ambiguous; the text says what was asked for."""


@dataclass(frozen=True, slots=True)
class Pack:
    """`manifest_sha256` is what the audit row of the export names."""

    filename: str
    content: bytes
    manifest_sha256: str


def export(*, chain: Chain, actor: Actor, now: datetime) -> Pack:
    """Make a pack and write down that it was made. Seals what waits first."""
    audit.seal(now=now)
    pack = build(chain=chain, now=now)
    assert chain.records is not None
    row = _subject(chain.records)
    with transaction.atomic(durable=True):
        audit.record(
            [
                audit.event(
                    book=row.book,
                    actor=actor,
                    action="evidence_pack.made",
                    subject_id=row.public_id,
                    now=now,
                    evidence={"manifest_sha256": pack.manifest_sha256, "asked_for": chain.text},
                )
            ]
        )
    return pack


def build(*, chain: Chain, now: datetime) -> Pack:
    """The pack's bytes. Reads the database, writes nothing."""
    if not chain.found or chain.records is None:
        raise NothingToPack(f"there is no single chain for {chain.text!r}")
    records = chain.records
    seals = _seals(records)
    links, heads, unproven = _links(seals)
    files = {
        "README.txt": _readme(chain),
        "chain.json": _json(chain.as_json()),
        "chain.csv": _csv(chain),
        "audit.jsonl": _lines(_audit_rows(records, seals, now)),
        "links.jsonl": _lines(links),
        "anchors.jsonl": _lines(heads),
        "entries.json": _json(_entries(records)),
        "decisions.json": _json(_decisions(records)),
        "receipts.json": _json(_receipts(records)),
        "verify_pack.py": VERIFIER.read_bytes(),
    }
    head = AuditSeal.objects.order_by("-seq").first()
    manifest = {
        "format": FORMAT,
        "asked_for": chain.text,
        "focus": chain.focus,
        "made_at": now.isoformat(timespec="seconds"),
        "chain_head": {"seq": head.seq, "hash": head.hash} if head else {},
        "unproven_seals": unproven,
        "left_out": list(chain.left_out),
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in sorted(files.items())
        },
    }
    sealed = _json(manifest)
    subject = _subject(records).public_id
    return Pack(
        filename=f"evidence-{subject}.zip",
        content=_zip({"manifest.json": sealed, **files}),
        manifest_sha256=hashlib.sha256(sealed).hexdigest(),
    )


# ---- the audit's part ------------------------------------------------------------------------


def _seals(records: Records) -> dict[Any, AuditSeal]:
    rows = [row.pk for row in records.audit]
    return {seal.audit_id: seal for seal in AuditSeal.objects.filter(audit_id__in=rows)}


def _audit_rows(
    records: Records, seals: dict[Any, AuditSeal], now: datetime
) -> Iterable[dict[str, Any]]:
    for row in records.audit:
        seal = seals.get(row.pk)
        line: dict[str, Any] = {"row": audit.canonical(row), "seal": None}
        if seal is None:
            line["age_s"] = max(int((now - row.created_at).total_seconds()), 0)
        else:
            line["seal"] = {
                "seq": seal.seq,
                "content_hash": seal.content_hash,
                "previous_hash": seal.previous_hash,
                "hash": seal.hash,
            }
        yield line


def _links(
    seals: dict[Any, AuditSeal],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[int]]:
    """Links from the seals to the next anchored head, the heads, and seals too far from one."""
    known = {anchor.seq: anchor for anchor in anchors.read()}
    last = AuditSeal.objects.order_by("-seq").first()
    ends = sorted({*known, last.seq} if last else known)
    segments: dict[int, list[int]] = defaultdict(list)
    for seq in sorted(seal.seq for seal in seals.values()):
        end = next((end for end in ends if end >= seq), None)
        if end is not None:
            segments[end].append(seq)
    links: list[dict[str, Any]] = []
    heads: list[dict[str, Any]] = []
    unproven: list[int] = []
    for end, seqs in segments.items():
        if len(links) + end - seqs[0] >= LINKS_MAX:
            unproven += seqs
            continue
        if end in known:
            heads.append(json.loads(known[end].line()))
        rows = AuditSeal.objects.filter(seq__gte=seqs[0], seq__lte=end).order_by("seq")
        for seq, key, content, previous, digest in rows.values_list(
            "seq", "audit_id", "content_hash", "previous_hash", "hash"
        ):
            link = {"segment": end, "seq": seq, "audit_id": str(key), "content_hash": content}
            links.append(link | {"previous_hash": previous, "hash": digest})
    return links, heads, unproven


# ---- what happened ---------------------------------------------------------------------------


def _entries(records: Records) -> list[dict[str, Any]]:
    lines = defaultdict(list)
    for line in records.lines:
        lines[line.entry_id].append(
            {
                "id": line.public_id,
                "account": line.account.code,
                "currency": line.currency,
                "debit_minor": max(line.amount_minor, 0),
                "credit_minor": max(-line.amount_minor, 0),
                "reporting_minor": line.reporting_minor,
            }
        )
    exports = defaultdict(list)
    for item in records.exports:
        exports[item.entry_id].append(
            {
                "id": item.export.public_id,
                "reference": item.export.reference,
                "target": item.target,
                "document_no": item.document_no,
                "state": item.export.state,
            }
        )
    return [
        {
            "id": entry.public_id,
            "event_class": entry.event_class,
            "matrix_version": entry.matrix_version,
            "posting_on": entry.posting_on.isoformat(),
            "occurred_at": entry.occurred_at.isoformat(),
            "posted_at": entry.created_at.isoformat(),
            "posted_by": entry.posted_by,
            "subject_id": entry.subject_id,
            "movement_ref": entry.movement_ref,
            "idempotency_key": entry.idempotency_key,
            "fingerprint": entry.fingerprint,
            "event_id": entry.event_id,
            "case_id": entry.case_id,
            "approval_id": entry.approval_id,
            "psp_reference": entry.psp_reference,
            "merchant_reference": entry.merchant_reference,
            "trace_id": entry.trace_id,
            "lines": lines[entry.pk],
            "exports": exports[entry.pk],
        }
        for entry in records.entries
    ]


def _decisions(records: Records) -> dict[str, Any]:
    asked = {request.pk: request for request in records.approvals}
    return {
        "approvals": [
            {
                "id": request.public_id,
                "kind": request.kind,
                "subject_id": request.subject_id,
                "amount_minor": request.amount_minor,
                "currency": request.currency,
                "state": request.state,
                "tier": request.tier,
                "rule_fired": request.rule_fired,
                "seats": request.seats,
                "requested_by": str(request.requested_by_id),
                "requested_login": request.requested_login,
                "requested_at": request.created_at.isoformat(),
                "content_hash": request.content_hash,
                "executed_at": request.executed_at.isoformat() if request.executed_at else None,
            }
            for request in records.approvals
        ],
        "decisions": [
            {
                "id": decision.public_id,
                "approval_id": asked[decision.request_id].public_id,
                "person": str(decision.person_id),
                "login": decision.login,
                "seat": decision.seat,
                "verdict": decision.verdict,
                "reason": decision.reason,
                "content_hash": decision.content_hash,
                "stepped_up_at": decision.stepped_up_at.isoformat(),
                "decided_at": decision.created_at.isoformat(),
            }
            for decision in records.decisions
        ],
    }


def _receipts(records: Records) -> list[dict[str, Any]]:
    return [
        {
            "id": receipt.public_id,
            "received_at": receipt.created_at.isoformat(),
            "account": receipt.account.address,
            "provider_event_id": receipt.provider_event_id,
            "dedupe_key": receipt.dedupe_key,
            "sha256": receipt.sha256,
            "size_bytes": receipt.size_bytes,
            "signature_ok": receipt.signature_ok,
            "duplicate": receipt.duplicate,
            "status_sent": receipt.status_sent,
        }
        for receipt in records.receipts
    ]


# ---- files -----------------------------------------------------------------------------------


def _subject(records: Records) -> Any:
    """What the pack is named after and audited under: the chain's newest governed record."""
    kinds: tuple[list[Any], ...] = (
        records.payouts,
        records.payments,
        records.cases,
        records.approvals,
        records.entries,
        records.events,
        records.beneficiaries,
        records.receipts,
    )
    for rows in kinds:
        if rows:
            return rows[-1]
    raise NothingToPack("the chain holds no record with a book")


def _csv(chain: Chain) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(["at", "kind", "id", "who", "what"])
    for line in chain.lines:
        at = line.at.isoformat(timespec="milliseconds")
        table.writerow([at, line.kind, line.id, _cell(line.who), _cell(line.words)])
    return text.getvalue().encode()


def _cell(text: str) -> str:
    """A spreadsheet must not run what a provider or a person wrote."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _lines(values: Iterable[dict[str, Any]]) -> bytes:
    texts = (json.dumps(value, ensure_ascii=False, sort_keys=True) for value in values)
    return "".join(f"{text}\n" for text in texts).encode()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as pack:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, date_time=ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            pack.writestr(entry, content)
    return packed.getvalue()


def _readme(chain: Chain) -> bytes:
    return README.format(asked_for=chain.text, lines=len(chain.lines)).encode()


README = """Evidence pack for {asked_for}

To verify it, with Python 3.9 or newer and nothing else:

    python verify_pack.py THIS-PACK.zip

Better with your own copy of the anchored heads (mailed or kept outside the system):

    python verify_pack.py THIS-PACK.zip --anchors anchors.jsonl

Take the verifier from a source you trust when you do not trust who gave you the pack.

manifest.json   sha256 of every other file; its own is in the audit row evidence_pack.made
chain.json      the chain: records, links between them, the story, short answers
chain.csv       the story in {lines} lines, oldest first
audit.jsonl     the audit rows concerned, each with its seal
links.jsonl     the audit chain from those seals to the next anchored head
anchors.jsonl   the anchored heads those links end at
entries.json    journal entries with their lines
decisions.json  approvals and decisions, each bound to the hash of what was decided
receipts.json   what the providers sent: sha256 of each body, never the body
verify_pack.py  recomputes all of it

People appear as logins and internal ids. Amounts are whole minor units with their currency.
"""
