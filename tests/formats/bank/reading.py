"""A bank file read whole, as the tests look at it, and camt files written from parts."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from payops.formats.bank.base import (
    Entry,
    Finding,
    ReadOptions,
    Reject,
    Statement,
    StatementClosed,
    StatementOpened,
    Totals,
)
from payops.formats.bank.registry import read

IBAN = "DE02120300000000202051"
OTHER_IBAN = "NL91ABNA0417164300"


@dataclass
class Read:
    opened: list[Statement] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    totals: list[Totals] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def amounts(self) -> list[int]:
        return [entry.amount_minor for entry in self.entries]

    @property
    def codes(self) -> list[str]:
        return [found.code for found in self.findings]

    def words(self, code: str) -> list[str]:
        return [found.words for found in self.findings if found.code == code]


def read_file(content: str | bytes, fmt: str, options: ReadOptions | None = None) -> Read:
    found = Read()
    source = io.BytesIO(content.encode() if isinstance(content, str) else content)
    for event in read(source, fmt, options or ReadOptions()):
        if isinstance(event, StatementOpened):
            found.opened.append(event.statement)
        elif isinstance(event, StatementClosed):
            found.statements.append(event.statement)
            found.totals.append(event.totals)
        elif isinstance(event, Entry):
            found.entries.append(event)
        elif isinstance(event, Reject):
            found.rejects.append(event)
        else:
            found.findings.append(event)
    return found


def balance(code: str, amount: str, sign: str = "CRDT", on: str = "2026-03-31") -> str:
    told = f"<CdtDbtInd>{sign}</CdtDbtInd>" if sign else ""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="EUR">{amount}</Amt>{told}<Dt><Dt>{on}</Dt></Dt></Bal>'
    )


def entry(amount: str, sign: str = "CRDT", inside: str = "", *, on: str = "2026-03-31") -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd><Sts>BOOK</Sts>'
        f"<BookgDt><Dt>{on}</Dt></BookgDt><ValDt><Dt>{on}</Dt></ValDt>{inside}</Ntry>"
    )


def payment(amount: str, sign: str = "", inside: str = "", refs: str = "") -> str:
    told = f"<CdtDbtInd>{sign}</CdtDbtInd>" if sign else ""
    return f'<TxDtls><Refs>{refs}</Refs><Amt Ccy="EUR">{amount}</Amt>{told}{inside}</TxDtls>'


def stmt(*parts: str, number: str = "7", account: str = IBAN) -> str:
    return (
        f"<Stmt><Id>S-{number}</Id><ElctrncSeqNb>{number}</ElctrncSeqNb>"
        f"<Acct><Id><IBAN>{account}</IBAN></Id><Ccy>EUR</Ccy></Acct>{''.join(parts)}</Stmt>"
    )


def camt053(*statements: str, version: str = "08", created: str = "") -> str:
    created = created or "2026-03-31T20:15:00+02:00"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}">'
        f"<BkToCstmrStmt><GrpHdr><MsgId>M</MsgId><CreDtTm>{created}</CreDtTm></GrpHdr>"
        f"{''.join(statements)}</BkToCstmrStmt></Document>"
    )
