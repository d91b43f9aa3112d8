"""Bulk acts as jobs: one outcome per row, none twice, stopped, resumed, refused with words (F8)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from approvals.models import ApprovalRequest
from payops.cases.models import Case
from payops.core import clock, jobs
from payops.core.jobs import Entry, JobRefused
from payops.core.models import AuditEvent, Job, JobRow, Message, RoleGrant
from payops.core.queues import Postpone
from payops.devstack.datadir import CHECKOUT
from payops.flows import jobs as flow
from payops.flows.job_kinds import DISCARD_MAX, KINDS
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.people import actor, person
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)


def letters(count: int) -> list[ProviderEvent]:
    """Signed payments for a seller nobody knows: each is a dead letter of the same cause."""
    for number in range(count):
        said = {
            "id": f"spm_job_{number}",
            "object": "payment",
            "reference": f"ORDER-J{number}",
            "amount": 500,
            "currency": "EUR",
            "status": "captured",
            "fee": 0,
            "platform_fee": 0,
            "seller": "S-NOBODY",
            "method": "card",
            "created": 1,
        }
        assert builders.post_standard(builders.standard_event("payment.captured", said)) == 200
    builders.drain()
    return list(ProviderEvent.objects.filter(state="DEAD").order_by("pk"))


def planned(kind: str, ids: list[str], *, by: str = "eli") -> flow.Plan:
    book = builders.account().book
    return flow.plan(kind=kind, subject_ids=ids, book=book, actor=actor(by), now=clock.utc_now())


def begun(kind: str, ids: list[str], *, by: str = "eli", **said: Any) -> Any:
    return flow.start(
        plan=planned(kind, ids, by=by),
        said=said,
        book=builders.account().book,
        actor=actor(by),
        now=clock.utc_now(),
    )


def outcomes(job: Job) -> list[tuple[str, str]]:
    rows = JobRow.objects.filter(job=job).order_by("position")
    return list(rows.values_list("outcome", "words"))


def run_once(job: Job) -> None:
    """The handler, as the engine calls it."""
    flow.run([Message.objects.get(topic="job.run", key=job.public_id)], clock.utc_now())


def test_plan_tells_causes_and_refusals_before_anything_is_written():
    dead = letters(3)
    before = AuditEvent.objects.count()

    plan = planned("redrive_events", [*(e.public_id for e in dead), "ev_" + "0" * 32, "nonsense"])

    assert (len(plan.rows), plan.fit) == (5, 3)
    assert plan.by_cause[0] == (dead[0].cause, 3)
    assert {row.refusal for row in plan.refused} == {"there is no such event in this book"}
    assert Job.objects.count() == 0
    assert AuditEvent.objects.count() == before


def test_each_row_goes_through_the_service_of_the_single_act():
    """WH-19, F8: original ids stay, the note is kept on every row, each act is audited."""
    dead = letters(3)

    job = begun("redrive_events", [e.public_id for e in dead], note="seller added")
    run_once(job)

    job.refresh_from_db()
    assert (job.state, job.total, job.succeeded, job.refused, job.failed) == ("DONE", 3, 3, 0, 0)
    assert outcomes(job) == [("SUCCEEDED", "redriven; it goes through the same gates again")] * 3
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"RECEIVED"}
    rows = AuditEvent.objects.filter(action="event.redriven")
    assert set(rows.values_list("login", "channel", "reason")) == {("eli", "job", "seller added")}
    assert rows.count() == 3
    told = AuditEvent.objects.filter(subject_id=job.public_id).order_by("created_at", "pk")
    assert list(told.values_list("action", "from_state", "to_state")) == [
        ("job.created", "", "QUEUED"),
        ("job.started", "QUEUED", "RUNNING"),
        ("job.done", "RUNNING", "DONE"),
    ]
    assert told.last().evidence == {"succeeded": 3, "refused": 0, "failed": 0, "skipped": 0}


def test_a_row_that_is_no_dead_letter_any_more_is_refused_alone():
    dead = letters(3)
    job = begun("redrive_events", [e.public_id for e in dead], note="fixed")
    single = begun("redrive_events", [dead[1].public_id], note="by itself")
    run_once(single)

    run_once(job)

    assert [outcome for outcome, _ in outcomes(job)] == ["SUCCEEDED", "REFUSED", "SUCCEEDED"]
    assert outcomes(job)[1][1] == f"{dead[1].public_id} is RECEIVED"


def test_role_revoked_in_the_middle_refuses_the_rest_with_words(monkeypatch):
    """SE-4: the person's permission is looked up at each row."""
    dead = letters(3)
    job = begun("redrive_events", [e.public_id for e in dead], note="fixed")
    once = flow._act

    def then_revoke(of: Job, key: Any) -> None:
        once(of, key)
        grants = RoleGrant.objects.filter(person=person("eli"), revoked_at=None)
        for grant in grants:
            grant.revoked_at = clock.utc_now()
            grant.save()

    monkeypatch.setattr(flow, "_act", then_revoke)
    run_once(job)

    assert [outcome for outcome, _ in outcomes(job)] == ["SUCCEEDED", "REFUSED", "REFUSED"]
    assert "may not redrive_event at" in outcomes(job)[1][1]
    assert ProviderEvent.objects.filter(state="DEAD").count() == 2


