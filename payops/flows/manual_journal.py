"""The governed kind of hand-made entries: what is checked, what a grant does (D5, D6, LJ-2, LJ-8).

What may be asked is `ledger/manual.py`; asking is in `payops/flows/manual_journal_ask.py`, posting
in `payops/flows/manual_posting.py`. The database refuses such an entry without its granted request
(`guards/journals.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

from approvals.models import ApprovalRequest
from ledger import manual, reversing
from ledger.accounts import BY_CODE
from ledger.manual import HandMade, Line
from ledger.models import JournalEntry, ManualJournal
from ledger.rows.corrections import REVERSAL
from payops.core import ids, state
from payops.core.actors import Actor
from payops.core.models import Book, Evidence
from payops.flows import manual_posting, parties
from payops.flows.governed import ChangeRefused
from payops.flows.parties import PartyUnknown

KIND = "manual_journal"
DESCRIPTION_MAX = 200
BATCH_MAX = 120
State = ManualJournal.State


def check(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved, the fingerprint recomputed. Raises ChangeRefused."""
    book = Book.objects.get(code=str(facts.get("book", "")))
    if not facts.get("evidence"):
        raise ChangeRefused("a manual journal needs a document that shows why; attach one")
    for each in facts["evidence"]:
        rows = Evidence.objects.filter(pk=each["id"], book=book, sha256=each["sha256"])
        if not rows.filter(subject_id=facts["journal"]).exists():
            raise ChangeRefused(f"{each['filename']} is not kept with this journal")
    return {**facts, **checked(book, facts)}


def apply(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """Post what was granted; a closed month leaves it approved and waiting."""
    journal = manual_posting.locked(approval.facts["journal"])
    if journal.state != State.AWAITING_APPROVAL or journal.approval_id != approval.public_id:
        return
    journal.grant()
    state.save(
        journal,
        actor=actor,
        now=now,
        action="manual_journal.approved",
        reason="its request was granted",
        evidence={"approval_id": approval.public_id},
    )
    manual_posting.post_approved(journal, approval, actor=actor, now=now)


def ended(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """The request ended without a grant; safe to repeat."""
    journal = manual_posting.locked(approval.facts["journal"])
    if journal.state != State.AWAITING_APPROVAL or journal.approval_id != approval.public_id:
        return
    if approval.state == ApprovalRequest.State.REJECTED:
        journal.reject()
    elif approval.state == ApprovalRequest.State.EXPIRED:
        journal.expire()
    else:
        journal.withdraw()
    words = f"its request ended {approval.state.lower()}"
    state.save(journal, actor=actor, now=now, action="manual_journal.ended", reason=words)


def checked(book: Book, facts: dict[str, Any]) -> dict[str, Any]:
    """The lines with their parties as the ledger keeps them, and the fingerprint they have."""
    for name, size in (("description", DESCRIPTION_MAX), ("batch", BATCH_MAX)):
        text = str(facts.get(name, ""))
        if len(text) > size or "\x00" in text:
            raise ChangeRefused(f"{name}: {len(text)} characters; at most {size} fit")
    if not facts.get("description"):
        raise ChangeRefused("description: say in a line what the entry is; the journal shows it")
    if facts["event_class"] == REVERSAL:
        entry = _to_reverse(book, str(facts.get("reverses", "")))
        made = reversal_of(entry, posting_on=date.fromisoformat(facts["posting_on"]))
    elif facts.get("reverses"):
        raise ChangeRefused(f"{facts['event_class']} reverses nothing; ask for {REVERSAL}")
    else:
        made = _hand_made(book, facts)
    lines = [asdict(line) for line in made.lines]
    wanted = manual_posting.posting_of(book, {**facts, "lines": lines})
    return {"lines": lines, "fingerprint": wanted.fingerprint}


def _hand_made(book: Book, facts: dict[str, Any]) -> HandMade:
    back = str(facts.get("auto_reverse_on", ""))
    said = HandMade(
        event_class=str(facts["event_class"]),
        lines=manual_posting.lines_of(facts),
        posting_on=date.fromisoformat(facts["posting_on"]),
        cash_flow_tag=str(facts.get("cash_flow_tag", "")),
        batch=str(facts.get("batch", "")),
        auto_reverse_on=date.fromisoformat(back) if back else None,
    )
    if broken := manual.refusals(said):
        raise ChangeRefused("; ".join(broken))
    return replace(said, lines=_with_parties(book, said.lines))


def _with_parties(book: Book, lines: Sequence[Line]) -> tuple[Line, ...]:
    named = []
    for number, line in enumerate(lines, start=1):
        kind = BY_CODE[line.account].party_kind
        try:
            party = parties.party_of(book=book, kind=kind, named=line.party) if line.party else ""
        except PartyUnknown as error:
            raise ChangeRefused(f"line {number}: {error}") from error
        named.append(replace(line, party=party))
    return tuple(named)


def _to_reverse(book: Book, public_id: str) -> JournalEntry:
    try:
        key = ids.parse(public_id, JournalEntry.PREFIX)[1]
    except ids.UnknownId as error:
        raise ChangeRefused(f"a reversal names the entry it takes back: {error}") from error
    entry = JournalEntry.objects.select_related("book").filter(pk=key, book=book).first()
    if entry is None:
        raise ChangeRefused(f"{book.name} has no entry {public_id}")
    if words := manual.why_not_reversed(entry.event_class):
        raise ChangeRefused(f"{public_id} ({entry.event_class}) is not reversed by hand: {words}")
    earlier = JournalEntry.objects.filter(reverses=entry).first()
    if earlier is not None:
        raise ChangeRefused(
            f"{public_id} was reversed by {earlier.public_id} on {earlier.posting_on}; an entry"
            " is reversed once, post the right one anew"
        )
    return entry


def reversal_of(entry: JournalEntry, *, posting_on: date) -> HandMade:
    """The mirror of an entry as a journal that can be asked for."""
    lines = tuple(
        Line(leg.account, leg.amount_minor, leg.currency, leg.party)
        for leg in reversing.mirror_of(entry)
    )
    return HandMade(REVERSAL, lines, posting_on)
