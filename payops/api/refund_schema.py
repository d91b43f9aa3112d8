"""What /api/schema/ says of refunds beyond their shapes. Owns nothing at run time."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiParameter, extend_schema

from payops.api.refund_serializers import (
    RefundableAnswer,
    RefundAnswer,
    RefundRequest,
    RefundsAnswer,
)
from payops.api.schema import KEY, problems
from payops.payments.models import Refund


def _query(name: str, words: str, **form: object) -> OpenApiParameter:
    shape = {"type": "string", "maxLength": 255} | form
    return OpenApiParameter(name, shape, OpenApiParameter.QUERY, description=words)


_REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    response=[200],
    description="Present when the key was known: the same refund, as it stands now.",
)
_LOCATION = OpenApiParameter(
    "Location",
    str,
    OpenApiParameter.HEADER,
    response=[200, 201, 422],
    description="Where the refund is, a refused one included.",
)
request_refund = extend_schema(
    operation_id="request_refund",
    summary="Ask for a refund",
    description="Checked under the charge's lock and decided by the book's refund policy: granted "
    "by rule, put to people, or refused. The same key with the same body, or the same `request_id` "
    "under any key, is the same refund with its live state (200). A refusal names every figure and "
    "leaves the key free.",
    parameters=[KEY, _REPLAYED, _LOCATION],
    request=RefundRequest,
    responses={
        200: RefundAnswer,
        201: RefundAnswer,
        **problems(400, 409, 411, 413, 415, 422),
    },
)
find_refunds = extend_schema(
    operation_id="find_refunds",
    summary="Refunds by charge, state or your own request id, newest first",
    parameters=[
        _query("payment", "Our pa_ id, the provider's reference or your merchant reference."),
        _query("account", "provider/account, where references of several meet."),
        _query("state", "One state.", enum=[str(value) for value in Refund.State.values]),
        _query("request_id", "Your own id of the request."),
        _query("after", "The `next` of the page before."),
    ],
    responses={200: RefundsAnswer, **problems(400, 404, 422)},
)
read_refund = extend_schema(
    operation_id="read_refund",
    summary="A refund as it stands now, with every check of its decision",
    responses={200: RefundAnswer, **problems(404)},
)
look_at_refundable = extend_schema(
    operation_id="look_at_refundable",
    summary="What a charge may still give back, and what would come of a request now",
    parameters=[
        _query("amount", 'Decimal text such as "30.00"; without it all that is left.'),
        _query("currency", "Of the amount; without it the charge's own."),
        _query("reason_code", "Without it evidence and risk are not judged."),
        _query("evidence", "Names of the evidence that would be given, by comma."),
        _query("on_behalf_of", "Who would ask; without it the right to ask is not judged."),
    ],
    responses={200: RefundableAnswer, **problems(400, 404, 422)},
)