def test_switched_off_login_acts_no_more():
    (dead,) = letters(1)
    job = begun("redrive_events", [dead.public_id], note="fixed")
    from tests.people import login

    user = login("eli")
    user.is_active = False
    user.save(update_fields=["is_active"])
    run_once(job)

    assert outcomes(job) == [("REFUSED", "the login eli is switched off")]


def test_cancel_between_rows_leaves_the_rest_not_begun(monkeypatch):
    dead = letters(4)
    job = begun("redrive_events", [e.public_id for e in dead], note="fixed")
    once = flow._act

    def then_cancel(of: Job, key: Any) -> None:
        once(of, key)
        if JobRow.objects.filter(job=of, outcome="SUCCEEDED").count() == 2:
            flow.cancel(job_id=of.pk, actor=actor("eli"), now=clock.utc_now())

    monkeypatch.setattr(flow, "_act", then_cancel)
    run_once(job)

    job.refresh_from_db()
    assert job.state == "CANCELED"
    assert [outcome for outcome, _ in outcomes(job)] == ["SUCCEEDED"] * 2 + ["SKIPPED"] * 2
    assert outcomes(job)[3][1] == "not begun: the job was canceled"
    with pytest.raises(JobRefused, match="is CANCELED already"):
        flow.cancel(job_id=job.pk, actor=actor("eli"), now=clock.utc_now())


def test_queued_job_is_canceled_at_once_and_never_begins():
    (dead,) = letters(1)
    job = begun("redrive_events", [dead.public_id], note="fixed")

    flow.cancel(job_id=job.pk, actor=actor("noor"), now=clock.utc_now())
    run_once(job)

    job.refresh_from_db()
    assert (job.state, outcomes(job)[0][0]) == ("CANCELED", "SKIPPED")
    assert ProviderEvent.objects.get().state == "DEAD"


def test_only_the_beginner_or_somebody_with_the_permission_cancels():
    (dead,) = letters(1)
    job = begun("redrive_events", [dead.public_id], note="fixed")

    with pytest.raises(JobRefused, match="may not redrive_event"):
        flow.cancel(job_id=job.pk, actor=actor("amara"), now=clock.utc_now())

    assert Job.objects.get(pk=job.pk).cancel_asked_at is None


def test_turn_is_over_after_its_budget_and_the_next_goes_on_behind_it(monkeypatch):
    dead = letters(3)
    job = begun("redrive_events", [e.public_id for e in dead], note="fixed")
    monkeypatch.setattr(flow, "BUDGET_S", -1.0)
    with pytest.raises(Postpone, match="goes on with its next rows"):
        run_once(job)
    assert Job.objects.get(pk=job.pk).state == "RUNNING"

    monkeypatch.setattr(flow, "BUDGET_S", 10.0)
    run_once(job)

    assert [outcome for outcome, _ in outcomes(job)] == ["SUCCEEDED"] * 3


