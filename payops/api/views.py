"""The addresses of the API: parse, one call, answer (AU-10, LJ-13, D5).

Requests and reads only. Deciding, releasing, changing access or details have no address here.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from payops.api import idempotency, payout_request, reads, schema, trail
from payops.api.authentication import ActAllowed, ApiKeyAuthentication
from payops.api.parsing import StrictJSONParser, facts_of
from payops.api.problems import Problem, answer, json_answer, problem_of, problem_response
from payops.api.serializers import ApprovalAnswer, CaseAnswer, PayoutAnswer
from payops.core import clock
from payops.core.models import ApiKey
from payops.core.roles import Act

MERCHANT_REF_CHARS_MAX = 120


class AlwaysJson(BaseContentNegotiation):
    """There is one representation, so what the caller would rather have makes no difference."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A known key, the act it needs, and one audit row for every call of a known key."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [ActAllowed]
    parser_classes = [StrictJSONParser]
    content_negotiation_class = AlwaysJson
    metadata_class = None
    http_method_names = ["get", "head"]
    acts: ClassVar[dict[str, Act]] = {"GET": Act.VIEW_BOOKS, "HEAD": Act.VIEW_BOOKS}
    operations: ClassVar[dict[str, str]] = {}

    caller: ApiKey | None = None
    now: datetime
    problem: str = ""
    is_recorded = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.now = clock.utc_now()
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        self.caller = request.auth

    def handle_exception(self, exc: Exception) -> HttpResponse:
        self.caller = self.caller or getattr(exc, "api_key", None)
        self.problem = problem_of(exc).kind.slug
        return super().handle_exception(exc)

    def finalize_response(
        self, request: Request, response: HttpResponse, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if self.caller is not None and not self.is_recorded:
            response = self._recorded(request, response)
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _recorded(self, request: Request, response: HttpResponse) -> HttpResponse:
        """No answer leaves without its audit row."""
        assert self.caller is not None
        try:
            with transaction.atomic(durable=True):
                trail.called(
                    api_key=self.caller,
                    operation=self.operations.get(request.method or "", "refused"),
                    about=_printable(next(iter(self.kwargs.values()), "")),
                    status=response.status_code,
                    problem=self.problem,
                    idempotency_key=_printable(request.META.get("HTTP_IDEMPOTENCY_KEY", "")),
                    now=self.now,
                )
        except DatabaseError as error:
            return problem_response(error, {"view": self})
        return response


class Payouts(ApiView):
    """Asking for payouts, and finding them by the caller's own reference."""

    http_method_names = ["get", "head", "post"]
    acts = ApiView.acts | {"POST": Act.REQUEST_PAYOUT}
    operations = {"GET": "find_payouts", "HEAD": "find_payouts", "POST": "request_payout"}

    @schema.find_payouts
    def get(self, request: Request) -> HttpResponse:
        merchant_ref = request.query_params.get("merchant_ref", "")
        if not 0 < len(merchant_ref) <= MERCHANT_REF_CHARS_MAX or "\x00" in merchant_ref:
            words = f"merchant_ref has 1 to {MERCHANT_REF_CHARS_MAX} characters."
            raise Problem("malformed-query", words)
        payouts, more = reads.payouts_of(request.auth.book, merchant_ref)
        body = {"payouts": PayoutAnswer(payouts, many=True).data, "more": more}
        return json_answer(body, status=200)

    @schema.request_payout
    def post(self, request: Request) -> HttpResponse:
        key = idempotency.key_from(request.META.get("HTTP_IDEMPOTENCY_KEY"))
        call = idempotency.Call(request.auth, "request_payout", key, facts_of(request))
        act = partial(payout_request.ask, call, now=self.now)
        given = idempotency.once(call=call, act=act, now=self.now)
        self.is_recorded = True
        headers = {"Idempotent-Replayed": "true"} if given.replayed else {}
        if given.subject_id:
            headers["Location"] = f"/api/payouts/{given.subject_id}/"
        return json_answer(given.body, status=given.status, headers=headers)


class PayoutRecord(ApiView):
    """One payout as it stands now."""

    operations = {"GET": "read_payout", "HEAD": "read_payout"}

    @schema.read_payout
    def get(self, request: Request, public_id: str) -> HttpResponse:
        payout = reads.payout_of(request.auth.book, public_id)
        return json_answer(PayoutAnswer(payout).data, status=200)


class CaseRecord(ApiView):
    """One exception case as it stands now."""

    operations = {"GET": "read_case", "HEAD": "read_case"}

    @schema.read_case
    def get(self, request: Request, public_id: str) -> HttpResponse:
        case = reads.case_of(request.auth.book, public_id)
        return json_answer(CaseAnswer(case).data, status=200)


class ApprovalRecord(ApiView):
    """One approval request with its decisions; nothing can be decided here."""

    operations = {"GET": "read_approval", "HEAD": "read_approval"}

    @schema.read_approval
    def get(self, request: Request, public_id: str) -> HttpResponse:
        approval = reads.approval_of(request.auth.book, public_id)
        return json_answer(ApprovalAnswer(approval).data, status=200)


class Trace(ApiView):
    """The whole chain around one id, reference or key."""

    operations = {"GET": "trace", "HEAD": "trace"}

    @schema.read_trace
    def get(self, request: Request, text: str) -> HttpResponse:
        return json_answer(reads.trace_of(request.auth.book, text), status=200)


@csrf_exempt
def no_such_address(request: HttpRequest) -> HttpResponse:
    words = "This API has no such address; /api/schema/ lists those it has."
    if not request.path.endswith("/"):
        words += " They end with a slash."
    return answer(Problem("not-found", words))


def _printable(text: str) -> str:
    """What a caller wrote, as far as an audit row can hold it."""
    return text[: idempotency.KEY_CHARS_MAX] if text.isascii() and text.isprintable() else ""
