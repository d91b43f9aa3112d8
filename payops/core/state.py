"""Base of every governed record: a guarded state and the only writer of it.

`save_changes` is the one way a stateful row reaches the database: it inserts new rows and updates
known ones WHERE the state is still the one that was read, and writes history and audit rows in the
same call (I10, I18); `save_many` and `save` are short for it. The allowed (from, to) pairs are also
held by a generated trigger. Covers what django-fsm leaves open: `save()` and queryset updates are
refused, `refresh_from_db` never switches protection off, a lost race raises instead of overwriting.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, Self

from django.db import connection, models
from django.db.models import QuerySet
from django_fsm import FSMField
from psycopg import sql
from simple_history.utils import get_history_manager_for_model

from payops.core import audit, bulk
from payops.core.actors import Actor
from payops.core.records import Record

HISTORY_COLUMNS = ("history_date", "history_user_id", "history_change_reason", "history_type")


class StaleState(Exception):
    """Another transaction changed the row first; nothing was written. Retrying is safe."""


class DirectWrite(TypeError):
    """A stateful row is written by a service through `save_many`, never directly."""


class StatefulQuerySet(QuerySet):
    def update(self, **values: Any) -> NoReturn:
        raise DirectWrite(f"{self.model.__name__} is changed by its services, not by update()")

    def delete(self) -> NoReturn:
        raise DirectWrite(f"{self.model.__name__} is never deleted")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise DirectWrite(f"{self.model.__name__} is changed by save_many, not by bulk_update()")


class StatefulModel(Record):
    """Subclasses have one protected FSMField named `state` and a `book`.

    `trace_id` is not stored: set on a row, it goes to the audit row of its next change.
    """

    state: Any
    book: Any
    book_id: Any
    trace_id: str = ""

    objects = StatefulQuerySet.as_manager()

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: str | None, field_names: Any, values: Any, **more: Any) -> Self:
        row = super().from_db(db, field_names, values, **more)
        row._stored = _column_values(row)  # type: ignore[attr-defined]
        return row

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: Any = None,
    ) -> None:
        if fields is None:
            # Django takes a popped field for a deferred one and would not read it again.
            deferred = self.get_deferred_fields()
            fields = [f.attname for f in self._meta.concrete_fields if f.attname not in deferred]
        kept = self.__dict__.pop("state", None)
        try:
            super().refresh_from_db(using, fields, from_queryset)
        except BaseException:
            self.__dict__["state"] = kept
            raise
        self.__dict__.setdefault("state", kept)
        self._stored = _column_values(self)

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise DirectWrite(f"{type(self).__name__} is written by core.state.save_many")

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise DirectWrite(f"{type(self).__name__} is never deleted")


def transition_pairs(model: type[StatefulModel]) -> set[tuple[str, str]]:
    """The (from, to) pairs of the model's transitions, as trigger and docs/states.md hold them."""
    field: Any = {f.name: f for f in model._meta.concrete_fields}["state"]
    assert isinstance(field, FSMField)
    return {(t.source, t.target) for t in field.get_all_transitions(model)}


class Change(NamedTuple):
    """One row to write, and what its audit and history rows say."""

    row: StatefulModel
    action: str
    reason: str = ""
    evidence: dict[str, Any] | None = None
    trace_id: str = ""


def save_changes(changes: Sequence[Change], *, actor: Actor, now: datetime) -> None:
    """Write rows of one model, each once, with their history and one audit row each.

    Raises StaleState when any row's stored state is no longer the one that was read.
    """
    if not changes:
        return
    assert connection.in_atomic_block, "a state changes inside a transaction"
    rows = [change.row for change in changes]
    model = type(rows[0])
    assert all(type(row) is model for row in rows), "one call writes rows of one model"
    assert len({id(row) for row in rows}) == len(rows), "one call writes a row once"
    fresh = [change for change in changes if change.row._state.adding]
    known = [change for change in changes if not change.row._state.adding]
    _write_audit(changes, actor, now)
    if fresh:
        _insert(model, [change.row for change in fresh])
        _write_history(model, fresh, actor, now, update=False)
    for changed, group in _by_changed_columns(known).items():
        _update_where_state(model, changed, [change.row for change in group])
        _write_history(model, group, actor, now, update=True)
    for row in rows:
        row._stored = _column_values(row)  # type: ignore[attr-defined]


