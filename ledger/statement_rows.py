"""Where every account of the chart stands in the statements: one frozen row per line (LJ-19, RP-1).

Owns sections, lines and their words, and which balances are shown elsewhere because of their side
(a PSP we owe, a seller who owes us). Never holds an amount. Each account stands on exactly one
line; an account that stands on none is an error the statements show, never an "other" (RP-4).
"""

from __future__ import annotations

from dataclasses import dataclass

BALANCE_SHEET = "balance_sheet"
INCOME = "income_statement"
MEMO = "memo"
ASSETS, LIABILITIES, EQUITY = "Assets", "Liabilities", "Equity"
DEBIT, CREDIT = "debit", "credit"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement; `less` are its accounts that reduce it (allowances)."""

    key: str
    words: str
    accounts: tuple[str, ...]
    less: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under one heading; `side` is the half of the balance sheet, "" elsewhere.

    `subtotal` names what the income statement has come to below this section.
    """

    words: str
    lines: tuple[Line, ...]
    side: str = ""
    subtotal: str = ""


@dataclass(frozen=True, slots=True)
class Presented:
    """Balances of one party on this side of the account are shown on another line."""

    account: str
    side: str
    line: str
    words: str


RETAINED, CURRENT = "retained_earnings", "current_result"
SOURCES = "liabilities_and_equity"

