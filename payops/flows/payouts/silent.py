"""Payouts the provider has finished without telling us: their state there, and no event here.

Asked about when a payout is later than expected. A state that is ahead of ours opens one case that
names both; it is never applied, because money is booked on events alone: an event sent again or
listed goes through the same gates (`missed_events`). Serves WH-27, PX-4, F5.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Finding, Line
from payops.core import clock, locks, rates, state
from payops.core.actors import service
from payops.core.models import Message, ProviderAccount
from payops.flows import questions, rounds
from payops.payments.models import Payout
from payops.psp.calling import NotFound, PayoutState
from payops.webhooks.models import ProviderEvent

ACTOR = service("silent-payouts")
TOPIC = "account.compare_payouts"
RULE = "missing_event"
# Of one account in one round, in no order, so that none is always the last.
PAYOUTS_MAX = 100
BUDGET_S = 40.0
# A payout without an expected day is asked about after this long.
SILENT_AFTER = timedelta(days=7)
TITLE_CHARS_MAX = 200
UNDECIDED = (ProviderEvent.State.RECEIVED, ProviderEvent.State.PARKED, ProviderEvent.State.DEAD)
# What the provider says of a payout that is still on its way for us.
ON_ITS_WAY = ("pending", "in_transit")


def ask_all(now: datetime) -> int:
    """Send the news that it is time to compare, once an hour per account with something late."""

    def wanted(account: ProviderAccount, at: datetime) -> bool:
        return bool(late(account, at))

    return rounds.ask_hourly(topic=TOPIC, slot="compare", wanted=wanted, now=now)


def compare(batch: list[Message], now: datetime) -> None:
    """Ask about every late payout of one account; safe to repeat, a case is opened once."""
    known = ProviderAccount.objects.select_related("book")
    account = known.get(pk=batch[0].payload["account_id"])
    until = time.monotonic() + BUDGET_S
    for payout in late(account, now):
        if time.monotonic() > until:
            return
        found = questions.fetch_payout(account=account, provider_ref=payout.provider_ref)
        if isinstance(found, NotFound):
            _tell(payout, f"the provider has no {found.searched}", clock.utc_now())
        elif isinstance(found, PayoutState) and found.status not in ON_ITS_WAY:
            words = f"the provider shows it as {found.raw_status}, {found.amount}"
            _tell(payout, words, clock.utc_now())


def late(account: ProviderAccount, now: datetime) -> list[Payout]:
    """On their way for longer than expected, no event of them waiting, no case of it yet."""
    today = clock.business_day(now, time_zone=account.book.time_zone)
    overdue = Q(expected_on__lt=today) | Q(expected_on=None, initiated_at__lt=now - SILENT_AFTER)
    rows = Payout.objects.filter(
        overdue, account=account, state=Payout.State.IN_TRANSIT, provider_ref__gt=""
    )
    told = Case.objects.filter(book=account.book, rule=RULE).values_list("fingerprint", flat=True)
    rows = rows.exclude(pk__in=[Payout.key_of(public_id) for public_id in told])
    return list(rows.filter(~_waiting()).order_by("?")[:PAYOUTS_MAX])


def close_settled(now: datetime) -> int:
    """Resolve the cases whose event came after all; answers how many."""
    closed = 0
    unworked = (Case.State.OPEN, Case.State.TRIAGED)
    for key in Case.objects.filter(rule=RULE, state__in=unworked).values_list("pk", flat=True):
        with transaction.atomic():
            case = locks.row(Case, key)
            payout = Payout.get(case.subject_id)
            if case.state not in unworked or payout.state == Payout.State.IN_TRANSIT:
                continue
            words = f"its event came: payout {payout.merchant_ref} is {payout.state}"
            case.resolve(at=now)
            state.save(case, actor=ACTOR, now=now, action="case.resolved", reason=words)
            line = Line("closed", f"settled:{now.isoformat()}", words, payout.public_id)
            cases.append(case, [line], actor=ACTOR, now=now)
            closed += 1
    return closed


def _waiting() -> Exists:
    """An event of the payout is here and undecided: it is not missing."""
    return Exists(
        ProviderEvent.objects.filter(
            account=OuterRef("account"), object_id=OuterRef("provider_ref"), state__in=UNDECIDED
        )
    )


def _tell(payout: Payout, theirs: str, now: datetime) -> None:
    """One case that names both states; nothing else is changed."""
    with transaction.atomic(durable=True):
        payout = locks.row(Payout, payout.pk)
        still = Payout.objects.filter(~_waiting(), pk=payout.pk, state=Payout.State.IN_TRANSIT)
        if not still.exists():
            return
        day = clock.business_day(now, time_zone=payout.book.time_zone)
        words = f"payout {payout.merchant_ref} is {payout.state} here; {theirs}"
        finding = Finding(
            book=payout.book,
            rule=RULE,
            fingerprint=payout.public_id,
            period=clock.period_of(day),
            subject_id=payout.public_id,
            title=words[:TITLE_CHARS_MAX],
            amount_minor=payout.amount_minor,
            currency=payout.currency,
            reporting_minor=rates.reporting_minor(payout.amount, payout.book, now),
        )
        case = cases.open_case(finding, actor=ACTOR, now=now)
        text = f"{words}; no event of it was received or listed"
        line = Line("missing", f"missing:{payout.public_id}", text, payout.public_id)
        cases.append(case, [line], actor=ACTOR, now=now)
