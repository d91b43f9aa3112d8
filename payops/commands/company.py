"""The audited bootstrap of a real company: its book and its first people, once, as the owner.

Afterwards every person, login, grant, key and policy comes from an approval. So at least two
persons must exist who can decide about access, or nobody could ever be added.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.hashers import make_password
from django.db import transaction

from approvals.policies import seed_policies
from ledger.accounts import ensure_chart
from ledger.periods import ensure_open
from payops.core import audit
from payops.core.actors import Actor, service
from payops.core.models import Book, Person, RoleGrant, User
from payops.core.money import check_currency
from payops.core.roles import Role
from payops.flows import lane_policy
from payops.flows.refunds import policy as refund_policy

NEEDED = {Role.COMPLIANCE: 2, Role.ACCESS_ADMIN: 1}
# A role counts in a decision from its second day on; the first people's roles count at once.
COUNTS_FROM = timedelta(days=2)


class CompanyRefused(ValueError):
    """The description cannot become a company; the text names the field."""


@dataclass(frozen=True, slots=True)
class Company:
    code: str
    name: str
    currency: str
    time_zone: str
    people: tuple[dict[str, Any], ...]


def read(path: Path) -> Company:
    """{"code", "name", "currency", "time_zone", "people": [{"name", "email", "login", "roles"}]}"""
    try:
        said = json.loads(path.read_text())
        company = Company(
            code=said["code"],
            name=said["name"],
            currency=check_currency(said["currency"]),
            time_zone=said["time_zone"],
            people=tuple(said["people"]),
        )
        roles = [Role(role) for person in company.people for role in person["roles"]]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CompanyRefused(f"{path}: {error}") from error
    if company.time_zone not in available_timezones():
        raise CompanyRefused(f"{company.time_zone!r} is not a time zone such as Europe/Berlin")
    for role, least in NEEDED.items():
        if roles.count(role) < least:
            raise CompanyRefused(
                f"{roles.count(role)} people hold {role.value}, {least} are needed; otherwise "
                "nobody could approve a first change of access"
            )
    return company


def found(company: Company, *, passwords: dict[str, str], now: datetime) -> Book:
    """Create everything or nothing. Raises CompanyRefused when a company exists."""
    actor = service("bootstrap", channel="command")
    with transaction.atomic(durable=True):
        if Book.objects.filter(is_system=False).exists():
            raise CompanyRefused("a company exists already; further books come by approval")
        system, _ = Book.objects.get_or_create(
            code="system", defaults={"name": "System", "is_system": True, "created_at": now}
        )
        book = Book.objects.create(
            code=company.code,
            name=company.name,
            reporting_currency=company.currency,
            time_zone=company.time_zone,
            created_at=now,
        )
        for told in company.people:
            _person(system, told, passwords[told["login"]], actor, now)
        ensure_chart(book)
        today = now.astimezone(ZoneInfo(company.time_zone)).date()
        ensure_open(book=book, day=today, actor=actor, now=now)
        complete_policies(now=now)
    return book


def complete_policies(*, now: datetime) -> None:
    """Give every book the tables it lacks, as in the code; as owner, again without effect.

    A version of the product that governs something new would otherwise refuse to be asked for it.
    """
    for book in Book.objects.order_by("created_at"):
        seed_policies(book, now)
        if not book.is_system:
            lane_policy.seed(book, now)
            refund_policy.seed(book, now)


def _person(system: Book, told: dict[str, Any], password: str, actor: Actor, now: datetime) -> None:
    person = Person.objects.create(name=told["name"], email=told["email"], created_at=now)
    User.objects.create(username=told["login"], password=make_password(password), person=person)
    for role in told["roles"]:
        RoleGrant.objects.create(person=person, role=role, granted_at=now - COUNTS_FROM)
    audit.record(
        [
            audit.event(
                book=system,
                actor=actor,
                action="person.bootstrapped",
                subject_id=str(person.pk),
                now=now,
                evidence={"logins": [told["login"]], "roles": list(told["roles"])},
            )
        ]
    )
