"""Access tokens of PayPal's API: fetched with the client credentials, kept until near their end.

Owns the memory of tokens of this process. Never writes one down and never shows one.
"""

import base64
import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from payops.core.http import HttpClient, HttpError
from payops.psp import strictjson
from payops.psp.base import EventRefused

TOKEN_PATH = "/v1/oauth2/token"  # noqa: S105 - an address
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,2048}", re.ASCII)
MARGIN_S = 60
LIFE_MAX_S = 12 * 3600
TOKENS_MAX = 64


class TokenAway(Exception):
    """No token: nothing was asked of the API itself, so asking again is safe."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    good_until: float


class Tokens:
    """Safe to share between threads; one key per API address and client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _Token] = {}

    def bearer(
        self,
        *,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        instead_of: str = "",
    ) -> str:
        """A token; `instead_of` names one that the API no longer takes. Raises TokenAway."""
        key = (base_url, hashlib.sha256(api_key.encode()).hexdigest())
        with self._lock:
            known = self._known.get(key)
        if known and known.value != instead_of and self._clock() < known.good_until:
            return known.value
        fresh = self._fetch(http, base_url, api_key, deadline_s)
        with self._lock:
            if len(self._known) >= TOKENS_MAX:
                self._known.clear()
            self._known[key] = fresh
        return fresh.value

    def forget(self) -> None:
        with self._lock:
            self._known.clear()

    def _fetch(self, http: HttpClient, base_url: str, api_key: str, deadline_s: float) -> _Token:
        if ":" not in api_key:
            raise TokenAway("credentials_malformed")
        basic = base64.b64encode(api_key.encode()).decode("ascii")
        asked_at = self._clock()
        try:
            answer = http.request(
                "POST",
                f"{base_url.rstrip('/')}{TOKEN_PATH}",
                {
                    "Authorization": f"Basic {basic}",
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                },
                b"grant_type=client_credentials",
                deadline_s=deadline_s,
            )
        except HttpError as error:
            raise TokenAway(f"token_{error.reason}") from error
        if answer.status != 200:
            raise TokenAway(f"token_status_{answer.status}", answer.status)
        try:
            body = strictjson.read_object(answer.body)
        except EventRefused as error:
            raise TokenAway("token_unreadable", answer.status) from error
        value, life_s = body.get("access_token"), body.get("expires_in")
        if not isinstance(value, str) or not TOKEN.fullmatch(value):
            raise TokenAway("token_unreadable", answer.status)
        if type(life_s) is not int or life_s <= 0:
            life_s = MARGIN_S
        kept_s = max(min(life_s, LIFE_MAX_S) - MARGIN_S, 0)
        return _Token(value, asked_at + kept_s)


TOKENS = Tokens()
