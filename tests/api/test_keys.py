"""Who gets in, and what nobody may do here whatever their key says (D5, AU-5, AP-6)."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern

from payops.api import views
from payops.api.refund_views import RefundRequests
from payops.api.urls import urlpatterns
from payops.commands.bootstrap import as_owner
from payops.core.models import ApiKey, AuditEvent, Book, IdempotencyKey
from payops.core.roles import Act
from payops.payments.models import Payout
from tests.api.calling import PAYOUTS, facts, get, other_key, post, problem, revoke
from tests.conftest import API_KEY
from tests.people import login

UNSAFE = ("post", "put", "patch", "delete")
SOME_ID = "0" * 32


@pytest.mark.django_db
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer pk_unknown",
        f"Bearer {API_KEY}x",
        f"Bearer {API_KEY.upper()}",
        f"Bearer {'k' * 201}",
        "Bearer \xfc\xff",
        f"Token {API_KEY}",
        f"{API_KEY}",
        "Basic " + base64.b64encode(f"{API_KEY}:".encode()).decode(),
    ],
)
def test_without_a_known_key_nobody_gets_in(header: str) -> None:
    answer = Client().get(
        "/api/payouts/", {"merchant_ref": "P-1"}, headers={"Authorization": header}
    )

    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="payops"'
    assert not AuditEvent.objects.filter(channel="api").exists()


@pytest.mark.django_db
def test_a_session_cookie_gives_no_access() -> None:
    browser = Client()
    browser.force_login(login("lena"))

    read = browser.get("/api/payouts/", {"merchant_ref": "P-1"})
    asked = browser.post(
        PAYOUTS, facts(), content_type="application/json", headers={"Idempotency-Key": "cookie"}
    )

    assert (read.status_code, asked.status_code) == (401, 401)
    assert (problem(read), problem(asked)) == ("unauthenticated", "unauthenticated")
    assert not Payout.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_revoked_key_is_refused_and_the_attempt_is_told() -> None:
    assert post(facts()).status_code == 201

    revoke("shop-backend")
    answer = post(facts(merchant_ref="P-20002"))

    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")
    assert answer.json()["detail"] == "The API key is not known or was revoked."
    assert Payout.objects.count() == 1
    told = AuditEvent.objects.filter(channel="api").order_by("-created_at").first()
    assert told is not None
    assert (told.service, told.action) == ("shop-backend", "api.request_payout")
    assert (told.evidence["status"], told.evidence["problem"]) == (401, "unauthenticated")


@pytest.mark.django_db(transaction=True)
def test_each_act_needs_its_permission() -> None:
    reader = other_key("reader", acts=[Act.VIEW_BOOKS.value])
    asker = other_key("asker", acts=[Act.REQUEST_PAYOUT.value])
    nobody = other_key("nobody", acts=[])

    refused = post(facts(), api_key=reader, key="K")
    assert (refused.status_code, problem(refused)) == (403, "act-not-allowed")
    assert refused.json()["detail"] == "The key of reader does not hold request_payout."
    assert not Payout.objects.exists()
    assert not IdempotencyKey.objects.exists()

    made = post(facts(), api_key=asker, key="K")
    assert made.status_code == 201
    address = made.headers["Location"]
    assert get(address, api_key=reader).status_code == 200
    assert get(address, api_key=asker).status_code == 403
    assert get(address, api_key=nobody).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_no_key_decides_releases_or_changes_access_even_with_every_act() -> None:
    """AP-6, D5: there is no address for it; every unsafe method ends in 404 or 405."""
    mighty = other_key("mighty", acts=[act.value for act in Act])
    made = post(facts(), api_key=mighty).json()
    records = [
        f"/api/payouts/{made['id']}/",
        f"/api/approvals/{made['approval_id']}/",
        f"/api/cases/cs_{SOME_ID}/",
        f"/api/trace/{made['id']}/",
    ]
    acts = ("decide", "approve", "reject", "withdraw", "undo", "release", "cancel", "execute")
    addresses = [
        *records,
        *(f"{record}{act}/" for record in records[:3] for act in acts),
        "/api/approvals/",
        "/api/cases/",
        "/api/holds/",
        f"/api/holds/ho_{SOME_ID}/release/",
        "/api/beneficiaries/",
        "/api/keys/",
        "/api/people/",
        "/api/roles/",
        "/api/policies/",
        "/api/schema/",
        "/api/",
    ]

    seen = {
        (method, address): _unsafe(method, address, mighty)
        for method in UNSAFE
        for address in addresses
    }
    seen |= {(method, PAYOUTS): _unsafe(method, PAYOUTS, mighty) for method in UNSAFE[1:]}

    assert {answer.status_code for answer in seen.values()} == {404, 405}
    assert {problem(answer) for answer in seen.values()} == {"not-found", "method-not-allowed"}
    assert seen["post", records[1]].status_code == 405
    assert seen["post", f"{records[1]}decide/"].status_code == 404
    approval = get(records[1], api_key=mighty).json()
    assert (approval["state"], approval["decisions"]) == ("PENDING", [])


def test_only_the_request_routes_take_an_unsafe_method() -> None:
    """A new address that changes something has to appear here."""
    taking = set()
    for route in urlpatterns:
        assert isinstance(route, URLPattern)
        view = getattr(route.callback, "view_class", None)
        if view is None or route.name == "api-schema":
            continue
        assert issubclass(view, views.ApiView)
        assert set(view.acts) == {name.upper() for name in view.http_method_names}
        taking |= {(route.name, name) for name in view.http_method_names if name in UNSAFE}

    assert taking == {
        ("api-payouts", "post"),
        ("api-refunds", "post"),
        ("api-entries", "post"),
    }
    asking = (views.Payouts, RefundRequests, views.ApiView)
    named = {act for view in asking for act in view.acts.values()}
    assert named == {Act.REQUEST_PAYOUT, Act.REQUEST_REFUND, Act.VIEW_BOOKS}


@pytest.mark.django_db(transaction=True)
def test_a_key_sees_and_uses_its_own_book_alone() -> None:
    with as_owner():
        Book.objects.create(code="other", name="Other GmbH")
    stranger = other_key("stranger", acts=["request_payout", "view_books"], book="other")
    made = post(facts()).json()

    for address in (
        f"/api/payouts/{made['id']}/",
        f"/api/approvals/{made['approval_id']}/",
        f"/api/trace/{made['id']}/",
        "/api/trace/P-20001/",
        "/api/trace/S-1001/",
    ):
        answer = get(address, api_key=stranger)
        assert (answer.status_code, problem(answer)) == (404, "not-found"), address
        assert get(address).status_code == 200, address
    listed = get(PAYOUTS, api_key=stranger, merchant_ref="P-20001")
    assert listed.json() == {"payouts": [], "more": False}
    asked = post(facts(), api_key=stranger)
    assert (asked.status_code, problem(asked)) == (422, "unknown-reference")
    assert Payout.objects.count() == 1


def test_the_stored_key_is_a_hash() -> None:
    assert {field.name for field in ApiKey._meta.concrete_fields} >= {"key_hash", "acts"}
    assert "key" not in {field.name for field in ApiKey._meta.concrete_fields}


def _unsafe(method: str, address: str, api_key: str) -> Any:
    return getattr(Client(raise_request_exception=False), method)(
        address,
        data="{}",
        content_type="application/json",
        headers={"Authorization": f"Bearer {api_key}", "Idempotency-Key": "unsafe"},
    )
