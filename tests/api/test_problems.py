"""Every error is problem+json, and bad input is refused before it can be read in two ways."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from payops.api import reads
from payops.api.parsing import BODY_BYTES_MAX
from payops.api.problems import KINDS
from payops.core.models import ApiKey, IdempotencyKey
from payops.payments.models import Payout
from tests.api.calling import PAYOUTS, facts, get, post, problem
from tests.conftest import API_KEY

pytestmark = pytest.mark.django_db
BEARER = {"Authorization": f"Bearer {API_KEY}"}


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"amount": "1.00", "amount": "2.00"}',
        b'{"amount": 12.50}',
        b'{"amount": 1e3}',
        b'{"amount": NaN}',
        b'{"amount": -Infinity}',
        b'{"amount": ' + b"9" * 5000 + b"}",
        b'{"amount": "\\u0000"}',
        b'{"amount": "\\ud800"}',
        b'{"\\udfff": "1.00"}',
        b'{"amount": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b"[" * 16_000,
        b'{"a":' * 3000,
        b'{"amount": "1.00"} {"amount": "2.00"}',
    ],
)
def test_json_that_cannot_be_trusted_is_malformed(raw: bytes) -> None:
    answer = post(raw)

    assert (answer.status_code, problem(answer)) == (400, "malformed-json")
    assert not Payout.objects.exists()
    assert not IdempotencyKey.objects.exists()


def test_a_fraction_is_answered_with_the_way_to_write_it() -> None:
    answer = post('{"amount": 1200.5}')

    words = '1200.5 is not taken as a number; write amounts as text such as "1200.00".'
    assert answer.json()["detail"] == words


def test_a_body_beyond_the_limit_is_too_large() -> None:
    raw = b'{"amount": "' + b"1" * BODY_BYTES_MAX + b'"}'

    answer = post(raw)

    assert (answer.status_code, problem(answer)) == (413, "too-large")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/merge-patch+json",
        "json",
        ";",
    ],
)
def test_only_json_is_taken(content_type: str) -> None:
    answer = post(b'{"amount": "1.00"}', content_type=content_type)

    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")


def test_a_charset_does_not_matter() -> None:
    assert post(facts(), content_type="application/json; charset=utf-8").status_code == 201


def test_a_body_in_chunks_is_asked_for_with_its_length() -> None:
    answer = Client(raise_request_exception=False).generic(
        "POST",
        PAYOUTS,
        b"",
        content_type="application/json",
        headers=BEARER | {"Idempotency-Key": "K", "Transfer-Encoding": "chunked"},
    )

    assert (answer.status_code, problem(answer)) == (411, "length-required")


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
def test_a_method_that_is_not_offered(method: str) -> None:
    answer = getattr(Client(), method)(PAYOUTS, headers=BEARER)

    assert (answer.status_code, problem(answer)) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("address", ["/api/", "/api/nothing/", "/api/payouts", "/api/v2/payouts/"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_address_that_does_not_exist(method: str, address: str) -> None:
    answer = getattr(Client(), method)(address)

    assert (answer.status_code, problem(answer)) == (404, "not-found")


def test_the_caller_cannot_ask_for_html() -> None:
    answer = Client().get(
        PAYOUTS, {"merchant_ref": "P", "format": "html"}, headers=BEARER | {"Accept": "text/html"}
    )

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"


def test_head_is_answered_like_get() -> None:
    answer = Client().head(PAYOUTS, {"merchant_ref": "P"}, headers=BEARER)

    assert (answer.status_code, answer.content) == (200, b"")


def test_a_failure_of_ours_says_nothing_of_its_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*args: Any) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(reads, "payouts_of", break_down)
    with caplog.at_level(logging.ERROR):
        answer = get(PAYOUTS, merchant_ref="P")

    assert (answer.status_code, problem(answer)) == (500, "failed")
    assert b"hunter2" not in answer.content
    assert "hunter2" in caplog.text


def test_a_database_that_is_away_means_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(ApiKey.objects, "select_related", away)
    answer = get(PAYOUTS, merchant_ref="P")

    assert (answer.status_code, problem(answer)) == (503, "try-again")
    assert answer.headers["Retry-After"] == "2"


def test_the_table_of_problems_is_sound() -> None:
    assert all(400 <= kind.status <= 599 for kind in KINDS.values())
    final = {slug for slug, kind in KINDS.items() if kind.final}
    assert final == {
        "invalid-fields",
        "payout-refused",
        "posting-key-reused",
        "refund-request-reused",
        "entry-refused",
    }
