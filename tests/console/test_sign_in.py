"""Signing in: limited per login and sender, recorded, and telling nothing to a stranger."""

from __future__ import annotations

import pytest
from django.test import Client

from payops.core.models import AuditEvent
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def try_in(client: Client, username: str, password: str, **headers):
    return client.post("/sign-in/", {"username": username, "password": password}, **headers)


def test_right_password_signs_in_and_goes_where_it_was_asked_for():
    answer = Client().post(
        "/sign-in/?next=/audit/", {"username": "lena", "password": PASSWORD, "next": "/payouts/"}
    )

    assert (answer.status_code, answer["Location"]) == (302, "/payouts/")
    row = AuditEvent.objects.get(action="session.started")
    assert (row.login, row.book.is_system) == ("lena", True)


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_next_never_leads_to_another_site(target):
    answer = Client().post("/sign-in/", {"username": "lena", "password": PASSWORD, "next": target})

    assert answer["Location"] == "/"


def test_failure_is_recorded_without_what_was_typed():
    """A password typed into the login field must not stay in an append-only table."""
    answer = try_in(Client(), "my secret passphrase", "x")

    row = AuditEvent.objects.get(action="sign_in.failed")
    assert answer.status_code == 200
    assert "secret" not in str(row.evidence) + row.subject_id + row.login
    assert row.evidence["remote"] == "127.0.0.0/24"
    assert row.book.is_system


def test_unknown_login_and_wrong_password_look_the_same():
    unknown = try_in(Client(), "nobody", "x").content.decode()
    wrong = try_in(Client(), "lena", "x").content.decode()

    words = "Login or password is not right"
    assert words in unknown and words in wrong


def test_sixth_attempt_waits_even_with_the_right_password():
    client = Client()
    for _ in range(5):
        try_in(client, "lena", "x")

    refused = try_in(client, "lena", PASSWORD)
    elsewhere = try_in(Client(), "lena", PASSWORD, REMOTE_ADDR="203.0.113.9")
    other = try_in(Client(), "tomas", PASSWORD)

    assert refused.status_code == 429
    assert "5 failed attempts within 15 minutes" in refused.content.decode()
    assert elsewhere.status_code == 302
    assert other.status_code == 302
    assert AuditEvent.objects.filter(action="sign_in.failed").count() == 5


def test_a_login_without_a_person_cannot_sign_in():
    from payops.core.models import User

    user = User(username="orphan")
    user.set_password(PASSWORD)
    user.save()

    assert try_in(Client(), "orphan", PASSWORD).status_code == 200
    assert AuditEvent.objects.filter(action="session.started").count() == 0


def test_signing_out_ends_the_session_and_is_recorded(as_):
    client = as_("lena")

    answer = client.post("/sign-out/")

    assert answer["Location"] == "/sign-in/"
    assert client.get("/payouts/").status_code == 302
    assert AuditEvent.objects.filter(action="session.ended", login="lena").count() == 1


def test_admin_is_for_those_who_may_see_the_audit_and_read_only(as_):
    """Plain admin for inspection: entered by permission, not by the staff flag; no write path."""
    assert as_("audrey").get("/admin/").status_code == 200
    assert as_("audrey").get("/admin/core/auditevent/").status_code == 200
    assert as_("audrey").get("/admin/core/person/add/").status_code == 403
    assert as_("root").get("/admin/").status_code == 302
    assert as_("root").get("/admin/login/").status_code == 403
    assert Client().get("/admin/").status_code == 302
