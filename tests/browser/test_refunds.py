"""Refunds as people ask for, decide and look up them: one request, one refund (RF-11, D5, F7)."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from payops.devstack.childstack import Stack
from tests.browser.accessible import wider_than_window
from tests.browser.acts import (
    ask_refund,
    decide,
    fill_refund,
    heading,
    open_charge,
    reload_until,
    said,
    section,
)
from tests.browser.conftest import AsPerson

pytestmark = pytest.mark.xdist_group("browser")

PHONE = {"width": 390, "height": 844}


def told(stack: Stack, path: str, body: dict[str, Any] | None = None) -> Any:
    """The simulator's own control: a fault to order, or the movements to count."""
    request = urllib.request.Request(
        f"{stack.simulator}/control{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def moved(stack: Stack, page: Page) -> int:
    """How often the provider paid the refund whose page is open."""
    reference = page.url.rstrip("/").rsplit("/", 1)[-1]
    return len(told(stack, f"/movements?kind=refund&reference={reference}")["movements"])


def test_s1_b_the_answer_is_lost_the_agent_asks_again_and_sees_the_same_refund(
    as_person: AsPerson, stack: Stack
) -> None:
    """RF-5, RF-6, RF-11, D14: the same page once more is the same refund, asked about first."""
    match = {"provider": "stripe", "operation": "refund.create"}
    told(stack, "/faults", {"match": match, "fault": "reset_after_success", "times": 1})
    amara = as_person("amara")

    fill_refund(amara, "ORDER-2014", "30.00")
    send = amara.get_by_role("button", name=re.compile("^Refund 30.00 EUR now"))
    expect(send).to_be_visible()
    form = amara.locator("form[data-once]").last
    page_as_sent = form.evaluate("form => Object.fromEntries(new FormData(form))")
    send.click()
    amara.wait_for_url(re.compile("/refunds/rf_[0-9a-f]{32}/$"))
    expect(said(amara)).to_contain_text("30.00 EUR is granted by rule and leaves now.")
    again = amara.request.post("/refunds/new/", form=page_as_sent)
    assert again.url == amara.url
    assert "This request was made already" in again.text()

    reload_until(amara, heading(amara).get_by_text(re.compile("Accepted|Succeeded")))
    calls = section(amara, "Calls to the provider").locator("tbody tr:not(.detail)")
    expect(calls.first).to_contain_text("unknown")
    assert moved(stack, amara) == 1
    expect(section(amara, "Journal entries")).to_contain_text("refund.accepted")


def test_a_fresh_page_finds_the_request_that_still_waits(as_person: AsPerson) -> None:
    """RF-11: the second form has a key of its own; the agent is shown what was asked before."""
    amara = as_person("amara")
    first = ask_refund(amara, "ORDER-2004", "61.00")

    assert ask_refund(amara, "ORDER-2004", "61.00") == first

    expect(said(amara)).to_contain_text("this is that refund. Nothing was asked again.")
    open_charge(amara, "ORDER-2004")
    rows = section(amara, "Refunds").locator("tbody tr").filter(has_text="61.00")
    expect(rows).to_have_count(1)


def test_what_asking_would_come_to_follows_what_is_typed(as_person: AsPerson) -> None:
    """RF-3, RF-18: live, with the figures, before anybody asks; Enter alone asks for nothing."""
    amara = as_person("amara")
    fill_refund(amara, "ORDER-2016", "1.00")
    look = amara.locator("#look")

    for amount, words in (
        ("20.00", "Goes out at once by rule refund.policy v"),
        ("200.00", "Needs: Payments operations lead"),
        ("99999.00", "99,999.00 USD asked, 22,500.00 USD left of 22,500.00 USD captured"),
    ):
        amara.locator("#refund-amount").fill(amount)
        expect(look).to_contain_text(words)
    amara.locator("#refund-amount").fill("2.00")
    amara.locator("#refund-amount").press("Enter")
    expect(amara.locator("#look")).to_contain_text("2.00 USD leaves as soon as you ask.")
    assert "/refunds/new/" in amara.url
    open_charge(amara, "ORDER-2016")
    expect(section(amara, "Refunds")).to_contain_text("Nobody has asked for one.")


def test_the_requester_has_no_button_and_another_person_decides_on_a_phone(
    as_person: AsPerson, stack: Stack
) -> None:
    """D5, F7: the charge, what is left, the entries; at 390 px."""
    amara, lena = as_person("amara"), as_person("lena", viewport=PHONE)
    refund = ask_refund(amara, "ORDER-2012", "62.00")
    link = amara.get_by_role("link", name=re.compile("^Refund 62.00 EUR of ORDER-2012"))
    approval = str(link.get_attribute("href"))
    amara.goto(approval)
    expect(amara.get_by_role("main")).to_contain_text("You asked for this")
    expect(amara.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)

    lena.goto("/refunds/?todo=decide")
    assert wider_than_window(lena) == []
    lena.get_by_role("link", name="ORDER-2012").first.click()
    lena.goto(approval)
    assert wider_than_window(lena) == []
    expect(section(lena, "The charge now")).to_contain_text("This refund")
    expect(section(lena, "What approving causes")).to_contain_text("Refunds in transit")
    decide(lena, stack, "lena", reason="the order is canceled in the shop")
    expect(said(lena)).to_contain_text("Approved: approved by Lena Fischer")

    amara.goto(refund)
    reload_until(amara, heading(amara).get_by_text(re.compile("Accepted|Succeeded")))
    assert moved(stack, amara) == 1
    open_charge(amara, "ORDER-2012")
    row = section(amara, "Refunds").locator("tbody tr").filter(has_text="62.00").last
    expect(row).to_contain_text(re.compile("Accepted|Succeeded"))


def test_the_form_works_without_scripts(as_person: AsPerson) -> None:
    amara = as_person("amara", java_script_enabled=False)
    open_charge(amara, "ORDER-2018")
    amara.get_by_role("link", name=re.compile("^Refund, ")).click()
    amara.get_by_label("Reason", exact=True).select_option(label="Item returned")
    amara.get_by_role("button", name="Look again").click()
    expect(amara.locator("#look")).to_contain_text("return tracking is missing")
    amara.get_by_label("Return tracking").fill("DHL 00340434")
    amara.get_by_role("radio", name="Another amount").check()
    amara.locator("#refund-amount").fill("63.00")
    amara.get_by_role("button", name="Look again").click()
    expect(amara.locator("#look")).to_contain_text("Needs: Payments operations lead")

    amara.get_by_role("button", name="Ask for 63.00 EUR").click()

    expect(heading(amara)).to_contain_text("Awaiting approval")
    amara.get_by_role("link", name="Cancel refund…").click()
    amara.get_by_label("Reason").fill("the customer keeps it")
    amara.get_by_role("button", name="Cancel refund").click()
    expect(heading(amara)).to_contain_text("Canceled")
