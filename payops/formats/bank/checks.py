"""Whether a bank file adds up: balances, chains of days, control totals, batches, twins (D16).

Nothing here rejects. `checked` passes every event of a reader on, counts, and adds a finding for
whatever differs, with both figures. `continuity` is also for the import, which knows the last
statement of an account from another file. Serves RC-10, F18.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from payops.formats.bank.base import (
    Balance,
    Entry,
    EntryStatus,
    Event,
    Events,
    Finding,
    Reject,
    Statement,
    StatementClosed,
    StatementKind,
    StatementOpened,
    Totals,
)
from payops.formats.bank.findings import figure, finding
from payops.formats.bank.twins import Twins
from payops.formats.bank.words import is_formula

FINDINGS_PER_CODE_MAX = 200
ASSUMED_WORDS = {
    "booked_on": "no booking date; the value date or the day of the statement was taken",
    "value_on": "no value date; the booking date was taken",
    "status": "no status; they count as booked",
    "currency": "no currency; that of the account was taken",
    "sign": "neither credit nor debit; the sign of the amount was taken",
}


@dataclass(frozen=True, slots=True)
class Edge:
    """The end of a statement, as the next one of the account must begin."""

    closing: Balance | None
    sequence: int | None = None
    page: int | None = None
    last_page: bool | None = None
    closed_on: date | None = None
    place: str = "the statement before"

    @classmethod
    def of(cls, statement: Statement) -> Edge:
        closing = statement.closing
        return cls(
            closing,
            statement.sequence,
            statement.page,
            statement.last_page,
            (closing.on if closing else None) or statement.to_on,
            place(statement),
        )


def place(statement: Statement) -> str:
    named = statement.number or statement.reference
    return f"statement {statement.position}{f' ({named[:40]})' if named else ''}"


def balance_findings(statement: Statement, totals: Totals | None) -> list[Finding]:
    """Opening and what was booked make the closing balance, in one currency.

    Reports during the day tell what is new, which promises no sum; they are not compared.
    `totals` are None where more pages are to come.
    """
    where, own = place(statement), statement.position
    opening, closing = statement.opening, statement.closing
    found: list[Finding] = []
    unsigned = [each.raw_code for each in statement.balances if not each.sign_told]
    if unsigned:
        words = f"{', '.join(unsigned[:4])}: neither credit nor debit is told; credit was taken."
        found.append(finding("balance.sign_assumed", where, words, statement=own))
    if statement.kind != StatementKind.STATEMENT:
        return found
    if opening is None or closing is None:
        missing = "opening" if opening is None else "closing"
        words = f"There is no {missing} balance, so its sum cannot be checked."
        return [*found, finding("balance.missing", where, words, statement=own)]
    if not opening.currency == closing.currency == statement.currency:
        words = (
            f"It opens in {opening.currency}, closes in {closing.currency} and the account is in"
            f" {statement.currency}; balances cannot be compared."
        )
        return [*found, finding("balance.currency", where, words, statement=own)]
    if totals is not None and (difference := _difference(statement, totals)):
        own_currency = closing.currency
        rejected = f"; lines that could not be read: {totals.rejects:,}" if totals.rejects else ""
        words = (
            f"It opens with {figure(opening.amount_minor, own_currency)} and"
            f" the booked entries ({totals.credits + totals.debits:,}) make"
            f" {figure(totals.net_minor, own_currency)}, but it closes with"
            f" {figure(closing.amount_minor, own_currency)}: {figure(difference, own_currency)}"
            f" do not add up{rejected}."
        )
        found.append(finding("balance.difference", where, words, statement=own))
    return found


def _difference(statement: Statement, totals: Totals) -> int:
    opening, closing = statement.opening, statement.closing
    if opening is None or closing is None:
        return 0
    return closing.amount_minor - opening.amount_minor - totals.net_minor


def control_findings(statement: Statement, totals: Totals) -> list[Finding]:
    """What the bank counted against what was read."""
    read = {
        "credits": (totals.credits, totals.credits_minor),
        "debits": (totals.debits, totals.debits_minor),
        "entries": (totals.entries, totals.credits_minor + totals.debits_minor),
        "net": (totals.entries, totals.net_minor),
    }
    found, where, own = [], place(statement), statement.position
    for told in statement.controls:
        count, amount = read[told.scope]
        if told.scope in ("credits", "debits") and totals.unbooked:
            continue
        if told.count is not None and told.count != count:
            words = f"The bank counts {told.count} {told.scope}; {count} were read."
            found.append(finding("control.count", where, words, statement=own))
        if told.amount_minor is not None and told.amount_minor != amount and not totals.unbooked:
            words = (
                f"The bank's total of {told.scope} is {figure(told.amount_minor, told.currency)};"
                f" {figure(amount, told.currency)} were read."
            )
            found.append(finding("control.amount", where, words, statement=own))
    return found


def continuity(before: Edge, statement: Statement) -> list[Finding]:
    """What lies between the end of one statement and the beginning of the next of its account."""
    where, own, opening = place(statement), statement.position, statement.opening
    found = _sequence(before, statement)
    if statement.kind != StatementKind.STATEMENT or opening is None or before.closing is None:
        return found
    if opening.currency != before.closing.currency:
        return found
    ended_on = statement.closing.on if statement.closing else statement.to_on
    if before.closed_on and ended_on and ended_on < before.closed_on:
        words = f"It lies before {before.place}; the days between were not compared."
        return [*found, finding("continuity.backwards", where, words, statement=own)]
    difference = opening.amount_minor - before.closing.amount_minor
    if difference:
        words = (
            f"It opens with {figure(opening.amount_minor, opening.currency)}, but"
            f" {before.place} closed with {figure(before.closing.amount_minor, opening.currency)}:"
            f" {figure(difference, opening.currency)} lie between them."
        )
        found.append(finding("continuity.gap", where, words, statement=own))
    return found


def _sequence(before: Edge, statement: Statement) -> list[Finding]:
    """Numbers go up by one; pages of one number go up too; a new year begins with one again."""
    now, last = statement.sequence, before.sequence
    if not now or not last or now == last + 1 or now == 1 < last:
        return []
    where, own = place(statement), statement.position
    if now == last:
        if statement.page and before.page and statement.page == before.page + 1:
            return []
        if statement.page and before.page and statement.page > before.page:
            words = f"Page {before.page} is followed by page {statement.page} of number {now}."
            return [finding("page.missing", where, words, statement=own)]
        words = f"The number {now} was there already, in {before.place}."
        return [finding("sequence.repeated", where, words, statement=own)]
    words = f"Number {last} is followed by number {now}."
    return [finding("sequence.gap", where, words, statement=own)]


def batch_findings(entry: Entry) -> list[Finding]:
    """The payments of a batch, each with its sign, make the entry: it may be a net amount."""
    where, own, children = f"entry {entry.position}", entry.statement, entry.children
    found: list[Finding] = []
    if entry.batch_count is not None and entry.batch_count != len(children) > 1:
        words = f"The batch says {entry.batch_count} payments; {len(children)} are listed."
        found.append(finding("batch.count", where, words, statement=own))
    foreign = sum(child.currency != entry.currency for child in children)
    if foreign:
        words = f"Not all of its payments are in {entry.currency}; their sum was not compared."
        return [*found, finding("batch.currency", where, words, statement=own)]
    total = sum(child.amount_minor for child in children)
    if total != entry.amount_minor:
        words = (
            f"Its payments ({len(children):,}) make {figure(total, entry.currency)}, the entry is"
            f" {figure(entry.amount_minor, entry.currency)}."
        )
        found.append(finding("batch.difference", where, words, statement=own))
    return found


class _Tally:
    """The running figures of one statement."""

    def __init__(self, statement: Statement) -> None:
        self.currency = statement.currency
        self.account = statement.account.identifier
        self.entries = self.unbooked = self.foreign = self.rejects = 0
        self.credits = self.credits_minor = self.debits = self.debits_minor = 0
        self.assumed: Counter[str] = Counter()
        self.formulas = 0
        self.formula_at = 0

    def add(self, entry: Entry) -> None:
        self.entries += 1
        if entry.assumed:
            self.assumed.update(entry.assumed)
        if is_formula(entry.remittance) or is_formula(entry.counterparty.name):
            self.formulas += 1
            self.formula_at = self.formula_at or entry.position
        if entry.status is not EntryStatus.BOOKED:
            self.unbooked += 1
        elif entry.currency != self.currency and self.currency:
            self.foreign += 1
        elif entry.amount_minor < 0:
            self.debits += 1
            self.debits_minor -= entry.amount_minor
        else:
            self.credits += 1
            self.credits_minor += entry.amount_minor

    def totals(self) -> Totals:
        return Totals(
            self.entries,
            self.credits,
            self.credits_minor,
            self.debits,
            self.debits_minor,
            self.unbooked,
            self.foreign,
            self.rejects,
        )

    def notes(self, statement: Statement) -> Iterator[Finding]:
        where, own = place(statement), statement.position
        for name, count in sorted(self.assumed.items()):
            words = f"Entries with {ASSUMED_WORDS[name]}: {count:,}."
            yield finding("entry.assumed", where, words, statement=own)
        if self.formulas:
            words = (
                f"{self.formulas:,} texts begin like a formula of a spreadsheet, the first in entry"
                f" {self.formula_at}; they are kept as text and marked when exported."
            )
            yield finding("text.formula", where, words, statement=own)
        if self.foreign:
            words = f"Booked entries not in {self.currency}: {self.foreign:,}; no sum has them."
            yield finding("entry.foreign", where, words, statement=own)
        if self.rejects:
            words = (
                f"Lines that could not be read: {self.rejects:,}; each is named with its reason."
            )
            yield finding("entry.rejected", where, words, statement=own)


class _Pages:
    """Pages that repeat the balances of the whole statement are added up before they count."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, str, str], tuple[Statement, Totals]] = {}

    def total(self, statement: Statement, totals: Totals) -> Totals | None:
        """Of all pages so far; None while more are to come that may explain the difference."""
        key = (statement.account.identifier, statement.currency, statement.number)
        known, before = self.waiting.pop(key, (None, Totals()))
        if known is not None and (known.opening, known.closing) == (
            statement.opening,
            statement.closing,
        ):
            totals = before.plus(totals)
        if statement.last_page is False and _difference(statement, totals):
            self.waiting[key] = (statement, totals)
            return None
        return totals

    def unfinished(self) -> Iterator[Finding]:
        for statement, totals in self.waiting.values():
            words = f"Page {statement.page} is not the last, and no other follows in this file."
            where = place(statement)
            yield finding("page.missing", where, words, statement=statement.position)
            yield from balance_findings(statement, totals)


