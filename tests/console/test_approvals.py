"""Approvals as people see and decide them (AP-1 to AP-6, F7, F9, F22, F24, F25, D5, D6)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals.models import ApprovalDecision, ApprovalRequest
from payops.cases.models import Case
from payops.console.reads.approval_facts import facts_of_request, technical_facts
from payops.core import clock
from payops.core.models import AuditEvent, Evidence
from payops.flows import case_work
from tests import builders
from tests.conftest import PASSWORD
from tests.console.work import (
    HOSTILE,
    browser,
    decision,
    failed_payout,
    proposed,
    shows,
    text_of,
)
from tests.people import actor, login, person
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)


def asked(amount: str = "12400.00", **more: str) -> ApprovalRequest:
    """A payout's release waits for its seats; amara asked."""
    return builders.approval_of(builders.requested(amount, **more).approval_id)


def post(username: str, approval: ApprovalRequest, **changes: str):
    url = f"/approvals/{approval.public_id}/decide/"
    return browser(username).post(url, decision(approval, **changes), follow=True)


def decided(approval: ApprovalRequest) -> list[tuple[str, str]]:
    rows = ApprovalDecision.objects.filter(request=approval).order_by("created_at")
    return [(row.person.name, row.verdict) for row in rows]


def test_page_shows_exactly_what_rule_seats_and_consequences():
    approval = asked(merchant_ref="P-10492")

    page = browser("marco").get(f"/approvals/{approval.public_id}/")

    assert page.status_code == 200
    assert shows(page, "Pay 12,400.00 EUR to Atelier Nordlicht (P-10492)")
    assert approval.content_hash in text_of(page)
    assert shows(page, approval.rule_fired)
    assert shows(page, "policy version 1, active from")
    assert "5,000.00 EUR to 50,000.00 EUR inclusive" in text_of(page)
    assert "above 50,000.00 EUR" in text_of(page)
    assert "Finance manager" in text_of(page)
    assert "payout.initiated" in text_of(page)
    assert "Submitted to standard/demo" in text_of(page)
    assert "Amara Okafor" in text_of(page)
    assert "in the browser" in text_of(page)
    assert "Approve payout of 12,400.00 EUR" in text_of(page)
    assert "Type <b>12400.00</b> to approve" in text_of(page)
    assert "DE·· ···· 2051" in text_of(page)
    assert "DE02120300000000202051" not in text_of(page)


def test_two_seats_two_people_and_the_second_makes_it_final():
    approval = asked()

    first, second = post("marco", approval), post("chen", approval)

    assert shows(first, "Recorded: approved by Marco Bianchi as Finance manager at ")
    assert shows(first, "Still open: Compliance.")
    assert shows(second, "Approved: approved by Chen Wei as Compliance at ")
    assert decided(approval) == [("Marco Bianchi", "approve"), ("Chen Wei", "approve")]
    approval.refresh_from_db()
    assert approval.state == "APPROVED"


@pytest.mark.parametrize(
    ("username", "words"),
    [
        ("amara", "so you cannot decide it, through whichever login."),
        ("amara-2", "so you cannot decide it, through whichever login."),
        ("lena", "This needs Finance manager and Compliance. "),
        ("audrey", "You hold the role Auditor, which decides nothing"),
        ("eli", "You hold Integration engineer."),
    ],
)
def test_who_cannot_decide_reads_why_and_the_attempt_is_on_record(username: str, words: str):
    approval = asked()

    page = browser(username).get(f"/approvals/{approval.public_id}/")
    tried = post(username, approval)

    assert shows(page, words)
    assert 'name="verdict"' not in text_of(page)
    assert tried.status_code == 422
    assert shows(tried, words)
    assert decided(approval) == []
    refused = AuditEvent.objects.get(
        subject_id=approval.public_id, action="approval.decision_refused"
    )
    assert refused.person == person(username)


def test_superuser_without_a_role_neither_reads_nor_decides():
    approval = asked()

    page = browser("root").get(f"/approvals/{approval.public_id}/")
    tried = post("root", approval)

    assert page.status_code == tried.status_code == 403
    assert shows(tried, "You hold no role that counts here.")
    assert approval.facts["bank_masked"] not in text_of(page)
    assert decided(approval) == []
    assert browser("root").get("/approvals/").status_code == 403


def test_access_administrator_reads_access_requests_alone():
    approval = asked()

    assert browser("ada").get(f"/approvals/{approval.public_id}/").status_code == 403
    assert "No open requests" in text_of(browser("ada").get("/approvals/?show=all"))


