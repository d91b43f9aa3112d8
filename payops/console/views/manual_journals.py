"""Hand-made journals: listed, asked for, posted when their month opens; entries taken back.

Asking needs a document and another person's decision. Serves D5, LJ-2, LJ-8, LJ-17.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ledger import manual
from ledger.models import ManualJournal
from payops.console import filters, forms, journal_forms, paging
from payops.console.access import record_or_404, requires
from payops.console.journal_forms import GiveUpForm, JournalForm, ReversalForm, documents_of
from payops.console.reads import ledger as ledger_reads
from payops.console.reads import manual_journals as reads
from payops.core import clock
from payops.core.money import EXPONENTS
from payops.core.roles import Act
from payops.flows import manual_journal, manual_journal_ask, manual_posting
from payops.flows.manual_journal_ask import JournalAsk

REFUSED = 422
USUAL_CURRENCIES = ("EUR", "USD", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "AUD", "CAD")


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.controls())
    page = paging.keyset(reads.listed(request.book, wanted), query=request.GET)
    shown = {"filters": wanted, "page": page, "rows": [reads.row_of(row) for row in page.rows]}
    return render(request, "console/manual_journals.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    return _page(request, _journal(request, public_id), GiveUpForm())


@require_http_methods(["GET", "POST"])
@requires(Act.PROPOSE_JOURNAL)
def new(request: HttpRequest) -> HttpResponse:
    """The form; with `step` more or check it is shown again with what was typed."""
    book = request.book
    today = clock.business_day(request.now, time_zone=book.time_zone)
    step = request.POST.get("step", "")
    rows = _rows(request)
    common: dict[str, Any] = {"currency": book.reporting_currency, "rows": rows}
    if request.method == "GET":
        form = JournalForm(initial=journal_forms.first_values(today), **common)
    elif step in ("more", "check"):
        said = journal_forms.closed_up(request.POST)
        said["rows_shown"] = common["rows"] = (
            min(rows + journal_forms.MORE_LINES, manual.LINES_MAX) if step == "more" else rows
        )
        form = JournalForm(initial=said, **common)
    else:
        form = JournalForm(request.POST, request.FILES, **common)
        if form.is_valid():
            said = form.cleaned_data
            made = _asked(
                request,
                form,
                journal=said["journal"],
                description=said["description"],
                uploads=said["documents"],
            )
            if made is not None:
                return redirect("manual-journal", made.public_id)
    shown = {
        "form": form,
        "classes": manual.CLASSES,
        "parties": reads.party_names(book),
        "currencies": sorted({book.reporting_currency, *USUAL_CURRENCIES, *EXPONENTS}),
    }
    status = REFUSED if form.errors else 200
    return render(request, "console/manual_journal_new.html", shown, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.PROPOSE_JOURNAL)
def reverse_entry(request: HttpRequest, public_id: str) -> HttpResponse:
    """Ask that one entry is taken back."""
    entry = record_or_404(ledger_reads.entry_query(), public_id, book=request.book)
    today = clock.business_day(request.now, time_zone=request.book.time_zone)
    first = {"key": journal_forms.fresh_key(), "posting_on": today}
    form = ReversalForm(request.POST or None, request.FILES or None, initial=first)
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        made = _asked(
            request,
            form,
            journal=manual_journal.reversal_of(entry, posting_on=said["posting_on"]),
            description=said["description"],
            uploads=said["documents"],
            reverses=entry.public_id,
        )
        if made is not None:
            return redirect("manual-journal", made.public_id)
    shown = {
        "form": form,
        "entry": entry,
        "lines": reads.mirror_lines(entry),
        "why_not": ledger_reads.why_not_reversed(entry),
    }
    status = REFUSED if form.errors else 200
    return render(request, "console/entry_reverse.html", shown, status=status)


@require_POST
@requires(Act.PROPOSE_JOURNAL)
def post_now(request: HttpRequest, public_id: str) -> HttpResponse:
    journal = _journal(request, public_id)
    form = GiveUpForm()
    done = forms.attempt(
        form,
        lambda: manual_posting.post_now(
            journal_id=journal.public_id, actor=request.actor, now=request.now
        ),
    )
    if done is None:
        return _page(request, _journal(request, public_id), form, status=REFUSED)
    if done.state == ManualJournal.State.POSTED:
        messages.success(request, "Posted.")
    else:
        messages.warning(request, f"Not posted yet: {done.last_error}.")
    return redirect("manual-journal", done.public_id)


@require_POST
@requires(Act.PROPOSE_JOURNAL)
def give_up(request: HttpRequest, public_id: str) -> HttpResponse:
    journal = _journal(request, public_id)
    form = GiveUpForm(request.POST)
    if form.is_valid():
        done = forms.attempt(
            form,
            lambda: manual_posting.give_up(
                journal_id=journal.public_id,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if done is not None:
            messages.success(request, "Given up. It is not posted; ask again if it is needed.")
            return redirect("manual-journal", done.public_id)
    return _page(request, _journal(request, public_id), form, status=REFUSED)


def _asked(
    request: HttpRequest,
    form: JournalForm | ReversalForm,
    *,
    journal: manual.HandMade,
    description: str,
    uploads: list[Any],
    reverses: str = "",
) -> ManualJournal | None:
    wanted = JournalAsk(
        book=request.book,
        journal=journal,
        description=description,
        documents=documents_of(uploads),
        key=form.cleaned_data["key"],
        reverses=reverses,
    )
    made: ManualJournal | None = forms.attempt(
        form,
        lambda: manual_journal_ask.ask(
            wanted, reason=form.cleaned_data["reason"], actor=request.actor, now=request.now
        ),
    )
    if made is not None:
        messages.success(request, "Asked for. Another finance manager decides; then it is posted.")
    return made


def _journal(request: HttpRequest, public_id: str) -> ManualJournal:
    rows = ManualJournal.objects.select_related("book", "requested_by")
    found: ManualJournal = record_or_404(rows, public_id, book=request.book)
    return found


def _page(
    request: HttpRequest, journal: ManualJournal, form: GiveUpForm, *, status: int = 200
) -> HttpResponse:
    shown = {"page": reads.page(journal), "form": form}
    return render(request, "console/manual_journal.html", shown, status=status)


def _rows(request: HttpRequest) -> int:
    text = request.POST.get("rows_shown", "")
    return (
        int(text)
        if text.isascii() and text.isdigit() and len(text) < 4
        else (journal_forms.FIRST_LINES)
    )
