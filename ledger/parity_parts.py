"""What a comparison with a reference pack finds: plain values and their words (RP-3, F13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

CLASSIFICATION, PLACEMENT, REVERSAL = "classification", "placement", "reversal"
MISSING, UNEXPECTED, AMOUNT = "missing", "unexpected", "amount"
KIND_WORDS = {
    CLASSIFICATION: "On another line",
    PLACEMENT: "In another period",
    REVERSAL: "Reversal",
    MISSING: "Missing",
    UNEXPECTED: "Not expected",
    AMOUNT: "Another amount",
}


class PackMisfit(ValueError):
    """Rows of the pack name lines or accounts the book does not have; `problems` says which."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; amounts are minor units of `money`, as the statement shows them.

    `row` is the line of the pack, 0 where the pack has none. `explained_by` are the numbers of the
    differences that account for all of it; `explained_minor` is the part they account for.
    """

    no: int
    kind: str
    row: int
    statement: str
    place: str
    party: str
    money: str
    expected_minor: int | None
    found_minor: int | None
    words: str
    explained_minor: int = 0
    explained_by: tuple[int, ...] = ()
    entries: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"D{self.no}"

    @property
    def is_explained(self) -> bool:
        return bool(self.explained_by) and self.explained_minor == self.off_minor

    @property
    def off_minor(self) -> int:
        return (self.found_minor or 0) - (self.expected_minor or 0)


@dataclass(frozen=True, slots=True)
class Effect:
    """How far an account is off because of a finding; debit positive, found less expected.

    `in_flow`: the figures of the period are off; `in_stock`: the balances at its end are.
    """

    account: str
    tag: str
    currency: str
    minor: int
    reporting: int
    in_flow: bool
    in_stock: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference of an entry or an event class."""

    kind: str
    row: int
    words: str
    place: str = ""
    currency: str = ""
    expected_minor: int | None = None
    found_minor: int | None = None
    entries: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = field(default=())
