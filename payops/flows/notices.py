"""Telling people: a local message always, and a copy through every configured connector (RB-5).

Messages carry a deep link and no authority (D3). The local message is the record that survives;
what becomes of the copies is told by their Dispatch rows.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from payops.cases.models import Case, LocalMessage
from payops.cases.services import send_local_message
from payops.core.models import Book
from payops.flows import outside


def send(
    *,
    book: Book,
    case: Case | None,
    key: str,
    audience: str,
    subject: str,
    body: str,
    now: datetime,
    path: str = "",
) -> LocalMessage:
    """Record the notice; copies leave through the outbox. It leads to its case, or to `path`."""
    where = f"/cases/{case.public_id}/" if case else path
    link = f"{settings.PUBLIC_URL}{where}" if where else ""
    sent = send_local_message(
        book=book,
        case=case,
        correlation_id=key,
        audience=audience,
        subject=subject,
        body=body,
        link=link,
        now=now,
    )
    outside.announce(notice=sent, now=now)
    return sent
