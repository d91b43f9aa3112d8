"""The addresses of refunds: asking for one, reading them, what a charge may still give back.

Requests and reads only; deciding and sending have no address here (RF-1, RF-11, D5).
"""

from __future__ import annotations

from functools import partial

from django.http import HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from payops.api import (
    idempotency,
    on_behalf,
    refund_reads,
    refund_request,
    refund_schema,
    refundable,
)
from payops.api.parsing import facts_of
from payops.api.problems import Problem, json_answer
from payops.api.refund_serializers import (
    ALL,
    RefundableAnswer,
    RefundAnswer,
    RefundsAnswer,
    money_of,
)
from payops.api.views import ApiView
from payops.core.roles import Act
from payops.payments.models import Refund

QUERY_CHARS_MAX = 255
LISTED_BY = frozenset({"payment", "account", "state", "request_id", "after"})
LOOKED_AT = frozenset({"amount", "currency", "reason_code", "evidence", "on_behalf_of"})


class RefundRequests(ApiView):
    """Asking for refunds, and finding them by charge, state or the caller's own id."""

    http_method_names = ["get", "head", "post"]
    acts = ApiView.acts | {"POST": Act.REQUEST_REFUND}
    operations = {"GET": "find_refunds", "HEAD": "find_refunds", "POST": "request_refund"}

    @refund_schema.find_refunds
    def get(self, request: Request) -> HttpResponse:
        said = _query(request, LISTED_BY)
        book = request.auth.book
        if (state := said.get("state", "")) and state not in Refund.State.values:
            words = f"state is one of {', '.join(Refund.State.values)}."
            raise Problem("malformed-query", words)
        named, payment = said.get("payment", ""), None
        if named:
            payment = refund_request.payment_of(named, account=said.get("account", ""), book=book)
        rows, further = refund_reads.refunds_of(
            book,
            payment=payment,
            state=state,
            request_id=said.get("request_id", ""),
            after=said.get("after", ""),
        )
        body = RefundsAnswer({"refunds": rows, "next": further}).data
        return json_answer(dict(body), status=200)

    @refund_schema.request_refund
    def post(self, request: Request) -> HttpResponse:
        key = idempotency.key_from(request.META.get("HTTP_IDEMPOTENCY_KEY"))
        call = idempotency.Call(request.auth, "request_refund", key, facts_of(request))
        given = idempotency.once(
            call=call,
            act=partial(refund_request.ask, call, now=self.now),
            live=partial(refund_request.live, call),
            now=self.now,
        )
        self.is_recorded = True
        headers = {"Idempotent-Replayed": "true"} if given.replayed else {}
        if given.subject_id:
            headers["Location"] = f"/api/refund-requests/{given.subject_id}/"
        return json_answer(given.body, status=given.status, headers=headers)


class RefundRecord(ApiView):
    """One refund as it stands now, with why it was decided so."""

    operations = {"GET": "read_refund", "HEAD": "read_refund"}

    @refund_schema.read_refund
    def get(self, request: Request, public_id: str) -> HttpResponse:
        refund = refund_reads.refund_of(request.auth.book, public_id)
        return json_answer(dict(RefundAnswer(refund).data), status=200)


class Refundable(ApiView):
    """What would come of a request now; nothing is reserved by looking."""

    operations = {"GET": "look_at_refundable", "HEAD": "look_at_refundable"}

    @refund_schema.look_at_refundable
    def get(self, request: Request, public_id: str) -> HttpResponse:
        said = _query(request, LOOKED_AT)
        payment = refund_reads.payment_by_id(request.auth.book, public_id)
        try:
            amount = money_of(said.get("amount", ALL), said.get("currency", "") or payment.currency)
        except ValidationError as error:
            raise Problem("malformed-query", f"amount: {_first(error)}.") from error
        person = None
        if named := said.get("on_behalf_of", ""):
            person = on_behalf.person_of(
                named, act=Act.REQUEST_REFUND, act_words="ask for refunds", now=self.now
            )
        seen = refundable.look(
            payment=payment,
            amount=amount,
            reason_code=said.get("reason_code", ""),
            evidence=[name for name in said.get("evidence", "").split(",") if name],
            person=person,
            now=self.now,
        )
        return json_answer(dict(RefundableAnswer(seen).data), status=200)


def _query(request: Request, known: frozenset[str]) -> dict[str, str]:
    """The query as text. Raises Problem for what this address does not know."""
    said = {name: str(value) for name, value in request.query_params.items()}
    if unknown := sorted(set(said) - known):
        words = f"There is no {unknown[0][:64]!r} here; there are {', '.join(sorted(known))}."
        raise Problem("malformed-query", words)
    for name, value in said.items():
        if len(value) > QUERY_CHARS_MAX or not value.isprintable():
            raise Problem("malformed-query", f"{name} has at most {QUERY_CHARS_MAX} characters.")
    return said


def _first(error: ValidationError) -> str:
    detail = error.detail
    if isinstance(detail, dict):
        detail = next(iter(detail.values()))
    return str(detail[0]) if isinstance(detail, list) else str(detail)
