"""The keyboard all the way, and every form without JavaScript (OB-8, WCAG 2.1.1)."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from payops.devstack.childstack import Stack
from tests.browser.acts import decide, heading, open_payout, reload_until, said
from tests.browser.conftest import AsPerson

pytestmark = pytest.mark.xdist_group("browser")

PHONE = {"width": 390, "height": 844}


def test_keys_move_through_a_list_and_open_a_row(as_person: AsPerson) -> None:
    page = as_person("lena")
    page.goto("/payouts/")
    links = page.locator("table[data-rows] a.row-link")

    page.keyboard.press("j")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(links.nth(1)).to_be_focused()
    reference = links.nth(1).inner_text()
    page.keyboard.press("Enter")

    expect(heading(page)).to_contain_text(reference)


def test_slash_finds_any_id_and_question_mark_shows_the_keys(as_person: AsPerson) -> None:
    page = as_person("lena")
    page.goto("/cases/")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_label("Any id or reference")).to_be_focused()
    page.keyboard.type("P-10488")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Chain", exact=True)).to_be_visible()


def test_single_keys_can_be_turned_off(as_person: AsPerson) -> None:
    """WCAG 2.1.4."""
    page = as_person("lena")
    page.goto("/cases/")
    page.keyboard.press("?")
    page.get_by_label("Use keys without Ctrl").uncheck()
    page.keyboard.press("Escape")

    page.keyboard.press("/")
    expect(page.get_by_label("Any id or reference")).not_to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Any id or reference")).to_be_focused()


def test_skip_link_is_the_first_stop_and_leads_to_the_content(as_person: AsPerson) -> None:
    page = as_person("lena")
    page.goto("/cases/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("main")).to_be_focused()


def test_enter_in_a_field_of_the_decision_decides_nothing(as_person: AsPerson) -> None:
    page = as_person("sofia")
    page.goto("/approvals/?show=mine")
    page.get_by_role("link", name=re.compile("P-10495")).click()
    page.wait_for_url(re.compile("/approvals/ap_"))
    address = page.url

    page.get_by_label("Reason").fill("not yet")
    page.get_by_label("Your password").fill("anything")
    page.keyboard.press("Enter")
    page.reload()

    assert page.url == address
    expect(heading(page)).to_contain_text("Pending")


def test_top_tier_payout_is_approved_on_a_phone_without_javascript(
    as_person: AsPerson, stack: Stack
) -> None:
    henrik = as_person("henrik", java_script_enabled=False, viewport=PHONE)
    henrik.goto("/")
    henrik.get_by_role("link", name=re.compile("^Pay 61,000.00 EUR to Atelier Nordlicht")).click()
    decide(henrik, stack, "henrik")
    expect(henrik.get_by_role("main")).to_contain_text("type 61000.00 (EUR); nothing was typed")
    decide(henrik, stack, "henrik", typed="61000.00")
    expect(said(henrik)).to_contain_text("Approved: approved by Henrik Dahl as Treasury")

    amara = as_person("amara", java_script_enabled=False)
    open_payout(amara, "P-10495")
    reload_until(amara, heading(amara).get_by_text("Paid"))
