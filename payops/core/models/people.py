"""Who acts: human beings, their logins and roles, the keys of internal systems.

A Person is a human being; a User is a login. Approvals count persons.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from payops.core.models.books import Book
from payops.core.models.columns import history
from payops.core.records import Record
from payops.core.roles import Act, Role

PROTECT = models.PROTECT


class Person(Record):
    """A human being. The chain of audit rows names the id; the name is kept here, apart from it."""

    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True, default="")
    approval_id = models.CharField(max_length=40, blank=True, default="")
    left_at = models.DateTimeField(null=True, blank=True)

    history = history()

    def __str__(self) -> str:
        return self.name

    def roles_at(self, at: datetime) -> frozenset[Role]:
        grants = self.role_grants.filter(granted_at__lte=at).filter(
            Q(revoked_at=None) | Q(revoked_at__gt=at)
        )
        return frozenset(Role(role) for role in grants.values_list("role", flat=True))


class User(AbstractUser):
    """A login. Two logins of one person are one person."""

    person = models.ForeignKey(Person, PROTECT, null=True, related_name="logins")
    link_approval_id = models.CharField(max_length=40, blank=True, default="")
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]

    def get_full_name(self) -> str:
        return self.person.name if self.person else self.username


class RoleGrant(Record):
    """One person's role from one moment to another; governed by approval (D5)."""

    person = models.ForeignKey(Person, PROTECT, related_name="role_grants")
    role = models.CharField(max_length=32, choices=[(r.value, r.value) for r in Role])
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    approval_id = models.CharField(max_length=40, blank=True, default="")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "role"], condition=Q(revoked_at=None), name="role_held_once"
            )
        ]


class ApiKey(Record):
    """An internal system's key; only its hash is kept. Its permissions are governed (D5)."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    system = models.SlugField(max_length=64)
    key_hash = models.CharField(max_length=64, unique=True)
    acts = models.JSONField(default=list)
    approval_id = models.CharField(max_length=40, blank=True, default="")
    requested_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    history = history()

    def allows(self, act: Act) -> bool:
        return self.revoked_at is None and act.value in self.acts
