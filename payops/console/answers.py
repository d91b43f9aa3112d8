"""Answers that several screens give in the same words."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from approvals.models import ApprovalRequest


def asked_for(request: HttpRequest, approval: ApprovalRequest) -> HttpResponse:
    """A change was asked for: on to its approval, where the rule that fired is shown."""
    messages.success(request, f"Asked for. Rule: {approval.rule_fired}.")
    return redirect("approval", approval.public_id)
