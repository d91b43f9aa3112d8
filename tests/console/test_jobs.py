"""The screens of bulk acts: plan, confirm, progress, outcome, and what nobody may do (F8)."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.core import signing

from payops.cases.models import Case
from payops.console.views import jobs as views
from payops.core import clock
from payops.core.models import AuditEvent, Job, JobRow
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.console.work import browser, failed_payout, shows, text_of
from tests.flows.test_jobs import letters
from tests.people import person

pytestmark = pytest.mark.django_db(transaction=True)


def token_of(answer) -> str:
    found = re.search(r'name="plan" value="([^"]+)"', text_of(answer))
    assert found is not None, text_of(answer)
    return unescape(found.group(1))


def plan(username: str = "eli", **said):
    given = {"screen": "dead-letters", "kind": "redrive_events", **said}
    return browser(username).post("/jobs/plan/", given)


def begin(answer, username: str = "eli", **said):
    return browser(username).post("/jobs/begin/", {"plan": token_of(answer), **said})


def job_of(answer) -> Job:
    assert answer.status_code == 302, text_of(answer)
    return Job.get(str(answer.headers["Location"]).strip("/").split("/")[-1])


def test_ticked_rows_become_a_plan_then_a_job_then_outcomes():
    dead = letters(3)
    ticked = [dead[0].public_id, dead[2].public_id]

    shown = plan(row=ticked)
    assert shown.status_code == 200
    assert "Redrive 2 events" in text_of(shown)
    assert dead[0].cause in text_of(shown)
    assert Job.objects.count() == 0

    job = job_of(begin(shown, note="seller added"))
    builders.drain()

    assert list(job.rows.values_list("subject_id", flat=True)) == ticked
    page = text_of(browser("eli").get(f"/jobs/{job.public_id}/"))
    assert "2 of 2 rows done" in page
    assert page.split("<tbody>")[1].count("Sent again") == 2
    assert "hx-get" not in page.split('id="progress"')[1].split(">")[0]
    file = b"".join(browser("eli").get(f"/jobs/{job.public_id}/?format=csv").streaming_content)
    assert file.decode().count("SUCCEEDED") == 2


def test_all_that_fit_the_filters_are_those_of_the_moment_of_the_plan():
    """Rows recorded at plan time: what dies afterwards is not swept along."""
    early = letters(2)
    shown = plan(all="1", query=f"cause={early[0].cause}&kind=structural")
    letters(4)

    job = job_of(begin(shown, note="seller added"))

    assert sorted(job.rows.values_list("subject_id", flat=True)) == sorted(
        event.public_id for event in early
    )


def test_filters_that_are_not_understood_take_nothing():
    letters(1)

    client = browser("eli")
    said = {"screen": "dead-letters", "kind": "redrive_events", "all": "1"}
    answer = client.post("/jobs/plan/", {**said, "query": "kind=nonsense"}, follow=True)

    assert answer.redirect_chain == [("/inbox/dead/", 302)]
    assert shows(answer, "“nonsense” is none of the choices of “Kind”")


def test_plan_without_note_is_shown_again_with_words():
    (dead,) = letters(1)

    answer = begin(plan(row=dead.public_id), note=" ")

    assert answer.status_code == 422
    assert Job.objects.count() == 0
    assert ProviderEvent.objects.get().state == "DEAD"


def test_plan_of_somebody_else_forged_or_old_begins_nothing(monkeypatch):
    (dead,) = letters(1)
    shown = plan(row=dead.public_id)

    stolen = begin(shown, "lena", note="mine now")
    forged = browser("eli").post(
        "/jobs/begin/", {"plan": signing.dumps({"kind": "x"}, salt="other"), "note": "n"}
    )
    monkeypatch.setattr(views, "PLAN_VALID_S", -1)
    old = begin(shown, note="too late")

    assert [answer.status_code for answer in (stolen, forged, old)] == [302, 302, 302]
    assert Job.objects.count() == 0


@pytest.mark.parametrize("username", ["amara", "priya", "marco", "audrey", "ada"])
def test_plan_begin_and_cancel_need_the_permission_of_the_act(username):
    (dead,) = letters(1)
    mine = job_of(begin(plan(row=dead.public_id), note="fixed"))

    asked = plan(username, row=dead.public_id)
    browser(username).post(f"/jobs/{mine.public_id}/cancel/")

    assert asked.status_code == 403 and "redrive_event" in text_of(asked)
    assert Job.objects.get(pk=mine.pk).cancel_asked_at is None


def test_revoked_between_plan_and_begin_is_refused():
    """SE-4: the plan is no permission."""
    (dead,) = letters(1)
    shown = plan(row=dead.public_id)
    for grant in person("eli").role_grants.filter(role="engineer", revoked_at=None):
        grant.revoked_at = grant.granted_at
        grant.save()

    answer = begin(shown, note="fixed")

    assert answer.status_code in (302, 403)
    assert Job.objects.count() == 0


def test_canceled_job_offers_the_rest_as_a_new_plan():
    dead = letters(2)
    job = job_of(begin(plan(row=[e.public_id for e in dead]), note="fixed"))
    client = browser("eli")
    client.post(f"/jobs/{job.public_id}/cancel/")

    shown = client.post(f"/jobs/{job.public_id}/again/")
    second = job_of(begin(shown, note="second try"))
    builders.drain()

    assert set(JobRow.objects.filter(job=job).values_list("outcome", flat=True)) == {"SKIPPED"}
    second.refresh_from_db()
    assert (second.state, second.total, second.succeeded) == ("DONE", 2, 2)


def test_progress_asks_again_until_the_job_has_ended():
    (dead,) = letters(1)
    job = job_of(begin(plan(row=dead.public_id), note="fixed"))
    client = browser("eli")
    path = f"/jobs/{job.public_id}/progress/"

    running = client.get(path)
    builders.drain()
    ended = client.get(path)

    assert 'hx-trigger="every 1s"' in text_of(running) and "HX-Refresh" not in running.headers
    assert "hx-trigger" not in text_of(ended) and ended.headers["HX-Refresh"] == "true"


def test_bulk_discard_by_page_ends_in_one_approval_and_changes_nothing():
    """Attack by page: asking is all an engineer can do; a second login of the asker decides not."""
    dead = letters(2)
    shown = plan(kind="discard_events", row=[e.public_id for e in dead])

    answer = begin(shown, note="test traffic")

    assert answer.status_code == 302 and "/approvals/ap_" in answer.headers["Location"]
    assert set(ProviderEvent.objects.values_list("state", flat=True)) == {"DEAD"}
    assert text_of(plan("lena", kind="discard_events", row=dead[0].public_id)).count(
        "discard_event"
    )


def test_redrive_says_sent_again_and_how_each_row_stands_now():
    """F8: sending succeeded; that the letter died anew within a second is told too."""
    dead = letters(3)
    client = browser("eli")
    job = job_of(begin(plan(row=[e.public_id for e in dead]), note="hoping"))
    builders.drain()
    ProviderEvent.objects.filter(pk=dead[2].pk).update(
        state="RECEIVED", finished_at=None, due_at=clock.utc_now()
    )

    page = text_of(client.get(f"/jobs/{job.public_id}/"))
    polled = client.get(f"/jobs/{job.public_id}/progress/?ended")

    assert "<dt>Sent again</dt><dd>3</dd>" in page and "Succeeded</dt>" not in page
    table = page.split("<tbody>")[1].split("</tbody>")[0]
    assert (table.count("Sent again"), table.count("Dead again")) == (3, 2)
    assert table.count("Waiting") == 1
    assert "?ended" in page.split('id="progress"')[1].split(">")[0], "a row has no verdict yet"
    assert "HX-Refresh" not in polled.headers
    builders.drain()
    assert client.get(f"/jobs/{job.public_id}/progress/?ended").headers["HX-Refresh"] == "true"
    ended = text_of(client.get(f"/jobs/{job.public_id}/"))
    assert ended.split("<tbody>")[1].count("Dead again") == 3
    assert "hx-get" not in ended.split('id="progress"')[1].split(">")[0]


def test_cases_are_snoozed_from_the_queue_with_a_plan():
    """F16: until and note for many cases, one outcome each."""
    _, case = failed_payout()
    listed = browser("lena").get("/cases/")
    assert "Snooze…" in text_of(listed)

    shown = plan("lena", screen="cases", kind="snooze_cases", case=case.public_id)
    begun = begin(shown, "lena", until="2199-01-01 09:00", note="bank holiday")
    builders.drain()

    assert job_of(begun).title == "Snooze 1 case"
    assert Case.objects.get().snoozed_until.isoformat() == "2199-01-01T08:00:00+00:00"
    assert AuditEvent.objects.filter(action="case.snoozed", channel="job").count() == 1


def test_jobs_screen_says_why_nothing_is_decided_in_bulk():
    page = browser("marco").get("/jobs/")

    assert shows(page, "Approvals are never decided in bulk")
    assert plan("marco", kind="decide_approvals", screen="approvals", row="ap_x").status_code == 302


def test_job_of_another_book_and_unknown_job_are_not_found():
    assert browser("eli").get("/jobs/jb_" + "0" * 32 + "/").status_code == 404
    assert browser("ada").get("/jobs/").status_code == 403
