"""One payout's whole story as rows: P-10492, paid, then failed late, with its case and runbook.

Written below the flows on purpose: what reads a chain is tested against rows whose every value is
known. The guards of the database hold for all of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from approvals.hashing import content_hash_of
from approvals.models import ApprovalDecision, ApprovalRequest, PolicyVersion
from compliance.models import GateDecision
from ledger.models import Account, AccountingPeriod, JournalEntry, JournalLine, PostingKey
from payops.cases.models import (
    Case,
    CaseEntry,
    LocalMessage,
    LocalTicket,
    RunbookRun,
    RunbookStep,
    TicketLink,
)
from payops.core import audit, clock, crypto, ids, state
from payops.core.actors import Actor, service
from payops.core.models import AuditEvent, Book, ProviderAccount
from payops.core.money import Money
from payops.payments.models import Beneficiary, Hold, Intent, Payout, ProviderCall
from payops.webhooks.models import Delivery, Payload, ProviderEvent
from tests.people import actor, login, person

AMOUNT_MINOR = 1_240_000
BODY = b'{"id": "evt_late_failure", "type": "payout.failed"}'


@dataclass
class Story:
    """The rows; `at` moves one second with every act."""

    book: Book
    account: ProviderAccount
    seller: Beneficiary
    at: datetime
    payout: Payout = field(init=False)
    release: ApprovalRequest = field(init=False)
    resolution: ApprovalRequest = field(init=False)
    gate: GateDecision = field(init=False)
    intent: Intent = field(init=False)
    call: ProviderCall = field(init=False)
    event: ProviderEvent = field(init=False)
    receipts: list[Delivery] = field(default_factory=list)
    case: Case = field(init=False)
    hold: Hold = field(init=False)
    entries: list[JournalEntry] = field(default_factory=list)
    step: RunbookStep = field(init=False)
    ticket: TicketLink = field(init=False)

    @property
    def trace_id(self) -> str:
        return hashlib.sha256(self.payout.pk.bytes).hexdigest()[:32]

    def tick(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def save(self, row: Any, action: str, *, by: Actor | None = None, **more: Any) -> None:
        acting = by or service("payouts")
        state.save(row, actor=acting, now=self.tick(), action=action, **more)


def tell(*, merchant_ref: str = "P-10492", age: timedelta = timedelta(minutes=10)) -> Story:
    """The whole story, started `age` ago; must run where the guards let rows in."""
    story = Story(
        book=Book.objects.get(code="meridian"),
        account=ProviderAccount.objects.get(provider="stripe", slug="demo"),
        seller=Beneficiary.objects.get(reference="S-1003"),
        at=clock.utc_now() - age,
    )
    _requested(story, merchant_ref)
    _released(story)
    _sent_and_paid(story)
    _failed_late(story, receipts=12)
    _decided(story)
    return story


def reissue(story: Story) -> Payout:
    """The original verified terminal, then a second payout for the same money, as a draft."""
    story.payout.confirm_returned()
    story.payout.verified_terminal_at = story.tick()
    story.save(story.payout, "payout.returned")
    again = _payout(story, story.payout.merchant_ref, request_key="reissue-1")
    again.reissue_of = story.payout
    story.save(again, "payout.requested", by=actor("amara"))
    return again


def seal_all(story: Story | None = None) -> None:
    """Chain every row of this transaction, which the real sealer would leave until it is over."""
    known = AuditEvent.objects.filter(seal=None).order_by("created_at", "pk")
    waiting = list(known.values_list("pk", "content_hash"))
    audit._append_links(waiting, now=story.at if story else clock.utc_now())


def granted(
    story: Story, *, kind: str, subject_id: str, seats: dict[str, str], requester: str = "amara"
) -> ApprovalRequest:
    """An approved request; `seats` maps a seat to the login that decides in it."""
    facts = {"payout": subject_id}
    amount = Money(AMOUNT_MINOR, "EUR")
    version = PolicyVersion.objects.filter(book=story.book, name=f"approval.{kind}").first()
    assert version is not None
    request = ApprovalRequest(
        book=story.book,
        kind=kind,
        subject_id=subject_id,
        title=f"{kind} of {amount}",
        amount_minor=AMOUNT_MINOR,
        currency="EUR",
        reporting_minor=AMOUNT_MINOR,
        business_day=story.at.date(),
        facts=facts,
        content_hash=content_hash_of(kind, subject_id, facts, amount),
        requested_by=person(requester),
        requested_login=requester,
        requested_channel="browser",
        reason="as agreed",
        policy_version=version,
        tier="middle",
        rule_fired="5,000.00 to 50,000.00 EUR: finance manager and compliance",
        seats=list(seats),
        expires_at=story.at + timedelta(hours=72),
        created_at=story.at,
    )
    story.save(request, "approval.requested", by=actor(requester))
    for seat, username in seats.items():
        decide(request, seat=seat, username=username, at=story.tick())
    request.approve(at=story.tick())
    story.save(request, "approval.approved", by=actor(list(seats.values())[-1]))
    return request


def decide(request: ApprovalRequest, *, seat: str, username: str, at: datetime) -> None:
    user = login(username)
    ApprovalDecision(
        book=request.book,
        request=request,
        requester=request.requested_by,
        person=user.person,
        user=user,
        login=username,
        seat=seat,
        verdict="approve",
        reason="checked against the order",
        content_hash=request.content_hash,
        policy_version=request.policy_version.version,
        stepped_up_at=at,
        created_at=at,
    ).save(force_insert=True)


def post(story: Story, event_class: str, debit: str, credit: str, **refs: str) -> JournalEntry:
    """A balanced entry of the story's amount, written as the ledger writes it."""
    period = AccountingPeriod.objects.get(book=story.book, code=clock.period_of(story.at.date()))
    accounts = {a.code: a for a in Account.objects.filter(book=story.book)}
    line_ids = [ids.uuid7(), ids.uuid7()]
    key = f"meridian:{event_class}:{story.payout.public_id}:{story.payout.provider_ref}"
    entry = JournalEntry(
        book=story.book,
        period=period,
        event_class=event_class,
        matrix_version=1,
        idempotency_key=key,
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
        subject_id=story.payout.public_id,
        payout_id=story.payout.public_id,
        movement_ref=story.payout.provider_ref,
        description=event_class,
        posting_on=story.at.date(),
        occurred_at=story.at,
        posted_by="ledger",
        first_line_id=line_ids[0],
        created_at=story.tick(),
        **refs,
    )
    entry.save(force_insert=True)
    JournalLine.objects.bulk_create(
        [
            JournalLine(
                id=line_ids[i],
                book=story.book,
                entry=entry,
                position=i,
                account=accounts[code],
                amount_minor=sign * AMOUNT_MINOR,
                currency="EUR",
                reporting_minor=sign * AMOUNT_MINOR,
                posting_on=entry.posting_on,
            )
            for i, (code, sign) in enumerate(((debit, 1), (credit, -1)))
        ]
    )
    PostingKey.objects.create(
        book=story.book,
        key=key,
        fingerprint=entry.fingerprint,
        entry_id=entry.pk,
        created_at=story.at,
    )
    story.entries.append(entry)
    return entry


