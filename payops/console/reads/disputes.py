"""What the dispute screens show: the queue by deadline, and one dispute with all around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils.safestring import SafeString

from payops.cases.models import Case
from payops.console import dispute_wording, svg, wording
from payops.console.changes import Change, changes_of
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads import related
from payops.console.reads.payouts import account_q, accounts_of, key_of
from payops.console.reads.related import ApprovalRow, EntryRow
from payops.console.templatetags.payops_tags import money_text
from payops.core.models import Book
from payops.flows.disputes import postings as dispute_postings
from payops.payments.models import Dispute, Refund
from payops.webhooks.models import ProviderEvent

SOON = timedelta(hours=48)
LIVE = (Dispute.State.INQUIRY, Dispute.State.OPEN, Dispute.State.UNDER_REVIEW)
ANSWER_WANTED = (Dispute.State.INQUIRY, Dispute.State.OPEN)
LABELS = {
    "provider_ref": "Provider's reference",
    "amount_minor": "Amount (minor units)",
    "provider_status": "Provider's status",
    "reason_code": "Reason",
    "refundable": "Charge may be refunded",
    "borne_by": "Borne by",
    "round": "Round",
    "hold_minor": "Held on the seller (minor units)",
    "refunded_before_minor": "Refunded before (minor units)",
    "evidence_due_at": "Evidence due",
    "evidence_sent_at": "Evidence sent",
    "withdrawn_at": "Money taken",
    "returned_at": "Money back",
    "decided_at": "Decided",
}
CSV: Columns = (
    ("id", "public_id"),
    ("provider_ref", "provider_ref"),
    ("state", "state"),
    ("amount", "amount"),
    ("currency", "currency"),
    ("reason", "reason_code"),
    ("charge", "payment.merchant_ref"),
    ("charge_ref", "payment.provider_ref"),
    ("beneficiary_ref", "payment.beneficiary.reference"),
    ("provider", "account.provider"),
    ("account", "account.slug"),
    ("round", "round"),
    ("borne_by", "borne_by"),
    ("hold_minor", "hold_minor"),
    ("refunded_before_minor", "refunded_before_minor"),
    ("opened_at", "opened_at"),
    ("evidence_due_at", "evidence_due_at"),
    ("evidence_sent_at", "evidence_sent_at"),
    ("withdrawn_at", "withdrawn_at"),
    ("returned_at", "returned_at"),
    ("decided_at", "decided_at"),
)
DEADLINES = (("soon", "Within 48 hours"), ("over", "Missed"), ("open", "Answer awaited"))
# Where people hand in evidence; {0} is the provider's reference.
CONSOLES = {
    ("stripe", False): "https://dashboard.stripe.com/test/disputes/{0}",
    ("stripe", True): "https://dashboard.stripe.com/disputes/{0}",
    ("adyen", False): "https://ca-test.adyen.com/ca/ca/disputes/showDispute.shtml?pspReference={0}",
    ("adyen", True): "https://ca-live.adyen.com/ca/ca/disputes/showDispute.shtml?pspReference={0}",
    ("paypal", False): "https://www.sandbox.paypal.com/resolutioncenter/view/{0}",
    ("paypal", True): "https://www.paypal.com/resolutioncenter/view/{0}",
}


def controls(book: Book) -> list[Control]:
    states = [("live", "Live"), *((v, wording.state(v)) for v in Dispute.State.values)]
    return [
        Control("state", "State", "select", choices(states)),
        Control("deadline", "Deadline", "select", choices(list(DEADLINES))),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
        Control("q", "Reference", placeholder="Dispute or charge"),
        Control("twice", "Paid twice", "check"),
    ]


def listed(book: Book, wanted: Filters, *, now: datetime) -> QuerySet[Dispute]:
    rows = Dispute.objects.filter(book=book).select_related(
        "account", "payment__beneficiary", "book"
    )
    if wanted["state"] == "live":
        rows = rows.filter(state__in=LIVE)
    elif wanted["state"]:
        rows = rows.filter(state=wanted["state"])
    if wanted["deadline"]:
        rows = rows.filter(_deadline_q(wanted["deadline"], now))
    rows = rows.filter(account_q(wanted["provider"]))
    if wanted["q"]:
        rows = rows.filter(_reference_q(wanted["q"]))
    return rows.filter(refunded_before_minor__gt=0) if wanted["twice"] else rows


def _deadline_q(which: str, now: datetime) -> Q:
    awaited = Q(state__in=ANSWER_WANTED, evidence_sent_at=None)
    return (
        awaited
        & {
            "soon": Q(evidence_due_at__gt=now, evidence_due_at__lte=now + SOON),
            "over": Q(evidence_due_at__lte=now),
            "open": Q(),
        }[which]
    )


def _reference_q(text: str) -> Q:
    for prefix, column in (("dp", "pk"), ("pa", "payment")):
        key = key_of(prefix, text)
        if key is not None:
            return Q(**{column: key})
    return (
        Q(provider_ref__startswith=text)
        | Q(payment__provider_ref__startswith=text)
        | Q(payment__merchant_ref__istartswith=text)
    )


@dataclass(frozen=True, slots=True)
class Share:
    """One row of the table beside the picture."""

    label: str
    minor: int
    words: str
    tone: str


@dataclass(frozen=True, slots=True)
class DisputePage:
    """Everything the page of one dispute shows."""

    dispute: Dispute
    banners: list[wording.Words]
    turn: str
    money: list[Share]
    picture: SafeString
    cases: list[Case]
    approvals: list[ApprovalRow]
    refunds: list[Refund]
    events: list[ProviderEvent]
    entries: list[EntryRow]
    changes: list[Change]
    facts: list[Fact]
    console: str
    others: list[Dispute]

    @property
    def is_live(self) -> bool:
        return self.dispute.state in LIVE

    @property
    def has_moved(self) -> bool:
        return self.dispute.withdrawn_at is not None


def query() -> QuerySet[Dispute]:
    return Dispute.objects.select_related("account", "book", "payment__beneficiary")


def page(dispute: Dispute, *, now: datetime) -> DisputePage:
    book, public_id = dispute.book, dispute.public_id
    subjects = [dispute_postings.subject_of(dispute, n + 1) for n in range(dispute.round + 1)]
    told = Q(subject_id=public_id) | Q(object_id=dispute.provider_ref, account=dispute.account_id)
    refunds = Refund.objects.filter(payment=dispute.payment).select_related("requested_by")
    shares = money_of(dispute)
    return DisputePage(
        dispute=dispute,
        banners=dispute_wording.wrong(dispute, now=now),
        turn=dispute_wording.look_of(dispute).turn,
        money=shares,
        picture=picture_of(dispute, shares),
        cases=related.cases(book=book, subject_ids=[public_id]),
        approvals=related.approvals(book=book, subject_ids=[public_id]),
        refunds=list(refunds.order_by("created_at")),
        events=related.events(book=book, where=told),
        entries=related.entries(book=book, subject_ids=subjects),
        changes=changes_of(dispute, LABELS),
        facts=_facts(dispute),
        console=console_of(dispute),
        others=list(
            Dispute.objects.filter(payment=dispute.payment)
            .exclude(pk=dispute.pk)
            .order_by(F("opened_at").desc())
        ),
    )


def money_of(dispute: Dispute) -> list[Share]:
    """Where the disputed money is, and who carries it meanwhile."""
    out = dispute.withdrawn_at is not None and dispute.returned_at is None
    split = dispute.rounds[-1] if dispute.rounds else {}
    live = out or dispute.state in LIVE
    fees = sum(int(each.get("fee", 0)) for each in dispute.rounds)
    lost = dispute.state == Dispute.State.LOST and out
    rows = [
        Share("Disputed", dispute.amount_minor, "of the charge", "info"),
        Share(
            "At provider",
            dispute.amount_minor if out else 0,
            "taken from our balance there" if out else "nothing is taken",
            "bad" if out else "quiet",
        ),
        Share(
            "Returned",
            dispute.amount_minor if dispute.returned_at else 0,
            "given back to our balance",
            "good",
        ),
    ]
    if split.get("hold"):
        words = "borne by the seller" if lost else "held on the seller" if live else "released"
        rows.append(Share("Seller", int(split["hold"]), words, "warn" if live else "quiet"))
    if split.get("platform_fee"):
        words = "of our fee given back" if lost else "of our fee at stake" if live else "kept"
        share = int(split["platform_fee"]) + int(split.get("fee_tax", 0))
        rows.append(Share("Our fee", share, words, "warn" if live else "quiet"))
    if split.get("allowance"):
        words = "borne by us" if lost else "set aside by us" if live else "taken back"
        rows.append(Share("Platform", int(split["allowance"]), words, "warn" if live else "quiet"))
    if dispute.refunded_before_minor:
        words = "had been refunded before"
        rows.append(Share("Refunded", dispute.refunded_before_minor, words, "bad"))
    if fees:
        rows.append(Share("Dispute fee", fees, "charged by the provider", "bad"))
    return rows


def picture_of(dispute: Dispute, shares: Sequence[Share]) -> SafeString:
    bars = [
        svg.Bar(s.label, s.minor, money_text(s.minor, dispute.currency), s.tone) for s in shares
    ]
    return svg.ageing_bars(bars=bars, title="The disputed money", name="dispute-money")


def console_of(dispute: Dispute) -> str:
    """The provider's own page of it, where one is known."""
    account = dispute.account
    found = CONSOLES.get((account.provider, account.live), "")
    return found.format(dispute.provider_ref)


def _facts(dispute: Dispute) -> list[Fact]:
    payment = dispute.payment
    freed = {True: "yes", False: "no", None: ""}[dispute.refundable]
    return facts_of(
        id_fact("Dispute", dispute.public_id),
        id_fact("Provider's reference", dispute.provider_ref),
        id_fact("Charge", payment.public_id),
        id_fact("Charge at the provider", payment.provider_ref),
        Fact("Provider account", dispute.account.address),
        Fact("Reason", dispute.reason_code, "mono"),
        Fact("Provider's status", dispute.provider_status, "mono"),
        Fact("Refunds allowed there", freed),
        Fact("Borne by", f"the {dispute.borne_by}"),
        Fact("Round", dispute.round),
        id_fact("Movement", dispute.movement_ref),
        Fact("Opened", dispute.opened_at, "when"),
        Fact("Evidence due", dispute.evidence_due_at, "when"),
        Fact("Evidence sent", dispute.evidence_sent_at, "when"),
        Fact("Money taken", dispute.withdrawn_at, "when"),
        Fact("Money back", dispute.returned_at, "when"),
        Fact("Decided", dispute.decided_at, "when"),
    )
