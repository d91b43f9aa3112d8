"""Fetches what an adapter needs before it can believe a body: a certificate, a post-back's answer.

Owns the memory of certificates (an hour, by address; a failure is remembered for seconds), the cap
on how many unknown addresses are asked in a while, and the credentials of an authorised question.
Never decides: what cannot be had is `EvidenceAway`, so that the provider sends the body again. The
adapter has pinned the addresses. Serves WH-2, WH-14, SE-2 and design "Webhook edge".
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from django.conf import settings

from payops.core.http import HttpAnswer, HttpClient, HttpError
from payops.psp.base import AccountFacts, Fetch
from payops.psp.paypal.oauth import TOKENS, TokenAway

ANSWER_BYTES_MAX = 64 * 1024
KEPT_S = 3600.0
KEPT_MAX = 64
# An address that fails now serves its last good answer this much longer: a certificate that was
# fetched stays what it is, and its dates are checked anew for every body.
STALE_S = 24 * 3600.0
FAILURE_KEPT_S = 5.0
FAILURES_MAX = 256
FETCHES_PER_S = 2.0
FETCHES_BURST = 20.0
QUESTIONS_AT_ONCE = 8
LAST_WORD_S = 0.2
PEM_MARK = b"-----BEGIN CERTIFICATE-----"

Value = TypeVar("Value")


class EvidenceAway(Exception):
    """The evidence cannot be had now; nothing is decided about the body (503)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    fetched_at: float


class Collector:
    """The memory of this process; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._failures: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._under_way: dict[str, threading.Lock] = {}
        self._tokens, self._filled_at = FETCHES_BURST, clock()
        self._questions = threading.BoundedSemaphore(QUESTIONS_AT_ONCE)

    def collect(
        self, wanted: tuple[Fetch, ...], *, account: AccountFacts, deadline_s: float
    ) -> dict[str, bytes]:
        """Every answer by the name of its fetch. Raises EvidenceAway."""
        ends_at = time.monotonic() + deadline_s
        found = {}
        for fetch in wanted:
            left_s = max(ends_at - time.monotonic(), LAST_WORD_S)
            if fetch.body is None:
                found[fetch.name] = self._remembered(fetch, left_s)
            else:
                found[fetch.name] = self._asked(fetch, account, left_s)
        return found

    def forget(self) -> None:
        """Between tests, or when the provider's certificates must be read anew."""
        with self._lock:
            self._kept.clear()
            self._failures.clear()
            self._tokens, self._filled_at = FETCHES_BURST, self._clock()

    def _remembered(self, fetch: Fetch, deadline_s: float) -> bytes:
        """A GET through the memory; one address is fetched by one thread at a time."""
        if fetch.authorized:
            raise EvidenceAway("credentials_are_not_sent_with_a_get")
        known = self._known(fetch.url)
        if known is not None:
            return known
        with self._lock:
            gate = self._under_way.setdefault(fetch.url, threading.Lock())
        if not gate.acquire(timeout=deadline_s):
            raise EvidenceAway("busy")
        try:
            known = self._known(fetch.url)
            return known if known is not None else self._fetched(fetch, deadline_s)
        finally:
            gate.release()
            with self._lock:
                self._under_way.pop(fetch.url, None)

    def _known(self, url: str) -> bytes | None:
        """What is remembered of an address; None: ask it. Raises EvidenceAway."""
        now = self._clock()
        with self._lock:
            kept = self._kept.get(url)
            if kept is not None and now - kept.fetched_at < KEPT_S:
                self._kept.move_to_end(url)
                return kept.body
            reason, failed_at = self._failures.get(url, ("", float("-inf")))
        if now - failed_at >= FAILURE_KEPT_S:
            return None
        return self._stale(kept, reason, now)

    def _stale(self, kept: _Kept | None, reason: str, now: float) -> bytes:
        if kept is not None and now - kept.fetched_at < KEPT_S + STALE_S:
            return kept.body
        raise EvidenceAway(reason)

    def _fetched(self, fetch: Fetch, deadline_s: float) -> bytes:
        try:
            self._take_token()
            body = _body_of(_request("GET", fetch.url, {}, b"", deadline_s))
            if PEM_MARK not in body:
                raise EvidenceAway("not_a_certificate")
        except EvidenceAway as error:
            now = self._clock()
            with self._lock:
                _put(self._failures, fetch.url, (error.reason, now), FAILURES_MAX)
                kept = self._kept.get(fetch.url)
            return self._stale(kept, error.reason, now)
        with self._lock:
            self._failures.pop(fetch.url, None)
            _put(self._kept, fetch.url, _Kept(body, self._clock()), KEPT_MAX)
        return body

    def _take_token(self) -> None:
        """Made-up addresses on a pinned host cost the provider and us no more than this."""
        with self._lock:
            now = self._clock()
            self._tokens = min(
                FETCHES_BURST, self._tokens + (now - self._filled_at) * FETCHES_PER_S
            )
            self._filled_at = now
            if self._tokens < 1:
                raise EvidenceAway("too_many_fetches")
            self._tokens -= 1

    def _asked(self, fetch: Fetch, account: AccountFacts, deadline_s: float) -> bytes:
        """A POST whose answer is for this body alone."""
        if not self._questions.acquire(timeout=deadline_s):
            raise EvidenceAway("busy")
        try:
            return _body_of(_posted(fetch, account, deadline_s))
        finally:
            self._questions.release()


