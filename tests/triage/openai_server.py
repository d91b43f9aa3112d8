"""A fake OpenAI-compatible endpoint: checks the documented request, answers as a test says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.connectors.http_server import Answer, Asked, System

KEY = "sk-very-secret"
GOOD = {
    "summary": "The bank sent the payout back after it had been paid.",
    "likely_cause": "The receiving account was closed.",
    "next_step": "Ask the seller for new details and keep the hold.",
    "suggests": "request_details",
}


def completion(content: Any, *, finish: str = "stop", tokens: int | None = 500) -> dict[str, Any]:
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    said: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "small-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish,
            }
        ],
    }
    if tokens is not None:
        said["usage"] = {
            "prompt_tokens": tokens - 100,
            "completion_tokens": 100,
            "total_tokens": tokens,
        }
    return said


@dataclass
class OpenAi(System):
    """`says` is the content of each answer; `schema` False knows no response_format."""

    says: Any = field(default_factory=lambda: dict(GOOD))
    schema: bool = True
    tokens: int | None = 500
    finish: str = "stop"

    def answer(self, asked: Asked) -> Answer:
        self.want((asked.method, asked.path) == ("POST", "/v1/chat/completions"), asked.path)
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Answer(401, {"error": {"message": "no", "code": "invalid_api_key"}})
        said = asked.json
        self.want(asked.headers["content-type"] == "application/json", "content type")
        self.want([each["role"] for each in said["messages"]] == ["system", "user"], "roles")
        self.want(said["model"] == "small-1" and said["temperature"] == 0, "model or temperature")
        self.want(type(said["max_tokens"]) is int and said["max_tokens"] > 0, "max_tokens")
        form = said.get("response_format")
        if form is not None:
            if not self.schema:
                return Answer(400, {"error": {"message": "unknown field response_format"}})
            made = form["json_schema"]
            self.want((form["type"], made["strict"]) == ("json_schema", True), "response_format")
            shape = made["schema"]
            self.want(shape["additionalProperties"] is False, "the schema is open")
            self.want(set(shape["required"]) == set(shape["properties"]), "required")
        return Answer(200, completion(self.says, finish=self.finish, tokens=self.tokens))
