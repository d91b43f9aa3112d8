"""Stories S0-a and S0-b in the browser: a payout marked PAID comes back failed (S0, PX-1, AP-3)."""

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
    propose,
    reload_until,
    said,
    section,
)
from tests.browser.conftest import AsPerson

pytestmark = pytest.mark.xdist_group("browser")

ADVICE = "likely bank rejection; verify the beneficiary's details before any re-issue"
STEPS = ("A · Hold the payout", "A · Hold the beneficiary", "B · Post the compensating entry")
STEPS += ("C · Open the ticket", "D · Tell the stakeholders", "E · Ask for new details")


def test_s0_a_browser_late_failure_is_decided_by_two_people_and_executed_once(
    as_person: AsPerson, simulator: Page, stack: Stack
) -> None:
    fail_at_provider(simulator, "P-10492", code="could_not_process", event="settlementFailed")

    lena = as_person("lena")
    open_case(lena, "P-10492")
    expect(section(lena, "What is wrong")).to_contain_text("could_not_process")
    expect(section(lena, "What is wrong")).to_contain_text("Paid")
    advice = lena.locator(".advice")
    reload_until(lena, advice)
    expect(advice).to_contain_text(ADVICE)
    expect(advice).to_contain_text("It decides nothing and fills in nothing.")
    expect(section(lena, "Open holds")).to_contain_text("No hold covers this payout")

    amara = as_person("amara")
    open_case(amara, "P-10492")
    approval = _propose_and_look(amara)

    for username, why in {
        "amara": "You asked for this",
        "amara-2": "through whichever login",
        "lena": "This needs Finance manager and Compliance",
        "root": "You hold no role that counts here.",
    }.items():
        page = as_person(username)
        page.goto(approval)
        expect(page.get_by_role("main")).to_contain_text(why)
        expect(page.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)

    ingrid = as_person("ingrid")
    ingrid.goto(approval)
    marco = as_person("marco")
    marco.goto(approval)
    decide(marco, stack, "marco", typed="12400.00")
    expect(said(marco)).to_contain_text("Recorded: approved by Marco Bianchi as Finance manager")
    expect(said(marco)).to_contain_text("Still open: Compliance")
    decide(ingrid, stack, "ingrid", typed="12400.00")
    expect(said(ingrid)).to_contain_text("Already decided: approved by Marco Bianchi")

    chen = as_person("chen")
    chen.goto(approval)
    chen.get_by_label("Type 12400.00 to approve").fill("12400")
    decide(chen, stack, "chen")
    expect(chen.get_by_role("main")).to_contain_text("type 12400.00 (EUR)")
    expect(section(chen, "Seats")).to_contain_text("Open")
    decide(chen, stack, "chen", typed="12400.00")
    expect(said(chen)).to_contain_text("Approved: approved by Chen Wei as Compliance")

    open_case(lena, "P-10492")
    runbook = section(lena, re.compile("^Runbook payout exception"))
    reload_until(lena, runbook.get_by_text("E · Ask for new details"))
    reload_until(lena, heading(lena).get_by_text("Waiting"))
    for step in STEPS:
        expect(runbook.get_by_role("row", name=step)).to_contain_text("Done")
    _everything_is_told(lena)


def _propose_and_look(page: Page) -> str:
    """Amara proposes after she has seen what it would cause."""
    page.get_by_role("link", name=re.compile("^Propose a resolution")).click()
    page.get_by_role("radio", name=re.compile("^Request new bank details")).check()
    page.get_by_label("Also hold every other payout").check()
    page.get_by_role("button", name="Show what it would cause").click()
    cause = section(page, re.compile("would cause$"))
    for words in ("1200", "2200", "12,400.00 EUR", "Hold payout P-10492", "Hold every payout"):
        expect(cause).to_contain_text(words)
    expect(page.get_by_label("Reason")).to_have_value("")
    page.get_by_label("Reason").fill("the bank sent the money back")
    page.get_by_role("button", name="Propose: Request new bank details · 12,400.00 EUR").click()
    page.wait_for_url(re.compile("/approvals/ap_[0-9a-f]{32}/$"))
    expect(page.get_by_role("main")).to_contain_text("Middle tier")
    return page.url


