"""What the statement screens show: every statement in a line, one with its links, its exports.

Reads only; the figures are those of `ledger/statements.py`. Serves RP-1, RP-4, RP-5, F13.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from urllib.parse import urlencode

from django.urls import reverse

from ledger import statements
from ledger.models import AccountingPeriod
from ledger.statement_figures import Figures, currencies_of, snapshot
from ledger.statement_parts import GRAND, TOTAL, Check, Drill, Figure, Row, Span, Statement
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.spreadsheets import Amount, Line, Value
from payops.console.sums import decimal_text
from payops.core import clock
from payops.core.models import Book

PERIODS_MAX = 60
FIRST_DAY = date(1990, 1, 1)
COMPARE = [
    ("previous", "Previous period"),
    ("year", "A year before"),
    ("none", "Nothing"),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for: the days, the currency ("" is all, in reporting), the compare."""

    filters: Filters
    span: Span
    currency: str
    compare: str

    @property
    def query(self) -> str:
        """The same question for another statement."""
        said = {c.name: c.value for c in self.filters if c.value}
        return f"?{urlencode(said)}" if said else ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the table: its column, where its lines are."""

    column: str
    minor: int
    href: str


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row as the table shows it; `kind` is its look."""

    kind: str
    code: str
    words: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Page:
    statement: Statement
    rows: list[ShownRow]


@dataclass(frozen=True, slots=True)
class Overview:
    """One statement in a line: its main figure and whether its controls hold."""

    key: str
    title: str
    words: str
    minor: int
    currency: str
    failed: tuple[Check, ...]
    errors: tuple[Row, ...]


def asked(book: Book, read: Filters, today: date) -> Asked:
    """The days the filters mean, told where they contradict each other."""
    period = AccountingPeriod.objects.filter(book=book, code=read["period"]).first()
    span = Span(period.starts_on, period.ends_on) if period else _default(book, today)
    from_on, to_on = read.day("from"), read.day("to")
    if from_on or to_on:
        to_on = to_on or max(today, from_on or today)
        span = Span(from_on or to_on.replace(day=1), to_on)
    if span.from_on > span.to_on:
        words = f"{span.from_on} is after {span.to_on}; the days stand as if the first was not set."
        read = replace(read, refused=(*read.refused, words))
        span = Span(span.to_on.replace(day=1), span.to_on)
    return Asked(read, span, read["currency"], read["compare"] or statements.PREVIOUS)


def controls(book: Book, today: date) -> list[Control]:
    periods = AccountingPeriod.objects.filter(book=book).order_by("-starts_on")
    codes = [(each.code, f"{each.code}, {each.state.lower()}") for each in periods[:PERIODS_MAX]]
    currencies = [(each, f"{each}, own amounts") for each in currencies_of(book=book, to_on=today)]
    everything = f"All, in {book.reporting_currency}"
    return [
        Control("period", "Period", "select", choices(codes, any_label="Latest")),
        Control("from", "or from", "date"),
        Control("to", "to", "date"),
        Control("currency", "Currency", "select", choices(currencies, any_label=everything)),
        Control("compare", "Compare with", "select", COMPARE),
    ]


def _default(book: Book, today: date) -> Span:
    """The latest period that has begun."""
    periods = AccountingPeriod.objects.filter(book=book, starts_on__lte=today)
    latest = periods.order_by("-starts_on").first()
    if latest is not None:
        return Span(latest.starts_on, latest.ends_on)
    return Span(today.replace(day=1), today)


def page(book: Book, kind: str, wanted: Asked) -> Page:
    made = statements.statement(
        kind=kind,
        book=book,
        span=wanted.span,
        currency=wanted.currency,
        compare=wanted.compare,
    )
    return Page(made, [_shown(made, row) for row in made.rows])


def overview(book: Book, wanted: Asked) -> list[Overview]:
    """Every statement of the span, from one snapshot."""
    with snapshot():
        figures = Figures(book=book, currency=wanted.currency)
        made = [statements.of_figures(kind, figures, wanted.span) for kind in statements.KINDS]
    return [_overview(each) for each in made]


def _overview(made: Statement) -> Overview:
    main = [row for row in made.rows if row.kind in (GRAND, TOTAL)]
    keys = {"balance-sheet": "Assets", "cash-position": "available", "cash-flow": "closing"}
    row = made.row(keys.get(made.kind, "")) or (main[-1] if main else None)
    column = 1 if made.kind == statements.TRIAL_BALANCE else 0
    return Overview(
        key=made.kind,
        title=made.title,
        words={"trial-balance": "Debits"}.get(made.kind, row.words if row else ""),
        minor=row.figures[column].minor if row else 0,
        currency=made.currency,
        failed=tuple(check for check in made.checks if not check.ok),
        errors=made.errors,
    )