def test_sixteen_workers_of_one_job_act_on_no_row_twice():
    dead = letters(6)
    job = begun("redrive_events", [e.public_id for e in dead], note="fixed")

    race(16, lambda i: run_once(job))

    job.refresh_from_db()
    assert (job.state, job.succeeded, job.refused, job.failed) == ("DONE", 6, 0, 0)
    assert AuditEvent.objects.filter(action="event.redriven").count() == 6


def test_fault_of_one_row_is_told_on_it_alone_and_nothing_of_it_is_kept(monkeypatch):
    dead = letters(3)
    job = begun("redrive_events", [e.public_id for e in dead], note="fixed")
    kind = KINDS["redrive_events"]

    def breaks(subject_id: str, said: Any, who: Any, now: Any) -> str:
        words = kind.act(subject_id, said, who, now)
        if subject_id == dead[1].public_id:
            raise KeyError("amount")
        return words

    from dataclasses import replace

    monkeypatch.setitem(flow.KINDS, "redrive_events", replace(kind, act=breaks))
    run_once(job)

    assert [outcome for outcome, _ in outcomes(job)] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert outcomes(job)[1][1] == "nothing was changed, trying again is safe: KeyError: 'amount'"
    assert ProviderEvent.objects.get(pk=dead[1].pk).state == "DEAD"


def test_killed_worker_is_resumed_with_no_row_done_twice():
    """kill -9 in the middle of the seventh row: its act is undone, the next worker begins there."""
    dead = letters(12)
    job = begun("redrive_events", [e.public_id for e in dead], note="fixed")

    worker = subprocess.run([sys.executable, "-c", WORKER], cwd=CHECKOUT, timeout=60, check=False)

    assert worker.returncode == -signal.SIGKILL
    job.refresh_from_db()
    assert (job.state, job.succeeded) == ("RUNNING", 6)
    assert ProviderEvent.objects.get(pk=dead[6].pk).state == "DEAD"
    past = clock.utc_now() - timedelta(seconds=1)
    Message.objects.filter(topic="job.run").update(leased_until=past)

    builders.drain()

    job.refresh_from_db()
    assert (job.state, job.succeeded, job.refused, job.failed) == ("DONE", 12, 0, 0)
    rows = AuditEvent.objects.filter(action="event.redriven")
    assert rows.count() == rows.values("subject_id").distinct().count() == 12


WORKER = """
import os, signal
import django
django.setup()
from payops.core import jobs
from payops.flows import tasks
real, calls = jobs.settle, []
def settle(*given, **named):
    calls.append(given)
    if len(calls) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*given, **named)
jobs.settle = settle
tasks.drain("standard", budget_s=30)
"""


def test_cases_are_assigned_snoozed_and_commented_row_by_row():
    """F16: until, by whom and the note stand on every timeline."""
    from tests.console.work import failed_payout

    _, first = failed_payout()
    _, second = failed_payout("80.00", reference="S-1002")
    ids = [first.public_id, second.public_id]
    until = (clock.utc_now() + timedelta(days=2)).isoformat()

    for kind, said in (
        ("assign_cases", {"owner": str(person("lena").pk)}),
        ("snooze_cases", {"until": until, "note": "bank holiday"}),
        ("comment_cases", {"note": "asked the bank"}),
    ):
        run_once(begun(kind, ids, by="lena", **said))

    rows = Case.objects.filter(pk__in=[first.pk, second.pk])
    assert {case.owner_id for case in rows} == {person("lena").pk}
    assert {case.snoozed_until.isoformat() for case in rows} == {until}
    texts = [entry.text for entry in second.entries.filter(kind="comment")]
    assert texts == ["asked the bank"]
    assert AuditEvent.objects.filter(action="case.snoozed", reason="bank holiday").count() == 2


