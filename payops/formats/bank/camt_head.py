"""The head of a camt statement: account, numbers, pages, days, balances and totals (D13, D16)."""

from __future__ import annotations

from datetime import date, datetime

from payops.formats.bank import amounts, days, words
from payops.formats.bank.base import (
    Account,
    Balance,
    BalanceKind,
    Control,
    Finding,
    ReadOptions,
    Scheme,
    Statement,
    StatementKind,
)
from payops.formats.bank.findings import finding
from payops.formats.bank.xml_stream import TEXT, Node, at, every, text

NUMBER_DIGITS_MAX = 18
BALANCES_MAX = 500
BALANCES = {
    "OPBD": BalanceKind.OPENING,
    "CLBD": BalanceKind.CLOSING,
    "PRCD": BalanceKind.PREVIOUS_CLOSING,
    "OPAV": BalanceKind.OPENING_AVAILABLE,
    "CLAV": BalanceKind.CLOSING_AVAILABLE,
    "FWAV": BalanceKind.FORWARD_AVAILABLE,
}
# An interim balance opens a page or closes it; which, tell the others and their order.
INTERIM = "ITBD"
TOTALS = (
    ("TtlNtries", "entries"),
    ("TtlCdtNtries", "credits"),
    ("TtlDbtNtries", "debits"),
)
PAGES = ("StmtPgntn", "RptPgntn", "NtfctnPgntn")
SIGNS = {"CRDT": 1, "DBIT": -1}


def statement_of(
    node: Node,
    header: Node,
    kind: StatementKind,
    position: int,
    options: ReadOptions,
    line: int,
) -> tuple[Statement, list[Finding]]:
    """The statement as far as it is told, and what could not be read of its head."""
    notes: list[Finding] = []
    holder = _account(at(node, "Acct"), options)
    created = _moment(text(node, "CreDtTm")) or _moment(text(header, "CreDtTm"))
    balances = _balances(node, position, notes)
    currency = words.cleaned(text(node, "Acct", "Ccy"), 3) or options.currency
    if not currency:
        of_statement = Statement(position, kind, holder, balances=balances)
        main = of_statement.opening or of_statement.closing or next(iter(balances), None)
        currency = main.currency if main else ""
    page, last = _page(node) or _page_of(at(header, "MsgPgntn")) or (None, None)
    number = text(node, "ElctrncSeqNb") or text(node, "LglSeqNb")
    return (
        Statement(
            position=position,
            kind=kind,
            account=holder,
            currency=currency,
            reference=words.cleaned(text(node, "Id"), words.IDENTIFIER_MAX),
            number=words.cleaned(number, words.IDENTIFIER_MAX),
            sequence=_number(number),
            page=page,
            last_page=last,
            created_at=created,
            from_on=_day(at(node, "FrToDt"), "Fr"),
            to_on=_day(at(node, "FrToDt"), "To"),
            time_zone=options.time_zone or (days.offset_text(created) if created else ""),
            balances=balances,
            controls=_controls(at(node, "TxsSummry"), currency),
            line=line,
        ),
        notes,
    )


def day(node: object) -> tuple[date | None, datetime | None]:
    """Of <Dt> or <DtTm> inside, or of a day written straight in; None where unreadable."""
    told = text(node, "Dt") or text(node, "DtTm") or (node if type(node) is str else "")
    if not told:
        return None, None
    try:
        return days.iso(told), _moment(told) if len(told) > 10 else None
    except days.DayRefused:
        return None, None


def amount(node: object, fallback: str = "") -> tuple[int, str]:
    """Minor units as written and their currency. Raises amounts.AmountRefused."""
    if type(node) is dict:
        currency = node.get("Ccy") or fallback
        return amounts.plain(node.get(TEXT, ""), currency), currency
    return amounts.plain(node if type(node) is str else "", fallback), fallback


def agent(node: object) -> str:
    """The BIC, or another code of the bank."""
    inside = at(node, "FinInstnId")
    found = text(inside, "BICFI") or text(inside, "BIC")
    found = found or text(inside, "ClrSysMmbId", "MmbId") or text(inside, "Othr", "Id")
    return words.cleaned(found, words.IDENTIFIER_MAX)