def _everything_is_told(page: Page) -> None:
    """Holds, ticket, message, journal entry and both decisions stand on the case and behind it."""
    holds = section(page, "Open holds").locator("tbody tr")
    expect(holds).to_have_count(2)
    expect(holds.filter(has_text="This payout")).to_contain_text("Runbook")
    expect(holds.filter(has_text="Polder Bikes, every payout")).to_contain_text("Runbook")
    told = section(page, "Tickets and messages").locator("tbody tr")
    expect(told.filter(has_text="Ticket T-")).to_have_count(1)
    expect(told.filter(has_text="Decided: Request new bank details")).to_have_count(1)
    timeline = section(page, "Timeline")
    for who in ("Marco Bianchi (Finance manager)", "Chen Wei (Compliance)"):
        expect(timeline).to_contain_text(f"{who} chose to approve")

    page.goto("/ledger/journal/?event_class=payout.returned&party=S-1003")
    page.get_by_role("main").get_by_role("table").get_by_role("link").first.click()
    entry = page.get_by_role("main")
    for words in ("payout.returned", "1200", "2200", "12,400.00 EUR"):
        expect(entry).to_contain_text(words)


def test_s0_a_browser_rejection_returns_the_case_to_its_owner(
    as_person: AsPerson, simulator: Page, stack: Stack
) -> None:
    fail_at_provider(simulator, "P-10471", code="no_account")
    amara = as_person("amara")
    open_case(amara, "P-10471")
    case = amara.url
    approval = propose(amara, "Keep on hold", reason="asking the bank first")

    lena = as_person("lena")
    lena.goto(approval)
    lena.get_by_label("Your password").fill("not my password")
    lena.get_by_label("Reason").fill("wrong cause")
    lena.get_by_role("button", name="Reject").click()
    expect(lena.get_by_role("main")).to_contain_text("This is not your password.")
    decide(lena, stack, "lena", reject=True, reason="ask for new details instead")
    expect(said(lena)).to_contain_text("Rejected: rejected by Lena Fischer")

    amara.goto(case)
    reload_until(amara, heading(amara).get_by_text("Triaged"))
    timeline = section(amara, "Timeline")
    expect(timeline).to_contain_text(
        "Lena Fischer (Payments operations lead) chose to reject: ask for new details instead"
    )
    expect(amara.get_by_role("link", name=re.compile("^Propose a resolution"))).to_be_visible()
    expect(section(amara, re.compile("^Runbook"))).to_have_count(0)


def test_s0_b_browser_retry_storm_is_one_event_with_twelve_receipts_and_one_case(
    as_person: AsPerson, simulator: Page
) -> None:
    code = "could_not_process"
    fail_at_provider(simulator, "P-10481", code=code, event="payout.failed", copies=12)

    lena = as_person("lena")
    open_case(lena, "P-10481")
    timeline = section(lena, "Timeline")
    reload_until(lena, timeline.get_by_text(re.compile("Duplicate ignored")).nth(10))
    expect(timeline.get_by_text("Duplicate ignored")).to_have_count(11)
    lena.goto("/cases/?text=P-10481&state=all")
    expect(lena.locator("tbody a.row-link")).to_have_count(1)

    lena.goto("/inbox/?type=payout.failed")
    mine = lena.get_by_role("row", name=re.compile("2,210.00 EUR"))
    expect(mine).to_have_count(1)
    expect(mine).to_contain_text("12")
    mine.get_by_role("link").first.click()
    receipts = section(lena, "Receipts").get_by_role("table").first.locator("tbody tr")
    expect(receipts).to_have_count(12)
    expect(receipts.filter(has_text="Duplicate")).to_have_count(11)
    expect(receipts.filter(has_text="Valid")).to_have_count(12)
