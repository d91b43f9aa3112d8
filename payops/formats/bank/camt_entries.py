"""One entry of a camt statement and the payments of its batch (D16, RC-8).

An entry may be the net of credits and debits, so each payment has its own sign. Where an entry
holds one payment, the entry carries that payment's names and parties itself.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from payops.formats.bank import kinds, words
from payops.formats.bank.amounts import AmountRefused
from payops.formats.bank.base import (
    NO_COUNTERPARTY,
    NO_REFERENCES,
    Charge,
    Counterparty,
    Entry,
    EntryStatus,
    Exchange,
    References,
    Statement,
)
from payops.formats.bank.camt_head import SIGNS, agent, amount, day, identified
from payops.formats.bank.xml_stream import Node, at, every, text

STATUSES = {
    "BOOK": EntryStatus.BOOKED,
    "PDNG": EntryStatus.PENDING,
    "FUTR": EntryStatus.PENDING,
    "INFO": EntryStatus.INFO,
}
TRUE = ("true", "1")
HEAD = ("Amt", "CdtDbtInd", "Sts", "BookgDt", "ValDt")
# Where a payment's references stand, by the name of their element; the first told counts.
REFERENCES = {
    "EndToEndId": "end_to_end",
    "AcctSvcrRef": "bank",
    "TxId": "transaction",
    "UETR": "transaction",
    "InstrId": "instruction",
    "MndtId": "mandate",
    "MsgId": "message",
    "PmtInfId": "payment_batch",
    "ChqNb": "cheque",
}
LINES_MAX = 200
CHARGES_MAX = 50


class Unreadable(ValueError):
    """An entry whose amount or sense cannot be read: the element, why, and an excerpt."""

    def __init__(self, column: str, why: str, excerpt: str = "") -> None:
        super().__init__(why)
        self.column, self.why, self.excerpt = column, why, excerpt


class _Head(NamedTuple):
    minor: int
    currency: str
    booked_on: date | None
    value_on: date | None
    booked_at: datetime | None
    status: EntryStatus
    assumed: tuple[str, ...]


class Payments:
    """Reads entries and payments of one statement."""

    def __init__(self, statement: Statement) -> None:
        closing, opening = statement.closing, statement.opening
        self.statement = statement
        begins, ends = statement.from_on, statement.to_on
        self.spans_days = begins is not None and ends is not None and begins != ends
        self.told: tuple[object, ...] = ()
        self.head: _Head
        self.on: date | None = (
            statement.to_on
            or (closing.on if closing else None)
            or (opening.on if opening else None)
            or (statement.created_at.date() if statement.created_at else None)
        )

    def entry(self, node: Node, children: tuple[Entry, ...], position: int, line: int) -> Entry:
        """Raises Unreadable."""
        head = self._head(node)
        only = children[0] if len(children) == 1 else None
        if only is not None and (only.amount_minor, only.currency) == head[:2]:
            children = ()
        kind, raw = _code(node.get("BkTxCd"))
        details = at(node, "NtryDtls")
        batch = details.get("Btch") if type(details) is dict else None
        references = self._names(node, batch, only)
        additional = words.cleaned(text(node, "AddtlNtryInf"))
        charges = _charges(node["Chrgs"], head.currency) if "Chrgs" in node else ()
        exchange = _exchange(node["AmtDtls"]) if "AmtDtls" in node else None
        name, remittance, booked_at = NO_COUNTERPARTY, "", head.booked_at
        if only is not None:
            name, remittance = only.counterparty, only.remittance
            exchange, charges = only.exchange or exchange, charges or only.charges
            additional = additional or only.additional
            booked_at = booked_at or only.booked_at
            kind = only.kind if kind == kinds.OTHER else kind
            raw = raw or only.raw_code
        return Entry(
            position=position,
            statement=self.statement.position,
            amount_minor=head.minor,
            currency=head.currency,
            booked_on=head.booked_on,
            value_on=head.value_on,
            status=head.status,
            kind=kind,
            raw_code=raw,
            references=references,
            counterparty=name,
            remittance=remittance,
            additional=additional,
            is_reversal="RvslInd" in node and _is_true(node),
            booked_at=booked_at,
            batch_count=_count(text(batch, "NbOfTxs")) if batch is not None else None,
            exchange=exchange,
            charges=charges,
            children=children,
            assumed=head.assumed,
            line=line,
        )

    def _names(self, node: Node, batch: object, only: Entry | None) -> References:
        """The entry's own names over those of its only payment."""
        known = only.references if only is not None else NO_REFERENCES
        entry, bank = text(node, "NtryRef"), text(node, "AcctSvcrRef")
        if not (entry or bank or batch is not None):
            return known
        return References(
            end_to_end=known.end_to_end,
            bank=words.told(bank) or known.bank,
            transaction=known.transaction,
            instruction=known.instruction,
            mandate=known.mandate,
            entry=words.told(entry),
            message=known.message or words.told(text(batch, "MsgId")),
            payment_batch=known.payment_batch or words.told(text(batch, "PmtInfId")),
            cheque=known.cheque,
            creditor=known.creditor,
        )

    def payment(self, node: Node, entry: Node, position: int, line: int) -> Entry:
        """One of a batch; what it leaves out is the entry's. Raises Unreadable."""
        head = self._head(entry)
        minor, currency = head.minor, head.currency
        told = node.get("Amt")
        if told is None and "AmtDtls" in node:
            told = at(node, "AmtDtls", "TxAmt", "Amt")
        sign = SIGNS.get(text(node, "CdtDbtInd")) if "CdtDbtInd" in node else None
        if told is not None:
            size, currency = _read("TxDtls/Amt", told, currency)
            minor = size * (sign or (-1 if head.minor < 0 else 1))
        elif sign is not None:
            minor = sign * abs(minor)
        booked_on, value_on, booked_at = head.booked_on, head.value_on, head.booked_at
        if "RltdDts" in node:
            accepted_on, accepted_at = day(text(node, "RltdDts", "AccptncDtTm"))
            settled_on, _ = day(text(node, "RltdDts", "IntrBkSttlmDt"))
            booked_on = (accepted_on or booked_on) if "booked_on" in head.assumed else booked_on
            value_on, booked_at = settled_on or value_on, accepted_at or booked_at
        kind, raw = _code(node.get("BkTxCd") or entry.get("BkTxCd"))
        remittance, creditor = _remittance(node["RmtInf"]) if "RmtInf" in node else ("", "")
        returned = text(node, "RtrInf", "Rsn", "Cd") if "RtrInf" in node else ""
        outgoing = (minor < 0) != ("RvslInd" in entry and _is_true(entry))
        return Entry(
            position=position,
            statement=self.statement.position,
            amount_minor=minor,
            currency=currency,
            booked_on=booked_on,
            value_on=value_on,
            status=head.status,
            kind=kind,
            raw_code=raw,
            references=_references(node.get("Refs"), creditor),
            counterparty=_counterparty(node, "Cdtr" if outgoing else "Dbtr"),
            remittance=remittance,
            additional=words.cleaned(text(node, "AddtlTxInf") or returned),
            is_reversal=bool(returned) or ("RvslInd" in node and _is_true(node)),
            booked_at=booked_at,
            exchange=_exchange(node["AmtDtls"]) if "AmtDtls" in node else None,
            charges=_charges(node["Chrgs"], currency) if "Chrgs" in node else (),
            line=line,
        )

    def _head(self, node: Node) -> _Head:
        """Amount, days and status of an entry; its payments ask for the same again."""
        told = tuple(map(node.get, HEAD))
        if told == self.told:
            return self.head
        assumed: list[str] = []
        amount_told, sign_told, status_told, booked_told, value_told = told
        if type(amount_told) is list:
            amount_told = amount_told[0]
        if type(amount_told) is str:
            assumed.append("currency")
        minor, currency = _read("Ntry/Amt", amount_told, self.statement.currency)
        sign = SIGNS.get(text(sign_told))
        if sign is None:
            assumed.append("sign")
        booked_on, booked_at = day(booked_told)
        value_on, _ = day(value_told)
        if booked_on is None:
            booked_on = (value_on or self.on) if self.spans_days else (self.on or value_on)
            assumed.append("booked_on")
        if value_on is None:
            value_on = booked_on
            assumed.append("value_on")
        status = STATUSES.get(
            text(status_told) or text(status_told, "Cd") or text(status_told, "Prtry")
        )
        if status is None:
            status = EntryStatus.BOOKED
            assumed.append("status")
        self.head = _Head(
            minor * (sign or 1), currency, booked_on, value_on, booked_at, status, tuple(assumed)
        )
        self.told = told
        return self.head


