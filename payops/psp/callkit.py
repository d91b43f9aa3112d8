"""What the calls of every provider share: one exchange, its classification, its masked record.

Owns the rule which answers mean refused, failed, unknown or mismatch (design "Provider calls",
D14). Never retries and never records a key, a full destination token or an unlisted field.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from payops.core.http import HttpAnswer, HttpClient, HttpFailed, HttpRefused, HttpUnknown
from payops.core.money import Money, MoneyError
from payops.psp import strictjson
from payops.psp.base import EventRefused
from payops.psp.calling import CallOutcome, NoAnswer, NotFound, RefundList, RefundState
from payops.psp.strictjson import child, id_or_none, text_or_none

RETRY_AFTER_MAX_S = 3600
ASSUMED_KEY_WINDOW_S = 6 * 3600
KEY_WINDOW_CAP_S = 20 * 3600
ANSWER_FIELDS = (
    "id",
    "object",
    "status",
    "amount",
    "currency",
    "reference",
    "created",
    "failure_code",
    "failure_message",
    "failure_reason",
    "charge",
    "payment",
    "balance_transaction",
)
ERROR_FIELDS = ("type", "code", "message", "param")
# Answers that do not say whether the work was done: the request, or one like it, may be running.
OPEN_STATUSES = frozenset({408, 409, 425})


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a successful answer must repeat."""

    amount: Money
    reference: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """What an answer says that it did; `reached` and `movement_ref` as in CallOutcome.

    `reached` is None where nothing is to be proved by the answer alone.
    """

    provider_ref: str | None
    status: str | None
    amount: Money | None
    reference: str | None
    reached: frozenset[str] | None = None
    movement_ref: str | None = None


def send(
    *,
    http: HttpClient,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    deadline_s: float,
    request_masked: Mapping[str, object],
    expected: Expected,
    read_echo: Callable[[Mapping[str, Any]], Echo],
    read_error: Callable[[Mapping[str, Any]], str | None] | None = None,
) -> CallOutcome:
    """Make one money-moving POST and say what came of it. Raises nothing.

    `read_error` finds the machine word of an error answer where it is not in `error`.
    """
    started_at = datetime.now(UTC)
    outcome = CallOutcome(
        kind="unknown", started_at=started_at, finished_at=started_at, request_masked=request_masked
    )
    try:
        answer = http.request("POST", url, headers, body, deadline_s=deadline_s)
    except HttpRefused as error:
        return _ended(outcome, "refused", error.reason)
    except HttpFailed as error:
        return _ended(outcome, "failed", error.reason)
    except HttpUnknown as error:
        return _ended(outcome, "unknown", error.reason)
    return _classify(outcome, answer, expected, read_echo, read_error or error_code)


def ask(
    *, http: HttpClient, url: str, headers: Mapping[str, str], deadline_s: float
) -> tuple[int, dict[str, Any], str]:
    """GET a JSON object: (status, body, why not). A reason means that nothing may be concluded."""
    try:
        answer = http.request("GET", url, headers, deadline_s=deadline_s)
    except (HttpRefused, HttpFailed, HttpUnknown) as error:
        return 0, {}, error.reason
    try:
        body = strictjson.read_object(answer.body)
    except EventRefused as error:
        return answer.status, {}, f"answer_{error.reason}"
    if answer.status not in (200, 404):
        return answer.status, body, error_code(body) or f"status_{answer.status}"
    return answer.status, body, ""


def object_at(
    *,
    url: str,
    provider_ref: str,
    http: HttpClient,
    headers: Mapping[str, str],
    deadline_s: float,
) -> dict[str, Any] | NotFound | NoAnswer:
    """The object under `url`/its id. Only the provider's own `resource_missing` is NotFound."""
    safe_ref = path_id(provider_ref)
    if safe_ref is None:
        return NoAnswer(reason="reference_malformed")
    status, body, reason = ask(
        http=http, url=f"{url}/{safe_ref}", headers=headers, deadline_s=deadline_s
    )
    if reason:
        return NoAnswer(reason=reason)
    if status == 404:
        missing = error_code(body) == "resource_missing"
        return NotFound(searched=safe_ref) if missing else NoAnswer(reason="status_404")
    return body


def error_code(body: Mapping[str, Any]) -> str | None:
    """The machine word of an error answer: its code, else its type."""
    error = child(body, "error")
    return text_or_none(error.get("code")) or text_or_none(error.get("type"))


