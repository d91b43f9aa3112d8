"""One batch of journals to an ERP by file: looked at, made once, confirmed or rejected (ERP-1…9).

Everything is checked before anything leaves; one problem and nothing is made. An entry goes to a
target once; a rejected batch is made anew under its own reference and posting is never touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import transaction

from ledger import exporting
from ledger.exporting import Scope
from ledger.models import Export, ExportFile
from payops.core import audit, evidence, ids, state
from payops.core.actors import Actor
from payops.core.models import Book
from payops.flows import export_mapping
from payops.flows.export_file import (
    ExportRefused,
    content_of,
    file_facts,
    filling_of,
    journals_of,
    keep,
    sums_of,
    totals_of,
)
from payops.formats.journals.base import MappingSet, Problem
from payops.formats.journals.mapping import MappingError
from payops.formats.journals.registry import target as target_named

DAYS_MAX = 400
WORDS_MAX = 400
LOOKED_AT_MAX = 2_000
SAMPLES = 3
TO_CHOOSE_LATER = (
    "export the days after it; these need the ERP's period reopened and its lock moved"
)


@dataclass(frozen=True, slots=True)
class ExportAsk:
    """What a person chose: where to, which posting days, one by one or summed up."""

    book: Book
    target: str
    from_on: date
    to_on: date
    mode: str

    def scope(self) -> Scope:
        """Raises ExportRefused."""
        if self.from_on > self.to_on or self.to_on - self.from_on > timedelta(DAYS_MAX):
            raise ExportRefused(
                f"{self.from_on} to {self.to_on} is no range of 1 to {DAYS_MAX} days"
            )
        if self.mode not in (exporting.DETAILED, exporting.SUMMARISED):
            raise ExportRefused(f"{self.mode[:40]!r} is neither detailed nor summarised")
        return Scope(self.book, target_named(self.target), self.from_on, self.to_on)


@dataclass(frozen=True, slots=True)
class Look:
    """What a mapping would make of the entries; `is_cut`: only the first were looked at."""

    entries: int
    is_cut: bool
    gone: list[tuple[str, int]]
    documents: int
    lines: int
    sums: list[tuple[str, int, int]]
    samples: list[str]
    problems: list[Problem]
    problem_count: int
    version: int


def look(*, ask: ExportAsk, now: datetime, mapping: MappingSet | None = None) -> Look:
    """Work everything out for the first entries and keep nothing.

    By another mapping, if given: then for entries that went before as well.
    """
    scope = ask.scope()
    used = mapping or _mapping(scope, now)
    with transaction.atomic():
        keys = exporting.waiting_keys(scope, LOOKED_AT_MAX, gone_too=mapping is not None)
        shown = exporting.numbered(
            keys[:LOOKED_AT_MAX],
            target=scope.target,
            reference=_reference(scope, used),
            mode=ask.mode,
        )
        filling = filling_of(
            book=scope.book,
            target=scope.target,
            mapping=used,
            reference=_reference(scope, used),
        )
        samples: list[str] = []
        for document in filling.fill(
            journals_of(chosen=shown, book=scope.book, mode=ask.mode, mapping=used)
        ):
            if len(samples) < SAMPLES:
                samples.append(scope.target.fragment(document, used))
        locked, shut = _locked(scope, keys) if mapping is None else ([], 0)
    return Look(
        entries=len(shown),
        is_cut=len(keys) > LOOKED_AT_MAX,
        gone=exporting.gone_already(scope) if mapping is None else [],
        documents=filling.documents,
        lines=filling.lines,
        sums=sums_of(filling),
        samples=samples,
        problems=[*locked, *filling.problems],
        problem_count=shut + filling.problem_count,
        version=used.version,
    )


def start(*, ask: ExportAsk, actor: Actor, now: datetime) -> Export:
    """Make the batch and its file. Raises ExportRefused, and then nothing is kept but that."""
    scope = ask.scope()
    mapping = _mapping(scope, now)
    try:
        with transaction.atomic(durable=True):
            exporting.hold(scope.book, scope.target)
            reference = _reference(scope, mapping)
            keys = exporting.waiting_keys(scope, exporting.ENTRIES_MAX)
            _refuse_range(scope, keys)
            chosen = exporting.numbered(
                keys, target=scope.target, reference=reference, mode=ask.mode
            )
            export = Export(
                id=ids.uuid7(),
                book=scope.book,
                target=scope.target.key,
                reference=reference,
                mode=ask.mode,
                from_on=ask.from_on,
                to_on=ask.to_on,
                entries=len(chosen),
                requested_by_id=actor.human(),
                created_at=now,
            )
            content, filling = content_of(
                export=export, chosen=chosen, target=scope.target, mapping=mapping
            )
            export.totals = totals_of(filling, mapping)
            told = {"reference": reference, "entries": len(chosen), **file_facts(content)}
            state.save(export, actor=actor, now=now, action="export.made", evidence=told)
            exporting.take(export, chosen)
            keep(export, content, attempt=1, mapping=mapping, actor=actor, now=now)
            return export
    except ExportRefused as refusal:
        _tell_refusal(scope, refusal, actor, now)
        raise


def confirm(*, export_id: str, words: str, actor: Actor, now: datetime) -> Export:
    """The ERP has it, in the ERP's own words."""
    with transaction.atomic(durable=True):
        export = _known(export_id, words)
        if export.state not in (Export.State.READY, Export.State.REJECTED):
            raise ExportRefused(f"{export.reference} is {export.state} already")
        export.confirm(words=words)
        state.save(export, actor=actor, now=now, action="export.imported", reason=words)
        return export