def save_many(
    rows: Sequence[StatefulModel],
    *,
    actor: Actor,
    now: datetime,
    action: str,
    reason: str = "",
    evidence: dict[str, Any] | None = None,
    trace_id: str = "",
) -> None:
    """`save_changes` for rows of which the same is told."""
    changes = [Change(row, action, reason, evidence, trace_id) for row in rows]
    save_changes(changes, actor=actor, now=now)


def save(row: StatefulModel, **kwargs: Any) -> None:
    """`save_many` for one row."""
    save_many([row], **kwargs)


def _insert(model: type[StatefulModel], rows: list[StatefulModel]) -> None:
    """A new row has every column set in Python, so COPY needs nothing back."""
    fields = model._meta.concrete_fields
    columns = [str(field.column) for field in fields]
    bulk.copy(model._meta.db_table, columns, [_copied(row, fields) for row in rows])
    for row in rows:
        row._state.adding = False
        row._state.db = connection.alias


def _copied(row: StatefulModel, fields: Sequence[Any]) -> list[Any]:
    values = [getattr(row, field.attname) for field in fields]
    for position, field in enumerate(fields):
        if isinstance(field, models.JSONField) and values[position] is not None:
            values[position] = json.dumps(values[position], cls=field.encoder)
    return values


def _column_values(row: models.Model) -> dict[str, Any]:
    known = row.__dict__
    return {f.attname: known[f.attname] for f in row._meta.concrete_fields if f.attname in known}


def _by_changed_columns(
    changes: Iterable[Change],
) -> dict[tuple[str, ...], list[Change]]:
    groups: dict[tuple[str, ...], list[Change]] = defaultdict(list)
    for change in changes:
        before, after = change.row._stored, _column_values(change.row)  # type: ignore[attr-defined]
        changed = tuple(sorted(name for name in after if after[name] != before.get(name)))
        if changed:
            groups[changed].append(change)
    return groups


def _update_where_state(
    model: type[StatefulModel], changed: tuple[str, ...], rows: list[StatefulModel]
) -> None:
    fields = [f for f in model._meta.concrete_fields if f.attname in changed]
    columns: list[list[Any]] = [[row.pk for row in rows]]
    columns.append([row._stored["state"] for row in rows])  # type: ignore[attr-defined]
    for field in fields:
        columns.append(
            [field.get_db_prep_save(getattr(row, field.attname), connection) for row in rows]
        )
    kinds = ["uuid", "text", *[str(field.db_type(connection)) for field in fields]]
    names = [sql.Identifier(str(field.column)) for field in fields]
    values = [sql.Identifier(f"v{i}") for i in range(len(fields))]
    statement = sql.SQL(
        "UPDATE {table} AS t SET {sets} FROM unnest({arrays}) AS v(pk, old_state, {values})"
        " WHERE t.id = v.pk AND t.state = v.old_state"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        sets=sql.SQL(", ").join(
            sql.SQL("{} = v.{}").format(name, value)
            for name, value in zip(names, values, strict=True)
        ),
        arrays=sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(kind)) for kind in kinds),
        values=sql.SQL(", ").join(values),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(cursor.connection), columns)
        if cursor.rowcount != len(rows):
            raise StaleState(
                f"{len(rows) - cursor.rowcount} of {len(rows)} {model.__name__} rows were changed "
                "by somebody else meanwhile; reload and try again"
            )


def _write_history(
    model: type[StatefulModel],
    changes: list[Change],
    actor: Actor,
    now: datetime,
    *,
    update: bool,
) -> None:
    history_model = get_history_manager_for_model(model).model
    tracked, kind = history_model.tracked_fields, "~" if update else "+"
    bulk.copy(
        history_model._meta.db_table,
        [*(str(field.column) for field in tracked), *HISTORY_COLUMNS],
        [
            [*_copied(each.row, tracked), now, actor.user_id, each.reason or each.action, kind]
            for each in changes
        ],
    )


def _write_audit(changes: Sequence[Change], actor: Actor, now: datetime) -> None:
    audit.record(
        audit.event(
            book=row.book,
            actor=actor,
            action=action,
            subject_id=row.public_id,
            now=now,
            from_state="" if row._state.adding else row._stored["state"],  # type: ignore[attr-defined]
            to_state=row.state,
            reason=reason,
            evidence=evidence,
            trace_id=trace_id or row.trace_id,
        )
        for row, action, reason, evidence, trace_id in changes
    )
