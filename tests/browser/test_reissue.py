"""A failed payout re-issued once, and new bank details that cool down (PX-5, PX-6, F27, D7)."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from payops.devstack.childstack import Stack
from tests.browser.acts import (
    decide,
    fail_at_provider,
    heading,
    open_case,
    open_payout,
    propose,
    reload_until,
    said,
    section,
)
from tests.browser.conftest import AsPerson

pytestmark = pytest.mark.xdist_group("browser")


def test_reissue_is_verified_approved_twice_by_others_and_dispatched_once(
    as_person: AsPerson, simulator: Page, stack: Stack
) -> None:
    fail_at_provider(simulator, "P-10482", code="could_not_process")
    amara, marco, chen = as_person("amara"), as_person("marco"), as_person("chen")
    open_case(amara, "P-10482")
    case = amara.url

    amara.goto(f"{case}propose/?resolution=reissue")
    expect(amara.get_by_role("main")).to_contain_text("verify them after the failure of")
    expect(amara.get_by_role("button", name=re.compile("^Propose: Re-issue"))).to_be_disabled()
    _verify_details(amara, "Brightwater Tools")
    amara.goto(case)
    decision = propose(amara, "Re-issue once", reason="the seller confirmed the details by phone")
    lena = as_person("lena")
    lena.goto(decision)
    decide(lena, stack, "lena")
    expect(said(lena)).to_contain_text("Approved: approved by Lena Fischer")

    open_payout(amara, "P-10482")
    reload_until(amara, amara.get_by_role("link", name="P-10482-R1"))
    amara.get_by_role("link", name="P-10482-R1").click()
    expect(heading(amara)).to_contain_text("Awaiting approval")
    release = amara.get_by_role("link", name=re.compile("^Pay 1,480.00 USD to Brightwater"))
    address = str(release.get_attribute("href"))
    amara.goto(address)
    expect(amara.get_by_role("main")).to_contain_text("You asked for this")
    for page, username in ((marco, "marco"), (chen, "chen")):
        page.goto(address)
        decide(page, stack, username)
        expect(said(page)).to_contain_text("approved by")

    open_payout(amara, "P-10482-R1")
    reload_until(amara, heading(amara).get_by_text("Paid"))
    calls = section(amara, "Calls to the provider").locator("tbody tr")
    expect(calls.filter(has_text="submit")).to_have_count(1)
    amara.goto(case)
    reload_until(amara, heading(amara).get_by_text("Resolved"))
    expect(section(amara, "Timeline")).to_contain_text("re-issued as P-10482-R1, which was paid")
    simulator.goto("/?q=P-10482-R1")
    expect(simulator.get_by_role("row", name="P-10482-R1")).to_have_count(1)


def _verify_details(page: Page, beneficiary: str) -> None:
    page.goto("/beneficiaries/")
    page.get_by_role("link", name=beneficiary).click()
    page.get_by_role("link", name="Verify details…").click()
    page.get_by_label("Evidence").fill("called the seller back on the number of the contract")
    page.get_by_role("button", name="Details are verified").click()
    expect(said(page)).to_contain_text("Verified.")


def test_new_bank_details_are_approved_by_others_and_cool_down_before_a_reissue(
    as_person: AsPerson, stack: Stack
) -> None:
    amara = as_person("amara")
    open_case(amara, "P-10486")
    case = amara.url
    amara.goto(f"{case}propose/?resolution=reissue")
    expect(amara.get_by_role("main")).to_contain_text("The same details cannot succeed")

    amara.goto("/beneficiaries/")
    amara.get_by_role("link", name="Maison Lumen").click()
    seller = amara.url
    amara.get_by_role("link", name="New bank details…").click()
    amara.get_by_label("Account holder").fill("Maison Lumen SARL")
    amara.get_by_label("Account number or IBAN").fill("FR7630006000011234567890189")
    amara.get_by_label("The same once more").fill("FR7630006000011234567890188")
    amara.get_by_label("Reason").fill("letter of the seller's bank, checked by call back")
    amara.get_by_role("button", name="Ask for").click()
    expect(amara.get_by_role("alert")).to_contain_text("The two account numbers differ")
    amara.get_by_label("The same once more").fill("FR76 3000 6000 0112 3456 7890 189")
    amara.get_by_role("button", name="Ask for").click()
    amara.wait_for_url(re.compile("/approvals/ap_"))
    approval = amara.url
    expect(amara.get_by_role("main")).to_contain_text("FR·· ···· 0189")
    expect(amara.get_by_role("main")).not_to_contain_text("FR7630006")

    lena = as_person("lena")
    lena.goto(approval)
    expect(lena.get_by_role("main")).to_contain_text("This needs Finance manager and Compliance")
    for username in ("ingrid", "fatima"):
        page = as_person(username)
        page.goto(approval)
        decide(page, stack, username)
        expect(said(page)).to_contain_text("approved by")

    amara.goto(seller)
    reload_until(amara, amara.get_by_text("New bank details cool down: payable again from"))
    expect(section(amara, "Facts")).to_contain_text("FR·· ···· 0189")
    amara.goto(f"{case}propose/?resolution=reissue")
    expect(amara.get_by_role("main")).to_contain_text("New bank details cool down until")
    expect(amara.get_by_role("button", name=re.compile("^Propose: Re-issue"))).to_be_disabled()
