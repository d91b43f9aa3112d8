"""The tables of the ledger, for Django and for everybody who reads them."""

from ledger.models.documents import (
    Export,
    ExportFile,
    ExportItem,
    ManualJournal,
    ReferencePack,
    RevaluationRun,
)
from ledger.models.journal import (
    Account,
    AccountingPeriod,
    JournalEntry,
    JournalLine,
    LatePlacement,
    PostingKey,
    WaitingPosting,
)
from ledger.models.totals import AccountTotal, BalanceCut, PartyTotal

__all__ = [
    "Account",
    "AccountTotal",
    "AccountingPeriod",
    "BalanceCut",
    "Export",
    "ExportFile",
    "ExportItem",
    "JournalEntry",
    "JournalLine",
    "LatePlacement",
    "ManualJournal",
    "PartyTotal",
    "PostingKey",
    "ReferencePack",
    "RevaluationRun",
    "WaitingPosting",
]
