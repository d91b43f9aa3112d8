"""The tags of the cash flow statement: why cash moved, one closed table (LJ-6, RP-1).

Every line on a cash account carries one; PSP balances are not cash, by stated policy. Owns the
sections and their words, never an amount.
"""

from __future__ import annotations

from dataclasses import dataclass

CASH_ACCOUNTS = frozenset({"1000", "1010"})
OPERATING = "operating"
INVESTING = "investing"
FINANCING = "financing"
INTERNAL = "internal"
RATES = "effect of rates"
SECTIONS = {
    OPERATING: "Operating activities",
    INVESTING: "Investing activities",
    FINANCING: "Financing activities",
    RATES: "Effect of exchange rates on cash",
    INTERNAL: "Between our own cash accounts (nil in sum)",
}


@dataclass(frozen=True, slots=True)
class Tag:
    key: str
    section: str
    words: str


TAGS: tuple[Tag, ...] = (
    Tag("settlements", OPERATING, "Settlements received from PSPs"),
    Tag("settlements_recalled", OPERATING, "Settlements taken back by PSPs"),
    Tag("psp_funding", OPERATING, "Paid to PSP balances"),
    Tag("sellers_paid", OPERATING, "Paid to sellers"),
    Tag("sellers_returned", OPERATING, "Payouts to sellers that came back"),
    Tag("sellers_collected", OPERATING, "Collected from sellers"),
    Tag("customers_refunded", OPERATING, "Refunded to customers from the bank"),
    Tag("fees_paid", OPERATING, "Fees paid from the bank"),
    Tag("tax_remitted", OPERATING, "Tax remitted"),
    Tag("interest", OPERATING, "Interest received"),
    Tag("unidentified", OPERATING, "Unidentified receipts and payments"),
    Tag("other_operating", OPERATING, "Other operating"),
    Tag("investing", INVESTING, "Investing"),
    Tag("financing", FINANCING, "Owners and lenders"),
    Tag("rates", RATES, "Revaluation of cash in other currencies"),
    Tag("converted", INTERNAL, "Converted between currencies"),
    Tag("own_transfer", INTERNAL, "Between our own accounts"),
)
BY_KEY: dict[str, Tag] = {tag.key: tag for tag in TAGS}
