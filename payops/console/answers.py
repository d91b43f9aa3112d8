"""Answers that several screens give in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from approvals.models import ApprovalRequest
from approvals.policy_changes import KIND, Table
from payops.console import forms
from payops.flows import governance


def asked_for(request: HttpRequest, approval: ApprovalRequest) -> HttpResponse:
    """A change was asked for: on to its approval, where the rule that fired is shown."""
    messages.success(request, f"Asked for. Rule: {approval.rule_fired}.")
    return redirect("approval", approval.public_id)


def table_asked_for(
    request: HttpRequest, form: Form, *, table: Table, rules: Mapping[str, Any]
) -> HttpResponse | None:
    """A new version of a policy table is asked for; None: the form says why not."""
    approval = forms.attempt(
        form,
        lambda: governance.propose(
            kind=KIND,
            facts={"policy": table.name, "rules": rules},
            title=table.title,
            reason=form.cleaned_data["reason"],
            actor=request.actor,  # type: ignore[attr-defined]
            now=request.now,  # type: ignore[attr-defined]
            book=request.book,  # type: ignore[attr-defined]
        ),
    )
    if approval is None:
        return None
    messages.success(request, "Asked for. The active table stays until others approve.")
    return redirect("approval", approval.public_id)
