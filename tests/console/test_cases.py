"""The exception queue and the case screen, as people use them (PX-1 to PX-12, F16, OB-8)."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from approvals.models import ApprovalRequest
from payops.cases import advice
from payops.cases.models import Case, CaseEntry
from payops.cases.services import Finding, open_case
from payops.core import clock
from payops.core.models import AuditEvent, Evidence
from payops.payments.models import Hold
from tests import builders
from tests.console.work import HOSTILE, browser, failed_payout, proposed, shows, text_of
from tests.people import actor, person

pytestmark = pytest.mark.django_db(transaction=True)


def some_cases(count: int) -> list[Case]:
    """Open cases of another kind, made by the service in one transaction."""
    now, book = clock.utc_now(), builders.account().book
    with transaction.atomic():
        return [
            open_case(
                Finding(
                    book=book,
                    rule="provider_mismatch",
                    fingerprint=f"f{i}",
                    period=f"20{10 + i}-01",
                    subject_id=f"subject-{i}",
                    title=f"Figures differ {i}",
                    amount_minor=100_00 * (i + 1),
                    currency="EUR",
                    reporting_minor=100_00 * (i + 1),
                ),
                actor=actor("lena"),
                now=now + timedelta(seconds=i) - timedelta(hours=i * 10),
            )
            for i in range(count)
        ]


def test_queue_shows_the_case_with_amount_clock_and_owner_to_take():
    payout, case = failed_payout()

    page = browser("lena").get("/cases/")

    assert page.status_code == 200
    assert f"/cases/{case.public_id}/" in text_of(page)
    assert shows(page, f"Payout {payout.merchant_ref} of 12,400.00 EUR to S-1001")
    assert '<data class="money" value="12400.00 EUR">12,400.00' in text_of(page)
    assert "3 h 59 min left" in text_of(page)
    assert f'name="take" value="{case.public_id}"' in text_of(page)


def test_filters_live_in_the_url_and_an_unknown_value_is_told():
    cases = some_cases(3)
    lena = browser("lena")

    by_amount = text_of(lena.get("/cases/?least=200&most=200"))
    overdue = text_of(lena.get("/cases/?overdue=1"))
    by_text = text_of(lena.get("/cases/?text=differ+2"))
    by_id = text_of(lena.get(f"/cases/?text={cases[0].public_id}"))
    unknown = text_of(lena.get("/cases/?state=NOPE"))

    assert [f"Figures differ {i}</a>" in by_amount for i in range(3)] == [False, True, False]
    assert [f"Figures differ {i}</a>" in overdue for i in range(3)] == [False, False, False]
    assert [f"Figures differ {i}</a>" in by_text for i in range(3)] == [False, False, True]
    assert [f"Figures differ {i}</a>" in by_id for i in range(3)] == [True, False, False]
    assert "“NOPE” is none of the choices of “State”; it filters nothing." in unknown


def test_a_case_is_found_by_reference_beneficiary_and_payout():
    payout, case = failed_payout()
    lena, row = browser("lena"), f'value="{case.public_id}"'

    for text in (payout.merchant_ref, "atelier nord", "S-1001", payout.public_id, case.public_id):
        assert row in text_of(lena.get("/cases/", {"text": text})), text
    for text in ("Polder", "P-0", "po_" + "0" * 32):
        assert row not in text_of(lena.get("/cases/", {"text": text})), text


def test_empty_queue_says_what_will_appear_and_a_filtered_one_offers_the_way_back():
    lena = browser("lena")

    assert "No open cases" in text_of(lena.get("/cases/"))
    assert "No case fits these filters" in text_of(lena.get("/cases/?priority=urgent"))


def test_queue_costs_the_same_number_of_statements_for_two_and_for_twenty_cases():
    lena = browser("lena")
    some_cases(2)
    lena.get("/cases/")

    with CaptureQueriesContext(
        connection,
    ) as few:
        assert lena.get("/cases/").status_code == 200
    more = some_cases(20)
    with CaptureQueriesContext(connection) as many:
        assert lena.get("/cases/").status_code == 200

    assert len(more) == 20
    assert len(many) == len(few)
    assert len(many) <= 14


def test_csv_has_the_filtered_rows_and_never_a_formula():
    some_cases(2)
    answer = browser("lena").get("/cases/?text=differ+1&format=csv")

    lines = b"".join(answer.streaming_content).decode().splitlines()

    assert lines[0].startswith("case,state,kind,priority,title")
    assert len(lines) == 2
    assert ",Figures differ 1,subject-1,200.00,EUR," in lines[1]


def test_take_from_the_list_triages_and_ticked_rows_go_to_the_chosen_person():
    first, second = some_cases(2)
    lena = browser("lena")

    taken = lena.post("/cases/assign/", {"take": first.public_id, "next": "/cases/?owner=none"})
    given = lena.post(
        "/cases/assign/",
        {"case": [second.public_id], "owner": str(person("priya").pk), "next": "//evil.example/"},
    )

    assert taken.headers["Location"] == "/cases/?owner=none"
    assert given.headers["Location"] == "/cases/"
    assert Case.objects.get(pk=first.pk).owner == person("lena")
    assert Case.objects.get(pk=second.pk).owner == person("priya")
    assert Case.objects.get(pk=first.pk).state == "TRIAGED"


def test_assigning_tells_what_was_refused_and_why():
    (case,) = some_cases(1)
    lena = browser("lena")
    assert lena.post(f"/cases/{case.public_id}/dismiss/", {"reason": "same"}).status_code == 302

    nothing = lena.post("/cases/assign/", {"owner": ""})
    closed = lena.post(
        "/cases/assign/", {"case": [case.public_id], "owner": str(person("priya").pk)}
    )
    stranger = lena.post(
        "/cases/assign/", {"case": [case.public_id], "owner": str(person("audrey").pk)}
    )

    assert nothing.status_code == closed.status_code == stranger.status_code == 422
    assert shows(nothing, "No case was ticked; tick one or more rows first.")
    assert shows(closed, f"{case.public_id} is REJECTED; a closed case has no new owner")
    assert shows(stranger, "The owner is none of the people who work on cases.")
    assert Case.objects.get(pk=case.pk).owner is None


def test_case_page_answers_what_whose_turn_and_what_may_be_done():
    payout, case = failed_payout()

    page = browser("amara").get(f"/cases/{case.public_id}/")

    assert page.status_code == 200
    assert shows(page, "A payout failed or came back")
    assert "Nobody yet: Payments operations lead" in text_of(page)
    assert "Propose a resolution of 12,400.00 EUR" in text_of(page)
    for key in ("request_details", "hold", "escalate", "release", "reissue"):
        assert f"/cases/{case.public_id}/propose/?resolution={key}" in text_of(page)
    assert payout.provider_ref in text_of(page)


def test_timeline_shows_each_of_three_repeated_deliveries():
    payout, case = failed_payout()
    said = builders.payout_object(payout, "failed", failure_code="account_closed")
    body = builders.standard_event("payout.failed", said, event_id="sev_again")
    for _ in range(4):
        assert builders.post_standard(body) == 200
    builders.drain()

    page = text_of(browser("lena").get(f"/cases/{case.public_id}/"))

    assert page.count("Duplicate ignored") == 3
    assert CaseEntry.objects.filter(case=case, kind="duplicate").count() == 3


def test_advice_is_labelled_and_fills_in_nothing():
    _, case = failed_payout()
    advice.write(
        case=case,
        engine="rules",
        version="v9",
        input_hash="ab" * 32,
        input_facts={},
        summary="likely bank rejection",
        likely_cause=HOSTILE,
        next_step="verify the beneficiary's details before any re-issue",
        now=clock.utc_now(),
    )

    page = text_of(browser("lena").get(f"/cases/{case.public_id}/"))
    form = text_of(browser("lena").get(f"/cases/{case.public_id}/propose/?resolution=hold"))

    assert '<section class="advice"' in page
    assert "From rules, version v9" in page
    assert "ab" * 32 in page
    assert "<script>alert(1)" not in page
    assert "likely bank rejection" not in form


def test_comment_evidence_and_snooze_are_kept_and_shown():
    _, case = failed_payout()
    amara, url = browser("amara"), f"/cases/{case.public_id}/"
    content = b"%PDF-1.4 bank letter"
    until = (clock.utc_now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")

    done = [
        amara.post(f"{url}comment/", {"text": f"called the bank {HOSTILE}"}),
        amara.post(
            f"{url}evidence/",
            {"document": SimpleUploadedFile("letter.pdf", content, "application/pdf")},
        ),
        amara.post(f"{url}snooze/", {"until": until, "note": "bank answers on Monday"}),
    ]
    page = text_of(amara.get(url))
    document = Evidence.objects.get(subject_id=case.public_id)
    download = amara.get(f"/evidence/{document.pk}/")

    assert [answer.status_code for answer in done] == [302, 302, 302]
    assert "called the bank &quot;&gt;&lt;script&gt;" in page
    assert "<script>alert(1)" not in page
    assert document.sha256 == hashlib.sha256(content).hexdigest()
    assert document.sha256 in page
    assert download.content == content
    assert download.headers["Content-Disposition"] == 'attachment; filename="letter.pdf"'
    assert download.headers["Content-Type"] == "application/octet-stream"
    assert "bank answers on Monday" in page
    assert f"/cases/{case.public_id}/" not in text_of(amara.get("/cases/"))
    assert f"/cases/{case.public_id}/" in text_of(amara.get("/cases/?snoozed=1"))


def test_refused_forms_say_why_and_keep_what_was_typed():
    _, case = failed_payout()
    amara, url = browser("amara"), f"/cases/{case.public_id}/"

    past = amara.post(f"{url}snooze/", {"until": "2020-01-01T10:00", "note": f"note {HOSTILE}"})
    kind = amara.post(
        f"{url}evidence/", {"document": SimpleUploadedFile("x.exe", b"MZ", "application/x-exe")}
    )
    empty = amara.post(f"{url}comment/", {"text": "  "})
    waiting = browser("lena").post(f"{url}close/", {"reason": "done"})
    dismissed = browser("lena").post(f"{url}dismiss/", {"reason": "done"})

    answers = (past, kind, empty, waiting, dismissed)
    assert [answer.status_code for answer in answers] == [422] * 5
    assert shows(past, "a snooze needs an open case, a later moment and a note")
    assert "note &quot;&gt;&lt;script&gt;" in text_of(past)
    assert "x.exe is application/x-exe; accepted are" in text_of(kind)
    assert shows(waiting, f"{case.public_id} is OPEN; closing needs a waiting case and a reason")
    assert shows(dismissed, "a payout failure is resolved by a decision")
    assert not Evidence.objects.filter(subject_id=case.public_id).exists()
    assert Case.objects.get(pk=case.pk).state == "OPEN"


def test_proposal_shows_the_consequences_before_it_is_asked_for():
    payout, case = failed_payout()
    url = f"/cases/{case.public_id}/propose/"

    page = text_of(browser("amara").get(f"{url}?resolution=release&hold_beneficiary=1"))

    assert "Propose: Return to the seller&#x27;s balance · 12,400.00 EUR" in page
    assert f"Hold payout {payout.merchant_ref}" in page
    assert "Hold every payout to Atelier Nordlicht" in page
    assert "payout.returned" in page
    assert page.count("Returned payouts payable (case open)") == 2
    assert "A · Hold the payout" in page
    assert ApprovalRequest.objects.filter(kind="payout_exception").count() == 0


def test_proposing_asks_for_the_decision_and_the_case_awaits_it():
    _, case = failed_payout()

    approval_id = proposed(case, resolution="hold")

    approval = builders.approval_of(approval_id)
    assert approval.kind == "payout_exception"
    assert approval.requested_by == person("amara")
    assert approval.seats == ["finance_manager", "compliance"]
    assert Case.objects.get(pk=case.pk).state == "AWAITING_APPROVAL"
    page = text_of(browser("amara").get(f"/cases/{case.public_id}/"))
    assert "Finance manager and Compliance" in page
    assert Hold.objects.filter(source="runbook").count() == 0


def test_refused_resolution_names_the_rule_and_its_numbers():
    payout, case = failed_payout()
    url = f"/cases/{case.public_id}/propose/"
    failed_at = payout.failed_at.strftime("%Y-%m-%d %H:%M")

    shown = browser("amara").get(f"{url}?resolution=reissue")
    asked = browser("amara").post(url, {"resolution": "reissue", "reason": f"again {HOSTILE}"})

    for answer in (shown, asked):
        assert f"after the failure of {failed_at} UTC first." in text_of(answer)
        assert "The same details cannot succeed; request new bank details first." in text_of(answer)
    assert 'type="submit" disabled>' in text_of(shown)
    assert asked.status_code == 422
    assert "again &quot;&gt;&lt;script&gt;" in text_of(asked)
    assert Case.objects.get(pk=case.pk).state == "OPEN"


@pytest.mark.parametrize(
    ("username", "act", "status"),
    [
        ("audrey", "comment", 403),
        ("audrey", "assign", 403),
        ("sofia", "comment", 403),
        ("ada", "comment", 403),
        ("root", "comment", 403),
        ("eli", "close", 403),
        ("chen", "close", 403),
        ("eli", "comment", 302),
        ("priya", "comment", 302),
    ],
)
def test_acts_need_their_permission(username: str, act: str, status: int):
    _, case = failed_payout()
    before = AuditEvent.objects.filter(subject_id=case.public_id).count()

    answer = browser(username).post(
        f"/cases/{case.public_id}/{act}/", {"text": "hello", "owner": "", "reason": "x"}
    )

    assert answer.status_code == status
    assert AuditEvent.objects.filter(subject_id=case.public_id).count() == before + (status == 302)


@pytest.mark.parametrize(("username", "status"), [("audrey", 200), ("ada", 403), ("root", 403)])
def test_reading_a_case_needs_the_books(username: str, status: int):
    _, case = failed_payout()

    assert browser(username).get(f"/cases/{case.public_id}/").status_code == status
    assert browser(username).get("/cases/").status_code == status


def test_proposing_needs_its_permission_and_a_get_never_acts():
    _, case = failed_payout()
    url = f"/cases/{case.public_id}/"

    assert browser("chen").get(f"{url}propose/").status_code == 403
    assert browser("lena").get(f"{url}comment/").status_code == 405
    assert browser("lena").post(f"{url}nonsense/").status_code == 404
    assert browser("lena").get("/cases/cs_" + "0" * 32 + "/").status_code == 404
    assert browser("lena").get("/evidence/00000000-0000-7000-8000-000000000000/").status_code == 404


def test_case_page_costs_the_same_with_a_long_timeline():
    _, case = failed_payout()
    lena, url = browser("lena"), f"/cases/{case.public_id}/"
    lena.get(url)
    with CaptureQueriesContext(connection) as short:
        lena.get(url)
    for i in range(15):
        lena.post(f"{url}comment/", {"text": f"note {i}"})
    lena.get(url)

    with CaptureQueriesContext(connection) as long:
        page = lena.get(url)

    assert text_of(page).count('class="what">Comment') == 15
    assert len(long) <= len(short)
    assert len(long) <= 32