def identified(node: object, bank: str = "") -> Account | None:
    """Of an <Acct>; None where it tells no number."""
    inside = at(node, "Id")
    found = text(inside, "IBAN") or text(inside, "Othr", "Id") or text(inside, "PrtryAcct", "Id")
    return words.account(found, bank=bank) if found else None


def _account(node: object, options: ReadOptions) -> Account:
    found = identified(node, agent(at(node, "Svcr")))
    if found is None and options.account:
        return words.account(options.account)
    return found or Account(Scheme.OTHER, "")


def _balances(node: Node, position: int, notes: list[Finding]) -> tuple[Balance, ...]:
    found: list[Balance] = []
    told = every(node, "Bal")[:BALANCES_MAX]
    codes = [_balance_code(each) for each in told]
    has_opening = "OPBD" in codes or "PRCD" in codes
    for each, code in zip(told, codes, strict=True):
        kind = BALANCES.get(code, BalanceKind.OTHER)
        if code == INTERIM:
            first = not has_opening and (codes.count(INTERIM) > 1 or "CLBD" in codes)
            kind = BalanceKind.INTERIM_OPENING if first else BalanceKind.INTERIM_CLOSING
            has_opening = has_opening or first
        try:
            minor, currency = amount(at(each, "Amt"))
        except amounts.AmountRefused as refused:
            place = f"statement {position}"
            text_of = f"The balance {code or 'without a code'} was left out: {refused}."
            notes.append(finding("file.unknown_part", place, text_of, statement=position))
            continue
        sign = SIGNS.get(text(each, "CdtDbtInd"))
        on, _ = day(at(each, "Dt"))
        found.append(Balance(kind, (sign or 1) * minor, currency, on, code[:35], sign is not None))
    return tuple(found)


def _balance_code(node: object) -> str:
    kind = at(node, "Tp", "CdOrPrtry")
    return words.cleaned(text(kind, "Cd") or text(kind, "Prtry"), 35)


def _controls(node: object, currency: str) -> tuple[Control, ...]:
    found: list[Control] = []
    for name, scope in TOTALS:
        inside = at(node, name)
        count, told = _number(text(inside, "NbOfNtries")), text(inside, "Sum")
        try:
            total = amounts.plain(told, currency) if told and currency else None
        except amounts.AmountRefused:
            total = None
        if count is not None or total is not None:
            found.append(Control(scope, count, total, currency))
    found.extend(_net(at(node, "TtlNtries"), currency))
    return tuple(found)


def _net(node: object, currency: str) -> list[Control]:
    """TtlNetNtry of newer versions, TtlNetNtryAmt of older ones."""
    newer = at(node, "TtlNetNtry")
    told = text(newer, "Amt") or text(node, "TtlNetNtryAmt")
    sign = SIGNS.get(text(newer, "CdtDbtInd") or text(node, "CdtDbtInd"))
    try:
        size = amounts.plain(told, currency) if told and currency else None
    except amounts.AmountRefused:
        size = None
    if size is None or sign is None:
        return []
    return [Control("net", None, sign * size, currency)]


def _page(node: Node) -> tuple[int | None, bool | None] | None:
    for name in PAGES:
        if name in node:
            return _page_of(node[name])
    return None


def _page_of(node: object) -> tuple[int | None, bool | None] | None:
    if node is None:
        return None
    last = text(node, "LastPgInd").lower()
    return _number(text(node, "PgNb")), {"true": True, "1": True}.get(last, False if last else None)


def _number(told: str) -> int | None:
    value = told.strip()
    fits = len(value) <= NUMBER_DIGITS_MAX and value.isascii() and value.isdecimal()
    return int(value) if fits else None


def _moment(told: str) -> datetime | None:
    try:
        return days.moment(told) if told else None
    except days.DayRefused:
        return None


def _day(node: object, prefix: str) -> date | None:
    told = text(node, f"{prefix}Dt") or text(node, f"{prefix}DtTm")
    try:
        return days.iso(told) if told else None
    except days.DayRefused:
        return None
