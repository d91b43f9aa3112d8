"""The chart of accounts: one frozen row per account, the same for every book (LJ-19).

Owns codes, names, kinds and what an account is kept per (its sub-ledger). Every balance is also
per currency. Never holds an amount.
"""

from __future__ import annotations

from dataclasses import dataclass

from simple_history.utils import bulk_create_with_history

from ledger.models import Account
from payops.core.models import Book

SELLER = "seller"
PROVIDER_ACCOUNT = "provider_account"
BANK_ACCOUNT = "bank_account"
DISPUTE = "dispute"

PARTY_WORDS = {
    "": "",
    SELLER: "seller",
    PROVIDER_ACCOUNT: "provider account",
    BANK_ACCOUNT: "bank account",
    DISPUTE: "dispute",
}


@dataclass(frozen=True, slots=True)
class ChartRow:
    code: str
    name: str
    kind: str
    party_kind: str = ""


CHART: tuple[ChartRow, ...] = (
    ChartRow("1000", "Cash at bank", "asset", BANK_ACCOUNT),
    ChartRow("1010", "Safeguarded cash", "asset", BANK_ACCOUNT),
    ChartRow("1050", "Own transfers in transit", "asset"),
    ChartRow("1100", "PSP clearing", "asset", PROVIDER_ACCOUNT),
    ChartRow("1105", "Connected-account balances", "asset", SELLER),
    ChartRow("1120", "PSP reserve held against us", "asset", PROVIDER_ACCOUNT),
    ChartRow("1150", "Settlement in transit", "asset", PROVIDER_ACCOUNT),
    ChartRow("1200", "Returned payouts receivable", "asset", SELLER),
    ChartRow("1210", "Refund returns receivable", "asset"),
    ChartRow("1250", "Seller receivable", "asset", SELLER),
    ChartRow("1259", "Allowance on seller receivable", "asset", SELLER),
    ChartRow("1300", "Disputed funds", "asset", DISPUTE),
    ChartRow("1390", "Allowance on disputed funds", "asset", DISPUTE),
    ChartRow("1450", "Input tax", "asset"),
    ChartRow("1900", "FX clearing", "asset"),
    ChartRow("1910", "Unidentified payments", "asset"),
    ChartRow("2000", "Seller payable", "liability", SELLER),
    ChartRow("2100", "Payouts in transit", "liability", SELLER),
    ChartRow("2110", "Refunds in transit", "liability"),
    ChartRow("2150", "Customer refunds payable", "liability"),
    ChartRow("2200", "Returned payouts payable (case open)", "liability", SELLER),
    ChartRow("2250", "Unclaimed funds", "liability"),
    ChartRow("2300", "Reserves held on sellers", "liability", SELLER),
    ChartRow("2310", "Dispute holds on sellers", "liability", SELLER),
    ChartRow("2450", "Accrued PSP fees", "liability"),
    ChartRow("2500", "Tax on our fee", "liability"),
    ChartRow("2510", "Tax collected for others", "liability"),
    ChartRow("2600", "Due to PSPs", "liability", PROVIDER_ACCOUNT),
    ChartRow("2900", "Unidentified receipts", "liability"),
    ChartRow("2910", "Returns awaiting a case", "liability", SELLER),
    ChartRow("3000", "Retained earnings", "equity"),
    ChartRow("3900", "Opening balances", "equity"),
    ChartRow("4000", "Platform fees (net of tax)", "revenue"),
    ChartRow("4010", "Gross sales (principal policy)", "revenue"),
    ChartRow("4090", "Goodwill refunds (contra revenue)", "revenue"),
    ChartRow("4100", "Fees recharged to sellers", "revenue"),
    ChartRow("4900", "Realised FX gain", "revenue"),
    ChartRow("4910", "FX revaluation gain", "revenue"),
    ChartRow("4950", "Interest income", "revenue"),
    ChartRow("4960", "Other income", "revenue"),
    ChartRow("5000", "PSP fees", "expense"),
    ChartRow("5010", "Cost of sales (principal policy)", "expense"),
    ChartRow("5050", "Payout fees", "expense"),
    ChartRow("5060", "FX markup", "expense"),
    ChartRow("5100", "Chargeback loss", "expense"),
    ChartRow("5150", "Dispute fees", "expense"),
    ChartRow("5200", "Write-offs", "expense"),
    ChartRow("5250", "Bank fees", "expense"),
    ChartRow("5300", "Credit loss", "expense"),
    ChartRow("5900", "Realised FX loss", "expense"),
    ChartRow("5910", "FX revaluation loss", "expense"),
    ChartRow("5950", "Penny differences with PSP or bank (capped)", "expense"),
    ChartRow("9100", "Authorised payments (memo)", "memo"),
    ChartRow("9200", "Authorised payments, counter account (memo)", "memo"),
)
BY_CODE: dict[str, ChartRow] = {row.code: row for row in CHART}
# No row of the matrix posts to these by itself; why that is right.
UNPOSTED: dict[str, str] = {
    "2600": "presentation: a PSP clearing account in credit is shown here, nothing is posted",
    "3000": "computed: the result of earlier fiscal years, so that a reopened month stays right",
    "3900": "opening balances are taken over once, by adjustment.manual",
}
# Revalued at the end of a period when kept in another currency; FX clearing is nil by nature.
MONETARY: frozenset[str] = frozenset(
    row.code for row in CHART if row.kind in ("asset", "liability") and row.code != "1900"
)


def ensure_chart(book: Book) -> int:
    """Create the accounts the book does not have yet; answers how many. Repeating is harmless."""
    known = set(Account.objects.filter(book=book).values_list("code", flat=True))
    missing = [
        Account(book=book, code=row.code, name=row.name, kind=row.kind, party_kind=row.party_kind)
        for row in CHART
        if row.code not in known
    ]
    if missing:
        bulk_create_with_history(missing, Account, default_change_reason="chart of accounts")
    return len(missing)
