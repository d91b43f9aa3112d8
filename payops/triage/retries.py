"""Advice on a payment that failed: whether trying again helps, when, and what to write (AI-6).

Not enough money is worth the day after a payday, at the hour at which this seller's payments by
the same method go through; an expired card is worth a new card alone. Nothing is charged from
here: the shop or the provider tries again, or not. Pure over figures that `facts_of` reads. Serves
D1, AI-2, AI-9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models.functions import ExtractHour

from payops.core.clock import business_day, zone
from payops.payments.models import Payment
from payops.triage import charge_facts, drafts
from payops.triage.declines import Decline, decline_of
from payops.triage.said import Line, Said, counted, day_text, money, quoted

ABOUT, VERSION = "retry", "1"
# Card schemes and banks count attempts; so do customers.
ATTEMPTS_MAX = 4
# Payments by which an hour is judged; fewer say nothing.
SEEN_MAX, SEEN_MIN = 500, 20
HOUR_USUAL = 10
# Days of the month on which salaries have mostly arrived, by currency.
PAYDAYS: Mapping[str, tuple[int, ...]] = {"USD": (1, 15)}
PAYDAYS_USUAL = (1, 28)
# Collected by the bank on bank days; the hour of asking does not count.
DEBITS = ("sepa_debit", "bacs_debit", "ach_debit", "sepadirectdebit")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """When to try again; `on` None: not at all. `hour` None where it does not count."""

    on: date | None
    hour: int | None
    why: str


def facts_of(payment: Payment, *, now: datetime) -> dict[str, Any]:
    """`today` is the book's day: advice on a time is advice of a day."""
    time_zone = payment.book.time_zone
    failed = {
        "failure_code": quoted(payment.failure_code),
        "decline": decline_of(payment.failure_code).key,
        "today": business_day(now, time_zone=time_zone).isoformat(),
        "time_zone": time_zone,
        "past": _past(payment, now),
        "page": {"order": quoted(payment.merchant_ref), "reference": ""},
    }
    return {**charge_facts.facts_of(payment, now=now), **failed}


def advise(facts: Facts) -> Said:
    decline = decline_of(facts["decline"])
    again = when(facts)
    amount = money(facts["amount_minor"], facts["currency"])
    return Said(
        summary=_summary(amount, decline, again, facts),
        likely_cause=_cause(facts, decline),
        next_step=_next_step(facts, decline, again),
        suggests="retry" if again.on else "never",
        lines=_lines(facts, decline, again),
        drafts=() if _is_paid(facts) else (_draft(facts, decline, again),),
    )


def when(facts: Facts) -> Again:
    """The day and hour in the book's time zone, with the why."""
    decline, today = decline_of(facts["decline"]), date.fromisoformat(facts["today"])
    attempts = facts["order"]["failed"] + 1
    if _is_paid(facts):
        return Again(None, None, "the order is paid: another attempt of it was captured")
    if decline.when == "never":
        return Again(None, None, decline.words)
    if attempts >= ATTEMPTS_MAX:
        return Again(None, None, f"{attempts} attempts failed; another one would annoy, not pay")
    if decline.when == "days" and attempts > 1:
        return Again(None, None, f"the bank said no {attempts} times without a reason")
    is_debit = facts["method"] in DEBITS
    hour, hour_why = (None, "") if is_debit else _hour(facts["past"])
    if decline.when == "hours":
        return Again(today + timedelta(days=1), hour, f"faults pass within hours{hour_why}")
    if decline.when == "tomorrow":
        return Again(_bank_day(today + timedelta(days=1)), hour, f"limits begin anew{hour_why}")
    if decline.when == "days":
        return Again(_bank_day(today + timedelta(days=2)), hour, f"a plain no may pass{hour_why}")
    payday, on = _after_payday(facts["currency"], today)
    return Again(on, hour, f"most salaries have arrived by the {_ordinal(payday)}{hour_why}")


