"""Base classes of every table: the record with its public id, and the row that waits in a queue."""

from __future__ import annotations

from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models.expressions import Func

from payops.core import clock, ids


class CurrentXid(Func):
    """pg_current_xact_id(): the transaction that wrote a row, comparable with snapshots."""

    function = "pg_current_xact_id"
    arity = 0
    output_field = models.BigIntegerField()


class Xid8Field(models.BigIntegerField):
    """A PostgreSQL xid8, filled in by the database and read back as a whole number."""

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def rel_db_type(self, connection: Any) -> str:
        return "xid8"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        return f"({sql})::text::bigint", params


class Record(models.Model):
    """A row with a UUIDv7 key. APPEND_ONLY and NEVER_DELETED are held by trigger and by grants."""

    PREFIX: ClassVar[str] = ""
    APPEND_ONLY: ClassVar[bool] = False
    NEVER_DELETED: ClassVar[bool] = False

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    created_at = models.DateTimeField(default=clock.utc_now, editable=False)

    class Meta:
        abstract = True

    @property
    def public_id(self) -> str:
        return ids.render(self.PREFIX, self.pk)

    @classmethod
    def key_of(cls, public_id: str) -> UUID:
        return ids.parse(public_id, cls.PREFIX)[1]

    @classmethod
    def get(cls, public_id: str) -> Self:
        return cls._default_manager.get(pk=cls.key_of(public_id))

    def __str__(self) -> str:
        return self.public_id if self.PREFIX else f"{type(self).__name__} {self.pk}"


class QueueRow(models.Model):
    """What a row needs to wait for a worker: lane, due time, lease and its failures.

    `attempts` is committed with each claim, before the work starts, so a crash is charged too.
    `interruptions` counts leases that ran out; such rows run alone (a poison row parks after the
    limit without charging its neighbours). `cause` is what failures that are alike have in common.
    """

    lane = models.CharField(max_length=16, default="standard")
    due_at = models.DateTimeField(default=clock.utc_now)
    attempts = models.PositiveIntegerField(default=0)
    interruptions = models.PositiveIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="")
    failure_kind = models.CharField(max_length=16, blank=True, default="")
    cause = models.CharField(max_length=160, blank=True, default="", db_default="")
    failures = models.JSONField(default=list, blank=True)
    first_failed_at = models.DateTimeField(null=True, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)
    operator_note = models.TextField(blank=True, default="")
    # Whose work a dead row is. Persons are never deleted, so that rows pour in unchecked.
    owner = models.ForeignKey(
        "core.Person",
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    trace_id = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        abstract = True