def receipt(
    story: Story, *, key: str, body: bytes, fingerprint: str = "f" * 64, duplicate: bool = False
) -> Delivery:
    data_key = crypto.data_key(book=story.book, scope="payloads:test")
    digest = hashlib.sha256(body).hexdigest()
    payload = Payload(
        book=story.book,
        sha256=digest,
        size_bytes=len(body),
        data_key=data_key,
        ciphertext=crypto.seal(data_key, body),
    )
    payload.save(force_insert=True)
    delivery = Delivery(
        book=story.book,
        account=story.account,
        dedupe_key=key,
        provider_event_id=key,
        fingerprint=fingerprint,
        payload=payload,
        sha256=digest,
        size_bytes=len(body),
        signature_ok=True,
        duplicate=duplicate,
        status_sent=200,
        trace_id=story.trace_id,
        created_at=story.tick(),
    )
    delivery.save(force_insert=True)
    return delivery


def _payout(story: Story, merchant_ref: str, *, request_key: str) -> Payout:
    return Payout(
        book=story.book,
        account=story.account,
        beneficiary=story.seller,
        amount_minor=AMOUNT_MINOR,
        currency="EUR",
        merchant_ref=merchant_ref,
        requested_by=person("amara"),
        request_key=request_key,
        bank_hash=story.seller.bank_hash,
        created_at=story.at,
    )


def _requested(story: Story, merchant_ref: str) -> None:
    story.payout = _payout(story, merchant_ref, request_key=f"request-{merchant_ref}")
    story.save(story.payout, "payout.requested", by=actor("amara"), reason="weekly payout")


def _released(story: Story) -> None:
    payout = story.payout
    story.release = granted(
        story,
        kind="payout_release",
        subject_id=payout.public_id,
        seats={"finance_manager": "marco", "compliance": "chen"},
    )
    payout.ask_approval(approval_id=story.release.public_id)
    story.save(payout, "payout.approval_requested", by=actor("amara"))
    payout.approve()
    story.save(payout, "payout.approved")
    story.gate = GateDecision(
        book=story.book,
        payout_id=payout.pk,
        passed=True,
        ruleset="gates v0",
        results=[{"gate": "details_verified", "outcome": "passed"}],
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        bank_hash=payout.bank_hash,
        approval_id=story.release.public_id,
        created_at=story.tick(),
    )
    story.gate.save(force_insert=True)
    payout.dispatch(at=story.tick(), expected_on=story.at.date())
    story.save(payout, "payout.dispatched")