def checked(events: Events, *, twins: Twins | None = None) -> Iterator[Event]:
    """Every event as it comes; findings behind the entry or the statement they are about."""
    said: Counter[str] = Counter()
    looking = twins or Twins()
    edges: dict[tuple[str, str, str], Edge] = {}
    tally: _Tally | None = None
    pages = _Pages()

    def bounded(found: Iterator[Finding] | list[Finding]) -> Iterator[Finding]:
        for each in found:
            said[each.code] += 1
            if said[each.code] <= FINDINGS_PER_CODE_MAX:
                yield each

    for event in events:
        if isinstance(event, Entry):
            yield event
            if tally is not None:
                tally.add(event)
                if event.children:
                    yield from bounded(batch_findings(event))
                yield from bounded(looking.of(event, tally.account))
        elif isinstance(event, StatementOpened):
            tally = _Tally(event.statement)
            yield event
        elif isinstance(event, Reject):
            if tally is not None:
                tally.rejects += 1
            yield event
        elif isinstance(event, StatementClosed):
            statement = event.statement
            tally = tally or _Tally(statement)
            totals = tally.totals()
            yield replace(event, totals=totals)
            yield from bounded(list(tally.notes(statement)))
            yield from bounded(control_findings(statement, totals))
            yield from bounded(balance_findings(statement, pages.total(statement, totals)))
            key = (statement.account.identifier, statement.currency, statement.kind)
            if key in edges:
                yield from bounded(continuity(edges[key], statement))
            edges[key] = Edge.of(statement)
            tally = None
        else:
            yield from bounded([event])
    yield from bounded(pages.unfinished())
    if looking.is_full:
        words = f"Identical lines were looked for among the first {looking.most:,} only."
        yield finding("twins.unlooked", "the file", words)
    for code, count in sorted(said.items()):
        if count > FINDINGS_PER_CODE_MAX:
            words = f"There are {count - FINDINGS_PER_CODE_MAX:,} more of this kind."
            yield finding(code, "the file", words)
