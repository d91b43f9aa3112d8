"""The table of message topics: which news goes to which handler, in which lane, how often."""

from __future__ import annotations

from payops.core.topics import Run, Topic
from payops.flows import (
    approval_decided,
    dead_letters,
    dispatches,
    jobs,
    missed_events,
    provider_event,
    verify_event,
)
from payops.flows.payouts import dispatch as payout_dispatch
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import silent as silent_payouts
from payops.flows.refunds import dispatch as refund_dispatch
from payops.flows.refunds import ledger as refund_ledger
from payops.flows.refunds import silent as silent_refunds
from payops.triage import model, rules

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
        "advice.ask",
        model.ask,
        "outside",
        5,
        Run.OWN_STEPS,
        "a remote model is asked for advice beside the rules' own, where one is configured",
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
        payout_dispatch.DISPATCH,
        "calls",
        20,
        Run.CALL,
        "an approved payout is submitted, or its lost call is settled",
    ),
    Topic(
        "refund.dispatch",
        refund_dispatch.DISPATCH,
        "calls",
        20,
        Run.CALL,
        "a granted refund is submitted, or its lost call is settled",
    ),
    Topic(
        "refund.post_ledger",
        refund_ledger.post,
        "standard",
        20,
        Run.OWN_STEPS,
        "the journal refused an executed refund: its entries are tried again",
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
        "account.compare_refunds",
        silent_refunds.compare,
        "calls",
        5,
        Run.OWN_STEPS,
        "refunds of an account's charges are compared with the provider's own list",
    ),
    Topic(
        "payment.compare_refunds",
        silent_refunds.compare_payment,
        "calls",
        20,
        Run.OWN_STEPS,
        "a charge says that it was refunded: which refund it was",
    ),
    Topic(
        "notice.outside",
        dispatches.carry,
        "outside",
        20,
        Run.OWN_STEPS,
        "a notice leaves by mail or chat",
    ),
    Topic(
        "ticket.outside",
        dispatches.carry,
        "outside",
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