def test_wrong_password_decides_nothing_and_is_refused_altogether_after_five():
    approval = asked()
    marco, url = browser("marco"), f"/approvals/{approval.public_id}/decide/"

    wrong = [
        marco.post(url, decision(approval, password=f"wrong-{i}", reason="kept text"))
        for i in range(5)
    ]
    right = marco.post(url, decision(approval))

    assert {answer.status_code for answer in wrong} == {422}
    assert shows(wrong[0], "This is not your password. Nothing was done.")
    assert "kept text</textarea>" in text_of(wrong[0])
    assert "wrong-0" not in text_of(wrong[0])
    assert right.status_code == 422
    assert shows(right, "5 failed attempts within 15 minutes.")
    assert PASSWORD not in text_of(right)
    assert decided(approval) == []
    assert AuditEvent.objects.filter(action="step_up.failed").count() == 5


def test_refusals_of_the_form_keep_the_reason_and_name_the_figures():
    approval = asked()

    no_reason = post("marco", approval, reason="  ")
    untyped = post("marco", approval, confirm="12400", reason=f"why {HOSTILE}")
    other = post("marco", approval, content_hash="0" * 64)
    broken = post("marco", approval, verdict="maybe")

    answers = (no_reason, untyped, other, broken)
    assert [answer.status_code for answer in answers] == [422] * 4
    assert shows(no_reason, "Write the reason for the decision; it is kept with it for ever.")
    assert shows(
        untyped,
        "Above 10,000.00 EUR the amount is typed to confirm it: type 12400.00 (EUR); "
        "'12400' was typed.",
    )
    assert "why &quot;&gt;&lt;script&gt;" in text_of(untyped)
    assert "<script>alert(1)" not in text_of(untyped)
    assert shows(other, "is not what is asked for")
    assert shows(broken, "The form was incomplete; nothing was decided.")
    assert decided(approval) == []


def test_rejecting_needs_no_typed_amount_and_is_final():
    approval = asked()

    answer = post("chen", approval, verdict="reject", confirm="", reason="name differs")

    assert shows(answer, "Rejected: rejected by Chen Wei as Compliance at ")
    assert shows(answer, "name differs")
    assert decided(approval) == [("Chen Wei", "reject")]
    approval.refresh_from_db()
    assert approval.state == "REJECTED"


def test_second_of_two_approvers_of_one_seat_reads_who_was_first():
    approval = asked("900.00")
    url = f"/approvals/{approval.public_id}/"
    opened_by_both = [browser("lena"), browser("tomas")]
    for each in opened_by_both:
        assert 'name="verdict"' in text_of(each.get(url))

    first = opened_by_both[0].post(f"{url}decide/", decision(approval, confirm=""), follow=True)
    second = opened_by_both[1].post(f"{url}decide/", decision(approval, confirm=""), follow=True)

    assert shows(first, "Approved: approved by Lena Fischer as Payments operations lead at ")
    assert shows(second, "Already decided: approved by Lena Fischer as Payments operations lead")
    assert shows(second, "Nothing was recorded again.")
    assert decided(approval) == [("Lena Fischer", "approve")]


def test_eight_presses_of_the_same_button_record_one_decision():
    approval = asked("900.00")
    clients = [browser("lena" if i % 2 else "tomas") for i in range(8)]
    url = f"/approvals/{approval.public_id}/decide/"

    answers = race(8, lambda i: clients[i].post(url, decision(approval, confirm="")).status_code)

    assert answers == [302] * 8
    assert len(decided(approval)) == 1


def test_requester_withdraws_and_nobody_else_may():
    approval = asked()
    url = f"/approvals/{approval.public_id}/withdraw/"

    other = browser("lena").post(url, {"reason": "not needed"})
    empty = browser("amara").post(url, {"reason": ""})
    done = browser("amara-2").post(url, {"reason": "not needed"}, follow=True)

    assert other.status_code == empty.status_code == 422
    assert shows(other, "Amara Okafor asked for this; only the requester withdraws it.")
    assert shows(done, "Withdrawn.")
    approval.refresh_from_db()
    assert approval.state == "WITHDRAWN"


def test_approval_is_taken_back_before_it_is_executed_and_not_after():
    approval = asked("900.00")
    post("lena", approval, confirm="")
    lena, url = browser("lena"), f"/approvals/{approval.public_id}/"

    assert "Take the approval back" in text_of(lena.get(url))
    undone = lena.post(f"{url}undo/", {"reason": "wrong seller"}, follow=True)

    assert shows(undone, "Taken back.")
    approval.refresh_from_db()
    assert (approval.state, approval.void_reason) == ("VOID", "taken back: wrong seller")

    executed = asked("800.00")
    post("tomas", executed, confirm="")
    builders.drain()
    executed.refresh_from_db()
    assert executed.executed_at is not None
    late = browser("tomas").post(f"/approvals/{executed.public_id}/undo/", {"reason": "too late"})
    assert late.status_code == 422
    assert shows(late, "What was done is corrected by a new request, not undone here.")


