"""Turns the facts of a request into the refund flow's ask, and its outcome into an answer.

The key's system calls, a person asks (D5). The same request is the same refund: by the caller's
own request id where it gives one, whatever Idempotency-Key comes with it, else by the key (RF-2,
RF-11). A refusal of the policy is kept as a refund with its decision, and leaves the key free:
time may change what it names (D17a); asked anew, it is decided anew.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from payops.api import on_behalf, refund_reads
from payops.api.authentication import actor_of
from payops.api.idempotency import Answer, Call
from payops.api.problems import Problem, invalid_fields
from payops.api.refund_serializers import RefundAnswer, RefundRequest
from payops.core.models import Book
from payops.core.roles import Act
from payops.flows.refunds import once as refund_once
from payops.flows.refunds import subject as refund_subject
from payops.flows.refunds.once import OtherFacts
from payops.flows.refunds.request import RefundAsk, RefundRefused
from payops.flows.refunds.subject import NameRefused
from payops.payments.models import Payment, Refund

SOURCE = "api"


def ask(call: Call, *, now: datetime) -> Answer:
    """One refund for this call, inside the caller's transaction. Raises Problem."""
    fields = _fields(call.facts)
    book = call.api_key.book
    person = on_behalf.person_of(
        fields["on_behalf_of"], act=Act.REQUEST_REFUND, act_words="ask for refunds", now=now
    )
    payment = payment_of(fields["payment"], account=fields.get("account", ""), book=book)
    wanted = RefundAsk(
        payment=payment,
        amount=fields["money"],
        reason_code=fields["reason_code"],
        note=fields["note"],
        evidence=fields["evidence"],
        request_key=_request_key(call, fields.get("request_id", "")),
        requested_by=person,
        source=SOURCE,
        ticket_ref=fields.get("request_id", ""),
        account=fields.get("account", ""),
    )
    try:
        asked = refund_once.ask(wanted, actor=actor_of(call.api_key), now=now)
    except OtherFacts as other:
        raise Problem(
            "refund-request-reused",
            f"{other}.",
            refund_id=other.known.public_id,
            stored_fingerprint=other.stored,
            given_fingerprint=other.given,
        ) from other
    except RefundRefused as refusal:
        raise Problem("refund-refused", f"{refusal}.") from refusal
    if asked.refund.state == Refund.State.REFUSED:
        return _refused(book, asked.refund, str(person.pk))
    status = 201 if asked.is_new else 200
    return _told(book, asked.refund, str(person.pk), status=status)


def live(call: Call, stored: Answer) -> Answer:
    """A key that is known: the same request as it stands now (RF-11)."""
    refund = refund_reads.refund_of(call.api_key.book, stored.subject_id)
    body = dict(RefundAnswer(refund).data)
    return Answer(200, body, refund.public_id, stored.on_behalf_of, replayed=True)


def payment_of(named: str, *, account: str, book: Book) -> Payment:
    """Raises Problem: what is not known may become known, so the key stays free."""
    field = "account"
    try:
        at = refund_subject.account_of(account, book=book) if account else None
        field = "payment"
        return refund_subject.payment_of(named, book=book, account=at)
    except NameRefused as refusal:
        errors = [{"field": field, "detail": str(refusal)}]
        raise Problem("unknown-reference", f"{field}: {refusal}.", errors=errors) from refusal


def _fields(facts: dict[str, Any]) -> dict[str, Any]:
    request = RefundRequest(data=facts)
    if not request.is_valid():
        raise invalid_fields(request.errors)
    return request.validated_data


def _request_key(call: Call, request_id: str) -> str:
    """The caller's own id goes before the header's key."""
    kind, text = ("id", request_id) if request_id else ("key", call.key)
    return refund_once.key_of(f"api:{call.api_key.system}:{kind}", text)


def _told(book: Book, refund: Refund, person: str, *, status: int) -> Answer:
    body = dict(RefundAnswer(refund_reads.refund_of(book, refund.public_id)).data)
    return Answer(status, body, refund.public_id, person)


def _refused(book: Book, refund: Refund, person: str) -> Answer:
    """The refusal with every figure; the decision is kept, the key is not."""
    shown = refund_reads.refund_of(book, refund.public_id)
    problem = Problem(
        "refund-refused",
        f"{shown.refusal}. Nothing was reserved or sent; asked again, it is decided anew."[:800],
        refund_id=shown.public_id,
        remaining=shown.charge.remaining,
        currency=shown.currency,
        decision=RefundAnswer(shown).data["decision"],
    )
    return Answer(
        problem.kind.status,
        problem.body(),
        shown.public_id,
        person,
        kept=False,
        problem=problem.kind.slug,
    )
