"""Bulk acts: the plan that is shown first, the job with its progress, one outcome per row (F8).

The rows of a plan travel in it, signed, so that what is begun is what was looked at, however the
queue moves meanwhile. Nothing is acted on here; `flows.jobs` does, in the background.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from payops.console import exports, filters, forms, paging
from payops.console.access import record_or_404, refuse, requires, signed_in
from payops.console.reads import case_queue, dead_letters, queues
from payops.console.reads import jobs as reads
from payops.core.jobs import JobRefused
from payops.core.models import Job, JobRow
from payops.core.roles import Act
from payops.flows import jobs
from payops.flows.job_kinds import KINDS, Kind

REFUSED = 422
SALT = "payops.jobs.plan"
PLAN_VALID_S = 3600
REFUSED_SHOWN = 20


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.CONTROLS)
    rows = reads.listed(request.book, wanted, person_id=request.actor.person_id)
    page = paging.keyset(rows, query=request.GET)
    shown = {"filters": wanted, "page": page, "rows": [reads.progress(job) for job in page.rows]}
    return render(request, "console/jobs.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse | StreamingHttpResponse:
    job = record_or_404(_jobs(), public_id, book=request.book)
    wanted = filters.read(request.GET, reads.ROW_CONTROLS)
    rows = reads.rows_of(job, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name=f"job-{job.public_id}",
            rows=rows.order_by("position").iterator(chunk_size=exports.CHUNK),
            columns=reads.CSV,
        )
    page = paging.keyset(rows, query=request.GET, order="position")
    shown = {
        "job": job,
        "progress": reads.followed(job),
        "filters": wanted,
        "page": page,
        "rows": reads.with_now(job, page.rows),
        "facts": reads.facts(job),
        "kind": KINDS.get(job.kind),
        "may": _may(request, job),
    }
    return render(request, "console/job.html", shown)


@never_cache
@require_GET
@requires(Act.VIEW_BOOKS)
def progress(request: HttpRequest, public_id: str) -> HttpResponse:
    """The bar alone; the page shows itself anew when the job ends, and when its rows have."""
    job = record_or_404(_jobs(), public_id, book=request.book)
    far = reads.followed(job)
    answer = render(request, "console/parts/job_progress.html", {"progress": far, "job": job})
    if not far.live or (far.ended and "ended" not in request.GET):
        answer.headers["HX-Refresh"] = "true"
    return answer


@require_POST
@signed_in
def plan(request: HttpRequest) -> HttpResponse:
    """The ticked rows, or all that fit the filters, as a plan; nothing is written."""
    kind = KINDS.get(request.POST.get("kind", ""))
    queue = queues.QUEUES.get(request.POST.get("screen", ""))
    if kind is None or queue is None or queue.subject is None:
        return _refused(request, "This list has no such bulk act.", "/jobs/")
    for needed in (kind.needs, queue.act):
        if needed is not None and (refusal := refuse(request, needed)) is not None:
            return refusal
    chosen = request.POST.getlist("row") or request.POST.getlist("case")
    query = dict(parse_qsl(request.POST.get("query", "")[:4000]))
    if request.POST.get("all"):
        wanted = queue.read(query, queues.viewer_of(request))
        if wanted.refused:
            return _refused(request, " ".join(wanted.refused), queue.path)
        chosen = queues.chosen(queue, query, queues.viewer_of(request), kind.rows_max)
    return _planned(request, kind, chosen, back=queue.path)


@require_POST
@requires(Act.VIEW_BOOKS)
def again(request: HttpRequest, public_id: str) -> HttpResponse:
    """The rows of a job that did not succeed, as a new plan."""
    job = record_or_404(_jobs(), public_id, book=request.book)
    kind = KINDS[job.kind]
    if (refusal := refuse(request, kind.needs)) is not None:
        return refusal
    outcomes = (JobRow.Outcome.REFUSED, JobRow.Outcome.FAILED, JobRow.Outcome.SKIPPED)
    rows = JobRow.objects.filter(job=job, outcome__in=outcomes).order_by("position")
    chosen = list(rows.values_list("subject_id", flat=True))
    return _planned(request, kind, chosen, back=f"/jobs/{job.public_id}/", said=job.arguments)


@require_POST
@signed_in
def begin(request: HttpRequest) -> HttpResponse:
    """Begin exactly what the plan showed to this person."""
    try:
        token = signing.loads(request.POST.get("plan", ""), salt=SALT, max_age=PLAN_VALID_S)
    except signing.BadSignature:
        words = "The plan is older than an hour, or not one of ours. Choose the rows again."
        return _refused(request, words, "/jobs/")
    if token["person"] != str(request.actor.person_id) or token["book"] != str(request.book.pk):
        return _refused(request, "This plan was made by somebody else.", "/jobs/")
    kind = KINDS[token["kind"]]
    form = _form(request, kind, request.POST)
    return _planned(request, kind, token["rows"], back=token["back"], form=form)


@require_POST
@requires(Act.VIEW_BOOKS)
def cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    job = record_or_404(_jobs(), public_id, book=request.book)
    try:
        jobs.cancel(job_id=job.pk, actor=request.actor, now=request.now)
    except JobRefused as refusal:
        messages.error(request, f"Not canceled: {refusal}")
    else:
        messages.success(request, "It stops before its next row; rows done stay done.")
    return redirect("job", job.public_id)


def _jobs() -> Any:
    return Job.objects.select_related("book", "person")


def _planned(
    request: HttpRequest,
    kind: Kind,
    chosen: list[str],
    *,
    back: str,
    form: Any = None,
    said: dict[str, Any] | None = None,
) -> HttpResponse:
    """The plan as a page; with a filled form that is right, the job it begins."""
    try:
        planned = jobs.plan(
            kind=kind.key,
            subject_ids=chosen,
            book=request.book,
            actor=request.actor,
            now=request.now,
        )
    except JobRefused as refusal:
        return _refused(request, str(refusal), back)
    if form is not None and form.is_valid():
        begun = forms.attempt(
            form,
            lambda: jobs.start(
                plan=planned,
                said=form.cleaned_data,
                book=request.book,
                actor=request.actor,
                now=request.now,
            ),
        )
        if isinstance(begun, Job):
            return redirect("job", begun.public_id)
        if begun is not None:
            messages.success(request, "Asked for. Nothing changes until others have approved.")
            return redirect("approval", begun.public_id)
    token = {
        "kind": kind.key,
        "person": str(request.actor.person_id),
        "book": str(request.book.pk),
        "back": back,
        "rows": [row.subject_id for row in planned.rows],
    }
    shown = {
        "plan": planned,
        "kind": kind,
        "form": form or _form(request, kind, None, said),
        "token": signing.dumps(token, salt=SALT, compress=True),
        "refused": planned.refused[:REFUSED_SHOWN],
        "refused_more": max(len(planned.refused) - REFUSED_SHOWN, 0),
        "button": kind.title(planned.fit),
        "back": back,
    }
    status = REFUSED if form is not None and form.errors else 200
    return render(request, "console/job_plan.html", shown, status=status)


def _form(request: HttpRequest, kind: Kind, said: Any, before: dict[str, Any] | None = None) -> Any:
    people = (
        case_queue.case_workers(request.now)
        if kind.noun == "case"
        else dead_letters.operators(request.now)
    )
    initial = {"owner": str(request.actor.person_id), **(before or {})}
    initial.pop("until", None)
    return forms.BulkForm(said, asks=kind.asks, people=people, initial=initial)


def _refused(request: HttpRequest, words: str, back: str) -> HttpResponse:
    messages.error(request, words)
    return redirect(back)


def _may(request: HttpRequest, job: Job) -> bool:
    kind = KINDS.get(job.kind)
    return kind is not None and kind.needs in request.acts
