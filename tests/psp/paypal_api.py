"""A small PayPal API: answers by method and path, and what was asked of it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from payops.core.http import HttpClient
from payops.psp.paypal.oauth import TOKENS
from tests.psp.scripted_server import Received, ScriptedServer, http, scripted_server

API_KEY = "client-id:client-secret-never-shown"
TOKEN = "A21AAF-token.of_the~tests-0123456789"
Answer = bytes | Callable[[Received], bytes]


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def ok(value: object, status: int = 200) -> bytes:
    return http(status, body(value))


def problem(status: int, name: str, *details: Mapping[str, Any], **more: Any) -> bytes:
    told = {"name": name, "message": "No.", "debug_id": "90957fca61718", "details": details}
    return http(status, body(told | more))


def token(value: str = TOKEN, **more: Any) -> bytes:
    return ok({"access_token": value, "token_type": "Bearer", "expires_in": 32400} | more)


class Api:
    """`answers` maps "METHOD /path" (without the query) to an answer, or to several in turn."""

    def __init__(self, answers: Mapping[str, Answer | list[Answer]]) -> None:
        self._answers = {"POST /v1/oauth2/token": token()} | {
            key: list(value) if isinstance(value, list) else value for key, value in answers.items()
        }
        self.server: ScriptedServer

    def script(self, request: Received) -> Iterator[bytes]:
        answer = self._answers.get(f"{request.method} {request.target.partition('?')[0]}")
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer is None:
            answer = http(404, b"<html>no such route</html>")
        yield answer(request) if callable(answer) else answer

    @property
    def asked(self) -> list[str]:
        """Everything but the questions for a token."""
        return [
            f"{each.method} {each.target}"
            for each in self.server.received
            if "oauth2" not in each.target
        ]

    def of(self, path: str) -> list[Received]:
        return [each for each in self.server.received if each.target.partition("?")[0] == path]

    def caller(self) -> dict[str, Any]:
        return {
            "http": HttpClient(allow=self.server.allow),
            "base_url": f"{self.server.origin}/",
            "api_key": API_KEY,
            "deadline_s": 5.0,
        }


@contextmanager
def paypal_api(answers: Mapping[str, Answer | list[Answer]]) -> Iterator[Api]:
    api = Api(answers)
    TOKENS.forget()
    with scripted_server(api.script) as server:
        api.server = server
        yield api
    TOKENS.forget()
