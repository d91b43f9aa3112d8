"""What a row of the journal matrix is, and the words its columns share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.accounts import BY_CODE

DR = "debit"
CR = "credit"

ONLY_BALANCE_SHEET = "none: the balance sheet alone moves"
NO_CASH = "none: no bank account moves"
REVERSE_AND_REPOST = (
    "an error is corrected by entry.reversed, which names this entry and repeats its original"
    " reporting amounts, then by a new entry; a locked month follows the book's late-event policy"
)


@dataclass(frozen=True, slots=True)
class Leg:
    """One line to post: debit positive, credit negative, minor units.

    `reporting_minor` is given only where the reporting amount is already known (a reversal).
    """

    account: str
    amount_minor: int
    currency: str
    party: str = ""
    reporting_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Which side of which account a measure goes to."""

    side: str
    account: str
    measure: str

    @property
    def party_kind(self) -> str:
        return BY_CODE[self.account].party_kind


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """Every column of the matrix.

    `follows`: of each group, one class must be posted for the subject before. `excludes`: none
    of these may stand unreversed for the subject; naming itself, it is posted once.
    `variants` maps the name of a case ("" is the usual one) to its pairs; no pairs: not posted.
    A `template` row is a predefined compensating entry, posted only under an approved runbook.
    """

    event_class: str
    title: str
    predecessor: str
    follows: tuple[tuple[str, ...], ...]
    trigger: str
    variants: Mapping[str, tuple[Pair, ...]]
    variant_words: Mapping[str, str]
    references: tuple[str, ...]
    checkpoint: str
    window: str
    match_anchor: str
    exception_rule: str
    balance_sheet: str
    income_statement: str
    cash_flow: str
    cash_flow_tag: str
    reversal_rule: str
    posted_by: str
    excludes: tuple[str, ...] = ()
    template: bool = False

    @property
    def accounts(self) -> frozenset[str]:
        return frozenset(pair.account for pairs in self.variants.values() for pair in pairs)


def move(debit: str, credit: str, measure: str = "amount") -> tuple[Pair, Pair]:
    return (Pair(DR, debit, measure), Pair(CR, credit, measure))
