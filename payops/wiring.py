"""The table of message topics: which news goes to which handler, in which lane, how often."""

from __future__ import annotations

from payops.core.topics import Run, Topic
from payops.flows import (
    approval_decided,
    dead_letters,
    dispatches,
    jobs,
    missed_events,
    payout_dispatch,
    payout_exception,
    provider_event,
    silent_payouts,
    verify_event,
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
        "event.verify",
        verify_event.ask,
        "calls",
        20,
        Run.OWN_STEPS,
        "an event waits for the provider's own view: it is asked for",
    ),
    Topic(
        "account.list_events",
        missed_events.list_missed,
        "calls",
        5,
        Run.OWN_STEPS,
        "the provider's own list of events is compared with the register",
    ),
    Topic(
        "account.compare_payouts",
        silent_payouts.compare,
        "calls",
        5,
        Run.OWN_STEPS,
        "late payouts are compared with the provider's own state",
    ),
    Topic(
        "notice.outside",
        dispatches.carry,
        "bulk",
        20,
        Run.OWN_STEPS,
        "a notice leaves by mail or chat",
    ),
    Topic(
        "ticket.outside",
        dispatches.carry,
        "bulk",
        20,
        Run.OWN_STEPS,
        "a ticket system outside is told: searched first, created once",
    ),
    Topic(
        "dead_letter.structural",
        dead_letters.alert,
        "bulk",
        5,
        Run.IN_TRANSACTION,
        "a row can never succeed as it is: engineering is told, once per cause and day",
    ),
    Topic(
        "job.run",
        jobs.run,
        "standard",
        20,
        Run.OWN_STEPS,
        "a bulk act was confirmed: its rows are acted on one by one",
    ),
]
