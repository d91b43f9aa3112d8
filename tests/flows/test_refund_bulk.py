"""Refunds by a file: looked at first, then a job with an outcome per line, twice nothing (F8)."""

from __future__ import annotations

import pytest

from approvals.models import ApprovalRequest
from payops.core import clock
from payops.core.jobs import JobRefused
from payops.core.models import AuditEvent, Evidence, Job, JobRow, Message
from payops.flows import jobs
from payops.flows.refunds import bulk as refund_bulk
from payops.payments.models import Payment, Refund
from tests import builders, refunds
from tests.people import actor, person

pytestmark = pytest.mark.django_db(transaction=True)
HEAD = "payment,amount,currency,reason_code,note,evidence_order_reference"


def line(payment: Payment | str, amount: str = "30.00", reason: str = "order_canceled") -> str:
    named = payment if isinstance(payment, str) else payment.merchant_ref
    return f"{named},{amount},EUR,{reason},was not sent,{named}"


def file_of(*lines: str) -> str:
    return "\n".join((HEAD, *lines)) + "\n"


def seen(text: str, by: str = "amara") -> refund_bulk.Preview:
    book = builders.account().book
    return refund_bulk.preview(text=text, book=book, person=person(by), now=clock.utc_now())


def begun(text: str, by: str = "amara") -> Job:
    return refund_bulk.begin(
        text=text,
        filename="march.csv",
        book=builders.account().book,
        actor=actor(by),
        now=clock.utc_now(),
    )


def run(job: Job) -> None:
    jobs.run([Message.objects.get(topic="job.run", key=job.public_id)], clock.utc_now())
    job.refresh_from_db()


def outcomes(job: Job) -> list[str]:
    rows = JobRow.objects.filter(job=job).order_by("position")
    return list(rows.values_list("outcome", flat=True))


def test_a_preview_says_what_each_line_would_come_to_and_writes_nothing() -> None:
    first, second = refunds.charge(10_000), refunds.charge(20_000)
    text = file_of(
        line(first, "30.00"),
        line(second, "200.01"),
        line("ORDER-NOBODY"),
        line(second, "10.00", "because"),
        line(second, "all"),
    )

    rows = seen(text).rows

    assert [row.verdict for row in rows] == [
        "approval",
        "refused",
        "refused",
        "refused",
        "approval",
    ]
    assert "people decide about requests by bulk" in rows[0].words
    assert "200.01 EUR asked, 200.00 EUR left" in rows[1].words
    assert "no charge 'ORDER-NOBODY' is known" in rows[2].words
    assert "no reason 'because'" in rows[3].words
    assert str(rows[4].amount) == "200.00 EUR"
    totals = [(each.verdict, each.count, str(each.amount)) for each in seen(text).totals]
    assert totals == [("approval", 2, "230.00 EUR"), ("refused", 3, "240.01 EUR")]
    assert not Refund.objects.exists() and not Job.objects.exists()
    assert not Evidence.objects.exists()


def test_lines_of_one_charge_are_added_up_before_anything_is_asked() -> None:
    payment = refunds.charge(10_000)

    rows = seen(file_of(*[line(payment, "40.00")] * 3, line(payment, "all"))).rows

    assert [row.verdict for row in rows] == ["approval", "approval", "refused", "approval"]
    assert rows[2].words == "40.00 EUR asked, 20.00 EUR left after the lines above"
    assert str(rows[3].amount) == "20.00 EUR"