def again_text(again: Again, time_zone: str) -> str:
    """ "Monday 30 November 2026, 10:00 (Europe/Berlin)"."""
    if again.on is None:
        return "never as it stands"
    day = f"{WEEKDAYS[again.on.weekday()]} {day_text(again.on.isoformat())}"
    return day if again.hour is None else f"{day}, {again.hour:02d}:00 ({time_zone})"


def _after_payday(currency: str, today: date) -> tuple[int, date]:
    """The next payday after today, moved to a bank day."""
    paydays = PAYDAYS.get(currency, PAYDAYS_USUAL)
    day = today + timedelta(days=1)
    while day.day not in paydays:
        day += timedelta(days=1)
    return day.day, _bank_day(day)


def _bank_day(day: date) -> date:
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def _hour(past: Mapping[str, int | None]) -> tuple[int, str]:
    hour = past["hour"]
    if hour is None:
        return HOUR_USUAL, "; too few payments are known to judge the hour by"
    return hour, f"; most of {past['captured']} payments like it went through at that hour"


def _past(payment: Payment, now: datetime) -> dict[str, int | None]:
    """How the seller's payments by the same method fared lately, and at which hour."""
    like_it = Payment.objects.filter(
        book=payment.book_id,
        beneficiary=payment.beneficiary_id,
        method=payment.method,
        created_at__gte=charge_facts.whole_days_back(now),
        state__in=(Payment.State.CAPTURED, Payment.State.FAILED),
    ).exclude(pk=payment.pk)
    hour = ExtractHour("captured_at", tzinfo=zone(payment.book.time_zone))
    rows = list(like_it.annotate(hour=hour).values_list("state", "hour")[:SEEN_MAX])
    hours = [hour for state, hour in rows if state == Payment.State.CAPTURED and hour is not None]
    best = max(sorted(set(hours)), key=hours.count) if len(hours) >= SEEN_MIN else None
    failed = sum(state == Payment.State.FAILED for state, _ in rows)
    return {"captured": len(hours), "failed": failed, "hour": best}


def _is_paid(facts: Facts) -> bool:
    return bool(facts["order"]["captured"])


def _summary(amount: str, decline: Decline, again: Again, facts: Facts) -> str:
    if _is_paid(facts):
        return f"{amount} did not go through, and its order is paid by another attempt."
    if again.on is None:
        return f"{amount} did not go through: {decline.words}. Do not try it again."
    return f"{amount} did not go through: {decline.words}. Try again {_on(again, facts)}."


def _on(again: Again, facts: Facts) -> str:
    return f"on {again_text(again, facts['time_zone'])}"


def _cause(facts: Facts, decline: Decline) -> str:
    code = f"the provider's code is {facts['failure_code']}" if facts["failure_code"] else ""
    return f"{decline.words}; {code or 'the provider gave no code'}"


def _next_step(facts: Facts, decline: Decline, again: Again) -> str:
    if _is_paid(facts):
        return "Do nothing; do not remind the customer."
    if again.on is None and decline.when != "never":
        return "Stop trying; ask the customer to pay in another way."
    return decline.next_step


def _lines(facts: Facts, decline: Decline, again: Again) -> tuple[Line, ...]:
    past, order = facts["past"], facts["order"]
    total = past["captured"] + past["failed"]
    fared = f"{past['captured']} of {total} went through" if total else "none is known"
    return (
        Line("Try again", again_text(again, facts["time_zone"])),
        Line("Why then", again.why),
        Line("Attempts", f"{counted(order['failed'] + 1, 'attempt')} of the order failed so far"),
        Line("Payments like it, 90 days", f"{fared} ({facts['method'] or 'method not told'})"),
    )


def _draft(facts: Facts, decline: Decline, again: Again) -> drafts.Draft:
    on = again.on.isoformat() if again.on else ""
    return drafts.reminder(facts, told=decline.told, ask=decline.ask, again_on=on)


def _ordinal(day: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(day if day < 20 else day % 10, "th")
    return f"{day}{ending}"
