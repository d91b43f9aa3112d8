"""One answer per key: replayed, refused for other facts, free after what may change (LJ-14)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from approvals.models import ApprovalRequest
from approvals.refusals import PolicyMissing
from payops.api import trail
from payops.core.models import AuditEvent, IdempotencyKey
from payops.flows.payouts import request as payout_flow
from payops.payments.models import Payout
from tests.api.calling import facts, other_key, post, problem
from tests.races import race

pytestmark = pytest.mark.django_db
BOTH = ["request_payout", "view_books"]


def test_the_same_key_and_facts_give_the_same_answer_again() -> None:
    first = post(facts(), key="K-1")
    again = post(facts(), key="K-1")
    in_another_order = post(json.dumps(dict(reversed(facts().items())), indent=2), key="K-1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == in_another_order.content == first.content
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert (Payout.objects.count(), ApprovalRequest.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_the_stored_answer_is_told_even_after_the_payout_moved_on() -> None:
    first = post(facts(), key="K-1")
    payout = Payout.objects.get()
    payout_flow.cancel(
        payout_id=payout.pk,
        reason="asked for twice",
        actor=payout_flow.ACTOR,
        now=payout.created_at,
    )

    assert post(facts(), key="K-1").content == first.content


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "1200.01"},
        {"currency": "USD"},
        {"beneficiary": "S-1002"},
        {"account": "standard/demo"},
        {"merchant_ref": "P-20002"},
        {"reason": "another reason"},
        {"on_behalf_of": "lena"},
        {"amount": 5},
    ],
)
def test_the_same_key_with_other_facts_is_refused_with_both_fingerprints(
    changes: dict[str, Any],
) -> None:
    first, second = facts(), facts(**changes)
    post(first, key="K-1")

    answer = post(second, key="K-1")

    assert (answer.status_code, problem(answer)) == (409, "idempotency-key-reused")
    told = answer.json()
    assert told["stored_fingerprint"] == _fingerprint(first)
    assert told["given_fingerprint"] == _fingerprint(second)
    assert Payout.objects.count() == 1
    assert IdempotencyKey.objects.get().fingerprint == _fingerprint(first)


@pytest.mark.parametrize("key", [None, "\xe9", "tab\there", "k" * 256])
def test_a_call_without_an_acceptable_key_is_refused(key: str | None) -> None:
    answer = post(facts(), key=key)

    kind = "idempotency-key-missing" if key is None else "idempotency-key-invalid"
    assert (answer.status_code, problem(answer)) == (400, kind)
    assert answer.json()["header"] == "Idempotency-Key"
    assert "Idempotency-Key" in answer.json()["detail"]
    assert not Payout.objects.exists()
    assert not IdempotencyKey.objects.exists()


def test_two_long_keys_that_begin_alike_are_two_keys() -> None:
    assert post(facts(), key="k" * 254 + "1").status_code == 201
    assert post(facts(merchant_ref="P-2"), key="k" * 254 + "2").status_code == 201

    stored = set(Payout.objects.values_list("request_key", flat=True))
    assert stored == {
        "api#shop-backend:" + hashlib.sha256((b"k" * 254) + end).hexdigest() for end in (b"1", b"2")
    }


@pytest.mark.parametrize("amount", ["0.00", "1.2345", 12])
def test_a_refusal_that_time_cannot_change_is_kept_under_the_key(amount: Any) -> None:
    first = post(facts(amount=amount), key="K-1")
    again = post(facts(amount=amount), key="K-1")
    corrected = post(facts(), key="K-1")

    assert (first.status_code, again.status_code, corrected.status_code) == (422, 422, 409)
    assert again.content == first.content
    assert again.headers["Content-Type"] == "application/problem+json"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert not Payout.objects.exists()
    assert IdempotencyKey.objects.get().status == 422


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (OperationalError("canceling statement due to lock timeout"), 503, "try-again"),
        (PolicyMissing("no active policy"), 409, "not-now"),
        (IntegrityError("a bug"), 500, "failed"),
    ],
)
def test_what_time_can_change_leaves_the_key_free(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, kind: str
) -> None:
    """D17a. The failure comes after the payout was written, so everything has to roll back."""
    ask_release = payout_flow.ask_release

    def ask_and_fail(*args: Any, **options: Any) -> None:
        ask_release(*args, **options)
        raise error

    monkeypatch.setattr(payout_flow, "ask_release", ask_and_fail)
    answer = post(facts(), key="K-1")

    assert (answer.status_code, problem(answer)) == (status, kind)
    assert answer.headers.get("Retry-After") == ("2" if status == 503 else None)
    assert not Payout.objects.exists()
    assert not IdempotencyKey.objects.exists()

    monkeypatch.undo()
    assert post(facts(), key="K-1").status_code == 201


@pytest.mark.django_db(transaction=True)
def test_payout_answer_and_audit_are_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(**said: Any) -> None:
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(trail, "called", lose)
    answer = post(facts(), key="K-1")

    assert (answer.status_code, problem(answer)) == (503, "try-again")
    assert not Payout.objects.exists()
    assert not IdempotencyKey.objects.exists()
    assert not AuditEvent.objects.filter(channel="api").exists()


@pytest.mark.django_db(transaction=True)
def test_a_key_belongs_to_the_system_that_made_it() -> None:
    """Another system's same key is another key; a second key of the same system is not."""
    stranger = other_key("erp", acts=BOTH)
    rotated = other_key("rotated", acts=BOTH, system="shop-backend")
    first = post(facts(), key="K-1")

    theirs = post(facts(merchant_ref="P-erp"), key="K-1", api_key=stranger)
    ours = post(facts(), key="K-1", api_key=rotated)

    assert (theirs.status_code, theirs.headers.get("Idempotent-Replayed")) == (201, None)
    assert theirs.json()["id"] != first.json()["id"]
    assert ours.content == first.content
    assert Payout.objects.count() == 2
    assert sorted(IdempotencyKey.objects.values_list("scope", "key")) == [
        ("erp", "K-1"),
        ("shop-backend", "K-1"),
    ]


@pytest.mark.django_db(transaction=True)
def test_sixteen_at_once_make_one_payout() -> None:
    answers = race(16, lambda i: post(facts(), key="K-race"))

    assert [answer.status_code for answer in answers] == [201] * 16
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert Payout.objects.count() == ApprovalRequest.objects.count() == 1
    assert IdempotencyKey.objects.count() == 1
    calls = AuditEvent.objects.filter(action="api.request_payout")
    assert calls.count() == 16
    assert calls.filter(evidence__replayed=True).count() == 15


@pytest.mark.django_db(transaction=True)
def test_sixteen_at_once_with_two_sets_of_facts_make_one_payout() -> None:
    def ask(i: int) -> Any:
        return post(facts(amount=f"{10 + i % 2}.00"), key="K-race")

    statuses = [answer.status_code for answer in race(16, ask)]

    assert sorted(statuses) == [201] * 8 + [409] * 8
    assert Payout.objects.count() == 1


def _fingerprint(asked: dict[str, Any]) -> str:
    """Written out here, so that a change of the rule is a change of this line."""
    text = json.dumps(["request_payout", asked], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
