"""The exception queue: its filters, its saved views with counts, and how old what waits is.

Reads only. Ages and clocks are measured at the request's one instant. Serves PX-10, OB-8, F16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat, Replace

from payops.cases.models import Case
from payops.cases.rules import CASE_RULES, PRIORITIES
from payops.console import exports, filters, svg
from payops.console.filters import Control, Filters
from payops.core.ids import UnknownId, parse
from payops.core.models import Book, Person, RoleGrant
from payops.core.money import Money
from payops.core.roles import PERMISSIONS, Act
from payops.payments.models import Payout

AGES: tuple[tuple[str, str, timedelta | None, timedelta | None, str], ...] = (
    ("4h", "Under 4 h", None, timedelta(hours=4), "info"),
    ("1d", "4 to 24 h", timedelta(hours=4), timedelta(days=1), "info"),
    ("3d", "1 to 3 d", timedelta(days=1), timedelta(days=3), "warn"),
    ("7d", "3 to 7 d", timedelta(days=3), timedelta(days=7), "warn"),
    ("old", "Over 7 d", timedelta(days=7), None, "bad"),
)
OPEN = Q(state__in=[s for s in Case.State.values if s not in Case.CLOSED])
STATES = [("", "All open"), *Case.State.choices, ("closed", "Closed"), ("all", "All")]
DISPOSITIONS = {
    "retryable": "Retryable",
    "new_details": "Needs new details",
    "compliance": "Compliance",
}


@dataclass(frozen=True, slots=True)
class View:
    """A saved view is a query; its count is that of the whole queue, not of the filtered one."""

    label: str
    query: str
    counted: Q


def controls(people: list[tuple[str, str]]) -> list[Control]:
    return [
        Control("text", "Text or id", placeholder="P-10492, name, id"),
        Control("state", "State", "select", [(v, _word(v, label)) for v, label in STATES]),
        Control("rule", "Kind", "select", [("", "Any"), *rule_choices()]),
        Control(
            "owner",
            "Owner",
            "select",
            [("", "Anyone"), ("me", "Me"), ("none", "Nobody"), *people],
        ),
        Control("priority", "Priority", "select", filters.choices(_named(PRIORITIES))),
        Control("disposition", "Cause", "select", filters.choices(list(DISPOSITIONS.items()))),
        Control("age", "Age", "select", filters.choices([(a[0], a[1]) for a in AGES])),
        Control("least", "Amount from", "amount"),
        Control("most", "Amount to", "amount"),
        Control("overdue", "Overdue", "check"),
        Control("snoozed", "Snoozed only", "check"),
    ]


def rule_choices() -> list[tuple[str, str]]:
    return [(rule.key, rule.words) for rule in CASE_RULES.values()]


def queue(*, book: Book, chosen: Filters, person_id: UUID | None, now: datetime) -> QuerySet[Case]:
    """The cases the filters ask for. Snoozed ones are left out until their moment has come."""
    wanted = Q(book=book) & _state(chosen["state"]) & _owner(chosen["owner"], person_id)
    for name in ("rule", "priority", "disposition"):
        if chosen[name]:
            wanted &= Q(**{name: chosen[name]})
    wanted &= _age(chosen["age"], now)
    wanted &= filters.amount_within("amount_minor", chosen.amount("least"), chosen.amount("most"))
    if chosen["overdue"]:
        wanted &= overdue(now)
    if chosen["snoozed"]:
        wanted &= snoozed(now)
    elif not chosen["state"] and not chosen["text"]:
        wanted &= ~snoozed(now)
    if chosen["text"]:
        wanted &= _text(chosen["text"], book)
    return Case.objects.filter(wanted).select_related("owner", "book")


def overdue(now: datetime) -> Q:
    return OPEN & Q(due_at__lt=now)


def snoozed(now: datetime) -> Q:
    return OPEN & Q(snoozed_until__gt=now)


def views(*, book: Book, person_id: UUID | None, now: datetime, query: Mapping[str, str]) -> Any:
    """The saved views with their counts, in one statement."""
    table = (
        View("All open", "", OPEN & ~snoozed(now)),
        View("Mine", "owner=me", OPEN & Q(owner_id=person_id) & ~snoozed(now)),
        View("Nobody's", "owner=none", OPEN & Q(owner=None) & ~snoozed(now)),
        View("Overdue", "overdue=1", overdue(now) & ~snoozed(now)),
        View("Urgent", "priority=urgent", OPEN & Q(priority="urgent") & ~snoozed(now)),
        View(
            "Awaiting approval",
            "state=AWAITING_APPROVAL",
            Q(state=Case.State.AWAITING_APPROVAL),
        ),
        View("Snoozed", "snoozed=1", snoozed(now)),
    )
    counts = Case.objects.filter(OPEN, book=book).aggregate(
        **{f"n{i}": Count("pk", filter=view.counted) for i, view in enumerate(table)}
    )
    said = "&".join(f"{k}={v}" for k, v in query.items() if v and k not in ("after", "before"))
    return [
        {
            "label": view.label,
            "url": f"?{view.query}" if view.query else "?",
            "count": counts[f"n{i}"],
            "current": said == view.query,
        }
        for i, view in enumerate(table)
    ]


def ageing(rows: QuerySet[Case], now: datetime) -> list[svg.Bar]:
    """How many of the filtered cases are how old."""
    counts = rows.order_by().aggregate(
        **{f"a{i}": Count("pk", filter=_age(age[0], now)) for i, age in enumerate(AGES)}
    )
    return [
        svg.Bar(label, counts[f"a{i}"], str(counts[f"a{i}"]), tone)
        for i, (_, label, _, _, tone) in enumerate(AGES)
    ]


def case_workers(now: datetime) -> list[tuple[str, str]]:
    """The people who may own a case, by name."""
    roles = [role.value for role, acts in PERMISSIONS.items() if Act.WORK_CASE in acts]
    held = RoleGrant.objects.filter(role__in=roles, granted_at__lte=now)
    held = held.filter(Q(revoked_at=None) | Q(revoked_at__gt=now))
    people = Person.objects.filter(pk__in=held.values("person_id"), left_at=None)
    return [(str(pk), name) for pk, name in people.order_by("name").values_list("pk", "name")]


def _amount_text(case: Case) -> str:
    if case.amount_minor is None:
        return ""
    return Money(case.amount_minor, case.currency).decimal_text()


CSV: exports.Columns = (
    ("case", "public_id"),
    ("state", "state"),
    ("kind", "rule"),
    ("priority", "priority"),
    ("title", "title"),
    ("about", "subject_id"),
    ("amount", _amount_text),
    ("currency", "currency"),
    ("cause", "root_cause"),
    ("owner", lambda case: case.owner.name if case.owner else ""),
    ("opened_at", "created_at"),
    ("due_at", "due_at"),
    ("snoozed_until", "snoozed_until"),
    ("resolved_at", "resolved_at"),
)


def _state(value: str) -> Q:
    if value == "all":
        return Q()
    if value == "closed":
        return Q(state__in=Case.CLOSED)
    return Q(state=value) if value else OPEN


def _owner(value: str, person_id: UUID | None) -> Q:
    if value == "me":
        return Q(owner_id=person_id)
    if value == "none":
        return Q(owner=None)
    return Q(owner_id=value) if value else Q()


def _age(key: str, now: datetime) -> Q:
    found = next((age for age in AGES if age[0] == key), None)
    if found is None:
        return Q()
    _, _, least, most, _ = found
    wanted = Q()
    if least is not None:
        wanted &= Q(created_at__lte=now - least)
    if most is not None:
        wanted &= Q(created_at__gt=now - most)
    return wanted


def _text(text: str, book: Book) -> Q:
    """An id finds exactly; other words find in title, reference and beneficiary."""
    try:
        prefix, key = parse(text)
    except UnknownId:
        named = Q(merchant_ref__iexact=text) | Q(provider_ref=text)
        named |= Q(beneficiary__name__icontains=text) | Q(beneficiary__reference__iexact=text)
        return Q(title__icontains=text) | Q(subject_id__in=_payout_ids(named, book))
    if prefix == "cs":
        return Q(pk=key)
    if prefix == "be":
        return Q(subject_id__in=_payout_ids(Q(beneficiary_id=key), book))
    return Q(subject_id=text) | Q(approval_id=text)


def _payout_ids(wanted: Q, book: Book) -> QuerySet[Any]:
    """The public ids of payouts, rendered by the database: however many, in one statement."""
    text = TextField()
    digits = Replace(Cast("pk", text), Value("-"), Value(""), output_field=text)
    public = Concat(Value("po_"), digits, output_field=text)
    rows = Payout.objects.filter(wanted, book=book).annotate(public=public)
    return rows.values("public")


def _named(values: Any) -> list[tuple[str, str]]:
    return [(value, value.capitalize()) for value in values]


def _word(value: str, label: str) -> str:
    return (
        label if not value or value in ("closed", "all") else label.replace("_", " ").capitalize()
    )