def _read(column: str, told: object, currency: str) -> tuple[int, str]:
    if type(told) is list:
        told = told[0]
    try:
        return amount(told, currency)
    except AmountRefused as refused:
        raise Unreadable(column, str(refused)) from None


def _code(node: object) -> tuple[str, str]:
    """The common word, and the bank's code as "PMNT-RCDT-ESCT" or its own."""
    if type(node) is not dict:
        return kinds.OTHER, ""
    domain = node.get("Domn")
    own = text(node, "Prtry", "Cd")
    return _coded(
        text(domain, "Cd"), text(domain, "Fmly", "Cd"), text(domain, "Fmly", "SubFmlyCd"), own
    )


@lru_cache(maxsize=4096)
def _coded(domain: str, family: str, sub_family: str, own: str) -> tuple[str, str]:
    iso = "-".join(each for each in (domain, family, sub_family) if each)
    raw = " ".join(each for each in (iso, own) if each)
    return kinds.of_iso(family, sub_family), words.cleaned(raw, words.IDENTIFIER_MAX)


def _references(node: object, creditor: str) -> References:
    if type(node) is not dict:
        return References(creditor=creditor) if creditor else NO_REFERENCES
    said: dict[str, str] = {}
    for name, told in node.items():
        field = REFERENCES.get(name)
        if field is not None and field not in said:
            said[field] = words.told(told if type(told) is str else text(told))
    return References(creditor=creditor, **said)