def _sent_and_paid(story: Story) -> None:
    payout = story.payout
    story.intent = Intent(
        book=story.book,
        account=story.account,
        kind="payout",
        subject_id=payout.public_id,
        approval_id=story.release.public_id,
        idempotency_key=f"{payout.public_id}:1",
        request_hash="a" * 64,
        created_at=story.at,
    )
    story.save(story.intent, "intent.made")
    story.intent.send(at=story.tick())
    story.save(story.intent, "intent.sent")
    reference = f"po_prov_{payout.pk.hex[-12:]}"
    story.call = ProviderCall(
        book=story.book,
        intent=story.intent,
        operation="create_payout",
        attempt=1,
        fence=1,
        deadline_at=story.at,
        outcome="succeeded",
        status_code=200,
        provider_ref=reference,
        created_at=story.at,
        finished_at=story.tick(),
    )
    story.call.save(force_insert=True)
    story.intent.succeed(provider_ref=reference)
    story.save(story.intent, "intent.succeeded")
    payout.accept(provider_ref=reference)
    story.save(payout, "payout.accepted")
    post(story, "payout.initiated", "2000", "2100", approval_id=story.release.public_id)
    payout.pay(at=story.tick())
    story.save(payout, "payout.paid")
    post(story, "payout.paid", "2100", "1100")


def _failed_late(story: Story, *, receipts: int) -> None:
    payout = story.payout
    key = f"evt_{payout.pk.hex[-12:]}"
    story.receipts = [receipt(story, key=key, body=BODY, duplicate=i > 0) for i in range(receipts)]
    story.event = ProviderEvent(
        book=story.book,
        account=story.account,
        provider_event_id=key,
        dedupe_key=key,
        fingerprint="f" * 64,
        type="payout.failed",
        object_id=payout.provider_ref,
        payload=story.receipts[0].payload,
        state=ProviderEvent.State.RECEIVED,
        subject_id=payout.public_id,
        outcome="payout failed after it was paid",
        trace_id=story.trace_id,
        created_at=story.tick(),
    )
    story.event.save(force_insert=True)
    story.event.state = ProviderEvent.State.PROCESSED
    story.event.finished_at = story.tick()
    story.event.save()
    payout.fall_into_exception(
        at=story.tick(), code="account_closed", message="closed", movement_ref=""
    )
    evidence = {"event_id": story.event.public_id}
    story.save(payout, "payout.failed", evidence=evidence, trace_id=story.trace_id)
    story.case = Case(
        book=story.book,
        rule="payout_failure",
        fingerprint=payout.public_id,
        period=clock.period_of(story.at.date()),
        subject_id=payout.public_id,
        title=f"Payout {payout.merchant_ref} failed after it was paid",
        amount_minor=payout.amount_minor,
        currency="EUR",
        due_at=story.at + timedelta(hours=4),
        created_at=story.tick(),
    )
    story.save(story.case, "case.opened", trace_id=story.trace_id)
    CaseEntry(
        book=story.book, case=story.case, kind="opened", key="opened", text="opened", service="x"
    ).save(force_insert=True)


def _decided(story: Story) -> None:
    case = story.case
    story.resolution = granted(
        story,
        kind="payout_exception",
        subject_id=case.public_id,
        seats={"finance_manager": "ingrid", "compliance": "fatima"},
    )
    case.ask_approval(approval_id=story.resolution.public_id, resolution="new_details")
    story.save(case, "case.approval_requested", by=actor("amara"))
    case.approve()
    story.save(case, "case.approved")
    case.execute()
    story.save(case, "case.executing")
    run = RunbookRun(
        book=story.book,
        case=case,
        approval_id=story.resolution.public_id,
        runbook="payout exception",
        version="v1",
        plan={"steps": ["hold"]},
        plan_hash="b" * 64,
        created_at=story.tick(),
    )
    run.save(force_insert=True)
    story.hold = Hold(
        book=story.book,
        payout=story.payout,
        source="runbook",
        reason="failed late",
        case_id=case.public_id,
        key=f"runbook:{case.public_id}",
        placed_by_service="runbook",
        created_at=story.tick(),
    )
    story.hold.save(force_insert=True)
    story.step = RunbookStep(
        book=story.book,
        run=run,
        position=1,
        name="hold",
        key=f"{case.public_id}:hold",
        status="DONE",
        done_at=story.tick(),
        created_at=story.at,
    )
    story.step.save(force_insert=True)
    post(
        story,
        "payout.returned",
        "1200",
        "2200",
        case_id=case.public_id,
        approval_id=story.resolution.public_id,
    )
    correlation = f"tl:{case.public_id}"
    LocalTicket(
        book=story.book, correlation_id=correlation, number="T-77", title="P-10492", body="-"
    ).save(force_insert=True)
    story.ticket = TicketLink(
        book=story.book,
        case=case,
        system="local",
        number="T-77",
        correlation_id=correlation,
        created_at=story.tick(),
    )
    story.ticket.save(force_insert=True)
    LocalMessage(
        book=story.book,
        case=case,
        correlation_id=f"m:{case.public_id}",
        audience="ops_lead",
        subject="Request new bank details",
        body="-",
        created_at=story.tick(),
    ).save(force_insert=True)


def break_rule(
    table: str, statement: str, params: list[Any] | None = None, *, drop: str = ""
) -> None:
    """What only the owner can do: switch the guards of a table off, then break its rule.

    `drop` names a constraint or index that stands in the way as well. All of it is rolled back.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        if drop:
            cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT IF EXISTS "{drop}"')
            cursor.execute(f'DROP INDEX IF EXISTS "{drop}"')
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(statement, params or [])
        assert cursor.rowcount > 0, "nothing was broken"
