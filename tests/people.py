"""The seeded people, by login name."""

from __future__ import annotations

from payops.core.actors import Actor
from payops.core.models import Person, User


def login(username: str) -> User:
    return User.objects.select_related("person").get(username=username)


def person(username: str) -> Person:
    found = login(username).person
    assert found is not None
    return found


def actor(username: str, *, channel: str = "browser") -> Actor:
    user = login(username)
    return Actor(channel=channel, person_id=user.person_id, login=username, user_id=user.pk)
