"""Telling people: a local message always, an e-mail when a mail server is configured (D3, RB-5).

Messages carry a deep link and no authority. Mail has neither key nor query: an unconfirmed send is
unknown and is not repeated; the local message is the record that survives.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction

from payops.cases.models import Case, LocalMessage
from payops.cases.services import send_local_message
from payops.connectors.base import Message as OutgoingMessage
from payops.connectors.registry import message_connector
from payops.core import messages
from payops.core.messages import News
from payops.core.models import Book, Message, Person

log = logging.getLogger(__name__)
MAIL_DEADLINE_S = 15.0
RECIPIENTS_MAX = 20


def send(
    *,
    book: Book,
    case: Case | None,
    key: str,
    audience: str,
    subject: str,
    body: str,
    now: datetime,
) -> LocalMessage:
    """Record the notice; its mail leaves through the outbox."""
    link = f"{settings.PUBLIC_URL}/cases/{case.public_id}/" if case else ""
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
    if settings.EMAIL_URL:
        payload = {"message_id": str(sent.pk)}
        messages.send([News(book, "notice.mail", str(sent.pk), payload)], now=now)
    return sent


def send_mail(batch: list[Message], now: datetime) -> None:
    """Send one notice by mail to the people of its audience; its Message-ID stays the same."""
    for message in batch:
        notice = LocalMessage.objects.get(pk=message.payload["message_id"])
        connector = message_connector(name="email", address=settings.EMAIL_URL)
        for recipient in _recipients():
            outcome = connector.send(
                message=OutgoingMessage(
                    message_id=f"{notice.pk}.{recipient.pk}",
                    recipient=recipient.email,
                    subject=notice.subject,
                    text=notice.body,
                    deep_link=notice.link,
                ),
                deadline_s=MAIL_DEADLINE_S,
            )
            if outcome.kind != "sent":
                log.warning("notice %s by mail: %s %s", notice.pk, outcome.kind, outcome.reason)


def _recipients() -> list[Person]:
    with transaction.atomic():
        people = Person.objects.filter(left_at=None, role_grants__revoked_at=None).exclude(email="")
        return list(people.distinct().order_by("pk")[:RECIPIENTS_MAX])
