"""What the verdict on a reference pack does: the pack is accepted or rejected, once (RP-2, D5).

Owns the facts that are approved and what a decided request does to the pack. The verdict is bound
to the rows and the differences it was asked about, by their hashes; a pack compared anew meanwhile
is not accepted. Asking is in `payops/flows/parity.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest
from ledger import parity
from ledger.models import ReferencePack
from payops.core import ids, locks, state
from payops.core.actors import Actor
from payops.flows.governed import ChangeRefused

KIND = "statement_parity"
SHOWN_MAX = 30


def facts_of(pack: ReferencePack) -> dict[str, Any]:
    """What the deciders see: the pack, its differences in words, and the hashes of both."""
    differences = parity.of_json(pack.differences)
    open_ones = parity.unexplained(differences)
    words = [f"{each.name}: {each.words}" for each in open_ones[:SHOWN_MAX]]
    if len(open_ones) > SHOWN_MAX:
        words.append(f"and {len(open_ones) - SHOWN_MAX} more, all on the page of the pack")
    return {
        "pack": pack.public_id,
        "pack_title": pack.title,
        "period": pack.period.code,
        "file": pack.filename,
        "file_sha256": pack.evidence.sha256,
        "rows_compared": len(pack.rows),
        "differences_count": len(differences),
        "differences_explained": len(differences) - len(open_ones),
        "differences_unexplained": words,
        "compared_at": pack.compared_at.isoformat(timespec="seconds"),
        "rows_hash": parity.digest(pack.rows),
        "differences_hash": parity.digest(pack.differences),
    }


def check(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved, from the pack itself. Raises ChangeRefused."""
    pack = _pack(str(facts.get("pack", "")))
    if pack.state != ReferencePack.State.COMPARED:
        raise ChangeRefused(
            f"the pack {pack.title} is {pack.state}; a verdict is asked for once, on a compared"
            " pack. Upload the figures again for another one"
        )
    made = facts_of(pack)
    for name in ("rows_hash", "differences_hash"):
        if facts.get(name, made[name]) != made[name]:
            raise ChangeRefused(
                f"the pack {pack.title} was compared anew at {made['compared_at']}; look at its"
                " differences again, then ask"
            )
    return made


def apply(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """Granted: the books of the period agree with what finance signed, as compared."""
    pack = _locked(approval)
    for name, kept in (("rows_hash", pack.rows), ("differences_hash", pack.differences)):
        if approval.facts[name] != parity.digest(kept):
            raise ChangeRefused(f"the pack {pack.title} is not the one the approval is about")
    pack.accept()
    _save(pack, approval, "parity.accepted", actor, now)


def ended(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """Rejected is a verdict too; any other end lets the pack be compared and asked for again."""
    pack = _locked(approval)
    if pack.state != ReferencePack.State.AWAITING_APPROVAL:
        return
    if approval.state == ApprovalRequest.State.REJECTED:
        pack.reject()
        _save(pack, approval, "parity.rejected", actor, now)
        return
    pack.give_up()
    _save(pack, approval, "parity.not_decided", actor, now)


def _pack(public_id: str) -> ReferencePack:
    try:
        key = ids.parse(public_id, ReferencePack.PREFIX)[1]
    except ids.UnknownId as error:
        raise ChangeRefused(str(error)) from error
    rows = ReferencePack.objects.select_related("book", "period", "evidence")
    found = rows.filter(pk=key).first()
    if found is None:
        raise ChangeRefused(f"there is no reference pack {public_id}")
    return found


def _locked(approval: ApprovalRequest) -> ReferencePack:
    key = ids.parse(approval.facts["pack"], ReferencePack.PREFIX)[1]
    pack = locks.row(ReferencePack, key)
    if pack.approval_id != approval.public_id or pack.book_id != approval.book_id:
        raise ChangeRefused(f"{approval.public_id} is not the request of the pack {pack.title}")
    return pack


def _save(
    pack: ReferencePack, approval: ApprovalRequest, action: str, actor: Actor, now: datetime
) -> None:
    evidence = {
        "approval_id": approval.public_id,
        "rows_hash": approval.facts["rows_hash"],
        "differences_hash": approval.facts["differences_hash"],
    }
    state.save(pack, actor=actor, now=now, action=action, reason=approval.reason, evidence=evidence)
