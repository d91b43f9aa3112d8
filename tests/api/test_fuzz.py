"""Whatever is sent, the answer is a payout or a refusal; never a failure (WH-14 in spirit)."""

from __future__ import annotations

import json
import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from payops.core.models import IdempotencyKey
from payops.payments.models import Payout
from tests.api.calling import facts, get, post, problem

pytestmark = pytest.mark.django_db
bounded = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
REFUSALS = {400, 409, 413, 415, 422}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
amounts = st.from_regex(r"[0-9]{1,15}(\.[0-9]{1,4})?", fullmatch=True) | st.text(max_size=45)
currencies = st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF", "GBP"]) | st.text(
    string.ascii_uppercase, min_size=3, max_size=3
)
members = st.fixed_dictionaries(
    {},
    optional={
        "amount": amounts | anything,
        "currency": currencies | anything,
        "beneficiary": st.sampled_from(["S-1001", "S-1004", "S-1007"]) | anything,
        "account": st.sampled_from(["stripe/demo", "standard/demo"]) | anything,
        "merchant_ref": st.text(min_size=1, max_size=130) | anything,
        "reason": st.text(min_size=1) | anything,
        "on_behalf_of": st.sampled_from(["amara", "lena", "root"]) | anything,
    },
)


def check(answer: Any, payouts_before: int) -> None:
    made = Payout.objects.count() - payouts_before
    if answer.status_code == 201:
        assert made == 1
    else:
        assert answer.status_code in REFUSALS, answer.content
        assert problem(answer)
        assert made == 0


@bounded
@given(changes=members)
@example(changes={"amount": "9999999999999.99", "currency": "GBP"})
@example(changes={"merchant_ref": "\ud800"})
@example(changes={"reason": "\x00"})
def test_any_member_may_hold_anything(changes: dict[str, Any]) -> None:
    before = Payout.objects.count()
    check(post(json.dumps(facts() | changes)), before)


@bounded
@given(body=anything)
def test_any_json_may_come(body: Any) -> None:
    before = Payout.objects.count()
    check(post(json.dumps(body)), before)


@bounded
@given(raw=st.binary(max_size=300), content_type=st.text(string.printable[:95], max_size=40))
def test_any_bytes_may_come(raw: bytes, content_type: str) -> None:
    before = Payout.objects.count()
    check(post(raw), before)
    check(post(raw, content_type=content_type or "application/json"), before)


@bounded
@given(key=st.text(string.printable[:95] + "\x7f\xe9", max_size=300))
def test_any_key_may_come(key: str) -> None:
    before = Payout.objects.count()
    answer = post(facts(merchant_ref="P-fuzz"), key=key or None)
    stored = IdempotencyKey.objects.filter(key=key).count()
    replayed = "Idempotent-Replayed" in answer.headers
    if answer.status_code == 201 and not replayed:
        assert (Payout.objects.count() - before, stored) == (1, 1)
    else:
        assert replayed or problem(answer) in {
            "idempotency-key-missing",
            "idempotency-key-invalid",
        }
        assert Payout.objects.count() == before


@bounded
@given(text=st.text(max_size=80))
def test_any_id_may_be_traced(text: str) -> None:
    answer = get(f"/api/trace/{quote(text, safe='', errors='replace')}/")
    assert answer.status_code in {200, 404}
