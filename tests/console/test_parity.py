"""Reference packs on screen: looked at, kept, compared again, decided by others (RP-2, RP-3)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from approvals.models import ApprovalRequest
from ledger import parity
from ledger.models import AccountingPeriod, ReferencePack
from payops.console import parity_forms
from payops.core import clock, evidence
from payops.core.models import AuditEvent, Book, Evidence
from payops.devstack.seed.parity import seed_parity
from payops.flows import parity as flow
from tests import builders
from tests.builders import decide, drain
from tests.console.work import browser, shows, text_of

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/ledger/parity/"
HEAD = "statement,line,account,party,currency,amount,period,reference,event_class,count,reversals\n"
RIGHT = HEAD + 'income_statement,"Platform fees, net of tax",,,EUR,50.00,,,,,\n'
WRONG = HEAD + (
    "trial_balance,,1100,,EUR,1000.00,,,,,\n"
    "trial_balance,,2000,,EUR,-940.00,,,,,\n"
    "trial_balance,,4000,,EUR,-60.00,,,,,\n"
)
HOSTILE = HEAD + "balance_sheet,=cmd|' /C calc'!A0,,,EUR,1.00,,,,,\n"


@pytest.fixture(autouse=True)
def one_capture() -> None:
    builders.capture(100_000, platform_minor=5_000)


def period() -> AccountingPeriod:
    book = Book.objects.get(code="meridian")
    today = clock.business_day(clock.utc_now(), time_zone=book.time_zone)
    return AccountingPeriod.objects.get(book=book, starts_on__lte=today, ends_on__gte=today)


def posted(content: str, **more: str) -> dict[str, Any]:
    file = SimpleUploadedFile("signed figures.csv", content.encode(), "text/csv")
    return {"period": period().code, "title": "Signed close", "file": file, **more}


def kept(content: str, *, by: str = "priya") -> ReferencePack:
    said = {
        "step": "keep",
        "period": period().code,
        "title": "Signed close",
        "filename": "signed figures.csv",
        "packed": parity_forms.packed(content.encode()),
    }
    answer = browser(by).post(f"{URL}new/", said)
    assert answer.status_code == 302, text_of(answer)
    return ReferencePack.objects.order_by("-created_at")[0]


def asked(pack: ReferencePack, reason: str) -> Any:
    return browser("priya").post(f"{URL}{pack.public_id}/ask/", {"reason": reason})


def test_a_file_is_looked_at_before_anything_is_kept() -> None:
    page = browser("priya").post(f"{URL}new/", posted(WRONG))

    assert page.status_code == 200
    assert shows(page, "3 lines compared, 1 difference: on another line 1.")
    assert shows(page, "10.00 EUR expected on 4000 Platform fees (net of tax) stand on 2000")
    assert parity_forms.packed(WRONG.encode()) in text_of(page)
    assert (ReferencePack.objects.count(), Evidence.objects.count()) == (0, 0)


def test_the_file_is_kept_as_it_came_with_what_was_found() -> None:
    pack = kept(WRONG)

    assert (pack.state, len(pack.rows), len(pack.differences)) == ("COMPARED", 3, 1)
    assert evidence.content_of(pack.evidence) == WRONG.encode()
    page = browser("audrey").get(f"{URL}{pack.public_id}/")
    assert shows(page, "Signed close") and shows(page, pack.evidence.sha256)
    assert "Ask for the verdict" not in text_of(page)
    assert shows(browser("audrey").get(URL), "Signed close")
    assert AuditEvent.objects.filter(action="parity.uploaded", login="priya").count() == 1
    csv = b"".join(browser("audrey").get(f"{URL}{pack.public_id}/?format=csv").streaming_content)
    assert b"D1,classification," in csv


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HOSTILE, "Line 2: line is a formula"),
        (HEAD + "balance_sheet,Goodwill,,,EUR,1.00,,,,,\n", "has no line"),
        (HEAD + "balance_sheet,Seller payable,,,EUR,1.001,,,,,\n", "has 3 decimals"),
        ("", "The submitted file is empty."),
        ("\x00", "NUL character"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: str, words: str) -> None:
    answer = browser("priya").post(f"{URL}new/", posted(content))

    assert answer.status_code == 422
    assert shows(answer, words)
    assert (ReferencePack.objects.count(), Evidence.objects.count()) == (0, 0)


def test_a_preview_that_was_tampered_with_is_read_anew() -> None:
    said = {"step": "keep", "period": period().code, "title": "x", "filename": "x.csv"}

    for packed in ("!!!", "AAAA", parity_forms.packed(HOSTILE.encode())):
        answer = browser("priya").post(f"{URL}new/", {**said, "packed": packed})
        assert answer.status_code == 422, packed
    assert ReferencePack.objects.count() == 0


def test_comparing_again_sees_what_was_posted_since() -> None:
    pack = kept(RIGHT)
    assert pack.differences == []
    builders.capture(10_000, platform_minor=1_000)

    browser("priya").post(f"{URL}{pack.public_id}/compare/")

    again = ReferencePack.objects.get(pk=pack.pk)
    (line, *_) = parity.of_json(again.differences)
    assert (line.expected_minor, line.found_minor) == (5_000, 6_000)
    assert again.compared_at > pack.compared_at


def test_the_reason_names_every_unexplained_difference() -> None:
    pack = kept(WRONG)

    refused = asked(pack, "looks fine to me")
    assert refused.status_code == 422
    assert shows(refused, "The reason does not name D1.")
    assert ApprovalRequest.objects.filter(kind="statement_parity").count() == 0

    assert asked(pack, "D1: split of the fee, corrected in the next month").status_code == 302
    assert ReferencePack.objects.get(pk=pack.pk).state == "AWAITING_APPROVAL"
    again = asked(pack, "D1: once more")
    assert again.status_code == 422 and shows(again, "is AWAITING_APPROVAL")
    assert ApprovalRequest.objects.filter(kind="statement_parity").count() == 1


def test_a_range_of_numbers_names_each_of_them() -> None:
    found = parity.of_json(kept(WRONG).differences)

    assert flow.unnamed(found, "D1-D4 are timing") == []
    assert flow.unnamed(found, "D2 to D9") == found
    assert flow.unnamed(found, "ID1, D11") == found


def test_a_granted_verdict_accepts_the_pack_and_reads_well_before() -> None:
    """RP-2, D5: others decide; the requester cannot."""
    pack = kept(WRONG)
    asked(pack, "D1: split of the fee, corrected in the next month")
    approval = ApprovalRequest.objects.get(kind="statement_parity")

    page = browser("marco").get(f"/approvals/{approval.public_id}/")
    assert shows(page, f"Accept the statements of {period().code} against Signed close")
    assert shows(page, "D1: 10.00 EUR expected on 4000 Platform fees")
    assert shows(page, f"{URL}{pack.public_id}/") and shows(page, "not locked")
    assert shows(page, "No entry is posted or changed") or shows(page, "no entry is posted")
    decide(approval, "marco")
    drain()

    done = ReferencePack.objects.get(pk=pack.pk)
    assert (done.state, done.approval_id) == ("ACCEPTED", approval.public_id)
    row = AuditEvent.objects.get(action="parity.accepted", subject_id=pack.public_id)
    assert row.evidence["differences_hash"] == parity.digest(done.differences)
    assert shows(browser("priya").get(f"{URL}{pack.public_id}/"), "Accepted")
    late = browser("priya").post(f"{URL}{pack.public_id}/compare/", follow=True)
    assert shows(late, "is ACCEPTED; its differences stay")


def test_a_rejected_verdict_is_recorded_and_an_expired_one_frees_the_pack() -> None:
    pack = kept(RIGHT)
    asked(pack, "no difference")
    decide(ApprovalRequest.objects.get(), "marco", verdict="reject")
    drain()
    assert ReferencePack.objects.get(pk=pack.pk).state == "REJECTED"

    second = kept(RIGHT)
    asked(second, "no difference")
    approval = ApprovalRequest.objects.get(subject_id=second.public_id)
    browser("priya").post(f"/approvals/{approval.public_id}/withdraw/", {"reason": "too early"})
    drain()
    assert ReferencePack.objects.get(pk=second.pk).state == "COMPARED"


def test_the_demo_company_has_a_pack_with_one_difference() -> None:
    builders.capture(100_000, fee_minor=30_000)
    said: list[str] = []
    seed_parity(said.append)
    seed_parity(said.append)

    (pack,) = ReferencePack.objects.all()
    (difference,) = parity.of_json(pack.differences)
    assert difference.words == "120.00 EUR expected on Bank fees stand on PSP fees"
    assert said == [f"a reference pack of {pack.period.code} with 1 difference"]


def test_only_finance_brings_packs() -> None:
    for username, status in (("priya", 200), ("marco", 200), ("audrey", 403), ("amara", 403)):
        assert browser(username).get(f"{URL}new/").status_code == status, username
    assert browser("ada").get(URL).status_code == 403