def _counterparty(node: Node, role: str) -> Counterparty:
    """Who is on the other side: the debtor of money in, the creditor of money out."""
    parties, agents = node.get("RltdPties"), node.get("RltdAgts")
    if parties is None and agents is None:
        return NO_COUNTERPARTY
    party = at(parties, role) or at(parties, f"Ultmt{role}")
    bank = agent(at(agents, f"{role}Agt"))
    return Counterparty(
        name=words.cleaned(text(party, "Nm") or text(party, "Pty", "Nm"), 140),
        account=identified(at(parties, f"{role}Acct"), bank),
        bank=bank,
    )


def _remittance(node: object) -> tuple[str, str]:
    """What was written, and the creditor's reference of a structured text."""
    if type(node) is not dict:
        return "", ""
    lines = [each for each in every(node, "Ustrd")[:LINES_MAX] if type(each) is str]
    creditor = ""
    for each in every(node, "Strd")[:LINES_MAX]:
        creditor = creditor or words.told(text(each, "CdtrRefInf", "Ref"))
        lines.append(text(each, "AddtlRmtInf"))
        lines.append(text(each, "RfrdDocInf", "Nb"))
    written = words.cleaned(" ".join(each for each in lines if each))
    return ("" if written.upper() in words.NOT_TOLD else written), creditor


def _exchange(node: object) -> Exchange | None:
    """None where nothing was exchanged."""
    if type(node) is not dict:
        return None
    instructed = at(node, "InstdAmt", "Amt")
    rates = (at(node, name, "CcyXchg") for name in ("CntrValAmt", "TxAmt", "InstdAmt"))
    rate = next((each for each in rates if each), None)
    if rate is None:
        return None
    try:
        minor, currency = amount(instructed) if instructed is not None else (None, "")
    except AmountRefused:
        minor, currency = None, ""
    return Exchange(
        minor,
        currency,
        words.cleaned(text(rate, "SrcCcy"), 3),
        words.cleaned(text(rate, "TrgtCcy"), 3),
        words.cleaned(text(rate, "XchgRate"), 24),
    )


def _charges(node: object, currency: str) -> tuple[Charge, ...]:
    """One of each record; of older files one per element; else the total alone."""
    if node is None:
        return ()
    found: list[Charge] = []
    for each in (node if type(node) is list else [node])[:CHARGES_MAX]:
        records = every(each, "Rcrd") or ([each] if at(each, "Amt") is not None else [])
        for record in records[:CHARGES_MAX]:
            _charge(found, record, at(record, "Amt"), currency)
        if not records and at(each, "TtlChrgsAndTaxAmt") is not None:
            _charge(found, each, at(each, "TtlChrgsAndTaxAmt"), currency)
    return tuple(found)


def _charge(found: list[Charge], node: object, told: object, currency: str) -> None:
    try:
        minor, own = amount(told, currency)
    except AmountRefused:
        return
    included = text(node, "ChrgInclInd").lower()
    sign = SIGNS.get(text(node, "CdtDbtInd"), -1)
    found.append(Charge(sign * minor, own, included in TRUE if included else None))


def _is_true(node: Node) -> bool:
    return text(node, "RvslInd").lower() in TRUE


def _count(told: str) -> int | None:
    return int(told) if told.isascii() and told.isdecimal() and len(told) <= 9 else None
