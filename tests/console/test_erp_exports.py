"""The export screens: chosen, looked at, made, downloaded, confirmed, traced, mapped (ERP-1…9)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.models import ApprovalRequest, PolicyVersion
from ledger.models import Export, ExportFile, ExportItem
from payops.core.models import AuditEvent
from tests.builders import decide, drain
from tests.console.work import HOSTILE, browser, shows, text_of
from tests.flows.exporting import made, meridian, posted, rules_of
from tests.ledger.scene import capture, public_id

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/ledger/exports/"
CHOSEN = {"target": "netsuite", "mode": "detailed", "from_on": "2026-03-01", "to_on": "2026-03-31"}


def mapping_form(target: str, **changes: str) -> dict[str, str]:
    """What the form posts when nothing is typed but a reason."""
    rules = rules_of(target)
    said = {"reason": "the chart of the ERP"}
    said |= {f"s_{name}": value for name, value in rules["settings"].items()}
    for part in ("accounts", "parties"):
        said[part] = "\n".join(f"{ours} = {theirs}" for ours, theirs in rules[part].items())
    for name, rule in rules["fields"].items():
        said[f"f_{name}"] = rule.get("from", "")
        said[f"d_{name}"] = rule.get("default", "") if rule.get("from") else rule.get("value", "")
    return {**said, **changes}


def test_an_export_is_looked_at_and_then_made() -> None:
    """ERP-1, ERP-2: what it would be first, then one batch with its file."""
    posted(meridian(), 3)

    look = browser("priya").post(f"{URL}new/", CHOSEN)

    assert look.status_code == 200
    assert shows(look, "3 with 9 lines") and shows(look, "300.00") and shows(look, "as seeded")
    assert shows(look, "MER-NS-2026-03-0001-1,03/04/2026")
    assert Export.objects.count() == 0

    page = browser("priya").post(f"{URL}new/", {**CHOSEN, "step": "make"}, follow=True)

    batch = Export.objects.get()
    assert page.request["PATH_INFO"] == f"{URL}{batch.public_id}/"
    assert shows(page, "MER-NS-2026-03-0001") and shows(page, "MER-NS-2026-03-0001-3")
    listed = browser("audrey").get(URL)
    assert shows(listed, "MER-NS-2026-03-0001") and not shows(listed, "New export…")
    again = browser("priya").post(f"{URL}new/", {**CHOSEN, "step": "make"})
    assert again.status_code == 422
    assert shows(again, "no entry of 2026-03-01 to 2026-03-31 waits for NetSuite")


def test_a_period_is_chosen_by_its_name() -> None:
    posted(meridian(), 1)

    chosen = {"target": "xero", "mode": "summarised", "period": "2026-03", "step": "make"}
    page = browser("ingrid").post(f"{URL}new/", chosen, follow=True)

    assert shows(page, "MER-XE-2026-03-0001")
    nothing = browser("ingrid").post(f"{URL}new/", {"target": "xero", "mode": "detailed"})
    assert nothing.status_code == 422
    assert shows(nothing, "Choose a period, or type the first and the last day.")


def test_what_cannot_leave_is_listed_value_by_value() -> None:
    """ERP-2: entry, field, value, what is wrong, what to do."""
    posted(meridian(), 1, currency="KWD", gross=1_000_001)

    for step in ("", "make"):
        page = browser("priya").post(f"{URL}new/", {**CHOSEN, "step": step})
        assert page.status_code == 422
        assert shows(page, "1000.001 KWD") and shows(page, "Has 3 decimals; NetSuite takes 2")
        assert shows(page, "Export reporting amounts")
        assert not shows(page, "Make this export")
    assert Export.objects.count() == 0


def test_the_file_is_given_to_those_who_export_and_to_nobody_else() -> None:
    """AU-3: the download is audited with its hash."""
    posted(meridian(), 1)
    batch = made()
    url = f"{URL}{batch.public_id}/files/1/"

    answer = browser("priya").get(url)

    assert answer["Content-Disposition"] == 'attachment; filename="MER-NS-2026-03-0001.csv"'
    assert answer["Content-Type"] == "application/octet-stream"
    file = ExportFile.objects.get()
    assert hashlib.sha256(answer.content).hexdigest() == file.sha256
    told = AuditEvent.objects.get(action="export.downloaded")
    assert told.evidence == {"attempt": 1, "sha256": file.sha256}
    for username in ("audrey", "amara", "lena"):
        assert browser(username).get(url).status_code == 403
        assert browser(username).get(f"{URL}new/").status_code == 403
    assert browser("ada").get(URL).status_code == 403
    assert browser("priya").get(f"{URL}{batch.public_id}/files/2/").status_code == 404


def test_the_erps_words_are_kept_and_a_rejected_batch_is_made_anew() -> None:
    """ERP-7."""
    posted(meridian(), 1)
    batch = made()
    url = f"{URL}{batch.public_id}/"

    empty = browser("priya").post(f"{url}reject/", {"words": ""})
    assert empty.status_code == 422
    page = browser("priya").post(f"{url}reject/", {"words": HOSTILE}, follow=True)
    assert shows(page, "The ERP did not take it") and "<script>alert" not in text_of(page)

    page = browser("priya").post(f"{url}rebuild/", follow=True)
    assert shows(page, "MER-NS-2026-03-0001-2.csv")
    page = browser("priya").post(f"{url}confirm/", {"words": "Job 4711"}, follow=True)
    assert shows(page, "Job 4711") and not shows(page, "It was imported")
    late = browser("priya").post(f"{url}rebuild/")
    assert late.status_code == 422 and shows(late, "only a rejected one is made anew")
    assert browser("audrey").post(f"{url}reject/", {"words": "x"}).status_code == 403
    assert browser("priya").post(f"{url}nothing/").status_code == 404


def test_an_entry_shows_where_it_went_and_is_traced_field_by_field() -> None:
    """ERP-3, AU-3."""
    posted(meridian(), 1)
    batch = made()
    item = ExportItem.objects.select_related("entry").get()

    entry = browser("audrey").get(f"/ledger/journal/{item.entry.public_id}/")
    assert shows(entry, batch.reference) and shows(entry, f"{item.document_no}, field by field")

    page = browser("audrey").get(f"{URL}{batch.public_id}/entries/{item.entry.public_id}/")
    assert shows(page, "Stands so in the file")
    assert shows(page, "Table of accounts") or shows(page, "table of accounts")
    assert shows(page, "2000 Seller payable") and shows(page, "Posting day".lower())
    assert (
        browser("audrey").get(f"{URL}{batch.public_id}/entries/{public_id('je')}/").status_code
        == 404
    )


def test_a_hostile_description_is_only_text_on_the_screens() -> None:
    scene = posted(meridian(), 1)
    posting = capture(scene, public_id("pa"))
    scene.post(type(posting)(**{**_facts(posting), "description": HOSTILE}))
    batch = made()
    item = ExportItem.objects.select_related("entry").order_by("-pk")[0]

    for url in (
        f"{URL}{batch.public_id}/",
        f"{URL}{batch.public_id}/entries/{item.entry.public_id}/",
    ):
        page = browser("priya").get(url)
        assert page.status_code == 200 and "<script>alert" not in text_of(page)


def _facts(posting: Any) -> dict[str, Any]:
    return {name: getattr(posting, name) for name in type(posting).__dataclass_fields__}


@pytest.mark.parametrize("target", ["netsuite", "quickbooks", "oracle", "xero", "hledger"])
def test_a_mapping_is_readable_by_everybody_who_sees_the_books(target: str) -> None:
    page = browser("audrey").get(f"{URL}mapping/{target}/")

    assert page.status_code == 200
    assert shows(page, "PSP clearing") and shows(page, "stays here") is (target != "hledger")
    assert not shows(page, "Propose a change…")
    assert browser("audrey").get(f"{URL}mapping/{target}/change/").status_code == 403
    assert browser("audrey").get(f"{URL}mapping/sap/").status_code == 404


def test_a_change_is_looked_at_asked_for_and_decided_by_others() -> None:
    """ERP-2, D5: the whole table, row by row, with what it would do to the waiting entries."""
    url, typed = f"{URL}mapping/netsuite/change/", mapping_form("netsuite")
    typed["accounts"] = typed["accounts"].replace(
        "1100 = 1100 PSP clearing", "1100\t11000 Stripe clearing"
    )
    assert browser("marco").get(url).status_code == 200

    look = browser("marco").post(url, typed)
    assert look.status_code == 200, text_of(look)[:2000]
    assert shows(look, "11000 Stripe clearing") and shows(look, "Changed")
    assert ApprovalRequest.objects.count() == 0

    page = browser("marco").post(url, {**typed, "step": "ask"}, follow=True)
    approval = ApprovalRequest.objects.get()
    assert shows(page, "New mapping for NetSuite")
    assert shows(page, "Proposed mapping for NetSuite")
    assert shows(page, "1100 PSP clearing") and shows(page, "11000 Stripe clearing")
    assert shows(page, "exports to NetSuite made from then on")
    for username in ("ingrid", "sofia"):
        decide(approval, username)
    drain()
    assert PolicyVersion.objects.get(name="erp.netsuite").version == 1
    after = browser("audrey").get(f"{URL}mapping/netsuite/")
    assert shows(after, "11000 Stripe clearing") and shows(after, "version 1")
    assert browser("audrey").get("/settings/policies/").status_code == 200
    assert browser("ingrid").get(f"/approvals/{approval.public_id}/").status_code == 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Nothing differs from the active set; change a row first."),
        ({"accounts": "1100 = x"}, "have no account at NetSuite"),
        ({"accounts": "1100"}, "Line 1: write it as ours = theirs."),
        ({"accounts": "1100 = a\n1100 = b"}, "Line 2: 1100 has a row already."),
        ({"s_prefix": "lower"}, "Begins every reference"),
        ({"f_Memo": "line.party"}, "is not one of the available choices"),
        ({"reason": ""}, "Write why"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_refused_on_the_form(
    changes: dict[str, str], words: str
) -> None:
    answer = browser("marco").post(
        f"{URL}mapping/netsuite/change/", mapping_form("netsuite", **changes) | {"step": "ask"}
    )

    assert answer.status_code == 422
    assert shows(answer, words)
    assert ApprovalRequest.objects.count() == 0


def test_a_batch_of_many_entries_is_paged_and_costs_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("payops.console.paging.PAGE_SIZE", 2)
    posted(meridian(), 5)
    batch = made()

    with CaptureQueriesContext(connection) as seen:
        page = browser("audrey").get(f"{URL}{batch.public_id}/")

    assert page.status_code == 200
    assert len([q for q in seen if "ledger_exportitem" in q["sql"]]) == 1
    assert len(seen) < 30


def test_filters_find_by_target_state_and_reference() -> None:
    posted(meridian(), 1)
    made()
    made("xero")

    assert shows(browser("priya").get(f"{URL}?target=xero"), "MER-XE-2026-03-0001")
    assert not shows(browser("priya").get(f"{URL}?target=xero"), "MER-NS-2026-03-0001")
    assert shows(browser("priya").get(f"{URL}?q=mer-ns"), "MER-NS-2026-03-0001")
    assert shows(browser("priya").get(f"{URL}?state=IMPORTED"), "No export fits these filters")