def safe_key_window_s(provider_window_s: int | None) -> int:
    """How long a key may be reused: 0.8 of the provider's window, 20 h at most, 6 h unknown."""
    if provider_window_s is None:
        return ASSUMED_KEY_WINDOW_S
    return min(provider_window_s * 4 // 5, KEY_WINDOW_CAP_S)


def never_sent(reason: str, request_masked: Mapping[str, object]) -> CallOutcome:
    """A call that we refuse to make: nothing left the process."""
    now = datetime.now(UTC)
    return CallOutcome(
        kind="refused",
        started_at=now,
        finished_at=now,
        error_code=reason,
        request_masked=request_masked,
    )


def at_first(steps: frozenset[str] | tuple[str, ...]) -> frozenset[str]:
    """What the answer to the first call proves: a refund born failed cannot have failed late."""
    return frozenset(steps) - {"refund.failed_late"}


def the_one(*, our_ref: str, listed: RefundList | NoAnswer) -> RefundState | NotFound | NoAnswer:
    """The refund that carries our reference, out of all of its payment's."""
    if isinstance(listed, NoAnswer):
        return listed
    ours = [state for state in listed.refunds if state.our_ref == our_ref]
    if len(ours) > 1:
        refs = tuple(state.provider_ref for state in ours)
        return NoAnswer(reason="more_than_one", provider_refs=refs)
    if not listed.complete:
        # One that was found may have a twin among those that were not shown.
        return NoAnswer(
            reason="list_too_long", provider_refs=tuple(state.provider_ref for state in ours)
        )
    return ours[0] if ours else NotFound(searched=our_ref)


def path_id(provider_ref: str) -> str | None:
    """A provider's id that is safe inside a path, else None."""
    found = id_or_none(provider_ref)
    return found if found and found.replace("_", "").replace("-", "").isalnum() else None


def masked_token(token: str) -> str:
    """A destination as it may be kept in a record: its last four characters."""
    return f"…{token[-4:]}" if len(token) > 8 else "…"


def json_bytes(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def money_or_none(make: Callable[[], Money]) -> Money | None:
    try:
        return make()
    except (EventRefused, MoneyError):
        return None


def _classify(
    outcome: CallOutcome,
    answer: HttpAnswer,
    expected: Expected,
    read_echo: Callable[[Mapping[str, Any]], Echo],
    read_error: Callable[[Mapping[str, Any]], str | None],
) -> CallOutcome:
    try:
        body = strictjson.read_object(answer.body)
    except EventRefused:
        body = {}
    outcome = replace(
        outcome,
        finished_at=answer.answered_at,
        status_code=answer.status,
        response_masked=_masked_answer(body),
        replayed=answer.headers.get("idempotent-replayed", "").lower() == "true",
        error_code=None if 200 <= answer.status < 300 else read_error(body),
    )
    if 200 <= answer.status < 300:
        return judged(outcome, read_echo(body), expected)
    if answer.status == 429:
        return replace(outcome, kind="failed", retry_after_s=_retry_after_s(answer))
    if 400 <= answer.status < 500 and answer.status not in OPEN_STATUSES and body:
        return replace(outcome, kind="refused")
    return replace(outcome, kind="unknown", error_code=outcome.error_code or "no_clear_answer")


def judged(outcome: CallOutcome, echo: Echo, expected: Expected) -> CallOutcome:
    """An accepted call by what the provider says that it did."""
    if echo.provider_ref is None:
        return replace(outcome, kind="unknown", error_code="answer_unreadable")
    outcome = replace(
        outcome,
        provider_ref=echo.provider_ref,
        provider_status=echo.status,
        echo_amount=echo.amount,
        echo_reference=echo.reference,
        movement_ref=echo.movement_ref,
    )
    if echo.amount != expected.amount:
        return replace(outcome, kind="mismatch", error_code="amount_mismatch")
    if echo.reference != expected.reference:
        return replace(outcome, kind="mismatch", error_code="reference_mismatch")
    if echo.reached is not None and not echo.reached:
        return replace(outcome, kind="unknown", error_code="status_unknown")
    return replace(outcome, kind="succeeded", reached=echo.reached or frozenset())


def _ended(outcome: CallOutcome, kind: Any, reason: str) -> CallOutcome:
    return replace(outcome, kind=kind, error_code=reason, finished_at=datetime.now(UTC))


def _masked_answer(body: Mapping[str, Any]) -> dict[str, object]:
    kept = {name: _short(body[name]) for name in ANSWER_FIELDS if body.get(name) is not None}
    error = child(body, "error")
    if error:
        kept["error"] = {name: _short(error[name]) for name in ERROR_FIELDS if error.get(name)}
    return kept


def _short(value: object) -> object:
    return value if isinstance(value, int | bool) else text_or_none(value)


def _retry_after_s(answer: HttpAnswer) -> int | None:
    text = answer.headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return None
    return min(int(text), RETRY_AFTER_MAX_S)
