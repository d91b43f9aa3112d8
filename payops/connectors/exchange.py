"""One HTTP exchange with a ticket or chat system, and what each kind of answer lets us conclude.

refused: final. failed: nothing was accepted, so a retry is safe; that includes credentials they do
not take, which people mend. unknown: it may have been done. Never retries and never records a
credential or the text of a message.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from payops.connectors.base import ConnectorOutcome, OutcomeKind, SearchUnanswered
from payops.core.http import HttpClient, HttpFailed, HttpRefused, HttpUnknown

RETRY_AFTER_MAX_S = 3600
REASON_CHARS_MAX = 200
# Answers that do not say whether the work was done: the request, or one like it, may be running.
OPEN_STATUSES = frozenset({408, 409, 425})
TOO_MANY = 429


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request; `masked` is what may be kept of it."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json_body: Mapping[str, object] | None = field(default=None, repr=False)
    masked: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchanged:
    """What came of a call. `kind` is set when the status, or its absence, decides by itself."""

    kind: OutcomeKind | None
    reason: str
    started_at: datetime
    finished_at: datetime
    status: int = 0
    body: Any = None
    text: str = ""
    retry_after_s: int | None = None
    masked: Mapping[str, object] = field(default_factory=dict)

    def outcome(self, kind: OutcomeKind | None = None, reason: str = "") -> ConnectorOutcome:
        """As the outcome of an attempt; a status that decides by itself is not argued with."""
        return ConnectorOutcome(
            kind=self.kind or kind or "unknown",
            started_at=self.started_at,
            finished_at=self.finished_at,
            reason=(self.reason or reason)[:REASON_CHARS_MAX],
            retry_after_s=self.retry_after_s,
            request_masked=self.masked,
            response_masked={"status": self.status} if self.status else {},
        )

    def sent(self, *, ref: str | None, url: str | None) -> ConnectorOutcome:
        done = self.outcome("sent")
        return replace(done, external_ref=ref, external_url=url) if done.kind == "sent" else done

    def unanswered(self, reason: str = "") -> SearchUnanswered:
        return SearchUnanswered(
            reason=(self.reason or reason or f"status_{self.status}")[:REASON_CHARS_MAX],
            started_at=self.started_at,
            finished_at=self.finished_at,
            retry_after_s=self.retry_after_s,
        )


def exchange(
    *,
    http: HttpClient,
    call: Call,
    deadline_s: float,
    error_words: Callable[[Any, str], str] = lambda body, text: "",
) -> Exchanged:
    """Make the call. `error_words` finds their machine word in a 4xx body. Raises nothing."""
    started_at = datetime.now(UTC)
    headers = {"Accept": "application/json", **call.headers}
    content = b""
    if call.json_body is not None:
        headers.setdefault("Content-Type", "application/json")
        content = json_bytes(call.json_body)
    try:
        answer = http.request(call.method, call.url, headers, content, deadline_s=deadline_s)
    except (HttpRefused, HttpFailed, HttpUnknown) as error:
        kind: OutcomeKind = "refused" if isinstance(error, HttpRefused) else "failed"
        return Exchanged(
            kind="unknown" if isinstance(error, HttpUnknown) else kind,
            reason=error.reason,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            masked=call.masked,
        )
    text = answer.body.decode("utf-8", "replace")
    body = _json_or_none(text)
    ended, reason = _judged(answer.status)
    if ended == "refused" and (words := error_words(body, text)):
        reason = f"{reason} {words}"
    return Exchanged(
        kind=ended,
        reason=reason,
        started_at=started_at,
        finished_at=answer.answered_at,
        status=answer.status,
        body=body,
        text=text,
        retry_after_s=_retry_after_s(answer.headers.get("retry-after", "")),
        masked=call.masked,
    )


def json_bytes(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")


def line_of(text: str, chars_max: int) -> str:
    """The text on one line, at most so long; a cut is shown."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= chars_max else f"{flat[: chars_max - 1]}…"


def text_of(text: str, chars_max: int) -> str:
    """The text with its lines, at most so long; a cut is shown."""
    kept = printable(text)
    return kept if len(kept) <= chars_max else f"{kept[: chars_max - 1]}…"


def printable(text: str) -> str:
    """Without control characters, and without those that turn a line around."""
    turning = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return "".join(
        char
        for char in text.encode("utf-8", "replace").decode("utf-8")
        if char in "\n\t" or (char >= " " and not "\x7f" <= char <= "\x9f" and char not in turning)
    )


def child(value: Any, name: str) -> Any:
    """A member of a JSON object; None when it is no object or has none."""
    return value.get(name) if isinstance(value, dict) else None


def word(value: Any, chars_max: int = 120) -> str:
    """A short text of theirs that may be shown; "" for anything else."""
    return line_of(value, chars_max) if isinstance(value, str) else ""


def _judged(status: int) -> tuple[OutcomeKind | None, str]:
    if 200 <= status < 300:
        return None, ""
    if status == TOO_MANY:
        return "failed", "rate_limited"
    if status == 401:
        return "failed", "login_401"
    if 300 <= status < 400:
        return "refused", f"redirect_{status}"
    if 400 <= status < 500 and status not in OPEN_STATUSES:
        return "refused", f"status_{status}"
    return "unknown", f"status_{status}"


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _retry_after_s(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return None
    return min(int(text), RETRY_AFTER_MAX_S)
