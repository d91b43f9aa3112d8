"""Carries the hourly head of the audit chain out of the house by mail, when mail is configured.

Best effort: the head is on disk before anything is sent, and the next hour's mail proves this one
too, because each head follows from all before it.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime

from django.conf import settings

from payops.connectors.base import Message
from payops.connectors.email.connector import EmailConnector
from payops.core import anchors

log = logging.getLogger(__name__)

RECIPIENT_VARIABLE = "PAYOPS_ANCHOR_MAIL"
DEADLINE_S = 15.0


def anchor_and_mail(now: datetime) -> anchors.Anchor | None:
    """`anchors.anchor_due`, told to PAYOPS_ANCHOR_MAIL as well. Not inside a transaction.

    A place that cannot be written is logged as an error and stops nothing else.
    """
    try:
        return _anchor(now)
    except (OSError, anchors.AnchorsUnreadable) as error:
        log.error("the head of the audit chain was not written down: %s", error)
        return None


def _anchor(now: datetime) -> anchors.Anchor | None:
    recipient = os.environ.get(RECIPIENT_VARIABLE, "")
    if not (settings.EMAIL_URL and recipient):
        return anchors.anchor_due(now)
    connector = EmailConnector(settings.EMAIL_URL)

    def tell(subject: str, text: str) -> None:
        message = Message(
            message_id=f"anchor-{now:%Y%m%dT%H}",
            recipient=recipient,
            subject=subject,
            text=text,
            deep_link="",
        )
        outcome = connector.send(message=message, deadline_s=DEADLINE_S)
        if outcome.kind != "sent":
            log.warning("the head of the audit chain was not mailed: %s", outcome.reason)

    return anchors.anchor_due(now, tell=tell)
