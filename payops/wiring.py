"""The table of message topics: which news goes to which handler, in which lane, how often."""

from __future__ import annotations

from payops.core.topics import Run, Topic
from payops.flows import (
    approval_decided,
    notices,
    payout_dispatch,
    payout_exception,
    provider_event,
)
from payops.triage import rules

TOPICS = [
    Topic(
        "delivery.repeated",
        provider_event.note_repeat,
        "bulk",
        10,
        Run.IN_TRANSACTION,
        "a known event was delivered again: timeline and audit",
    ),
    Topic(
        "case.opened",
        rules.advise,
        "bulk",
        5,
        Run.IN_TRANSACTION,
        "a case was opened: advice is written beside it",
    ),
    Topic(
        "approval.decided",
        approval_decided.carry,
        "high",
        20,
        Run.OWN_STEPS,
        "an approval ended: its flow re-checks and acts",
    ),
    Topic(
        "payout.dispatch",
        payout_dispatch.dispatch,
        "calls",
        20,
        Run.OWN_STEPS,
        "an approved payout is submitted, or its lost call is settled",
    ),
    Topic(
        "payout.reissue_paid",
        payout_exception.on_reissue_paid,
        "standard",
        10,
        Run.IN_TRANSACTION,
        "a re-issue was paid: the case that asked for it is resolved",
    ),
    Topic(
        "notice.mail",
        notices.send_mail,
        "bulk",
        5,
        Run.OWN_STEPS,
        "a notice leaves by mail",
    ),
]
