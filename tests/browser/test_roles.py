"""Who may do what, seen in the browser: auditor, superuser, a fresh role (D5, SE-4, AP-2)."""

from __future__ import annotations

import re

import pytest
from django.urls import resolve
from playwright.sync_api import expect

from payops.devstack.childstack import Stack
from tests.browser.acts import decide, reload_until, said, section
from tests.browser.conftest import AsPerson
from tests.browser.screens import SCREENS

pytestmark = pytest.mark.xdist_group("browser")

SENT_BY_BUTTONS = """buttons => buttons.map((button) => new URL(
  button.hasAttribute("formaction") ? button.formAction : button.form.action).pathname)"""
OWN_PATHS = """links => links.filter((link) => link.origin === location.origin)
  .map((link) => link.pathname)"""
# What an auditor's page may send: leaving, and the evidence pack (which is itself audited).
HARMLESS = {"/sign-out/", "/trace/pack/", "/views/save/"}
# Screens that exist to act; an auditor is told which permission is missing.
TO_ACT = {"case-propose", "payout-new", "payout-act", "hold-release", "beneficiary-act"}
TO_ACT |= {"bank-change", "discard", "raw-body", "access-propose", "role-revoke", "policy-propose"}
TO_ACT |= {"account-list", "account-name", "account-mode", "account-settings", "lanes-propose"}
TO_ACT |= {"account-rotate", "account-retire", "manual-journal-new", "entry-reverse"}
TO_ACT |= {"parity-bring", "parity-ask", "rates-bring", "period-act", "book-change"}
TO_ACT |= {"erp-export-new", "erp-mapping-change", "refund-new", "refund-act", "refund-bulk"}
TO_ACT |= {"refund-policy-propose", "dispute-act"}


def test_auditor_reads_every_screen_and_finds_no_button_that_acts(
    as_person: AsPerson, dead_letter: None, asked_refund: None
) -> None:
    page = as_person("audrey")
    pages = []
    for name, screens in SCREENS.items():
        for screen in screens:
            if name in TO_ACT or not screen.who or screen.link:
                continue
            status = screen.open(page)

            assert status == 200, f"{screen.path} answered {status} to the auditor"
            pages.append(page.url)
            buttons = page.locator("form[method=post] button")
            sent = buttons.evaluate_all(SENT_BY_BUTTONS)
            assert set(sent) <= HARMLESS, f"{page.url} offers the auditor {sent}"
            links = page.get_by_role("main").locator("a.btn")
            offered = links.evaluate_all(OWN_PATHS)
            assert not any(_acts(path) for path in offered), f"{page.url}: {offered}"
    assert len(pages) >= 35


def _acts(path: str) -> bool:
    """Whether an address belongs to one of the screens that exist to act."""
    return resolve(path).url_name in TO_ACT


def test_superuser_signs_in_and_can_do_nothing(as_person: AsPerson) -> None:
    page = as_person("root")
    expect(page.goto("/") and page.get_by_role("main")).to_be_visible()
    for path in ("/payouts/", "/cases/", "/settings/people/", "/audit/", "/approvals/"):
        answer = page.goto(path)
        assert answer is not None and answer.status == 403, path
        expect(page.get_by_role("main")).to_contain_text("Not permitted")


def test_granted_role_is_approved_by_compliance_and_does_not_count_for_a_day(
    as_person: AsPerson, stack: Stack
) -> None:
    ada = as_person("ada")
    ada.goto("/settings/people/")
    ada.get_by_role("link", name="Grant a role…").click()
    ada.get_by_label("Person").select_option(label="Priya Raman")
    ada.get_by_label("Role", exact=True).select_option(label="Payments operations lead")
    ada.get_by_label("Reason").fill("stands in for Lena next week")
    ada.get_by_role("button", name="Ask for the role").click()
    ada.wait_for_url(re.compile("/approvals/ap_"))
    approval = ada.url
    expect(ada.get_by_role("main")).to_contain_text("You asked for this")

    fatima = as_person("fatima")
    fatima.goto(approval)
    decide(fatima, stack, "fatima", reason="agreed with the head of operations")
    expect(said(fatima)).to_contain_text("Approved: approved by Fatima Zahra as Compliance")
    ada.goto("/settings/people/")
    granted = section(ada, "People").get_by_role("row", name=re.compile("Priya Raman"))
    reload_until(ada, granted.get_by_text("Payments operations lead"))

    priya = as_person("priya")
    priya.goto("/approvals/?show=all")
    priya.get_by_role("link", name=re.compile("^Pay 4,999.99 EUR to Loomstate Linen")).click()
    expect(priya.get_by_role("main")).to_contain_text(
        "Not counted: Payments operations lead (held for 0 of the 24 hours it takes)"
    )
    expect(priya.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)
