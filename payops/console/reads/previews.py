"""What a decision would cause, in the shape that `parts/consequences.html` shows (F7).

Flows hand consequences over as plain facts; anything not understood is shown as words, never left
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.accounts import CHART
from payops.console.formats import address_of

ACCOUNT_NAMES = {row.code: row.name for row in CHART}


@dataclass(frozen=True, slots=True)
class EntryLine:
    account: str
    account_name: str
    debit_minor: int
    credit_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Entry:
    event_class: str
    lines: tuple[EntryLine, ...]
    posting_on: Any = None


@dataclass(frozen=True, slots=True)
class HoldAct:
    act: str
    subject_id: str
    subject_href: str
    reason: str


@dataclass(slots=True)
class Preview:
    entries: list[Entry] = field(default_factory=list)
    holds: list[HoldAct] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        return bool(self.entries or self.holds or self.notes or self.steps)


def preview_of(consequences: Iterable[Any], steps: Sequence[dict[str, Any]] = ()) -> Preview:
    shown = Preview()
    for each in [*consequences, *({"kind": "step", **step} for step in steps)]:
        if not isinstance(each, dict):
            shown.notes.append(_capital(str(each)))
        elif each.get("kind") == "entry" and each.get("lines"):
            lines = tuple(_line(line) for line in each["lines"])
            shown.entries.append(Entry(str(each.get("words", "")), lines))
        elif each.get("kind") == "hold" and each.get("subject_id"):
            subject = str(each["subject_id"])
            act = str(each.get("act", "place"))
            words = str(each.get("words", ""))
            shown.holds.append(HoldAct(act, subject, address_of(subject), words))
        else:
            (shown.steps if each.get("kind") == "step" else shown.notes).append(_words(each))
    return shown


def _words(each: dict[str, Any]) -> str:
    words = str(each.get("words") or each.get("name") or each.get("kind") or "")
    return _capital(words)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _line(line: dict[str, Any]) -> EntryLine:
    amount, code, party = line["amount_minor"], str(line["account"]), line.get("party", "")
    name = ACCOUNT_NAMES.get(code, "")
    return EntryLine(
        account=code,
        account_name=f"{name} · {party}" if party else name,
        debit_minor=max(amount, 0),
        credit_minor=max(-amount, 0),
        currency=str(line["currency"]),
    )
