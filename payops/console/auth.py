"""Signing in and out, and the fresh password asked for at decisions (AP-3, SE-4).

Owns the limit on failed attempts: per login and sender, counted in the audit trail itself, so that
it holds across processes without a broker. A failed attempt names the login only when it exists;
what was typed otherwise may be a password and is kept as a keyed hash. Sender addresses are kept
as a keyed hash and a shortened form (AU-8).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from payops.console.middleware import works_here
from payops.core import audit, crypto, locks
from payops.core.actors import Actor, service
from payops.core.models import AuditEvent, Book, User
from payops.webhooks.wire import remote_address

FAILURES_MAX = 5
WINDOW = timedelta(minutes=15)
SIGN_IN_FAILED = "sign_in.failed"
STEP_UP_FAILED = "step_up.failed"
WRONG = "Login or password is not right. Nothing tells which of the two."


@dataclass(frozen=True, slots=True)
class StepUp:
    """`at` is when the password was confirmed; None: `refusal` says why not."""

    at: datetime | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tries, from where; `login_name` is set only when such a login exists."""

    subject_id: str
    client: str
    remote: str
    login_name: str

    @property
    def evidence(self) -> dict[str, str]:
        return {"client": self.client, "remote": self.remote, "login": self.login_name}


class SignInForm(AuthenticationForm):
    """Django's form without its own check of the password: `sign_in` does that under its limit."""

    error_messages = {"invalid_login": WRONG, "inactive": WRONG}

    def clean(self) -> dict[str, object]:
        return self.cleaned_data


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    target = _next(request)
    if request.user.is_authenticated and getattr(request, "actor", None) is not None:
        return redirect(target)
    form = SignInForm(request, data=request.POST or None)
    status = 200
    if request.method == "POST" and form.is_valid():
        user, refusal, status = _try(request, **form.cleaned_data)
        if user is not None:
            login(request, user)
            return redirect(target)
        form.add_error(None, forms.ValidationError(refusal))
    shown = {"form": form, "next": request.POST.get("next") or request.GET.get("next", "")}
    return render(request, "registration/login.html", shown, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    if getattr(request, "actor", None) is not None:
        name = request.user.get_username()
        with transaction.atomic():
            subject = _attempt(request, name).subject_id
            _record(request, "session.ended", subject, request.actor, {})  # type: ignore[attr-defined]
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


def step_up(request: HttpRequest, *, password: str) -> StepUp:
    """Confirm that the person at the screen still is who signed in. Failures are limited too."""
    user: User = request.user  # type: ignore[assignment]
    attempt = _attempt(request, user.get_username())
    with transaction.atomic():
        locks.name(f"attempt:{attempt.subject_id}:{attempt.client}")
        waiting = _wait(attempt, request.now)  # type: ignore[attr-defined]
        if waiting:
            return StepUp(None, waiting)
        if password and user.check_password(password):
            return StepUp(request.now)  # type: ignore[attr-defined]
        _record(
            request,
            STEP_UP_FAILED,
            attempt.subject_id,
            request.actor,  # type: ignore[attr-defined]
            attempt.evidence,
        )
    return StepUp(None, "This is not your password. Nothing was done.")


def _try(request: HttpRequest, *, username: str, password: str) -> tuple[User | None, str, int]:
    """Attempts of one login from one sender run one after the other, so none slips by the limit."""
    attempt = _attempt(request, username)
    now: datetime = request.now  # type: ignore[attr-defined]
    with transaction.atomic():
        locks.name(f"attempt:{attempt.subject_id}:{attempt.client}")
        waiting = _wait(attempt, now)
        if waiting:
            return None, waiting, 429
        user = authenticate(request, username=username, password=password)
        if isinstance(user, User) and works_here(user, now):
            actor = Actor(
                channel="browser", person_id=user.person_id, login=user.username, user_id=user.pk
            )
            _record(request, "session.started", attempt.subject_id, actor, attempt.evidence)
            return user, "", 200
        failed_by = service("sign-in", channel="browser")
        _record(request, SIGN_IN_FAILED, attempt.subject_id, failed_by, attempt.evidence)
    return None, WRONG, 200


def _wait(attempt: Attempt, now: datetime) -> str:
    """ "" or how long to wait, with the numbers."""
    failures = AuditEvent.objects.filter(
        subject_id=attempt.subject_id,
        created_at__gt=now - WINDOW,
        action__in=(SIGN_IN_FAILED, STEP_UP_FAILED),
        evidence__client=attempt.client,
    ).order_by("-created_at")
    at = list(failures.values_list("created_at", flat=True)[:FAILURES_MAX])
    if len(at) < FAILURES_MAX:
        return ""
    left = at[-1] + WINDOW - now
    minutes = max(1, -(-int(left.total_seconds()) // 60))
    return (
        f"{FAILURES_MAX} failed attempts within {int(WINDOW.total_seconds()) // 60} minutes. "
        f"Try again in {minutes} min; a right password is not accepted until then."
    )


def _attempt(request: HttpRequest, username: str) -> Attempt:
    address = remote_address(request.META) or "unknown"
    known = User.objects.filter(username=username[:150]).values_list("username", flat=True).first()
    return Attempt(
        subject_id=f"login:{crypto.keyed_hash(f'login:{username}')[:32]}",
        client=crypto.keyed_hash(f"client:{address}")[:16],
        remote=_shortened(address),
        login_name=known or "",
    )


def _shortened(address: str) -> str:
    """The network a sender is in: /24 for IPv4, /48 for IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    bits = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network(f"{parsed}/{bits}", strict=False))


def _record(
    request: HttpRequest, action: str, subject_id: str, actor: Actor, evidence: dict[str, str]
) -> None:
    audit.record(
        [
            audit.event(
                book=Book.objects.get(is_system=True),
                actor=actor,
                action=action,
                subject_id=subject_id,
                now=request.now,  # type: ignore[attr-defined]
                evidence=dict(evidence),
            )
        ]
    )


def _next(request: HttpRequest) -> str:
    """Where to go after signing in: an address of this site, or My work."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else settings.LOGIN_REDIRECT_URL