def _shown(made: Statement, row: Row) -> ShownRow:
    cells = (
        tuple(
            Cell(column, figure.minor, href_of(figure))
            for column, figure in zip(made.columns, row.figures, strict=True)
        )
        if row.figures
        else ()
    )
    return ShownRow(row.kind, row.code, row.words, row.note, cells)


# ---- from a figure to its lines ------------------------------------------------------------


def href_of(figure: Figure) -> str:
    return address(figure.drill) if figure.drill is not None else ""


def address(drill: Drill) -> str:
    """The page with exactly the lines, or the balances, whose sum the figure is."""
    days = {"from": drill.from_on, "to": drill.to_on, "currency": drill.currency}
    if drill.statement:
        base = reverse("statement", args=[drill.statement])
        return _url(base, {**days, "from": drill.from_on or FIRST_DAY, "compare": "none"})
    if drill.side:
        place = {"account": drill.accounts[0], "side": drill.side}
        return _url(reverse("statement-positions"), {**place, **days})
    if drill.currency and len(drill.accounts) == 1:
        base = reverse("ledger-account", args=list(drill.accounts))
        return _url(base, {**days, "party": drill.party})
    place = {"account": ",".join(drill.accounts), "tag": drill.tag, "party": drill.party}
    return _url(reverse("statement-lines"), {**place, **days})


def _url(base: str, query: dict[str, object]) -> str:
    said = {name: str(value) for name, value in query.items() if value}
    return f"{base}?{urlencode(said)}" if said else base


# ---- exports -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One row of the file; a control is a row too, and so is what is not mapped."""

    kind: str
    code: str
    words: str
    texts: tuple[str, ...]
    currency: str
    note: str


def export_columns(made: Statement) -> Columns:
    figures = [
        (column, lambda row, at=place: row.texts[at] if at < len(row.texts) else "")
        for place, column in enumerate(made.columns)
    ]
    return (
        ("row", "kind"),
        ("account", "code"),
        ("line", "words"),
        *figures,
        ("currency", "currency"),
        ("note", "note"),
    )


def export_rows(made: Statement) -> Iterator[ExportRow]:
    for row in made.rows:
        texts = tuple(decimal_text(figure.minor, made.currency) for figure in row.figures)
        yield ExportRow(row.kind, row.code, row.words, texts, made.currency, row.note)
    for check in made.checks:
        for words, minor in check.figures:
            text = decimal_text(minor, made.currency)
            yield ExportRow("control", "", f"{check.words}: {words}", (text,), made.currency, "")
        off = decimal_text(check.off_minor, made.currency)
        verdict = "holds" if check.ok else f"OUT BY {off}. {check.note}".strip()
        yield ExportRow("control", "", check.words, (off,), made.currency, verdict)


def sheet(book: Book, made: Statement, now: datetime) -> Iterator[Line]:
    """The statement as a spreadsheet, its heading and its controls with it."""
    yield Line([made.title, book.name], bold=True)
    yield Line(["Days", f"{made.span.from_on} to {made.span.to_on}"])
    all_of_them = f"all currencies in {made.currency}" if made.in_reporting else made.currency
    yield Line(["Amounts", all_of_them])
    made_at = f"{now.astimezone(clock.zone(book.time_zone)):%Y-%m-%d %H:%M} {book.time_zone}"
    yield Line(["Made", made_at])
    yield Line([])
    yield Line(["Account", "Line", *made.columns, "Note"], bold=True)
    for row in made.rows:
        values: list[Value] = [row.code, row.words]
        values += [Amount(figure.minor, made.currency) for figure in row.figures]
        values += [None] * (len(made.columns) - len(row.figures)) + [row.note]
        yield Line(values, bold=row.kind not in ("line", "detail"))
    yield Line([])
    yield Line(["", "Controls"], bold=True)
    for check in made.checks:
        verdict = "Holds" if check.ok else f"Out of balance. {check.note}".strip()
        yield Line([verdict, check.words, Amount(check.off_minor, made.currency)], not check.ok)
        for words, minor in check.figures:
            yield Line(["", words, Amount(minor, made.currency)])