def reject(*, export_id: str, words: str, actor: Actor, now: datetime) -> Export:
    """The ERP did not take it; posting is not touched (ERP-7)."""
    with transaction.atomic(durable=True):
        export = _known(export_id, words)
        if export.state != Export.State.READY:
            raise ExportRefused(
                f"{export.reference} is {export.state}, only a ready one is rejected"
            )
        export.reject(words=words)
        state.save(export, actor=actor, now=now, action="export.rejected", reason=words)
        return export


def rebuild(*, export_id: str, actor: Actor, now: datetime) -> Export:
    """The next attempt of a rejected batch: same entries, same numbers, today's mapping."""
    known = Export.objects.select_related("book").get(pk=Export.key_of(export_id))
    scope = Scope(known.book, target_named(known.target), known.from_on, known.to_on)
    mapping = _mapping(scope, now)
    try:
        with transaction.atomic(durable=True):
            exporting.hold(scope.book, scope.target)
            export = Export.objects.select_related("book").get(pk=known.pk)
            if export.state != Export.State.REJECTED:
                raise ExportRefused(
                    f"{export.reference} is {export.state}; only a rejected one is made anew"
                )
            chosen = exporting.taken(export)
            _refuse_locked(scope, [(each.entry_key, each.posting_on) for each in chosen])
            content, filling = content_of(
                export=export, chosen=chosen, target=scope.target, mapping=mapping
            )
            attempt = export.files.count() + 1
            export.totals = totals_of(filling, mapping)
            export.rebuild()
            told = {"attempt": attempt, "mapping": mapping.version, **file_facts(content)}
            state.save(export, actor=actor, now=now, action="export.rebuilt", evidence=told)
            keep(export, content, attempt=attempt, mapping=mapping, actor=actor, now=now)
            return export
    except ExportRefused as refusal:
        _tell_refusal(scope, refusal, actor, now)
        raise


def download(*, file: ExportFile, actor: Actor, now: datetime) -> bytes:
    """The file as it was made; that it was taken out is audited (AU-3)."""
    content = evidence.content_of(file.evidence)
    taken = audit.event(
        book=file.export.book,
        actor=actor,
        action="export.downloaded",
        subject_id=file.export.public_id,
        now=now,
        evidence={"attempt": file.attempt, "sha256": file.sha256},
    )
    with transaction.atomic():
        audit.record([taken])
    return content


# ---- checks ----------------------------------------------------------------------------------


def _mapping(scope: Scope, now: datetime) -> MappingSet:
    try:
        return export_mapping.active(scope.book, scope.target, now)
    except MappingError as error:
        raise ExportRefused(
            f"the mapping for {scope.target.name} cannot be used: {error}"
        ) from error


def _refuse_range(scope: Scope, keys: Sequence[tuple[UUID, date]]) -> None:
    if not keys:
        gone = exporting.gone_already(scope)
        named = ", ".join(f"{reference} ({count})" for reference, count in gone[:5])
        raise ExportRefused(
            f"no entry of {scope.from_on} to {scope.to_on} waits for {scope.target.name}"
            + (f"; they went with {named}" if gone else "; nothing was posted on these days")
        )
    if len(keys) > exporting.ENTRIES_MAX:
        raise ExportRefused(
            f"more than {exporting.ENTRIES_MAX:,} entries in one batch; choose fewer days"
        )
    _refuse_locked(scope, keys)


def _locked(scope: Scope, keys: Sequence[tuple[UUID, date]]) -> tuple[list[Problem], int]:
    """Entries dated in what the ERP has locked: the first of them, and how many (ERP-9)."""
    until = Book.objects.values_list("erp_locked_until", flat=True).get(pk=scope.book.pk)
    named = [(ids.render("je", key), day) for key, day in keys if until and day <= until]
    problems = [
        Problem(
            entry_id,
            "Date",
            str(day),
            f"{scope.target.name} takes nothing dated up to {until}",
            TO_CHOOSE_LATER,
            entry_id,
        )
        for entry_id, day in named[: exporting.LISTED_MAX]
    ]
    return problems, len(named)


def _refuse_locked(scope: Scope, keys: Sequence[tuple[UUID, date]]) -> None:
    problems, count = _locked(scope, keys)
    if count:
        entries = "1 entry is" if count == 1 else f"{count} entries are"
        raise ExportRefused(
            f"{entries} dated in days that {scope.target.name} has locked; nothing was made",
            problems,
            count,
        )


def _tell_refusal(scope: Scope, refusal: ExportRefused, actor: Actor, now: datetime) -> None:
    """In a transaction of its own: what it was about is rolled back."""
    told = audit.event(
        book=scope.book,
        actor=actor,
        action="export.refused",
        subject_id=export_mapping.name_of(scope.target),
        now=now,
        reason=str(refusal)[:1000],
        evidence={"from": str(scope.from_on), "to": str(scope.to_on), "problems": refusal.count},
    )
    with transaction.atomic(durable=True):
        audit.record([told])


def _known(export_id: str, words: str) -> Export:
    if not words.strip() or len(words) > WORDS_MAX:
        raise ExportRefused(f"write what the ERP said, in 1 to {WORDS_MAX} characters")
    return Export.objects.select_related("book").get(pk=Export.key_of(export_id))


def _reference(scope: Scope, mapping: MappingSet) -> str:
    return exporting.next_reference(
        book=scope.book,
        target=scope.target,
        prefix=mapping.settings["prefix"],
        day=scope.to_on,
    )
