"""A textbook month, March 2026, in a EUR book: every statement has figures, all computed by hand.

Sellers A, B, C, D; one provider account; a main bank account and a safeguarding one. Amounts are
minor units. The sums below are an accountant's, not the product's; the tests compare the two.

TRIAL BALANCE in EUR (C = in credit)
 1000 cash at bank     1,640.00 settlement - 500.00 payout + 500.00 returned - 500.00 paid again
                       - 5.00 payout fee + 82.00 unidentified + 3.00 interest
                       - 400.00 to safeguarding - 9.00 unidentified debit        =    811.00
 1010 safeguarded      400.00                                                    =    400.00
 1100 PSP clearing     1,200 - 36 + 800 - 20 + 500 - 300 - 1,644 - 500 - 15 + 905 (from dollars)
                       - 15 - 50 - 600; dollars: 1,000 - 1,000                   =    225.00
 1120 PSP reserve      50.00                                                     =     50.00
 1150 in transit       1,644 - 1,644 + 600 (second batch, banked in April)       =    600.00
 1250 seller owes      15.00 (D)            1259 allowance 5.00 C                =     10.00
 1450 input tax        6.00                                                      =      6.00
 1900 FX clearing      901.60 - 905.00 + 3.40 (USD 980.00 and EUR 901.60 C)      =      0.00
 1910 unidentified     9.00                                                      =      9.00
 1050, 1200, 1300, 1390, 2100, 2200 went up and came back                        =      0.00
 2000 seller payable   A 1,080 + 450 - 270 - 500 = 760.00; B 720 - 100 + 70 = 690.00;
                       C USD 900 at 0.93 = 837.00; D 0.00                        =  2,287.00 C
 2110 refunds on way   10.00 (goodwill, not out yet)                             =     10.00 C
 2300 reserves held    100.00 (B)                                                =    100.00 C
 2450 accrued fees     7.00                                                      =      7.00 C
 2500 tax on our fee   20.00 - 5.00                                              =     15.00 C
 2900 unidentified     82.00 - 70.00                                             =     12.00 C
 4000 platform fees    100 + 80 + 50 - 25 + USD 100 at 0.92 = 92                 =    297.00 C
 4090 goodwill         10.00        4100 recharged   15.00 C
 4900 FX gain          3.40 C       4950 interest     3.00 C
 5000 PSP fees         30 + 20 + 15 + 7 accrued                                  =     72.00
 5050 payout fees 5.00 · 5060 FX markup USD 20 at 0.92 = 18.40 · 5100 chargeback 500.00
 5150 dispute fees 15.00 · 5250 bank fees 4.00 · 5300 credit loss 5.00
 5910 revaluation      USD 900 owed at 0.93 instead of 0.92                      =      9.00

INCOME STATEMENT    revenue 297.00 - 10.00 + 15.00 + 3.40 + 3.00                 =    308.40
                    expense 72.00 + 5.00 + 18.40 + 500.00 + 15.00 + 4.00 + 5.00 + 9.00
                                                                                 =    628.40
                    result                                                       =  - 320.00
BALANCE SHEET       assets 811 + 400 + 225 + 50 + 600 + 10 + 6 + 9               =  2,111.00
                    liabilities 2,287 + 10 + 100 + 7 + 15 + 12                   =  2,431.00
                    equity, the result                                           =  - 320.00
                    2,431.00 - 320.00                                            =  2,111.00
CASH FLOW (1000 and 1010; what a PSP holds is not cash)
                    settlements 1,640.00 · paid to sellers - 1,000.00 · returned by sellers' banks
                    500.00 · fees - 5.00 · unidentified 82.00 - 9.00 = 73.00 · interest 3.00
                    operating                                                    =  1,211.00
                    own transfers - 400.00 + 400.00                              =      0.00
                    from nil to 811.00 + 400.00                                  =  1,211.00

What a person decides (an opening taken over, a write-off) is not in it: it needs an approval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import transaction

from ledger.accounts import ensure_chart
from ledger.matrix import legs
from ledger.matrix_row import Leg
from ledger.posting import Posting, Refs, post_many
from payops.core.actors import service
from payops.core.models import Book
from tests.rates import known_rate

PSP = "stripe/golden"
BANK = "main"
RATES = {20: "0.9200", 31: "0.9300"}
AFTER = datetime(2026, 4, 1, 9, 0, tzinfo=UTC)
APPROVAL = "ap_" + "0" * 32

# Per account in the book's reporting currency, EUR: debit positive.
EXPECTED_TRIAL: dict[str, int] = {
    "1000": 81_100,
    "1010": 40_000,
    "1100": 22_500,
    "1120": 5_000,
    "1150": 60_000,
    "1250": 1_500,
    "1259": -500,
    "1450": 600,
    "1910": 900,
    "2000": -228_700,
    "2110": -1_000,
    "2300": -10_000,
    "2450": -700,
    "2500": -1_500,
    "2900": -1_200,
    "4000": -29_700,
    "4090": 1_000,
    "4100": -1_500,
    "4900": -340,
    "4950": -300,
    "5000": 7_200,
    "5050": 500,
    "5060": 1_840,
    "5100": 50_000,
    "5150": 1_500,
    "5250": 400,
    "5300": 500,
    "5910": 900,
}
# Where dollars stand, in their own minor units; every other line of the month is in EUR.
EXPECTED_USD: dict[str, int] = {
    "1900": 98_000,
    "2000": -90_000,
    "4000": -10_000,
    "5060": 2_000,
}
EXPECTED_EUR: dict[str, int] = {
    **{code: minor for code, minor in EXPECTED_TRIAL.items() if code not in ("5060", "5910")},
    "1900": -90_160,
    "2000": -145_000,
    "4000": -20_500,
}
EXPECTED_CASH_FLOW: dict[str, int] = {
    "settlements": 164_000,
    "sellers_paid": -100_000,
    "sellers_returned": 50_000,
    "fees_paid": -500,
    "unidentified": 7_300,
    "interest": 300,
    "own_transfer": 0,
}
EXPECTED_REVENUE = 30_840
EXPECTED_EXPENSE = 62_840
EXPECTED_RESULT = -32_000
EXPECTED_ASSETS = 211_100
EXPECTED_LIABILITIES = 243_100
EXPECTED_EQUITY = -32_000
EXPECTED_CASH = 121_100


def subject(prefix: str, number: int) -> str:
    return f"{prefix}_{number:032x}"


P1, P2, P3, P4 = (subject("pa", n) for n in (1, 2, 3, 4))
R1, R2 = subject("rf", 1), subject("rf", 2)
PO1, PO2 = subject("po", 1), subject("po", 2)
D1 = subject("dp", 1)
B1, B2 = subject("sb", 1), subject("sb", 2)


@dataclass(frozen=True)
class Step:
    day: int
    event_class: str
    subject: str
    amounts: dict[str, int] = field(default_factory=dict)
    variant: str = ""
    seller: str = "A"
    currency: str = "EUR"
    bank: str = BANK
    refs: dict[str, str] = field(default_factory=dict)
    legs: tuple[Leg, ...] = ()


def amount(minor: int) -> dict[str, int]:
    return {"amount": minor}


CONVERSION = (
    Leg("1100", -100_000, "USD", PSP, reporting_minor=-92_000),
    Leg("5060", 2_000, "USD", reporting_minor=1_840),
    Leg("1900", 98_000, "USD", reporting_minor=90_160),
    Leg("1100", 90_500, "EUR", PSP, reporting_minor=90_500),
    Leg("4900", -340, "EUR", reporting_minor=-340),
    Leg("1900", -90_160, "EUR", reporting_minor=-90_160),
)
REVALUATION = (
    Leg("2000", 0, "USD", "C", reporting_minor=-900),
    Leg("5910", 0, "EUR", reporting_minor=900),
)
SALE_1 = {"gross": 120_000, "seller_share": 108_000, "platform_fee": 10_000, "fee_tax": 2_000}
SALE_2 = {"gross": 80_000, "seller_share": 72_000, "platform_fee": 8_000}
SALE_3 = {"gross": 50_000, "seller_share": 45_000, "platform_fee": 5_000}
SALE_4 = {"gross": 100_000, "seller_share": 90_000, "platform_fee": 10_000}
REFUND_1 = {"seller_share": 27_000, "platform_fee": 2_500, "fee_tax": 500, "amount": 30_000}

MONTH: tuple[Step, ...] = (
    Step(2, "payment.captured", P1, SALE_1),
    Step(2, "fee.charged", P1, {"fee": 3_000, "input_tax": 600, "total": 3_600}),
    Step(3, "payment.captured", P2, SALE_2, seller="B"),
    Step(3, "fee.charged", P2, {"fee": 2_000, "total": 2_000}),
    Step(4, "payment.captured", P3, SALE_3),
    Step(5, "refund.accepted", R1, REFUND_1, refs={"payment_id": P1, "refund_id": R1}),
    Step(6, "refund.succeeded", R1, amount(30_000), refs={"payment_id": P1, "refund_id": R1}),
    Step(9, "settlement.closed", B1, {"net": 164_400}),
    Step(10, "settlement.received", B1, {"received": 164_000, "bank_fee": 400, "net": 164_400}),
    Step(10, "reserve.held", subject("be", 2), amount(10_000), seller="B"),
    Step(11, "payout.initiated", PO1, amount(50_000)),
    Step(12, "payout.paid", PO1, amount(50_000), "bank"),
    Step(13, "payout.returned", PO1, amount(50_000)),
    Step(16, "payout.return_received", PO1, amount(50_000), "bank"),
    Step(16, "payout.released", PO1, amount(50_000)),
    Step(17, "payout.initiated", PO2, amount(50_000)),
    Step(18, "payout.paid", PO2, amount(50_000), "bank"),
    Step(18, "fee.charged", PO2, {"fee": 500, "total": 500}, "billed_payout_fee"),
    Step(
        19,
        "dispute.funds_withdrawn",
        D1,
        {"amount": 50_000, "allowance": 50_000},
        "platform",
        refs={"payment_id": P3, "dispute_id": D1},
    ),
    Step(19, "fee.charged", D1, {"fee": 1_500, "total": 1_500}, "dispute_fee"),
    Step(20, "payment.captured", P4, SALE_4, seller="C", currency="USD"),
    Step(23, "fx.converted", subject("fx", 1), legs=CONVERSION),
    Step(
        24,
        "dispute.lost",
        D1,
        {"amount": 50_000, "allowance": 50_000},
        "platform",
        refs={"payment_id": P3, "dispute_id": D1},
    ),
    Step(25, "receipt.unidentified", subject("bl", 1), amount(8_200)),
    Step(26, "fee.charged", subject("be", 4), {"fee": 1_500, "total": 1_500}),
    Step(26, "fee.recharged", subject("be", 4), {"fee": 1_500, "total": 1_500}, seller="D"),
    Step(27, "receipt.identified", subject("bl", 1), amount(7_000), "seller", seller="B"),
    Step(27, "debit.unidentified", subject("bl", 2), amount(900)),
    Step(27, "refund.accepted", R2, amount(1_000), "goodwill", "B", refs={"payment_id": P2}),
    Step(30, "bank.interest", subject("bl", 3), amount(300)),
    Step(30, "bank.own_transfer", subject("bl", 4), amount(40_000)),
    Step(31, "bank.own_transfer", subject("bl", 5), amount(40_000), "safeguarded", bank="guarded"),
    Step(30, "settlement.closed", B2, {"net": 60_000}),
    Step(31, "psp.reserve_held", subject("sb", 3), amount(5_000)),
    Step(31, "fee.accrued", f"{PSP} 2026-03", {"fee": 700}),
    Step(31, "seller.debt_reclassed", "D 2026-03", amount(1_500), seller="D"),
    Step(31, "seller.debt_reclassed", "D 2026-03", amount(500), "allowance", seller="D"),
    Step(31, "fx.revalued", "2000 USD 2026-03", legs=REVALUATION),
)


def new_book() -> Book:
    """A EUR book with its chart and nothing in it; the accounting year is the calendar's."""
    book = Book.objects.create(code="golden", name="Golden month", reporting_currency="EUR")
    ensure_chart(book)
    return book


def post_month(book: Book) -> None:
    """Post the whole month through the ledger, each step on its day, as one batch."""
    for day, rate in RATES.items():
        known_rate("USD", "EUR", rate, as_of=_at(day, hour=8), source="golden")
    postings = [_posting(book, number, step) for number, step in enumerate(MONTH, start=1)]
    with transaction.atomic():
        post_many(postings, actor=service("golden-month"), now=AFTER)


def _posting(book: Book, number: int, step: Step) -> Posting:
    returned = step.event_class == "payout.returned"
    approval = {"approval_id": APPROVAL} if returned else {}
    return Posting(
        book=book,
        event_class=step.event_class,
        subject_id=step.subject,
        movement_ref=f"step {number}",
        legs=step.legs
        or legs(
            step.event_class,
            variant=step.variant,
            amounts=step.amounts,
            currency=step.currency,
            parties={
                "seller": step.seller,
                "provider_account": PSP,
                "bank_account": step.bank,
                "dispute": D1,
            },
        ),
        occurred_at=_at(step.day),
        description=f"Step {number}: {step.event_class}",
        template="payout.returned" if returned else "",
        refs=Refs(**{**approval, **step.refs}),
    )


def _at(day: int, hour: int = 10) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)
