"""Refunds by a file: each line with what would come of it, then a job of exactly that file (F8)."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from payops.console import forms
from payops.console.access import requires
from payops.console.reads import refund_bulk as reads
from payops.console.refund_bulk_forms import FileForm
from payops.core.models import Job
from payops.core.roles import Act
from payops.flows.refunds import bulk as refund_bulk
from payops.formats.refund_file import FileRefused

REFUSED = 422
TEMPLATE = "console/refund_bulk.html"


@require_http_methods(["GET", "POST"])
@requires(Act.REQUEST_REFUND)
def upload(request: HttpRequest) -> HttpResponse:
    """First what the file would ask for; the same text sent again begins the job."""
    form = FileForm(request.POST or None, request.FILES or None)
    shown: dict[str, Any] = {"form": form}
    if form.is_bound and form.is_valid():
        job = _begun(request, form) if request.POST.get("step") == "begin" else None
        if job is not None:
            messages.success(request, "It has begun. Each line has its own outcome here.")
            return redirect("job", job.public_id)
        shown |= _looked_at(request, form)
    shown["ready"] = bool(shown.get("board")) and not form.errors
    return render(request, TEMPLATE, shown, status=REFUSED if form.errors else 200)


def _looked_at(request: HttpRequest, form: FileForm) -> dict[str, Any]:
    try:
        seen = refund_bulk.preview(
            text=form.cleaned_data["text"],
            book=request.book,
            person=reads.person_of(request.actor),
            now=request.now,
        )
    except FileRefused as refusal:
        form.add_error(None, f"Nothing was read: {refusal}.")
        return {}
    board = reads.board_of(seen)
    if seen.rejects:
        form.add_error(None, board.rejected_words)
    elif not seen.asking:
        form.add_error(None, "No line of it would be asked for; each says why.")
    return {
        "board": board,
        "said": {name: form.cleaned_data[name] or "" for name in ("text", "filename")},
    }


def _begun(request: HttpRequest, form: FileForm) -> Job | None:
    said = form.cleaned_data
    begun = forms.attempt(
        form,
        lambda: refund_bulk.begin(
            text=said["text"],
            filename=said["filename"],
            book=request.book,
            actor=request.actor,
            now=request.now,
        ),
    )
    return begun if isinstance(begun, Job) else None
