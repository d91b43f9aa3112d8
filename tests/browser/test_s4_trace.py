"""Story S4-b in the browser: an outsider follows a payment and a reversal to the journal (AU-7)."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.acts import heading, section
from tests.browser.conftest import AsPerson

pytestmark = pytest.mark.xdist_group("browser")

VERIFY_S = 60
# Reversed in the seeded books: paid, failed, approved, returned, money back.
REVERSED = "P-10488"
RECORDS = ("Payout", "Approval", "Decision", "Event", "Case", "Runbook step", "Journal entry")


def find(page: Page, text: str) -> None:
    """From any screen, with the search box in the frame."""
    page.goto("/")
    page.get_by_label("Any id or reference").fill(text)
    page.keyboard.press("Enter")
    expect(section(page, "Chain")).to_be_visible()


def test_s4_b_browser_outsider_follows_a_reversal_from_request_to_journal_entry(
    as_person: AsPerson,
) -> None:
    page = as_person("audrey")
    find(page, REVERSED)

    answers = section(page, "Answers")
    for words in ("payout.requested by amara", "payout.returned", "MER-NS-"):
        expect(answers).to_contain_text(words)
    chain = page.get_by_role("table", name="Chain as a list")
    for record in RECORDS:
        expect(chain.get_by_role("row", name=record).first).to_be_visible()
    expect(page.get_by_role("region", name="Chain as a picture").locator("svg")).to_have_count(1)

    chain.get_by_role("row", name="Journal entry").get_by_role("link").last.click()
    expect(heading(page)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("1,730.00 EUR")


def test_s4_b_browser_outsider_follows_a_payment(as_person: AsPerson) -> None:
    page = as_person("audrey")
    find(page, "ORDER-2001")

    chain = page.get_by_role("table", name="Chain as a list")
    for record in ("Payment", "Event", "Journal entry"):
        expect(chain.get_by_role("row", name=record).first).to_be_visible()


def test_s4_b_browser_evidence_pack_is_downloaded_and_verified_offline(
    as_person: AsPerson, tmp_path: Path
) -> None:
    page = as_person("audrey")
    find(page, REVERSED)

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Evidence pack").click()
    pack = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(pack)
    with zipfile.ZipFile(pack) as content:
        content.extract("verify_pack.py", tmp_path)
    command = [sys.executable, "-I", "-S", str(tmp_path / "verify_pack.py"), str(pack)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_S, check=False)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
