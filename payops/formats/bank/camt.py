"""camt.052, .053 and .054 of ISO 20022, versions 02 to 13, as banks really write them (RC-13).

The schema is not asked: a missing booking date, status or sign is filled and named, and the sums
decide (D16). Serves D13, F18. One entry is held at a time.
"""

from __future__ import annotations

import re

from payops.formats.bank.base import (
    CHILDREN_MAX,
    STATEMENTS_MAX,
    Entry,
    Event,
    Events,
    FileRefused,
    ReadOptions,
    Reject,
    Source,
    Statement,
    StatementClosed,
    StatementKind,
    StatementOpened,
)
from payops.formats.bank.camt_entries import Payments, Unreadable
from payops.formats.bank.camt_head import statement_of
from payops.formats.bank.findings import finding
from payops.formats.bank.xml_stream import Enter, Leave, Node, Tree

VERSION = re.compile(r"camt\.(05[234])\.001\.([0-9]{2})")
VERSIONS = range(2, 14)
HEADER, ENTRY, PAYMENT = "GrpHdr", "Ntry", "TxDtls"
KINDS = {
    "Stmt": StatementKind.STATEMENT,
    "Rpt": StatementKind.INTRADAY,
    "Ntfctn": StatementKind.NOTIFICATION,
}
MESSAGES = {"BkToCstmrStmt": "053", "BkToCstmrAcctRpt": "052", "BkToCstmrDbtCdtNtfctn": "054"}
KIND_OF = {
    "camt.053": StatementKind.STATEMENT,
    "camt.052": StatementKind.INTRADAY,
    "camt.054": StatementKind.NOTIFICATION,
}


class _Reader:
    """What is open while expat reads; finished events wait in `ready` until the chunk is done."""

    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.ready: list[Event] = []
        self.version = ""
        self.message = ""
        self.header: Node = {}
        self.open: Statement | None = None
        self.statements = self.entries = 0
        self.children: list[Entry] = []
        self.payments: Payments | None = None
        leave: dict[str, Leave] = {
            HEADER: self.on_header,
            ENTRY: self.on_entry,
            PAYMENT: self.on_payment,
        }
        leave.update({name: self._statement(kind) for name, kind in KINDS.items()})
        enter: dict[str, Enter] = dict.fromkeys(("Document", *MESSAGES), self.on_begin)
        enter[ENTRY] = self.on_entry_begin
        self.tree = Tree(leave=leave, enter=enter)

    # ---- what begins ------------------------------------------------------------------------

    def on_begin(self, name: str, attributes: Node) -> None:
        for value in attributes.values():
            match = VERSION.search(value[:200])
            if match is not None and not self.version:
                self.version = match[0]
        attributes.clear()
        if name in MESSAGES:
            self.message = f"camt.{MESSAGES[name]}"
            self._version()

    def _version(self) -> None:
        match = VERSION.fullmatch(self.version)
        if match is None:
            words = f"The file does not say which version of {self.message} it is."
        elif int(match[2]) not in VERSIONS or f"camt.{match[1]}" != self.message:
            words = f"The file says {self.version} and holds {self.message}; it was read as such."
        else:
            return
        self.ready.append(finding("file.version", "the file", words))

    def on_entry_begin(self, _: str, attributes: Node) -> None:
        attributes.clear()
        self.children = []

    # ---- what ends --------------------------------------------------------------------------

    def on_header(self, _: list[Node], node: Node | str) -> bool:
        self.header = node if isinstance(node, dict) else {}
        return True

    def _statement(self, kind: StatementKind) -> Leave:
        def close(stack: list[Node], node: Node | str) -> bool:
            if not self.message or len(stack) < 2:
                return False
            found = node if isinstance(node, dict) else {}
            if self.open is None:
                self._open(found, kind)
            assert self.open is not None
            position = self.open.position
            closed, notes = statement_of(
                found, self.header, kind, position, self.options, self.open.line
            )
            self.ready.extend(notes)
            self.ready.append(StatementClosed(closed))
            self.open = None
            return True

        return close

    def _open(self, node: Node, kind: StatementKind) -> None:
        self.statements += 1
        if self.statements > STATEMENTS_MAX:
            raise FileRefused(f"the file has more than {STATEMENTS_MAX:,} statements")
        self.open, _ = statement_of(
            node, self.header, kind, self.statements, self.options, self.tree.line
        )
        self.payments = Payments(self.open)
        self.ready.append(StatementOpened(self.open))

    def _payments(self, head: Node) -> Payments:
        """Of the open statement; the first entry opens it with what stands before it."""
        if self.open is None:
            self._open(head, KIND_OF[self.message])
        assert self.payments is not None
        return self.payments

    def on_payment(self, stack: list[Node], node: Node | str) -> bool:
        """The entry's own amount, sign and dates stand before its payments."""
        if not self.message or len(stack) < 3 or not isinstance(node, dict):
            return True
        if len(self.children) >= CHILDREN_MAX:
            raise FileRefused(
                f"line {self.tree.line}: one entry holds more than {CHILDREN_MAX:,} payments"
            )
        payments = self._payments(stack[-3])
        try:
            position = len(self.children) + 1
            child = payments.payment(node, stack[-2], position, self.tree.line)
            self.children.append(child)
        except Unreadable as refused:
            self._reject(refused)
        return True

    def on_entry(self, stack: list[Node], node: Node | str) -> bool:
        if not self.message:
            return False
        payments = self._payments(stack[-1])
        self.entries += 1
        if self.entries > self.options.entries_max:
            raise FileRefused(f"the file has more than {self.options.entries_max:,} entries")
        found = node if isinstance(node, dict) else {}
        try:
            self.ready.append(
                payments.entry(found, tuple(self.children), self.entries, self.tree.line)
            )
        except Unreadable as refused:
            self._reject(refused)
        self.children = []
        return True

    def _reject(self, refused: Unreadable) -> None:
        own = self.open.position if self.open else 0
        self.ready.append(Reject(self.tree.line, refused.column, refused.why, refused.excerpt, own))


def read(source: Source, options: ReadOptions) -> Events:
    """Raises FileRefused."""
    reader = _Reader(options)
    for _ in reader.tree.feed(source, bytes_max=options.bytes_max):
        ready, reader.ready = reader.ready, []
        yield from ready
    if not reader.message:
        raise FileRefused("the XML holds no camt.052, .053 or .054 message")
    if not reader.statements:
        words = "The message holds no statement at all; ask the bank for the day again."
        yield finding("file.empty", "the file", words)
