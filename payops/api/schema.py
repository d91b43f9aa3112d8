"""What /api/schema/ says beyond the shapes: the bearer key, the header, the problems.

Owns nothing at run time; read once when the schema is made.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from payops.api.entry_serializers import EntryAnswer, EntryRequest, PostedAnswer
from payops.api.idempotency import HEADER, KEY_CHARS_MAX
from payops.api.problems import CONTENT_TYPE, KINDS
from payops.api.serializers import (
    ApprovalAnswer,
    CaseAnswer,
    PayoutAnswer,
    PayoutRequest,
    PayoutsAnswer,
    ProblemAnswer,
    TraceAnswer,
)

ALWAYS = (401, 403, 500, 503)


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "payops.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The key of one internal system, with its own permissions.",
        }


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """One response per status, naming the kinds of problem that have it."""
    responses = {}
    for status in sorted({*statuses, *ALWAYS}):
        kinds = [f"`{kind.slug}`: {kind.title}" for kind in KINDS.values() if kind.status == status]
        words = ". ".join(kinds)
        responses[status, CONTENT_TYPE] = OpenApiResponse(ProblemAnswer, description=words)
    return responses


KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX},
    OpenApiParameter.HEADER,
    required=True,
    description="Made by the caller before the first try. The same key with the same body gives "
    "the same answer again, marked `Idempotent-Replayed: true`; with another body 409.",
)
_REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    response=[201, 422],
    description="Present when the stored answer is told again.",
)
_LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[201], description="Where the payout is."
)
_ENTRY_REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    response=[200, 201, 409, 422],
    description="Present when the stored answer is told again.",
)
_ENTRY_LOCATION = OpenApiParameter(
    "Location",
    str,
    OpenApiParameter.HEADER,
    response=[200, 201],
    description="Where the entry is.",
)
_MERCHANT_REF = OpenApiParameter(
    "merchant_ref",
    {"type": "string", "minLength": 1, "maxLength": 120},
    OpenApiParameter.QUERY,
    required=True,
    description="Your reference of the payout.",
)

request_payout = extend_schema(
    operation_id="request_payout",
    summary="Ask for a payout",
    description="Creates the payout and puts its release to the people the policy names.",
    parameters=[KEY, _REPLAYED, _LOCATION],
    request=PayoutRequest,
    responses={201: PayoutAnswer, **problems(400, 409, 411, 413, 415, 422)},
)
find_payouts = extend_schema(
    operation_id="find_payouts",
    summary="Payouts with a merchant reference, newest first",
    parameters=[_MERCHANT_REF],
    responses={200: PayoutsAnswer, **problems(400)},
)
read_payout = extend_schema(
    operation_id="read_payout",
    summary="A payout as it stands now",
    responses={200: PayoutAnswer, **problems(404)},
)
read_case = extend_schema(
    operation_id="read_case",
    summary="An exception case as it stands now",
    responses={200: CaseAnswer, **problems(404)},
)
read_approval = extend_schema(
    operation_id="read_approval",
    summary="An approval request with its decisions; deciding is not possible here",
    responses={200: ApprovalAnswer, **problems(404)},
)
post_entry = extend_schema(
    operation_id="post_entry",
    summary="Post a journal entry",
    description="A system tells of an event; the journal matrix makes its lines. The posting key "
    "is book, class, subject and movement: told again by any system, the same entry is answered "
    "with 200; told with other amounts, 409. What the books rule out opens a case and leaves the "
    "key free.",
    parameters=[
        KEY,
        OpenApiParameter(
            "X-Request-Id",
            {"type": "string", "maxLength": 120},
            OpenApiParameter.HEADER,
            description="Your id of this request; kept on the entry and answered. Made here when "
            "missing.",
        ),
        _ENTRY_REPLAYED,
        _ENTRY_LOCATION,
    ],
    request=EntryRequest,
    responses={200: PostedAnswer, 201: PostedAnswer, **problems(400, 409, 411, 413, 415, 422)},
)
read_entry = extend_schema(
    operation_id="read_entry",
    summary="A journal entry with its lines and trace keys",
    responses={200: EntryAnswer, **problems(404)},
)
read_trace = extend_schema(
    operation_id="trace",
    summary="The whole chain around any id, reference or key",
    responses={200: TraceAnswer, **problems(404)},
)
