"""What the payment screens show: the list by its filters, and one payment with all around it.

The page of one payment is the charge page: what was captured, refunded, reserved and disputed of
it, now and over time. Serves RF-4, RF-10, D9.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from payops.cases.models import Case
from payops.console import wording
from payops.console.changes import PAYMENT_LABELS, Change, changes_of
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, amount_within, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads import charge_money, related
from payops.console.reads.charge_money import MoneyBar, MoneyOverTime
from payops.console.reads.payouts import account_q, accounts_of, beneficiary_q, reference_q
from payops.console.reads.related import EntryRow
from payops.core.models import Book
from payops.payments.models import Dispute, Payment, Refund
from payops.webhooks.models import ProviderEvent

RECORDS_MAX = 200

CSV: Columns = (
    ("id", "public_id"),
    ("merchant_ref", "merchant_ref"),
    ("provider_ref", "provider_ref"),
    ("state", "state"),
    ("amount", "amount"),
    ("captured_minor", "captured_minor"),
    ("refunded_minor", "refunded_minor"),
    ("reserved_minor", "reserved_minor"),
    ("fee_minor", "fee_minor"),
    ("platform_fee_minor", "platform_fee_minor"),
    ("currency", "currency"),
    ("beneficiary", "beneficiary.name"),
    ("beneficiary_ref", "beneficiary.reference"),
    ("provider", "account.provider"),
    ("account", "account.slug"),
    ("method", "method"),
    ("failure_code", "failure_code"),
    ("recorded_at", "created_at"),
    ("captured_at", "captured_at"),
)


def controls(book: Book) -> list[Control]:
    states = [(value, wording.state(value)) for value in Payment.State.values]
    return [
        Control("state", "State", "select", choices(states)),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
        Control("beneficiary", "Beneficiary", placeholder="Name or reference"),
        Control("min", "Amount from", "amount", placeholder="0.00"),
        Control("max", "Amount to", "amount"),
        Control("q", "Reference", placeholder="Begins with"),
    ]


def listed(book: Book, wanted: Filters) -> QuerySet[Payment]:
    rows = Payment.objects.filter(book=book).select_related("account", "beneficiary")
    if wanted["state"]:
        rows = rows.filter(state=wanted["state"])
    rows = rows.filter(account_q(wanted["provider"]))
    if wanted["beneficiary"]:
        rows = rows.filter(beneficiary_q(wanted["beneficiary"]))
    rows = rows.filter(amount_within("amount_minor", wanted.amount("min"), wanted.amount("max")))
    return rows.filter(reference_q("pa", wanted["q"])) if wanted["q"] else rows


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Everything the page of one payment shows."""

    payment: Payment
    wrong: wording.Words
    events: list[ProviderEvent]
    entries: list[EntryRow]
    cases: list[Case]
    changes: list[Change]
    facts: list[Fact]
    money: MoneyBar
    over_time: MoneyOverTime
    captures: list[EntryRow]
    refunds: list[Refund]
    disputes: list[Dispute]

    @property
    def blocking(self) -> list[Dispute]:
        """Disputes that stand against a refund now (D9)."""
        return [dispute for dispute in self.disputes if dispute.blocks_refunds]

    @property
    def may_be_refunded(self) -> bool:
        captured = self.payment.state == Payment.State.CAPTURED
        return captured and self.payment.refundable.minor > 0 and not self.blocking

    @property
    def why_not_refunded(self) -> str:
        """In words, "" where it can be refunded."""
        if self.may_be_refunded:
            return ""
        if self.payment.state != Payment.State.CAPTURED:
            return "Nothing is captured, so nothing can be refunded."
        if self.blocking:
            return (
                "A dispute stands against it: a refund would pay the customer twice. Answer the "
                "dispute; a won or closed one frees the charge."
            )
        return "Nothing is left: all of it is refunded or reserved."

    @property
    def seller_share_minor(self) -> int:
        return self.payment.captured_minor - self.payment.platform_fee_minor


def query() -> QuerySet[Payment]:
    return Payment.objects.select_related("account", "beneficiary", "book")


def page(payment: Payment) -> PaymentPage:
    book, public_id = payment.book, payment.public_id
    refunds = list(
        Refund.objects.filter(payment=payment)
        .select_related("requested_by")
        .order_by("created_at")[:RECORDS_MAX]
    )
    disputes = list(Dispute.objects.filter(payment=payment).order_by("opened_at")[:RECORDS_MAX])
    own = [public_id, *(row.public_id for row in [*refunds, *disputes])]
    told = Q(subject_id__in=own) | Q(object_id=payment.provider_ref, account=payment.account_id)
    entries = related.entries(book=book, subject_ids=own)
    return PaymentPage(
        payment=payment,
        wrong=wording.payment_wrong(payment),
        money=charge_money.bar_of(payment, disputed_minor=charge_money.disputed_minor(disputes)),
        over_time=charge_money.over_time(payment, refunds=refunds, disputes=disputes),
        captures=[row for row in entries if row.entry.event_class == "payment.captured"],
        refunds=refunds,
        disputes=disputes,
        events=related.events(book=book, where=told),
        entries=entries,
        cases=related.cases(book=book, subject_ids=own),
        changes=changes_of(payment, PAYMENT_LABELS),
        facts=facts_of(
            id_fact("Payment", payment.public_id),
            id_fact("Merchant reference", payment.merchant_ref),
            id_fact("Provider's reference", payment.provider_ref),
            Fact("Provider account", payment.account.address),
            Fact("Method", payment.method),
            Fact("Failure code", payment.failure_code, "mono"),
            Fact("Recorded", payment.created_at, "when"),
            Fact("Captured", payment.captured_at, "when"),
        ),
    )
