"""People, logins, roles and API keys: read by those who keep access, changed by approval alone.

Taking a role away is the one act that needs nobody else. Serves SE-4, D5.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from approvals.models import ApprovalRequest
from payops.console import errors, forms
from payops.console.access import requires, signed_in
from payops.console.answers import asked_for
from payops.core.models import ApiKey, Person, RoleGrant, User
from payops.core.roles import LABELS, Act, Role
from payops.flows import access_changes, governance

REFUSED = 422
PEOPLE_MAX = 1000
KINDS = ("role_grant", "person_create", "login_link", "api_key")
READERS = frozenset({Act.MANAGE_ACCESS, Act.VIEW_AUDIT})


@dataclass(frozen=True, slots=True)
class GrantRow:
    grant: RoleGrant
    label: str


@dataclass(frozen=True, slots=True)
class PersonRow:
    person: Person
    logins: list[User]
    grants: list[GrantRow]
    past: list[GrantRow]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A governed access change: its form and how its request is called."""

    kind: str
    heading: str
    help: str
    button: str
    form: Callable[..., forms.ActForm]
    title: Callable[[dict[str, Any]], str]
    with_people: bool = True


PROPOSALS = {
    row.kind: row
    for row in (
        Proposal(
            "role_grant",
            "Grant a role",
            "Compliance decides. The role counts for decisions 24 hours after it was granted.",
            "Ask for the role",
            forms.RoleForm,
            lambda f: f"Grant {LABELS[Role(f['role'])]} to {f['name']}",
        ),
        Proposal(
            "person_create",
            "Create a person",
            "Compliance decides. A person is a human being; logins and roles are asked for apart.",
            "Ask for the person",
            forms.PersonForm,
            lambda f: f"Create the person {f['name']}",
            False,
        ),
        Proposal(
            "login_link",
            "Link a login",
            "Compliance decides. Two logins of one person stay one person at every decision.",
            "Ask for the login",
            forms.LoginForm,
            lambda f: f"Link the login {f['username']} to {f['name']}",
        ),
        Proposal(
            "api_key",
            "Create an API key",
            "Compliance and finance decide. The key is shown once, now, and works once approved.",
            "Ask for the key",
            forms.ApiKeyForm,
            lambda f: f"API key for {f['system']}: {', '.join(f['acts']).replace('_', ' ')}",
            False,
        ),
    )
}


@require_GET
@signed_in
def index(request: HttpRequest) -> HttpResponse:
    if not request.acts & READERS:
        return errors.forbidden_act(request, Act.MANAGE_ACCESS)
    now = request.now
    logins: dict[Any, list[User]] = defaultdict(list)
    for user in User.objects.exclude(person=None).order_by("username")[: 5 * PEOPLE_MAX]:
        logins[user.person_id].append(user)
    held: dict[Any, list[GrantRow]] = defaultdict(list)
    past: dict[Any, list[GrantRow]] = defaultdict(list)
    grants = RoleGrant.objects.select_related("granted_by", "revoked_by").order_by("granted_at")
    for grant in grants[: 10 * PEOPLE_MAX]:
        is_past = grant.revoked_at is not None and grant.revoked_at <= now
        row = GrantRow(grant, LABELS.get(Role(grant.role), grant.role))
        (past if is_past else held)[grant.person_id].append(row)
    people = [
        PersonRow(person, logins[person.pk], held[person.pk], past[person.pk])
        for person in Person.objects.order_by("name")[:PEOPLE_MAX]
    ]
    pending = ApprovalRequest.objects.filter(
        kind__in=KINDS, state=ApprovalRequest.State.PENDING, expires_at__gt=now
    ).select_related("requested_by")
    context = {
        "people": people,
        "unlinked": User.objects.filter(person=None).order_by("username")[:PEOPLE_MAX],
        "keys": ApiKey.objects.select_related("requested_by", "book").order_by("system")[
            :PEOPLE_MAX
        ],
        "pending": pending.order_by("-created_at")[:PEOPLE_MAX],
        "proposals": PROPOSALS.values(),
    }
    return render(request, "console/people.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCESS)
def propose(request: HttpRequest, kind: str) -> HttpResponse:
    """Ask for an access change; others decide."""
    row = PROPOSALS.get(kind.replace("-", "_"))
    if row is None:
        raise Http404(f"There is no access change {kind}.")
    people = _people() if row.with_people else []
    extra = {"people": list(people)} if row.with_people else {}
    initial = {"person": request.GET.get("person", "")}
    form = row.form(request.POST or None, initial=initial, **extra)
    api_key = ""
    if form.is_bound and form.is_valid():
        facts = form.facts  # type: ignore[attr-defined]
        if row.kind == "api_key":
            api_key = f"pk_{secrets.token_hex(24)}"
            facts = {**facts, "key_hash": access_changes.hash_api_key(api_key)}
        named = {"name": dict(people).get(facts.get("person_id", ""), ""), **facts}
        approval = forms.attempt(
            form,
            lambda: governance.propose(
                kind=row.kind,
                facts=facts,
                title=row.title(named),
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None and api_key:
            shown = {"api_key": api_key, "approval": approval}
            return render(request, "console/api_key_once.html", shown)
        if approval is not None:
            return asked_for(request, approval)
    status = REFUSED if form.errors else 200
    return render(request, "console/person.html", {"row": row, "form": form}, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_ACCESS)
def revoke(request: HttpRequest, key: UUID) -> HttpResponse:
    """Take a role away, now."""
    grant = RoleGrant.objects.select_related("person", "granted_by").filter(pk=key).first()
    if grant is None:
        raise Http404("There is no such role grant.")
    form = forms.RevokeForm(request.POST or None)
    if form.is_bound and form.is_valid():
        done = forms.attempt(
            form,
            lambda: access_changes.revoke_role(
                grant_id=grant.pk,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if done is not None:
            label = LABELS.get(Role(grant.role), grant.role)
            messages.success(request, f"{grant.person.name} no longer holds {label}.")
            return redirect("people")
    context = {"grant": grant, "label": LABELS.get(Role(grant.role), grant.role), "form": form}
    status = REFUSED if form.errors else 200
    return render(request, "console/revoke.html", context, status=status)


def _people() -> list[tuple[str, str]]:
    rows = Person.objects.filter(left_at=None).order_by("name")[:PEOPLE_MAX]
    return [(str(row.pk), row.name) for row in rows]
