"""My work, payouts, holds, bank details, access, policies and discards (F2, F23, F27, PX-4, D5)."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals.models import ApprovalRequest
from payops.core.models import ApiKey, Person, RoleGrant
from payops.flows.access_changes import hash_api_key
from payops.payments.models import Beneficiary, Hold, Payout
from tests import builders
from tests.console.work import HOSTILE, browser, failed_payout, proposed, shows, text_of
from tests.people import person

pytestmark = pytest.mark.django_db(transaction=True)
EVERYBODY = (
    "amara",
    "lena",
    "priya",
    "marco",
    "chen",
    "sofia",
    "audrey",
    "eli",
    "ada",
    "root",
)


def payout_form(**changes: str) -> dict[str, str]:
    said = {
        "beneficiary": builders.seller().public_id,
        "account": str(builders.account().pk),
        "amount": "1,200.50",
        "currency": "eur",
        "merchant_ref": "P-900",
        "reason": "weekly",
        "request_key": "console:one",
    }
    return {**said, **changes}


# ---- my work -------------------------------------------------------------------------------


@pytest.mark.parametrize("username", EVERYBODY)
def test_my_work_opens_for_every_role(username: str):
    page = browser(username).get("/")

    assert page.status_code == 200
    assert "My work" in text_of(page)


def test_my_work_shows_what_waits_for_each_role_with_its_worth():
    payout, case = failed_payout()

    lena = text_of(browser("lena").get("/"))
    proposed(case)
    marco, amara = text_of(browser("marco").get("/")), text_of(browser("amara").get("/"))

    assert f"/cases/{case.public_id}/" in lena
    assert "Queue of your role" in lena
    assert re.search(r"oldest \d+ (s|min) · 12,400.00 EUR", lena)
    assert f"payout {payout.merchant_ref} of 12,400.00 EUR" in marco
    assert "Waiting for your decision" in marco
    assert "What you asked for, still open" in amara


def test_an_agent_sees_every_open_case_nobody_owns_and_no_tile_of_nothing():
    _, case = failed_payout()

    amara = text_of(browser("amara").get("/"))

    assert f"/cases/{case.public_id}/" in amara
    assert "Open cases nobody owns" in amara
    assert "Your cases" in amara
    assert "Payouts with unknown outcome" not in amara
    assert "Overdue, all" not in amara


def test_my_work_of_somebody_without_a_role_or_without_work_says_so():
    assert "You hold no role yet" in text_of(browser("root").get("/"))
    assert "Nothing waits for you" in text_of(browser("sofia").get("/"))
    assert Client().get("/").headers["Location"] == "/sign-in/?next=/"


def test_my_work_costs_a_fixed_number_of_statements():
    lena = browser("lena")
    lena.get("/")
    with CaptureQueriesContext(connection) as empty:
        lena.get("/")
    for reference in ("S-1001", "S-1002", "S-1003"):
        builders.requested("900.00", reference=reference)

    with CaptureQueriesContext(connection) as full:
        page = lena.get("/")

    assert text_of(page).count("May decide") == 3
    assert len(full) <= len(empty) + 2
    assert len(full) <= 24


# ---- payouts and holds ---------------------------------------------------------------------


def test_new_payout_is_asked_for_once_however_often_the_form_is_sent():
    amara = browser("amara")
    assert 'name="request_key" value="console:' in text_of(amara.get("/payouts/new/"))

    first = amara.post("/payouts/new/", payout_form(), follow=True)
    again = amara.post("/payouts/new/", payout_form())

    payout = Payout.objects.get()
    assert (payout.amount_minor, payout.currency, payout.state) == (
        120050,
        "EUR",
        "AWAITING_APPROVAL",
    )
    assert payout.requested_by == person("amara")
    assert shows(first, "Asked for 1,200.50 EUR. Others decide on its release.")
    assert again.headers["Location"] == f"/payouts/{payout.public_id}/"


def test_refused_payout_names_the_figure_and_keeps_what_was_typed():
    amara = browser("amara")
    amara.post("/payouts/new/", payout_form())

    decimals = amara.post("/payouts/new/", payout_form(amount="1.234", reason=HOSTILE))
    nothing = amara.post("/payouts/new/", payout_form(amount="0", request_key="two"))
    reused = amara.post("/payouts/new/", payout_form(amount="9.00"))

    assert [a.status_code for a in (decimals, nothing, reused)] == [422] * 3
    assert shows(decimals, "'1.234' has more than 2 decimals, too many for EUR")
    assert "<script>alert(1)" not in text_of(decimals)
    assert 'value="1.234"' in text_of(decimals)
    assert shows(nothing, "a payout pays more than nothing; asked was 0.00 EUR")
    assert shows(reused, "request key console:one was used for 1,200.50 EUR")
    assert Payout.objects.count() == 1


@pytest.mark.parametrize(
    "typed", ["12,50", "1,200", "1e3", "\uff11\uff12.00", "12.400,00", "1,2,3.00"]
)
def test_an_amount_that_two_people_read_differently_is_refused(typed):
    """F19: "12,50" never becomes 1,250.00."""
    amara = browser("amara")

    answer = amara.post("/payouts/new/", payout_form(amount=typed))

    assert answer.status_code == 422
    assert shows(answer, f"'{typed}' is not read as an amount: write digits, and a point before")
    assert Payout.objects.count() == 0


def test_words_that_turn_the_text_around_are_kept_as_they_are_read():
    builders.requested("900.00")
    payout = Payout.objects.get()

    browser("amara").post(f"/payouts/{payout.public_id}/hold/", {"reason": "see \u202egnp.exe"})

    assert Hold.objects.get().reason == "see gnp.exe"


def test_hold_is_placed_released_and_releases_only_itself():
    payout = builders.requested("900.00")
    url, seller = f"/payouts/{payout.public_id}/", f"/beneficiaries/{builders.seller().public_id}/"
    amara, lena = browser("amara"), browser("lena")

    amara.post(f"{url}hold/", {"reason": "the address is odd"})
    amara.post(f"{seller}hold/", {"reason": "called, no answer"})
    mine, sellers = Hold.objects.order_by("created_at")
    page = text_of(lena.get(url))
    by_agent = amara.post(f"/holds/{mine.public_id}/release/", {"reason": "fine"})
    empty = lena.post(f"/holds/{mine.public_id}/release/", {"reason": " "})
    done = lena.post(f"/holds/{mine.public_id}/release/", {"reason": "fine"}, follow=True)

    assert "the address is odd" in page and "called, no answer" in page
    assert f"/holds/{mine.public_id}/release/" in page
    assert by_agent.status_code == 403
    assert empty.status_code == 422
    assert shows(done, "Released: the address is odd. Other holds stay as they are.")
    mine.refresh_from_db()
    sellers.refresh_from_db()
    assert (mine.released_by, sellers.released_at) == (person("lena"), None)


def test_payout_is_canceled_once_and_the_refusal_names_its_state():
    payout = builders.requested("900.00")
    url = f"/payouts/{payout.public_id}/cancel/"

    assert "Cancel payout" in text_of(browser("amara").get(url))
    done = browser("amara").post(url, {"reason": "wrong seller"}, follow=True)
    again = browser("amara").post(url, {"reason": "wrong seller"})
    retried = browser("amara").post(f"/payouts/{payout.public_id}/retry/", {"reason": "again"})

    assert shows(done, "Canceled. Its approval is void; nothing leaves.")
    assert again.status_code == retried.status_code == 422
    assert shows(again, f"{payout.merchant_ref} is CANCELED; only a payout that has not left")
    assert shows(retried, f"{payout.merchant_ref} is CANCELED, not BLOCKED")
    assert ApprovalRequest.objects.get().state == "VOID"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/payouts/new/", {"amara", "lena", "priya", "sofia"}),
        ("/payouts/{po}/hold/", {"amara", "lena", "chen"}),
        ("/payouts/{po}/cancel/", {"amara", "lena", "priya", "sofia"}),
        ("/beneficiaries/{be}/verify/", {"amara", "lena", "chen"}),
        ("/beneficiaries/{be}/bank-change/", {"amara", "lena"}),
        ("/settings/people/", {"ada", "lena", "marco", "chen", "sofia", "audrey"}),
        ("/settings/people/role-grant/", {"ada"}),
        ("/settings/people/api-key/", {"ada"}),
        (
            "/settings/policies/",
            {"amara", "lena", "priya", "marco", "chen", "sofia", "audrey", "eli", "ada"},
        ),
        ("/settings/policies/payout_release/", {"marco", "sofia"}),
        ("/inbox/dead/discard/", {"eli"}),
    ],
)
def test_each_page_opens_for_exactly_the_roles_that_may(path: str, allowed: set[str]):
    payout = builders.requested("900.00")
    url = path.format(po=payout.public_id, be=builders.seller().public_id)

    opened = {name for name in EVERYBODY if browser(name).get(url).status_code == 200}

    assert opened == allowed


# ---- bank details --------------------------------------------------------------------------


def test_bank_change_is_asked_for_never_shown_and_changes_nothing_yet():
    seller = builders.seller()
    url = f"/beneficiaries/{seller.public_id}/bank-change/"
    said = {
        "holder": "Atelier Nordlicht",
        "account": "DE89 3704 0044 0532 0130 00",
        "account_again": "DE89370400440532013000",
        "reason": "letter from the seller, called back",
    }

    page = browser("amara").post(url, said, follow=True)
    twice = browser("amara").post(url, {**said, "account_again": "DE00"})

    assert shows(page, "New bank details for Atelier Nordlicht: DE·· ···· 3000")
    assert "DE·· ···· 2051" in text_of(page)
    assert "370400440532013" not in text_of(page)
    assert 'class="mono">sealed' not in text_of(page)
    assert ApprovalRequest.objects.get().facts["sealed"] not in text_of(page)
    assert builders.seller().bank_hash == seller.bank_hash
    assert twice.status_code == 422
    assert shows(twice, "The two account numbers differ; type the same number twice.")


def test_verification_needs_evidence_and_keeps_it():
    url = f"/beneficiaries/{builders.seller().public_id}/verify/"

    short = browser("lena").post(url, {"evidence": "ok"})
    done = browser("lena").post(url, {"evidence": "called back on the known number"}, follow=True)

    assert short.status_code == 422
    assert shows(short, "verifying details needs the evidence used, in words")
    assert shows(done, "Verified. The evidence is kept with the beneficiary.")
    assert builders.seller().verified_by == person("lena")


def test_who_asked_for_the_details_does_not_verify_them():
    """PX-6, F27: a changed account is verified by somebody else."""
    Beneficiary.objects.update(bank_changed_by=person("lena"))
    url = f"/beneficiaries/{builders.seller().public_id}/verify/"
    said = {"evidence": "called back on the known number"}

    own = browser("lena").post(url, said)
    other = browser("chen").post(url, said, follow=True)

    assert own.status_code == 422
    assert shows(own, "you asked for the details of DE·· ···· 2051, so somebody else verifies them")
    assert shows(other, "Verified. The evidence is kept with the beneficiary.")


# ---- access, policies, discards ------------------------------------------------------------


def test_role_is_proposed_decided_by_compliance_and_shown_with_its_date():
    ada, priya = browser("ada"), person("priya")
    said = {"person": str(priya.pk), "role": "finance_manager", "reason": "covers for Marco"}

    page = ada.post("/settings/people/role-grant/", said, follow=True)
    again = ada.post("/settings/people/role-grant/", {**said, "person": str(person("lena").pk)})
    held = ada.post("/settings/people/role-grant/", {**said, "role": "finance_analyst"})

    assert shows(page, "Grant Finance manager to Priya Raman")
    assert again.status_code == 302
    assert held.status_code == 422
    assert shows(held, "Priya Raman holds finance_analyst already")
    approval = ApprovalRequest.objects.get(facts__person_id=str(priya.pk))
    assert approval.seats == ["compliance"]
    assert not RoleGrant.objects.filter(person=priya, role="finance_manager").exists()
    builders.decide(approval, "chen", typed="")
    builders.drain()
    people = text_of(ada.get("/settings/people/"))
    assert RoleGrant.objects.filter(person=priya, role="finance_manager").count() == 1
    assert approval.public_id in people


def test_role_is_revoked_at_once_by_the_access_administrator_alone():
    grant = RoleGrant.objects.get(person=person("tomas"))
    url = f"/settings/people/roles/{grant.pk}/revoke/"

    refused = browser("lena").post(url, {"reason": "left the team"})
    done = browser("ada").post(url, {"reason": "left the team"}, follow=True)

    assert refused.status_code == 403
    assert shows(done, "Tomas Novak no longer holds Payments operations lead.")
    grant.refresh_from_db()
    assert grant.revoked_by == person("ada")


def test_api_key_is_shown_once_and_only_its_hash_is_asked_for():
    said = {"system": "shop-two", "acts": ["request_payout"], "reason": "new shop"}

    page = browser("ada").post("/settings/people/api-key/", said)

    (key,) = set(re.findall(r"pk_[0-9a-f]{48}", text_of(page)))
    approval = ApprovalRequest.objects.get(kind="api_key")
    assert approval.facts["key_hash"] == hash_api_key(key)
    assert page.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    assert approval.facts["key_hash"] not in text_of(
        browser("chen").get(f"/approvals/{approval.public_id}/")
    )
    assert not ApiKey.objects.filter(system="shop-two").exists()


def test_person_and_login_are_asked_for_and_a_known_name_is_refused():
    ada = browser("ada")
    same = ada.post(
        "/settings/people/person-create/",
        {"full_name": "lena fischer", "reason": "second"} | {"email": "l@meridian.example"},
    )
    login = ada.post(
        "/settings/people/login-link/",
        {"person": str(person("amara").pk), "username": "lena", "reason": "second"},
    )
    odd = ada.post(
        "/settings/people/login-link/",
        {"person": str(person("amara").pk), "username": "Am ara", "reason": "second"},
    )

    assert [a.status_code for a in (same, login, odd)] == [422] * 3
    assert shows(same, "a person called lena fischer exists; link a further login to them instead")
    assert shows(login, "the login lena exists already")
    assert shows(odd, "A login name has lower-case letters, digits, dot, _ or -.")
    assert ApprovalRequest.objects.count() == 0
    assert Person.objects.filter(name__iexact="lena fischer").count() == 1


def test_policy_change_shows_old_and_new_edges_and_binds_nothing_yet():
    url = "/settings/policies/payout_exception/"
    form = {"edge_0": "4,000.00", "edge_1": "50000.00", "expires_hours": "72", "reason": "risk"}

    page = browser("marco").post(url, form, follow=True)
    same = browser("marco").post(url, {**form, "edge_0": "5000.00"})
    falling = browser("marco").post(url, {**form, "edge_0": "60000.00"})

    assert shows(page, "below 5,000.00 EUR") and shows(page, "below 4,000.00 EUR")
    assert shows(page, "Changed")
    approval = ApprovalRequest.objects.get(kind="policy_change")
    assert approval.facts["rules"]["tiers"][0]["top_minor"] == 400000
    assert same.status_code == falling.status_code == 422
    assert shows(same, "Nothing differs from the active table; change an edge first.")
    assert shows(falling, "the proposed table cannot be applied: the upper edges")
    assert "Below 5,000.00 EUR" in text_of(browser("priya").get("/settings/policies/"))


def test_access_policies_are_those_of_the_system_book():
    form = {"expires_hours": "24", "reason": "decide about access within a day"}

    page = browser("marco").post("/settings/policies/role_grant/", form, follow=True)

    assert shows(page, "New approval policy: Role grant")
    assert shows(page, "72 hours now, 24 hours proposed")
    assert ApprovalRequest.objects.get(kind="policy_change").book.is_system


def test_discard_of_an_unknown_event_is_refused_with_the_count():
    unknown = "ev_" + "0" * 32

    page = browser("eli").get(f"/inbox/dead/discard/?event={unknown}")
    refused = browser("eli").post(
        "/inbox/dead/discard/", {"event_ids": unknown, "note": "a test of the provider"}
    )
    nonsense = browser("eli").post("/inbox/dead/discard/", {"event_ids": "nope", "note": "x"})

    assert unknown in text_of(page)
    assert refused.status_code == nonsense.status_code == 422
    assert shows(refused, "0 of 1 named events are dead letters")
    assert shows(nonsense, "'nope' is not a public id")
    assert ApprovalRequest.objects.count() == 0