def test_my_queue_all_asked_and_decided():
    mine, others = asked("12400.00"), asked("900.00", reference="S-1002")
    marco = browser("marco")

    queue, everything = marco.get("/approvals/"), marco.get("/approvals/?show=all")
    by_me = browser("amara").get("/approvals/?show=asked")
    post("lena", others, confirm="")
    done = marco.get("/approvals/?show=decided")

    assert mine.public_id in text_of(queue)
    assert others.public_id not in text_of(queue)
    assert others.public_id in text_of(everything)
    assert shows(everything, "Not your seat")
    assert mine.public_id in text_of(by_me) and others.public_id in text_of(by_me)
    assert others.public_id in text_of(done) and "Lena Fischer" in text_of(done)
    assert mine.public_id not in text_of(done)


def test_queue_costs_the_same_number_of_statements_for_one_and_for_twelve():
    marco = browser("marco")
    asked("12400.00")
    marco.get("/approvals/?show=all")
    with CaptureQueriesContext(connection) as one:
        marco.get("/approvals/?show=all")
    for reference in ("S-1002", "S-1003", "S-1005", "S-1008") * 3:
        asked("900.00", reference=reference)

    with CaptureQueriesContext(connection) as many:
        page = marco.get("/approvals/?show=all")

    assert text_of(page).count('class="row-link"') == 13
    assert len(many) == len(one)
    assert len(many) <= 14


def test_decision_names_the_documents_that_were_ticked():
    _, case = failed_payout()
    approval = builders.approval_of(proposed(case))
    case_work.attach(
        case_id=case.pk,
        filename=f"letter{HOSTILE}.pdf",
        content_type="application/pdf",
        content=b"%PDF letter",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    document = Evidence.objects.get(subject_id=case.public_id)

    page = text_of(browser("marco").get(f"/approvals/{approval.public_id}/"))
    said = decision(approval) | {"evidence": [document.sha256, "f" * 64]}
    browser("marco").post(f"/approvals/{approval.public_id}/decide/", said)

    assert f'name="evidence" value="{document.sha256}"' in page
    assert "<script>alert(1)" not in page
    recorded = ApprovalDecision.objects.get(request=approval).evidence
    assert {"document": document.filename, "sha256": document.sha256} in recorded
    assert len(recorded) == 2


def test_facts_name_the_payee_and_the_account_first_and_fold_the_technical_ones():
    release, (_, case) = asked(), failed_payout(merchant_ref="P-10492")
    approval = builders.approval_of(proposed(case, resolution="request_details"))
    seller = builders.seller()
    name = f"{seller.name} ({seller.reference})"

    told = [
        [(fact.label, fact.value) for fact in facts_of_request(each)]
        for each in (release, approval)
    ]
    folded = [{fact.label: fact.value for fact in technical_facts(release)}]
    page = text_of(browser("marco").get(f"/approvals/{release.public_id}/"))

    for facts in told:
        assert facts[1:3] == [("Beneficiary", name), ("Bank account", seller.bank_masked)]
    assert folded[0]["Funded from"] == "PSP balance"
    assert folded[0]["Beneficiary id"] == seller.public_id
    assert folded[0]["Bank details (keyed hash)"] == release.facts["bank_hash"]
    kept = release.facts.keys() - {"amount_minor", "currency", "reissue_of"}
    assert len(told[0]) + len(folded[0]) == 3 + len(kept)
    top, details = page.split("<details", 1)
    assert seller.name in top
    assert release.facts["bank_hash"] not in top
    assert release.facts["bank_hash"] in details


def test_case_decision_runs_the_runbook_and_the_case_shows_its_steps():
    _, case = failed_payout(merchant_ref="P-10492")
    approval = builders.approval_of(proposed(case, resolution="request_details"))

    page = browser("marco").get(f"/approvals/{approval.public_id}/")
    post("marco", approval)
    post("chen", approval)
    builders.drain()
    shown = text_of(browser("lena").get(f"/cases/{case.public_id}/"))

    assert shows(page, "Hold payout P-10492")
    assert shows(page, "Request new bank details")
    assert Case.objects.get(pk=case.pk).state == "WAITING"
    assert "Runbook payout exception v1" in shown
    for step in ("A · Hold the payout", "B · Post the compensating entry", "D · Tell"):
        assert step in shown
    assert "Ticket <b>T-" in shown
    assert "Close the case" in shown


def test_expired_request_takes_no_decision_and_says_so(monkeypatch: pytest.MonkeyPatch):
    approval = asked()
    later = clock.utc_now() + timedelta(hours=73)
    monkeypatch.setattr(clock, "utc_now", lambda: later)

    answer = post("marco", approval)

    assert answer.status_code == 422
    assert shows(answer, "it takes no further decision. Ask again if the act is still needed.")


def test_nobody_decides_signed_out_and_a_get_never_decides():
    approval = asked()
    url = f"/approvals/{approval.public_id}/decide/"

    signed_out = Client().post(url, decision(approval))
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(login("marco"))

    assert signed_out.status_code == 302 and "/sign-in/" in signed_out.headers["Location"]
    assert forged.post(url, decision(approval)).status_code == 403
    assert browser("marco").get(url).status_code == 405
    assert browser("marco").get("/approvals/ap_" + "0" * 32 + "/").status_code == 404
    assert decided(approval) == []
