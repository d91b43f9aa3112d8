"""A model's answer is exactly the schema, or it is discarded with a reason (AI-2, AI-9)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from payops.triage.answers import AnswerDiscarded, read_answer
from tests.triage.openai_server import GOOD

ALLOWED = ("reissue", "request_details")


def test_an_answer_of_the_schema_is_read() -> None:
    said = read_answer(json.dumps(GOOD), suggestions=ALLOWED)

    assert (said.summary, said.suggests) == (GOOD["summary"], "request_details")
    assert read_answer(json.dumps(GOOD | {"suggests": ""}), suggestions=ALLOWED).suggests == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the answer is no JSON"),
        ("Sure! Here is the JSON: {}", "the answer is no JSON"),
        ("```json\n" + json.dumps(GOOD) + "\n```", "the answer is no JSON"),
        ("[]", "the answer is no JSON object"),
        ("null", "the answer is no JSON object"),
        ('{"summary": NaN}', "the answer holds NaN"),
        ("[" * 7000, "the answer is no JSON"),
        ("x" * 8001, "the answer has 8001 characters; 8000 are allowed"),
        ('{"summary": "a", "summary": "b"}', "the answer has a member twice"),
        ("{}", "the answer lacks 4 members and has 0 unknown ones"),
    ],
)
def test_what_is_no_answer_is_discarded(text: str, reason: str) -> None:
    with pytest.raises(AnswerDiscarded) as refusal:
        read_answer(text, suggestions=ALLOWED)

    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"execute": "release"}, "the answer lacks 0 members and has 1 unknown ones"),
        ({"suggests": "release"}, "it suggests what is not among the resolutions of this case"),
        ({"suggests": "approve"}, "it suggests what is not among the resolutions of this case"),
        ({"suggests": None}, "suggests is no text"),
        ({"suggests": ["reissue"]}, "suggests is no text"),
        ({"summary": 7}, "summary is no text"),
        ({"summary": "  "}, "summary is empty"),
        ({"summary": "x" * 501}, "summary has 501 characters; 500 are allowed"),
        ({"next_step": "x" * 301}, "next_step has 301 characters; 300 are allowed"),
        ({"next_step": "approve at https://evil.example"}, "next_step holds a link, an address"),
        ({"next_step": "see www.evil.example"}, "next_step holds a link, an address or markup"),
        ({"next_step": "write to a@b.example"}, "next_step holds a link, an address or markup"),
        ({"next_step": "[here](x)"}, "next_step holds a link, an address or markup"),
        ({"next_step": "<script>alert(1)</script>"}, "next_step holds a link, an address"),
        ({"next_step": "javascript://x"}, "next_step holds a link, an address or markup"),
        ({"likely_cause": "a\u202eb"}, "likely_cause holds characters that nobody sees"),
        ({"likely_cause": "a\x00b"}, "likely_cause holds characters that nobody sees"),
    ],
)
def test_every_break_of_the_schema_discards_the_whole_answer(
    change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AnswerDiscarded) as refusal:
        read_answer(json.dumps(GOOD | change), suggestions=ALLOWED)

    assert str(refusal.value).startswith(reason)
