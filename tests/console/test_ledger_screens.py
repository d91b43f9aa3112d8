"""Ledger and trace screens over a real chain: balances, entry, reversal keys, picture, pack."""

from __future__ import annotations

import io
import zipfile

import pytest

from ledger.models import JournalEntry
from payops.core.models import AuditEvent
from payops.payments.models import Payment
from tests import builders, stories

pytestmark = pytest.mark.django_db(transaction=True)


def test_trial_balance_sums_to_nil_and_leads_to_its_accounts(as_):
    builders.capture(100_000, fee_minor=300, platform_minor=5_000)

    page = as_("priya").get("/ledger/").content.decode()

    assert "In balance" in page
    assert "997.00" in page and "950.00" in page and "50.00" in page
    assert "/ledger/accounts/1100/?currency=EUR" in page


def test_journal_filters_by_account_class_and_any_key(as_):
    builders.capture(100_000, platform_minor=5_000)
    entry = JournalEntry.objects.get(event_class="payment.captured")
    client = as_("priya")

    def shown(query: str) -> bool:
        return entry.public_id in client.get(f"/ledger/journal/?{query}").content.decode()

    assert shown("account=1100") and not shown("account=5200")
    assert shown("event_class=payment.captured") and not shown("event_class=payout.paid")
    assert shown(f"q={entry.payment_id}") and shown(f"q={entry.provider_event_id}")
    assert shown("party=S-1001") and not shown("party=S-1002")
    assert not shown("to=2001-01-01")
    file = b"".join(client.get("/ledger/journal/?format=csv").streaming_content).decode()
    assert file.count(entry.public_id) == 3


def test_entry_shows_lines_and_every_trace_key(as_):
    """LJ-16: event, provider reference, merchant reference and trace id stand on the entry."""
    builders.capture(100_000, platform_minor=5_000)
    entry = JournalEntry.objects.get(event_class="payment.captured")

    page = as_("audrey").get(f"/ledger/journal/{entry.public_id}/").content.decode()

    for key in (entry.payment_id, entry.event_id, entry.psp_reference, entry.trace_id):
        assert key in page
    assert "1,000.00" in page and "950.00" in page
    assert entry.idempotency_key in page


def test_payment_page_shows_shares_events_and_entries(as_):
    builders.capture(100_000, fee_minor=300, platform_minor=5_000)
    payment = Payment.objects.get()

    page = as_("amara").get(f"/payments/{payment.public_id}/").content.decode()

    assert "950.00" in page and "3.00" in page
    assert "payment.captured" in page and "fee.charged" in page


def test_any_id_of_a_chain_leads_to_the_same_picture(as_):
    """F20, AU-2: payout, merchant and provider reference, event and entry lead to one chain."""
    payout = stories.paid_payout(merchant_ref="P-777")
    entry = JournalEntry.objects.filter(payout_id=payout.public_id).first()
    client = as_("audrey")

    for text in ("P-777", payout.public_id, payout.provider_ref, entry.public_id):
        page = client.get("/trace/", {"q": text}).content.decode()
        assert '<svg class="pic trace"' in page, text
        assert f"/payouts/{payout.public_id}/" in page
        assert "payout.initiated" in page
    assert "Nothing has this id" in client.get("/trace/?q=zz-none").content.decode()
    assert client.get("/trace/", {"q": "\x00' OR 1=1 --" * 200}).status_code == 200


def test_evidence_pack_is_a_zip_and_its_making_is_recorded(as_):
    payout = stories.paid_payout(merchant_ref="P-778")

    answer = as_("audrey").post("/trace/pack/", {"q": "P-778"})

    assert answer["Content-Type"] == "application/zip"
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert "manifest.json" in names and "verify_pack.py" in names
    row = AuditEvent.objects.get(action="evidence_pack.made")
    assert (row.subject_id, row.login) == (payout.public_id, "audrey")
    assert as_("ada").post("/trace/pack/", {"q": "P-778"}).status_code == 403


def test_beneficiary_page_shows_mask_balance_and_payouts(as_):
    payout = stories.paid_payout(merchant_ref="P-779")
    seller = payout.beneficiary

    page = as_("chen").get(f"/beneficiaries/{seller.public_id}/").content.decode()

    assert seller.bank_masked in page
    assert "DE02120300000000202051" not in page
    assert "P-779" in page
    assert "Payable" in page
