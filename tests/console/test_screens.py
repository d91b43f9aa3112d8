"""Every reading screen: who may open it, what it says when empty, and what bad addresses answer."""

from __future__ import annotations

import pytest
from django.test import Client

LISTS = {
    "/payouts/": "No payouts yet",
    "/payments/": "No payments yet",
    "/refunds/": "No refunds yet",
    "/settings/refund-policy/": "A rule grants alone up to",
    "/beneficiaries/": "Atelier Nordlicht",
    "/ledger/": "No balances yet",
    "/ledger/journal/": "No entries yet",
    "/ledger/matrix/": "payout.returned",
    "/inbox/": "Nothing was received yet",
    "/inbox/dead/": "No dead letters",
    "/messages/": "No messages yet",
    "/messages/tickets/": "No tickets yet",
    "/messages/outbox/": "No dead letters",
    "/audit/": "person.bootstrapped",
    "/audit/verify/": "Rows walked",
    "/trace/": "Paste any id",
}
BOOKS = ("amara", "lena", "priya", "marco", "chen", "sofia", "audrey", "eli")
INBOX = ("amara", "lena", "priya", "marco", "chen", "audrey", "eli")
AUDIT = ("lena", "marco", "chen", "sofia", "audrey")
ROLES = ("amara", "lena", "priya", "marco", "chen", "sofia", "audrey", "eli", "ada", "root")
ALLOWED = {
    "/inbox/": INBOX,
    "/inbox/dead/": INBOX,
    "/messages/outbox/": INBOX,
    "/audit/": AUDIT,
    "/audit/verify/": AUDIT,
}


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "words"), LISTS.items())
def test_screen_opens_for_its_roles_and_names_the_permission_to_others(as_, path, words):
    """SE-4: one permission per screen; the 403 page says which is missing."""
    for username in ROLES:
        answer = as_(username).get(path)

        if username in ALLOWED.get(path, BOOKS):
            assert answer.status_code == 200, (username, path)
            assert words in answer.content.decode()
        else:
            assert answer.status_code == 403, (username, path)
            assert "This needs the permission view_" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", LISTS)
def test_anonymous_caller_is_sent_to_sign_in_and_back(path):
    answer = Client().get(path)

    assert answer.status_code == 302
    assert answer["Location"] == f"/sign-in/?next={path}"


@pytest.mark.django_db
@pytest.mark.parametrize("path", LISTS)
def test_screen_keeps_the_strict_content_policy(as_, path):
    answer = as_("audrey").get(path)

    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        "/payouts/po_" + "0" * 32 + "/",
        "/payouts/pa_" + "0" * 32 + "/",
        "/payments/pa_" + "0" * 32 + "/",
        "/refunds/rf_" + "0" * 32 + "/",
        "/refunds/rf_" + "0" * 32 + "/send/",
        "/beneficiaries/be_" + "0" * 32 + "/",
        "/ledger/journal/je_" + "0" * 32 + "/",
        "/inbox/ev_" + "0" * 32 + "/",
        "/payouts/po_nonsense/",
        "/nowhere/",
    ],
)
def test_unknown_record_or_address_is_a_404_page(as_, path):
    answer = as_("lena").get(path)

    assert answer.status_code == 404
    assert "Not found" in answer.content.decode()


def test_unknown_webhook_address_answers_404_without_detail(db):
    answer = Client().get("/webhooks/nowhere")

    assert answer.status_code == 404
    assert answer.content == b""


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/payouts/", "/audit/", "/sign-out/"])
def test_screens_refuse_other_methods(as_, path):
    wrong = "get" if path == "/sign-out/" else "post"

    assert getattr(as_("lena"), wrong)(path).status_code == 405


@pytest.mark.django_db
def test_form_without_its_token_is_refused_with_our_page(as_):
    client = Client(enforce_csrf_checks=True)
    client.cookies = as_("eli").cookies

    answer = client.post("/inbox/redrive/", {"note": "x"})

    assert answer.status_code == 403
    assert "Nothing was changed" in answer.content.decode()


@pytest.mark.django_db
def test_navigation_shows_what_the_role_may_open(as_):
    auditor = as_("audrey").get("/payouts/").content.decode()
    treasury = as_("sofia").get("/payouts/").content.decode()

    assert 'href="/audit/"' in auditor and 'href="/inbox/"' in auditor
    assert 'href="/inbox/"' not in treasury


@pytest.mark.django_db
def test_times_are_those_of_the_book(as_):
    page = as_("lena").get("/payouts/").content.decode()

    assert "Times in Europe/Berlin" in page