def test_owner_who_may_not_work_on_it_is_refused_on_every_row():
    dead = letters(2)
    job = begun("assign_events", [e.public_id for e in dead], owner=str(person("audrey").pk))

    run_once(job)

    assert {outcome for outcome, _ in outcomes(job)} == {"REFUSED"}
    assert "may not redrive" in outcomes(job)[0][1]
    assert ProviderEvent.objects.filter(owner=None).count() == 2


@pytest.mark.parametrize(
    ("kind", "by", "words"),
    [
        ("redrive_events", "amara", "may not redrive_event"),
        ("discard_events", "lena", "may not discard_event"),
        ("assign_cases", "audrey", "may not work_case"),
        ("decide_approvals", "marco", "there is no kind of job called 'decide_approvals'"),
    ],
)
def test_plan_needs_its_permission_and_a_known_kind(kind, by, words):
    with pytest.raises(JobRefused, match=words):
        planned(kind, ["ev_" + "0" * 32], by=by)


def test_job_without_note_row_or_fit_row_is_not_begun():
    (dead,) = letters(1)
    with pytest.raises(JobRefused, match="write a note of 1 to 240 characters"):
        begun("redrive_events", [dead.public_id], note=" ")
    with pytest.raises(JobRefused, match="none of the 1 rows can be acted on"):
        begun("redrive_events", ["ev_" + "0" * 32], note="fixed")
    with pytest.raises(JobRefused, match="no event was chosen"):
        planned("redrive_events", [])
    many = [f"ev_{number:032x}" for number in range(DISCARD_MAX + 1)]
    with pytest.raises(JobRefused, match="takes at most 500 rows at once"):
        planned("discard_events", many)
    assert Job.objects.count() == 0
    assert Message.objects.filter(topic="job.run").count() == 0


def test_more_rows_than_a_job_may_have_are_refused_in_the_service_too():
    entries = [Entry(str(number)) for number in range(jobs.ROWS_MAX + 1)]
    with (
        pytest.raises(JobRefused, match="at most 5000 rows; 5001 were chosen"),
        transaction.atomic(),
    ):
        jobs.create(
            book=builders.account().book,
            kind="redrive_events",
            title="too many",
            arguments={},
            entries=entries,
            actor=actor("eli"),
            now=clock.utc_now(),
        )


def test_bulk_discard_is_one_approval_over_exactly_the_dead_ones():
    """WH-20: nothing is discarded before finance approved, everything named is afterwards."""
    dead = letters(3)

    approval = begun(
        "discard_events", [*(e.public_id for e in dead), "ev_" + "0" * 32], note="test traffic"
    )

    assert isinstance(approval, ApprovalRequest)
    assert approval.facts["event_ids"] == sorted(e.public_id for e in dead)
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"DEAD"}
    builders.approve_all(approval)
    builders.drain()
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"DISCARDED"}


def test_two_bulk_discards_of_other_events_do_not_stand_in_each_others_way():
    dead = letters(4)
    ids = [e.public_id for e in dead]

    first = begun("discard_events", ids[:2], note="test traffic")
    second = begun("discard_events", ids[2:], note="test traffic")

    assert first.pk != second.pk and first.subject_id != second.subject_id


def test_job_of_the_database_guards_its_states():
    """I18 for jobs: no way back from an end, no state by hand."""
    (dead,) = letters(1)
    job = begun("redrive_events", [dead.public_id], note="fixed")
    run_once(job)

    for state in ("RUNNING", "QUEUED", "CANCELED"):
        with pytest.raises(Exception, match="may not go from DONE"), transaction.atomic():
            Job.objects.filter(pk=job.pk).update(state=state)
    gone = pytest.raises(Exception, match=r"never deleted|permission denied")
    with gone, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_job WHERE id = %s", [job.pk])
    assert json.dumps(job.arguments) == '{"note": "fixed"}'
