"""What a row of the journal matrix is, and the words its columns share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ledger.accounts import BY_CODE

DR = "debit"
CR = "credit"

ONLY_BALANCE_SHEET = "none: the balance sheet alone moves"
NO_CASH = "none: no bank account moves"
NO_TAG = ""
PRODUCT_ON_EVENT = "the product, on the provider's event"
PRODUCT_ON_BANK_LINE = "the product, on the bank line it is matched to"
PRODUCT_ON_BATCH = "the product, on the provider's batch"
FOUR_EYES = "a finance person under an approval, with evidence; never the product by itself"
ACCOUNT_LAG = "the provider account's settlement lag in business days"
BANK_WINDOW = "the provider account's settlement lag, then two banking days"
LINE_IS_FACT = "none: the line is the fact"
REVERSE_AND_REPOST = (
    "an error is corrected by entry.reversed, which names this entry and repeats its original"
    " reporting amounts, then by a new entry; a locked month follows the book's late-event policy"
)


@dataclass(frozen=True, slots=True)
class Leg:
    """One line to post: debit positive, credit negative, minor units.

    `reporting_minor` is given only where the reporting amount is already known (a reversal, a
    conversion, a revaluation). `cash_flow_tag` overrides the row's on a cash account.
    """

    account: str
    amount_minor: int
    currency: str
    party: str = ""
    reporting_minor: int | None = None
    cash_flow_tag: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Which side of which account a measure goes to.

    `role` names the party where an entry knows two of one kind ("to_provider_account").
    """

    side: str
    account: str
    measure: str
    role: str = ""

    @property
    def party_kind(self) -> str:
        return BY_CODE[self.account].party_kind

    @property
    def party_key(self) -> str:
        return self.role or self.party_kind


@dataclass(frozen=True, slots=True)
class Needs:
    """One of these classes stands posted for the subject, or for the id another trace key names.

    `of` is that trace key ("payment_id": the capture a refund belongs to); "" is the subject.
    """

    any_of: tuple[str, ...]
    of: str = ""

    @property
    def words(self) -> str:
        owner = f" (of its {self.of.removesuffix('_id')})" if self.of else ""
        return " or ".join(self.any_of) + owner


def needs(*any_of: str, of: str = "") -> Needs:
    return Needs(any_of, of)


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """Every column of the matrix.

    `follows`: what must have been posted before. `excludes`: none of these may stand unreversed
    for the subject; naming itself, it is posted once. `variants` maps the name of a case ("" is
    the usual one) to its pairs; no pairs: not posted. A `template` row is a predefined
    compensating entry, posted only under an approved runbook. `free_lines`: the lines are a
    person's, under an approval. `reporting_given`: the poster states the reporting amounts.
    `open_accounts`: what its lines may touch beyond the pairs, where the poster makes the lines.
    `cash_flow_tag` is a key of `ledger/cash_flow.py`, "" where no cash account is touched.
    """

    event_class: str
    title: str
    predecessor: str
    follows: tuple[Needs, ...]
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
    free_lines: bool = False
    reporting_given: bool = False
    open_accounts: tuple[str, ...] = ()

    @property
    def accounts(self) -> frozenset[str]:
        paired = {pair.account for pairs in self.variants.values() for pair in pairs}
        return frozenset(paired | set(self.open_accounts))


def move(debit: str, credit: str, measure: str = "amount") -> tuple[Pair, Pair]:
    return (Pair(DR, debit, measure), Pair(CR, credit, measure))


def mirror(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """The same pairs with their sides changed."""
    return tuple(replace(pair, side=CR if pair.side == DR else DR) for pair in pairs)
