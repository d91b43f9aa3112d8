"""Provider accounts: their health, secrets, allowlists and settings.

Read by everybody who reads the inbox. Lists, settings and new secrets are asked for and decided by
others; a secret is retired at once behind a fresh password. Serves WH-3, WH-15, WH-30, WH-31, D5.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from approvals.models import ApprovalRequest
from payops.console import account_forms, auth, filters, forms, paging
from payops.console.access import requires
from payops.console.answers import asked_for
from payops.console.reads import accounts as reads
from payops.console.reads import refused_receipts
from payops.core.models import ProviderAccount
from payops.core.roles import Act
from payops.flows import accounts
from payops.webhooks import allowlist, rotation

REFUSED = 422


@require_GET
@requires(Act.VIEW_INBOX)
def index(request: HttpRequest) -> HttpResponse:
    shown = {
        "rows": reads.all_accounts(request.book, request.now),
        "stray": reads.stray(request.now),
    }
    return render(request, "console/accounts.html", shown)


@require_GET
@requires(Act.VIEW_INBOX)
def record(request: HttpRequest, provider: str, slug: str) -> HttpResponse:
    account = _account(request, provider, slug)
    return render(request, "console/account.html", {"page": reads.page(account, request.now)})


@require_GET
@requires(Act.VIEW_INBOX)
def refused(request: HttpRequest, provider: str, slug: str) -> HttpResponse:
    """What was posted here and not believed, newest first."""
    account = _account(request, provider, slug)
    wanted = filters.read(request.GET, refused_receipts.controls(account, request.now))
    rows = refused_receipts.listed(account, wanted)
    page = paging.keyset(rows, query=request.GET)
    shown = {
        "account": account,
        "filters": wanted,
        "page": page,
        "rows": refused_receipts.shown(page.rows),
    }
    return render(request, "console/account_refused.html", shown)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCOUNT)
def bring_list(request: HttpRequest, provider: str, slug: str) -> HttpResponse:
    """A text list: first what it would change, then the same text asked for."""
    account = _account(request, provider, slug)
    label = request.GET.get("label", "")
    initial = {"label": label, "text": "\n".join(_listed(account, label))}
    form = account_forms.ListForm(request.POST or None, request.FILES or None, initial=initial)
    context: dict[str, Any] = {"account": account, "form": form}
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        networks = said["networks"]
        facts = forms.attempt(
            form,
            lambda: accounts.allowlist_facts(
                account=account, now=request.now, label=said["label"], networks=networks
            ),
        )
        if facts is not None and request.POST.get("step") == "ask":
            return _asked(request, account, form, facts, "console/account_list.html", context)
        if facts is not None:
            plan = allowlist.plan(account=account, label=said["label"], networks=networks)
            context |= {"plan": plan, "facts": facts, "text": "\n".join(networks)}
    status = REFUSED if form.errors else 200
    return render(request, "console/account_list.html", context, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCOUNT)
def follow(request: HttpRequest, provider: str, slug: str) -> HttpResponse:
    """Follow a DNS name, or (with `drop`) follow it no longer."""
    account = _account(request, provider, slug)
    drop = request.GET.get("drop", "") or request.POST.get("drop", "")
    form = account_forms.NameForm(request.POST or None, initial={"dns_name": drop})
    context = {"account": account, "form": form, "drop": drop}
    if form.is_bound and form.is_valid():
        name = form.cleaned_data["dns_name"]
        change = {"drops": [name]} if drop else {"names": [name]}
        facts = forms.attempt(
            form,
            lambda: accounts.allowlist_facts(account=account, now=request.now, **change),
        )
        if facts is not None:
            return _asked(request, account, form, facts, "console/account_name.html", context)
    status = REFUSED if form.errors else 200
    return render(request, "console/account_name.html", context, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCOUNT)
def mode(request: HttpRequest, provider: str, slug: str) -> HttpResponse:
    """Another mode: what enforcing would have refused is told before it is asked for."""
    account = _account(request, provider, slug)
    initial = {"mode": account.allowlist_mode}
    form = account_forms.ModeForm(request.POST or None, initial=initial)
    listed = allowlist.of_account(account)
    context = {
        "account": account,
        "form": form,
        "entries": len(listed.networks),
        "exposure": accounts.exposure(account=account, listed=listed, now=request.now),
    }
    if form.is_bound and form.is_valid():
        facts = forms.attempt(
            form,
            lambda: accounts.allowlist_facts(
                account=account, now=request.now, mode=form.cleaned_data["mode"]
            ),
        )
        if facts is not None:
            return _asked(request, account, form, facts, "console/account_mode.html", context)
    status = REFUSED if form.errors else 200
    return render(request, "console/account_mode.html", context, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCOUNT)
def settings(request: HttpRequest, provider: str, slug: str) -> HttpResponse:
    account = _account(request, provider, slug)
    form = account_forms.SettingsForm(request.POST or None, account=account)
    if form.is_bound and form.is_valid():
        approval = forms.attempt(
            form,
            lambda: accounts.propose_settings(
                account=account,
                values=form.wanted,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None:
            return _told(request, approval)
    status = REFUSED if form.errors else 200
    context = {"account": account, "form": form}
    return render(request, "console/account_settings.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCOUNT)
def rotate(request: HttpRequest, provider: str, slug: str) -> HttpResponse:
    """Ask for a further secret; a value made here is shown this once, before it is accepted."""
    account = _account(request, provider, slug)
    shape = rotation.FORMATS[account.provider]
    form = account_forms.RotateForm(request.POST or None, can_generate=shape.make is not None)
    context = {
        "account": account,
        "form": form,
        "shape": shape,
        "overlap": reads.overlap_words(account),
    }
    if form.is_bound and form.is_valid() and _stepped_up(request, form):
        said = form.cleaned_data
        made = said["how"] == "generate"
        value = rotation.generated(account) if made else said["value"]
        approval = forms.attempt(
            form,
            lambda: accounts.propose_secret(
                account=account,
                value=value,
                reason=said["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None and made:
            context |= {"value": value, "approval": approval}
            return render(request, "console/account_secret_once.html", context)
        if approval is not None:
            return _told(request, approval)
    status = REFUSED if form.errors else 200
    return render(request, "console/account_rotate.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCOUNT)
def retire(request: HttpRequest, provider: str, slug: str, key: UUID) -> HttpResponse:
    account = _account(request, provider, slug)
    row = reads.secret_row(account, key, request.now)
    if row is None or not row.live:
        raise Http404(f"{account.address} has no live secret {key}.")
    form = account_forms.RetireForm(request.POST or None)
    if not row.refusal:
        del form.fields["force"]
    if form.is_bound and form.is_valid() and _stepped_up(request, form):
        done = forms.attempt(
            form,
            lambda: accounts.retire(
                account=account,
                secret_id=key,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
                force=bool(form.cleaned_data.get("force")),
            ),
        )
        if done is not None:
            messages.success(request, f"Bodies signed with …{done.hint} are refused from now on.")
            return redirect("account", account.provider, account.slug)
    status = REFUSED if form.errors else 200
    context = {"account": account, "row": row, "form": form}
    return render(request, "console/account_retire.html", context, status=status)


def _account(request: HttpRequest, provider: str, slug: str) -> ProviderAccount:
    rows = ProviderAccount.objects.filter(book=request.book).select_related("book")
    found = rows.filter(provider=provider, slug=slug).first()
    if found is None:
        raise Http404(f"There is no provider account {provider}/{slug} in {request.book.name}.")
    return found


def _listed(account: ProviderAccount, label: str) -> list[str]:
    entries = allowlist.live_entries(account).filter(source="text", origin=label)
    return list(entries.order_by("network").values_list("network", flat=True))


def _stepped_up(request: HttpRequest, form: forms.ActForm) -> bool:
    stepped_up = auth.step_up(request, password=form.cleaned_data["password"])
    if stepped_up.at is None:
        form.add_error("password", stepped_up.refusal)
    return stepped_up.at is not None


def _asked(
    request: HttpRequest,
    account: ProviderAccount,
    form: forms.ActForm,
    facts: dict[str, Any],
    template: str,
    context: dict[str, Any],
) -> HttpResponse:
    approval = forms.attempt(
        form,
        lambda: accounts.propose_allowlist(
            account=account,
            facts=facts,
            reason=form.cleaned_data["reason"],
            actor=request.actor,
            now=request.now,
        ),
    )
    if approval is not None:
        return _told(request, approval)
    return render(request, template, context, status=REFUSED)


def _told(request: HttpRequest, approval: ApprovalRequest) -> HttpResponse:
    return asked_for(request, approval)