def _posted(fetch: Fetch, account: AccountFacts, deadline_s: float) -> HttpAnswer:
    """With the account's credentials when it wants them; a token refused is renewed once."""
    ends_at = time.monotonic() + deadline_s
    base_url = settings.PSP.get(account.provider, {}).get("base_url", "").rstrip("/")
    if not fetch.url.startswith("/") or not base_url:
        raise EvidenceAway("address_not_ours")
    body, headers = fetch.body or b"", {"Content-Type": "application/json"}
    if not fetch.authorized:
        return _request("POST", base_url + fetch.url, headers, body, deadline_s)
    stale = ""
    for _ in range(2):
        left_s = max(ends_at - time.monotonic(), LAST_WORD_S)
        token = _token(account, base_url, left_s, stale)
        left_s = max(ends_at - time.monotonic(), LAST_WORD_S)
        sent = headers | {"Authorization": f"Bearer {token}"}
        answer = _request("POST", base_url + fetch.url, sent, body, left_s)
        if answer.status != 401:
            break
        stale = token
    return answer


def _token(account: AccountFacts, base_url: str, deadline_s: float, stale: str) -> str:
    if account.provider != "paypal":
        raise EvidenceAway("no_credentials")
    try:
        return TOKENS.bearer(
            http=_client(settings.HTTP_ALLOW),
            base_url=base_url,
            api_key=settings.PSP[account.provider]["api_key"],
            deadline_s=deadline_s,
            instead_of=stale,
        )
    except TokenAway as error:
        raise EvidenceAway(error.reason) from error


def _request(
    method: str, url: str, headers: dict[str, str], body: bytes, deadline_s: float
) -> HttpAnswer:
    try:
        return _client(settings.HTTP_ALLOW).request(
            method, url, headers, body, deadline_s=deadline_s
        )
    except HttpError as error:
        raise EvidenceAway(error.reason) from error


def _body_of(answer: HttpAnswer) -> bytes:
    """A redirect is not followed; it is no evidence."""
    if answer.status != 200:
        raise EvidenceAway(f"status_{answer.status}")
    return answer.body


def _put(memory: OrderedDict[str, Value], key: str, value: Value, most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > most:
        memory.popitem(last=False)


@lru_cache(maxsize=4)
def _client(allow: frozenset[str]) -> HttpClient:
    return HttpClient(allow=allow, max_bytes=ANSWER_BYTES_MAX)


collector = Collector()


def collect(
    wanted: tuple[Fetch, ...], *, account: AccountFacts, deadline_s: float
) -> dict[str, bytes]:
    """Everything an adapter asked for, by name. Raises EvidenceAway."""
    return collector.collect(wanted, account=account, deadline_s=deadline_s)
