"""What the page of a file of refunds shows: totals by verdict, the lines, what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from payops.core.actors import Actor
from payops.core.models import Person
from payops.core.money import Money
from payops.flows.refunds.bulk import Planned, Preview, Total
from payops.formats.refund_file import Reject

TONES = {"auto": "good", "approval": "info", "refused": "bad", "known": "quiet"}
LABELS = {
    "auto": "By rule",
    "approval": "People decide",
    "refused": "Refused",
    "known": "Asked already",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line with the look of its verdict."""

    planned: Planned
    tone: str
    label: str


@dataclass(frozen=True, slots=True)
class Sum:
    total: Total
    tone: str
    label: str


@dataclass(frozen=True, slots=True)
class Board:
    """Totals first, then every line in the order of the file."""

    lines: tuple[Line, ...]
    sums: tuple[Sum, ...]
    rejects: Sequence[Reject]
    layout: str
    button: str

    @property
    def rejected_words(self) -> str:
        count = len(self.rejects)
        cells = "1 cell" if count == 1 else f"{count} cells"
        return (
            f"{cells} cannot be read, so nothing can be begun. Correct the file and show it again."
        )


def board_of(seen: Preview) -> Board:
    return Board(
        lines=tuple(Line(row, TONES[row.verdict], LABELS[row.verdict]) for row in seen.rows),
        sums=tuple(Sum(each, TONES[each.verdict], LABELS[each.verdict]) for each in seen.totals),
        rejects=seen.rejects,
        layout=seen.reading.layout,
        button=_button(seen.asking),
    )


def person_of(actor: Actor) -> Person:
    return Person.objects.get(pk=actor.human())


def _button(asking: Sequence[Planned]) -> str:
    """What is asked for, by currency."""
    added: dict[str, int] = {}
    for row in asking:
        if row.amount is not None:
            added[row.amount.currency] = added.get(row.amount.currency, 0) + row.amount.minor
    amounts = " and ".join(str(Money(minor, code)) for code, minor in sorted(added.items()))
    named = "1 refund" if len(asking) == 1 else f"{len(asking)} refunds"
    return f"Ask for {named} of {amounts}"
