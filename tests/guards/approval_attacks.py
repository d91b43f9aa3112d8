"""Attacking the approvals' tables past the services; no test lives here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, connection, transaction

from approvals.models import ApprovalDecision, ApprovalRequest
from tests.approvals.asking import NOW
from tests.people import login, person

AT = NOW + timedelta(hours=1)
REQUESTS, DECISIONS = "approvals_approvalrequest", "approvals_approvaldecision"


@contextmanager
def refused(words: str) -> Iterator[None]:
    """The database refuses with these words; the transaction goes on as before."""
    with pytest.raises(Error, match=words), transaction.atomic():
        yield


def run(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def decision(request: ApprovalRequest, username: str, **change: Any) -> ApprovalDecision:
    """A decision row written past the service."""
    values: dict[str, Any] = {
        "book": request.book,
        "request": request,
        "requester_id": request.requested_by_id,
        "person": person(username),
        "user": login(username),
        "login": username,
        "seat": request.seats[0],
        "verdict": "approve",
        "reason": "by hand",
        "content_hash": request.content_hash,
        "policy_version": 1,
        "stepped_up_at": AT,
        "created_at": AT,
        **change,
    }
    return ApprovalDecision.objects.create(**values)


def set_state(request: ApprovalRequest, becomes: str) -> None:
    run(f"UPDATE {REQUESTS} SET state = %s WHERE id = %s", becomes, request.pk)
