"""Who asks through a system: one person who works here and may do what is asked (D5)."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from payops.api.problems import Problem
from payops.core.models import Person
from payops.core.roles import Act, acts_of

FIELD = "on_behalf_of"


def person_of(named: str, *, act: Act, act_words: str, now: datetime) -> Person:
    """Exactly one person, by login or e-mail; two of that name are none. Raises Problem."""
    by_login = Q(logins__username=named, logins__is_active=True)
    here = Q(left_at=None) | Q(left_at__gt=now)
    found = list(Person.objects.filter(by_login | Q(email__iexact=named), here).distinct()[:2])
    if len(found) != 1:
        raise _problem(named, "is not known here", "not known")
    if act not in acts_of(found[0].roles_at(now)):
        words = f"may not {act_words}"
        raise _problem(named, f"{words}; name somebody who may", words)
    return found[0]


def _problem(named: str, words: str, detail: str) -> Problem:
    return Problem(
        "unknown-reference",
        f"{FIELD}: {named[:64]!r} {words}.",
        errors=[{"field": FIELD, "detail": detail}],
    )