BALANCE_SHEET_SECTIONS: tuple[Section, ...] = (
    Section(
        "Cash",
        (
            Line("cash_at_bank", "Cash at bank", ("1000",)),
            Line("safeguarded_cash", "Safeguarded cash", ("1010",)),
        ),
        ASSETS,
    ),
    Section(
        "Held by payment providers",
        (
            Line("psp_balances", "Balances at PSPs", ("1100",)),
            Line("connected_accounts", "Connected-account balances", ("1105",)),
            Line("psp_reserves", "Reserves PSPs hold against us", ("1120",)),
        ),
        ASSETS,
    ),
    Section(
        "Money in transit to us",
        (
            Line("settlements_in_transit", "Settlements in transit", ("1150",)),
            Line("own_transfers", "Own transfers in transit", ("1050",)),
        ),
        ASSETS,
    ),
    Section(
        "Receivables",
        (
            Line("returned_payouts_receivable", "Returned payouts receivable", ("1200",)),
            Line("refund_returns_receivable", "Refund returns receivable", ("1210",)),
            Line("seller_receivable", "Seller receivable, less allowance", ("1250",), ("1259",)),
            Line("disputed_funds", "Disputed funds, less allowance", ("1300",), ("1390",)),
        ),
        ASSETS,
    ),
    Section(
        "Other assets",
        (
            Line("input_tax", "Input tax", ("1450",)),
            Line("fx_clearing", "FX clearing", ("1900",)),
            Line("unidentified_payments", "Unidentified payments", ("1910",)),
        ),
        ASSETS,
    ),
    Section(
        "Owed to sellers",
        (
            Line("seller_payable", "Seller payable", ("2000",)),
            Line("payouts_in_transit", "Payouts in transit", ("2100",)),
            Line("returned_payouts_payable", "Returned payouts payable, case open", ("2200",)),
            Line("returns_awaiting_case", "Returns awaiting a case", ("2910",)),
            Line("seller_reserves", "Reserves held on sellers", ("2300",)),
            Line("dispute_holds", "Dispute holds on sellers", ("2310",)),
        ),
        LIABILITIES,
    ),
    Section(
        "Owed to customers",
        (
            Line("refunds_in_transit", "Refunds in transit", ("2110",)),
            Line("customer_refunds_payable", "Customer refunds payable", ("2150",)),
        ),
        LIABILITIES,
    ),
    Section(
        "Owed to payment providers",
        (
            Line("due_to_psps", "Due to PSPs", ("2600",)),
            Line("accrued_psp_fees", "Accrued PSP fees", ("2450",)),
        ),
        LIABILITIES,
    ),
    Section(
        "Tax",
        (
            Line("tax_on_fee", "Tax on our fee", ("2500",)),
            Line("tax_for_others", "Tax collected for others", ("2510",)),
        ),
        LIABILITIES,
    ),
    Section(
        "Other liabilities",
        (
            Line("unclaimed_funds", "Unclaimed funds", ("2250",)),
            Line("unidentified_receipts", "Unidentified receipts", ("2900",)),
        ),
        LIABILITIES,
    ),
    Section(
        "Equity",
        (
            Line("opening_balances", "Opening balances", ("3900",)),
            Line(RETAINED, "Retained earnings", ("3000",)),
            Line(CURRENT, "Result of the current fiscal year", ()),
        ),
        EQUITY,
    ),
)
INCOME_SECTIONS: tuple[Section, ...] = (
    Section(
        "Revenue",
        (
            Line("platform_fees", "Platform fees, net of tax", ("4000",)),
            Line("gross_sales", "Gross sales", ("4010",)),
            Line("goodwill_refunds", "Goodwill refunds", ("4090",)),
            Line("fees_recharged", "Fees recharged to sellers", ("4100",)),
        ),
    ),
    Section(
        "Cost of revenue",
        (
            Line("cost_of_sales", "Cost of sales", ("5010",)),
            Line("psp_fees", "PSP fees", ("5000",)),
            Line("payout_fees", "Payout fees", ("5050",)),
        ),
        subtotal="Gross margin",
    ),
    Section(
        "Losses and operating cost",
        (
            Line("chargeback_loss", "Chargeback loss", ("5100",)),
            Line("dispute_fees", "Dispute fees", ("5150",)),
            Line("write_offs", "Write-offs", ("5200",)),
            Line("credit_loss", "Credit loss", ("5300",)),
            Line("bank_fees", "Bank fees", ("5250",)),
            Line("penny_differences", "Penny differences with PSP or bank", ("5950",)),
        ),
    ),
    Section(
        "Other income",
        (Line("other_income", "Other income", ("4960",)),),
        subtotal="Operating result",
    ),
    Section(
        "Financial result",
        (
            Line("interest_income", "Interest income", ("4950",)),
            Line("fx_gain", "Realised FX gain", ("4900",)),
            Line("fx_loss", "Realised FX loss", ("5900",)),
            Line("fx_markup", "FX markup", ("5060",)),
            Line("revaluation_gain", "FX revaluation gain", ("4910",)),
            Line("revaluation_loss", "FX revaluation loss", ("5910",)),
        ),
        subtotal="Result",
    ),
)
MEMO_SECTION = Section(
    "Off balance sheet",
    (
        Line("authorised", "Authorised payments", ("9100",)),
        Line("authorised_counter", "Authorised payments, counter account", ("9200",)),
    ),
)
PRESENTED: tuple[Presented, ...] = (
    Presented("1100", CREDIT, "due_to_psps", "PSP clearing in credit"),
    Presented("2000", DEBIT, "seller_receivable", "Sellers in debit"),
)

STATEMENT_SECTIONS: dict[str, tuple[Section, ...]] = {
    BALANCE_SHEET: BALANCE_SHEET_SECTIONS,
    INCOME: INCOME_SECTIONS,
    MEMO: (MEMO_SECTION,),
}


def accounts_of(line: Line) -> tuple[str, ...]:
    return (*line.accounts, *line.less)


LINE_OF: dict[str, Line] = {
    code: line
    for sections in STATEMENT_SECTIONS.values()
    for section in sections
    for line in section.lines
    for code in accounts_of(line)
}
INCOME_ACCOUNTS = frozenset(
    code for section in INCOME_SECTIONS for line in section.lines for code in accounts_of(line)
)
PRESENTED_AT: dict[str, tuple[Presented, ...]] = {
    line: tuple(each for each in PRESENTED if each.line == line)
    for line in {each.line for each in PRESENTED}
}
PRESENTED_FROM: dict[str, Presented] = {each.account: each for each in PRESENTED}
