"""What the revaluation of a period would post, and what its runs posted (LJ-10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ledger import revaluation
from ledger.accounts import BY_CODE
from ledger.models import AccountingPeriod, RevaluationRun
from ledger.revaluation import Difference, Plan, RevaluationRefused
from payops.console.formats import address_of
from payops.console.reads.rates import plain, significant
from payops.core.models import Book
from payops.core.money import MINOR_MAX, Money
from payops.flows.revaluation import runs_of

SHOWN_MAX = 100


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account and currency over all its parties; None is a sum beyond what is shown."""

    code: str
    name: str
    why: str
    currency: str
    balances: int
    amount: Money | None
    carried: Money | None
    target: Money | None
    difference: Money | None


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """One balance that differs."""

    code: str
    party: str
    party_href: str
    amount: Money
    carried: Money
    target: Money
    difference: Money


@dataclass(frozen=True, slots=True)
class RateLine:
    """A rate used: `told` says how it came in."""

    currency: str
    rate: str
    told: str
    is_stale: bool
    as_of: object
    source: str


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run, standing or taken back."""

    run: RevaluationRun
    gain: Money
    loss: Money
    taken_back_by: int
    takes_back: int
    may_be_taken_back: bool
    entries_href: str


@dataclass(frozen=True, slots=True)
class RevaluationPage:
    """`refusal` says why nothing can be computed; `plan` is None then."""

    period: AccountingPeriod
    reporting: str
    plan: Plan | None
    refusal: str
    rates: list[RateLine]
    accounts: list[AccountLine]
    balances: list[BalanceLine]
    runs: list[RunLine]

    @property
    def is_closing(self) -> bool:
        return bool(self.period.state == AccountingPeriod.State.CLOSING)

    @property
    def stands(self) -> bool:
        """A run stands: neither taken back nor taking another back."""
        return any(not line.taken_back_by and not line.takes_back for line in self.runs)

    @property
    def period_href(self) -> str:
        return address_of(self.period.public_id)

    @property
    def differing(self) -> int:
        return len(self.plan.differing) if self.plan else 0

    @property
    def gain(self) -> Money:
        return Money(self.plan.gain_minor if self.plan else 0, self.reporting)

    @property
    def loss(self) -> Money:
        return Money(self.plan.loss_minor if self.plan else 0, self.reporting)

    @property
    def stale(self) -> str:
        return ", ".join(self.plan.stale) if self.plan else ""


def page(book: Book, period: AccountingPeriod) -> RevaluationPage:
    planned, refusal = None, ""
    try:
        planned = revaluation.plan(book=book, period=period)
    except RevaluationRefused as refused:
        refusal = str(refused)
    reporting = book.reporting_currency
    return RevaluationPage(
        period=period,
        reporting=reporting,
        plan=planned,
        refusal=refusal,
        rates=_rates(planned) if planned else [],
        accounts=_accounts(planned) if planned else [],
        balances=_balances(planned) if planned else [],
        runs=_runs(runs_of(period), reporting),
    )


def _rates(planned: Plan) -> list[RateLine]:
    return [
        RateLine(
            currency=currency,
            rate=significant(used.rate) if used.told is not None else plain(used.rate),
            told=f"1 / {plain(used.told)}" if used.told is not None else "",
            is_stale=currency in planned.stale,
            as_of=used.as_of,
            source=used.source,
        )
        for currency, used in sorted(planned.rates.items())
    ]


def _accounts(planned: Plan) -> list[AccountLine]:
    lines = []
    for (currency, code), group in groupby(planned.balances, key=_place):
        rows = list(group)
        lines.append(
            AccountLine(
                code=code,
                name=BY_CODE[code].name,
                why=revaluation.reason_of(code),
                currency=currency,
                balances=len(rows),
                amount=_sum([row.amount_minor for row in rows], currency),
                carried=_sum([row.carried_minor for row in rows], planned.reporting),
                target=_sum([row.target_minor for row in rows], planned.reporting),
                difference=_sum([row.minor for row in rows], planned.reporting),
            )
        )
    return lines


def _balances(planned: Plan) -> list[BalanceLine]:
    """The largest differences first."""
    largest = sorted(planned.differing, key=_largest_first)[:SHOWN_MAX]
    return [
        BalanceLine(
            code=row.account,
            party=row.party,
            party_href=address_of(row.party),
            amount=Money(row.amount_minor, row.currency),
            carried=Money(row.carried_minor, planned.reporting),
            target=Money(row.target_minor, planned.reporting),
            difference=Money(row.minor, planned.reporting),
        )
        for row in largest
    ]


def _runs(runs: Sequence[RevaluationRun], reporting: str) -> list[RunLine]:
    """The newest first."""
    numbers = {made.pk: made.run_no for made in runs}
    taken = {made.reverses_id: made.run_no for made in runs if made.reverses_id}
    return [
        RunLine(
            run=made,
            gain=Money(made.gain_minor, reporting),
            loss=Money(made.loss_minor, reporting),
            taken_back_by=taken.get(made.pk, 0),
            takes_back=numbers.get(made.reverses_id, 0),
            may_be_taken_back=bool(
                made.entries and made.reverses_id is None and made.pk not in taken
            ),
            entries_href=f"/ledger/journal/?q={_subject(made)}",
        )
        for made in reversed(runs)
    ]


def _subject(made: RevaluationRun) -> str:
    """Entries, and those that reverse them, name the run that posted first."""
    return (made.reverses or made).public_id


def _sum(minors: Sequence[int], currency: str) -> Money | None:
    total = sum(minors)
    return Money(total, currency) if abs(total) <= MINOR_MAX else None


def _place(row: Difference) -> tuple[str, str]:
    return row.currency, row.account


def _largest_first(row: Difference) -> tuple[int, str, str]:
    return -abs(row.minor), row.account, row.party