def test_each_line_of_the_job_goes_through_the_one_flow_with_its_own_outcome() -> None:
    """AP-8: a file is never granted by rule; the approval says how it was asked."""
    first, second = refunds.charge(10_000), refunds.charge(10_000)
    text = file_of(line(first, "30.00"), line(second, "100.01"), line("ORDER-NOBODY"))

    job = begun(text)
    run(job)

    assert (job.state, job.total, job.succeeded, job.refused, job.failed) == ("DONE", 3, 1, 2, 0)
    assert outcomes(job) == ["SUCCEEDED", "REFUSED", "REFUSED"]
    asked, refused = Refund.objects.order_by("created_at")
    assert (asked.state, asked.source) == ("AWAITING_APPROVAL", "bulk")
    assert asked.requested_by == person("amara")
    assert refused.state == "REFUSED"
    words = list(JobRow.objects.order_by("position").values_list("words", flat=True))
    assert words[0] == f"{asked.public_id} awaiting approval: 30.00 EUR"
    assert words[1].startswith(f"{refused.public_id} refused: 100.01 EUR asked, 100.00 EUR left")
    assert words[2].startswith("line 4: no charge 'ORDER-NOBODY' is known")
    approval = ApprovalRequest.objects.get()
    assert approval.requested_channel == "bulk"
    assert approval.seats == ["ops_lead", "finance_manager"]


def test_the_same_file_twice_asks_for_nothing_twice() -> None:
    payment = refunds.charge(10_000)
    text = file_of(line(payment, "30.00"), line(payment, "30.00"))
    run(begun(text))

    rows = seen(text.replace("\n", "\r\n")).rows
    again = begun(text)
    run(again)

    assert [row.verdict for row in rows] == ["known", "known"]
    assert again.succeeded == 2
    assert Refund.objects.count() == 2
    assert refunds.fresh(payment).reserved_minor == 6_000
    assert AuditEvent.objects.filter(action="refund.repeated").count() == 2


def test_the_file_is_kept_as_it_was_shown() -> None:
    payment = refunds.charge(10_000)
    text = file_of(line(payment))

    job = begun(text)

    document = Evidence.objects.get()
    assert job.arguments["document"] == str(document.pk)
    assert job.arguments["file"] == document.filename == "march.csv"
    from payops.core import evidence

    assert evidence.content_of(document) == text.encode()


def test_a_file_with_a_cell_that_cannot_be_read_is_not_begun() -> None:
    payment = refunds.charge(10_000)
    text = file_of(line(payment), line(payment, "3,00"))

    assert [(each.line, each.column) for each in seen(text).rejects] == [(3, "")]
    with pytest.raises(JobRefused, match="cannot be read"):
        begun(text)
    assert not Job.objects.exists() and not Evidence.objects.exists()


def test_a_job_that_is_canceled_leaves_the_rest_unasked() -> None:
    payment = refunds.charge(10_000)
    job = begun(file_of(line(payment), line(payment)))

    jobs.cancel(job_id=job.pk, actor=actor("amara"), now=clock.utc_now())
    run(job)

    assert job.state == "CANCELED"
    assert outcomes(job) == ["SKIPPED", "SKIPPED"]
    assert not Refund.objects.exists()


def test_lines_that_did_not_succeed_are_planned_again_under_their_own_keys() -> None:
    payment = refunds.charge(10_000)
    blocking = refunds.ask(payment, "90.00")
    job = begun(file_of(line(payment, "30.00")))
    run(job)
    refunds.cancel(blocking.public_id)
    ids = list(JobRow.objects.filter(job=job).values_list("subject_id", flat=True))

    plan = jobs.plan(
        kind=refund_bulk.KIND,
        subject_ids=[*ids, f"{'0' * 32}:2", "nonsense"],
        book=builders.account().book,
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    second = jobs.start(
        plan=plan,
        said={},
        book=builders.account().book,
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    assert isinstance(second, Job)
    run(second)

    assert [row.refusal for row in plan.rows] == [
        "",
        "no file kept here has such a line",
        "no file kept here has such a line",
    ]
    assert outcomes(second) == ["SUCCEEDED", "REFUSED", "REFUSED"]
    standing = Refund.objects.get(source="bulk", state="AWAITING_APPROVAL")
    assert standing.request_key.endswith("~2")


def test_who_may_not_ask_begins_nothing() -> None:
    payment = refunds.charge(10_000)
    job = begun(file_of(line(payment)), by="marco")
    run(job)

    assert outcomes(job) == ["REFUSED"]
    assert "may not request_refund" in JobRow.objects.get().words
    assert not Refund.objects.exists()
