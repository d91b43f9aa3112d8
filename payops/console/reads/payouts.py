"""What the payout screens show: the list by its filters, and one payout with all around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals.models import ApprovalRequest
from compliance.models import GateDecision
from payops.cases.models import Case
from payops.console import wording
from payops.console.changes import PAYOUT_LABELS, Change, changes_of
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, amount_within, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads import related
from payops.console.reads.related import ApprovalRow, EntryRow, HoldRow
from payops.core.ids import UnknownId, parse
from payops.core.models import Book, ProviderAccount
from payops.payments.models import Beneficiary, Hold, Intent, Payout, ProviderCall
from payops.psp import registry
from payops.webhooks.models import ProviderEvent

CSV: Columns = (
    ("id", "public_id"),
    ("merchant_ref", "merchant_ref"),
    ("state", "state"),
    ("amount", "amount"),
    ("currency", "currency"),
    ("beneficiary", "beneficiary.name"),
    ("beneficiary_ref", "beneficiary.reference"),
    ("provider", "account.provider"),
    ("account", "account.slug"),
    ("provider_ref", "provider_ref"),
    ("held", lambda payout: "yes" if payout.held else "no"),
    ("failure_code", "failure_code"),
    ("requested_by", "requested_by.name"),
    ("requested_at", "created_at"),
    ("expected_on", "expected_on"),
    ("paid_at", "paid_at"),
    ("failed_at", "failed_at"),
)


def controls(book: Book) -> list[Control]:
    states = [(value, wording.state(value)) for value in Payout.State.values]
    return [
        Control("state", "State", "select", choices(states)),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
        Control("beneficiary", "Beneficiary", placeholder="Name or reference"),
        Control("min", "Amount from", "amount", placeholder="0.00"),
        Control("max", "Amount to", "amount"),
        Control("q", "Reference", placeholder="Begins with"),
        Control("held", "On hold", "check"),
    ]


def accounts_of(book: Book) -> list[tuple[str, str]]:
    rows = ProviderAccount.objects.filter(book=book, provider__in=registry.with_calls())
    rows = rows.order_by("provider", "slug")
    return [(account.address, account.address) for account in rows]


def listed(book: Book, wanted: Filters) -> QuerySet[Payout]:
    """Rows carry `held`: an open hold covers the payout or its beneficiary."""
    covering = Hold.objects.filter(
        Q(payout=OuterRef("pk")) | Q(beneficiary=OuterRef("beneficiary")), released_at=None
    )
    rows = Payout.objects.filter(book=book).select_related("account", "beneficiary", "requested_by")
    rows = rows.annotate(held=Exists(covering))
    if wanted["state"]:
        rows = rows.filter(state=wanted["state"])
    rows = rows.filter(account_q(wanted["provider"]))
    if wanted["beneficiary"]:
        rows = rows.filter(beneficiary_q(wanted["beneficiary"]))
    rows = rows.filter(amount_within("amount_minor", wanted.amount("min"), wanted.amount("max")))
    if wanted["q"]:
        rows = rows.filter(reference_q("po", wanted["q"]))
    return rows.filter(held=True) if wanted["held"] else rows


def account_q(address: str) -> Q:
    provider, _, slug = address.partition("/")
    return Q(account__provider=provider, account__slug=slug) if address else Q()


def beneficiary_q(text: str) -> Q:
    key = key_of("be", text)
    if key is not None:
        return Q(beneficiary=key)
    return Q(beneficiary__reference__iexact=text) | Q(beneficiary__name__icontains=text)


def reference_q(prefix: str, text: str) -> Q:
    """Our id, or the beginning of the merchant's or the provider's reference."""
    key = key_of(prefix, text)
    if key is not None:
        return Q(pk=key)
    return Q(merchant_ref__istartswith=text) | Q(provider_ref__startswith=text)


def key_of(prefix: str, text: str) -> Any:
    try:
        return parse(text, prefix)[1]
    except UnknownId:
        return None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider call as `parts/attempts.html` shows it (F21)."""

    number: int
    state: str
    started_at: Any
    duration_ms: int | None
    status: str
    error: str
    key: str
    request: Any
    response: Any
    next_at: Any = None


