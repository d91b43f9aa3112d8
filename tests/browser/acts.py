"""What people do in the browser, in their words; every step goes through a page."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Locator, Page, expect

from payops.devstack.childstack import Stack

PATIENCE_S = 45.0
LOOK_EVERY_MS = 250


def fail_at_provider(
    simulator: Page, reference: str, *, code: str, event: str = "", copies: int = 1
) -> None:
    """A person presses “Fail this payout now” on the simulator's page."""
    simulator.goto(f"/?q={reference}")
    row = simulator.get_by_role("row", name=reference)
    row.get_by_label("Reason").select_option(code)
    if event:
        row.get_by_role("combobox", name="Event").select_option(event)
    row.get_by_label("Copies").fill(str(copies))
    row.get_by_role("button", name=f"Fail this payout now: {reference}").click()
    expect(simulator.get_by_role("status")).to_contain_text("Payout failed")


def reload_until(page: Page, shown: Locator) -> None:
    """Look again, as a person does, until the work in the background has shown up."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not shown.count():
        assert time.monotonic() < deadline_s, (
            f"{page.url} never showed {shown}:\n{page.get_by_role('main').inner_text()[:3000]}"
        )
        page.wait_for_timeout(LOOK_EVERY_MS)
        page.reload()


def open_payout(page: Page, reference: str) -> None:
    page.goto(f"/payouts/?q={reference}")
    page.get_by_role("link", name=reference, exact=True).click()
    expect(heading(page)).to_contain_text(reference)


def open_case(page: Page, reference: str) -> None:
    """Through the queue, where it appears by itself."""
    page.goto(f"/cases/?text={reference}&state=all")
    row = page.get_by_role("link", name=re.compile(rf"Payout {reference} of "))
    reload_until(page, row)
    row.click()
    expect(heading(page)).to_contain_text(reference)


def propose(page: Page, resolution: str, *, reason: str, hold_beneficiary: bool = False) -> str:
    """From the case: choose, look at the consequences, ask. Answers the approval's address."""
    page.get_by_role("link", name=re.compile("^Propose a resolution")).click()
    page.get_by_role("radio", name=re.compile(f"^{resolution}")).check()
    if hold_beneficiary:
        page.get_by_label("Also hold every other payout").check()
    page.get_by_role("button", name="Show what it would cause").click()
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name=re.compile(f"^Propose: {resolution}")).click()
    page.wait_for_url(re.compile("/approvals/ap_[0-9a-f]{32}/$"))
    return page.url


def decide(
    page: Page,
    stack: Stack,
    username: str,
    *,
    reject: bool = False,
    typed: str = "",
    reason: str = "checked against the bank's letter",
) -> None:
    """Fill the form of the approval that is open: reason, typed amount, password; then decide."""
    page.get_by_label("Reason").fill(reason)
    if typed:
        page.get_by_label(f"Type {typed} to approve").fill(typed)
    page.get_by_label("Your password").fill(stack.password(username))
    name = "Reject" if reject else re.compile("^Approve")
    page.get_by_role("button", name=name).click()


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def said(page: Page) -> Locator:
    """The message after an act."""
    return page.locator(".banners")


def section(page: Page, title: str | re.Pattern[str]) -> Locator:
    """The part of the page under a heading."""
    return page.locator("section").filter(has=page.get_by_role("heading", name=title)).last


def open_charge(page: Page, reference: str) -> None:
    page.goto(f"/payments/?q={reference}")
    page.get_by_role("link", name=reference, exact=True).click()
    expect(heading(page)).to_contain_text(reference)


def fill_refund(page: Page, reference: str, amount: str) -> None:
    """From the charge to the form, everything typed that the reason asks for; not sent yet."""
    open_charge(page, reference)
    page.get_by_role("link", name=re.compile("^Refund, ")).click()
    page.get_by_label("Reason", exact=True).select_option(label="Order canceled before it was sent")
    page.get_by_label("Order reference").fill(reference)
    page.locator("#refund-amount").fill(amount)
    expect(page.get_by_role("radio", name="Another amount")).to_be_checked()
    page.get_by_label("Note").fill("the customer canceled by phone")


def ask_refund(page: Page, reference: str, amount: str) -> str:
    """A person asks for a refund of one charge; answers the address of its page."""
    fill_refund(page, reference, amount)
    page.get_by_role("button", name=re.compile(rf"^(Ask for|Refund) {amount} EUR")).click()
    page.wait_for_url(re.compile("/refunds/rf_[0-9a-f]{32}/$"))
    return page.url
