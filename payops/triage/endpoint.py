"""One question to an OpenAI-compatible endpoint: POST <url>/chat/completions, JSON asked for.

Its key comes from the environment, opens the model and nothing else (SE-6), and is sent nowhere but
there. Size, tokens and time are capped. Never retries by itself, except once without
`response_format` where the endpoint does not know it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from payops.core.http import HttpAnswer, HttpClient, HttpFailed, HttpRefused, HttpUnknown

ANSWER_BYTES_MAX = 65_536
REQUEST_BYTES_MAX = 32_768
RAW_CHARS_MAX = 20_000
TOKENS_MAX = 4000
DEADLINE_S_MAX = 60
# Where an endpoint does not count tokens, this many bytes of a request are taken for one.
BYTES_PER_TOKEN = 2
RETRY_AFTER_S = 60
RETRY_AFTER_MAX_S = 900
NOT_UNDERSTOOD = (400, 422)


class NotAnswered(Exception):
    """No usable answer. `again_s`: worth asking again after so long; None: it is not."""

    def __init__(
        self, reason: str, *, again_s: int | None = None, charged: bool = False, raw: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again_s = again_s
        self.charged = charged
        self.raw = raw


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str
    model: str
    key: str = field(repr=False)
    max_tokens: int
    deadline_s: int
    cost_per_1k_tokens_micros: int
    daily_cost_cap_micros: int

    def cost_micros(self, tokens: int) -> int:
        """Rounded up: a cap is kept by never counting too little."""
        return -(-tokens * self.cost_per_1k_tokens_micros // 1000)

    def most_tokens(self, request_bytes: int) -> int:
        return -(-request_bytes // BYTES_PER_TOKEN) + self.max_tokens


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    raw: str
    tokens: int
    took_ms: int


def configured() -> Endpoint | None:
    """The endpoint of the environment; None where its address or its model is missing."""
    said: dict[str, Any] = settings.ADVICE_MODEL
    if not (said["url"] and said["model"]):
        return None
    return Endpoint(
        url=said["url"],
        model=said["model"][:120],
        key=said["key"],
        max_tokens=max(1, min(said["max_tokens"], TOKENS_MAX)),
        deadline_s=max(1, min(said["deadline_s"], DEADLINE_S_MAX)),
        cost_per_1k_tokens_micros=max(0, said["cost_per_1k_tokens_micros"]),
        daily_cost_cap_micros=max(0, said["daily_cost_cap_micros"]),
    )


def request_body(
    endpoint: Endpoint, *, system: str, user: str, schema: Mapping[str, Any] | None
) -> bytes:
    body: dict[str, Any] = {
        "model": endpoint.model,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": user},
        ],
        "max_tokens": endpoint.max_tokens,
        "temperature": 0,
        "stream": False,
    }
    if schema is not None:
        named = {"name": "advice", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def ask(endpoint: Endpoint, *, system: str, user: str, schema: Mapping[str, Any]) -> Reply:
    """Raises NotAnswered."""
    began = time.monotonic()
    http = HttpClient(
        allow=settings.HTTP_ALLOW, deadline_s=endpoint.deadline_s, max_bytes=ANSWER_BYTES_MAX
    )
    sent = request_body(endpoint, system=system, user=user, schema=schema)
    answer = _post(http, endpoint, sent, began)
    if answer.status in NOT_UNDERSTOOD:
        sent = request_body(endpoint, system=system, user=user, schema=None)
        answer = _post(http, endpoint, sent, began)
    return _read(endpoint, answer, len(sent), round((time.monotonic() - began) * 1000))


def _post(http: HttpClient, endpoint: Endpoint, content: bytes, began: float) -> HttpAnswer:
    if len(content) > REQUEST_BYTES_MAX:
        raise NotAnswered(f"the question has {len(content)} bytes; {REQUEST_BYTES_MAX} are allowed")
    left_s = endpoint.deadline_s - (time.monotonic() - began)
    if left_s <= 0:
        raise NotAnswered("deadline", charged=True)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    url = f"{endpoint.url}/chat/completions"
    try:
        return http.request("POST", url, headers, content, deadline_s=left_s)
    except HttpRefused as error:
        raise NotAnswered(error.reason) from error
    except HttpFailed as error:
        raise NotAnswered(error.reason, again_s=RETRY_AFTER_S) from error
    except HttpUnknown as error:
        raise NotAnswered(error.reason, charged=True) from error


def _read(endpoint: Endpoint, answer: HttpAnswer, sent_bytes: int, took_ms: int) -> Reply:
    raw = answer.body.decode("utf-8", "replace").replace("\x00", "\ufffd")[:RAW_CHARS_MAX]
    if answer.status == 429:
        again_s = _again_s(answer.headers.get("retry-after", ""))
        raise NotAnswered("rate_limited", again_s=again_s, raw=raw)
    if answer.status >= 500:
        raise NotAnswered(f"status_{answer.status}", again_s=RETRY_AFTER_S, raw=raw)
    if answer.status != 200:
        raise NotAnswered(f"status_{answer.status}", raw=raw)
    try:
        said = json.loads(answer.body)
        choice = said["choices"][0]
        text, ended = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        raise NotAnswered("the reply is no chat completion", charged=True, raw=raw) from None
    if not isinstance(text, str):
        raise NotAnswered("the reply holds no text", charged=True, raw=raw)
    if ended == "length":
        raise NotAnswered(f"cut off at {endpoint.max_tokens} tokens", charged=True, raw=raw)
    tokens = _tokens(said, endpoint.most_tokens(sent_bytes))
    return Reply(text, raw, tokens, took_ms)


def _tokens(said: Any, most: int) -> int:
    """As the endpoint counts them; the most it can have been where it does not."""
    usage = said.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if type(total) is int and 0 <= total <= most * 10 else most


def _again_s(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return RETRY_AFTER_S
    return max(1, min(int(text), RETRY_AFTER_MAX_S))