@dataclass(frozen=True, slots=True)
class PayoutPage:
    """Everything the page of one payout shows."""

    payout: Payout
    wrong: wording.Words
    turn: str
    holds: list[HoldRow]
    approvals: list[ApprovalRow]
    gates: list[GateDecision]
    intent: Intent | None
    attempts: list[Attempt]
    events: list[ProviderEvent]
    entries: list[EntryRow]
    cases: list[Case]
    changes: list[Change]
    reissued_as: Payout | None
    facts: list[Fact]


def query() -> QuerySet[Payout]:
    return Payout.objects.select_related(
        "account", "beneficiary", "book", "requested_by", "reissue_of", "reissued_as"
    )


def page(payout: Payout) -> PayoutPage:
    book, public_id = payout.book, payout.public_id
    holds = related.holds(Q(payout=payout) | Q(beneficiary=payout.beneficiary_id))
    cases = related.cases(book=book, subject_ids=[public_id])
    asked = related.approvals(
        book=book, subject_ids=[public_id, *(case.public_id for case in cases)]
    )
    intent = Intent.objects.filter(book=book, subject_id=public_id).first()
    subject = Q(subject_id=public_id)
    if payout.provider_ref:
        subject |= Q(object_id=payout.provider_ref, account=payout.account_id)
    return PayoutPage(
        payout=payout,
        wrong=wording.payout_wrong(payout, open_holds=sum(row.open for row in holds)),
        turn=wording.payout_turn(payout, _pending(asked)),
        holds=holds,
        approvals=asked,
        gates=list(
            GateDecision.objects.filter(book=book, payout_id=payout.pk).order_by("-created_at")
        ),
        intent=intent,
        attempts=attempts_of(intent),
        events=related.events(book=book, where=subject),
        entries=related.entries(book=book, subject_ids=[public_id]),
        cases=cases,
        changes=changes_of(payout, PAYOUT_LABELS),
        reissued_as=_reissued_as(payout),
        facts=_facts(payout),
    )


def _pending(asked: list[ApprovalRow]) -> ApprovalRow | None:
    pending = ApprovalRequest.State.PENDING
    return next((row for row in asked if row.request.state == pending), None)


def _reissued_as(payout: Payout) -> Payout | None:
    return getattr(payout, "reissued_as", None)


def attempts_of(intent: Intent | None) -> list[Attempt]:
    """Every call of an intent, of a payout or of a refund, oldest first (F21, RF-17)."""
    if intent is None:
        return []
    return [_attempt(call, intent) for call in intent.calls.order_by("attempt")]


def _attempt(call: ProviderCall, intent: Intent) -> Attempt:
    """Until its outcome is written, an attempt is on its way: nobody knows yet."""
    took = call.finished_at - call.created_at if call.finished_at else None
    kept = call.response_masked or {}
    return Attempt(
        number=call.attempt,
        state=call.outcome or "IN_PROGRESS",
        started_at=call.created_at,
        duration_ms=int(took.total_seconds() * 1000) if took is not None else None,
        status=str(call.status_code or ""),
        error=call.error_code,
        key=intent.idempotency_key,
        request={"operation": call.operation, **(kept.get("request") or call.request_masked)},
        response=kept.get("response", kept) or "",
    )


def _facts(payout: Payout) -> list[Fact]:
    seller: Beneficiary = payout.beneficiary
    return facts_of(
        id_fact("Payout", payout.public_id),
        Fact("Merchant reference", payout.merchant_ref, "id"),
        id_fact("Provider's reference", payout.provider_ref),
        Fact("Provider account", payout.account.address),
        Fact("Funded from", wording.value(payout.funding)),
        Fact("Bank details", seller.bank_masked, "mono"),
        Fact("Requested by", payout.requested_by.name),
        Fact("Requested through", wording.value(payout.source)),
        Fact("Requested", payout.created_at, "when"),
        Fact("Sent", payout.initiated_at, "when"),
        Fact("Expected", payout.expected_on, "when"),
        Fact("Paid", payout.paid_at, "when"),
        Fact("Failed", payout.failed_at, "when"),
        Fact("Money back", payout.money_back_at, "when"),
        Fact("Verified terminal", payout.verified_terminal_at, "when"),
        Fact("Failure code", payout.failure_code, "mono"),
        Fact("Bank trace", payout.trace_reference, "id" if payout.trace_reference else "text"),
        id_fact("Approval", payout.approval_id),
    )
