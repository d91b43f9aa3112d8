"""The file of an export: written whole or not at all, its sums those of the ledger, kept (I15).

Owns the making and the keeping of one attempt; which entries it has and what becomes of it is the
work of `payops/flows/export.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime

from ledger import exporting
from ledger.exporting import Chosen
from ledger.models import Export, ExportFile
from payops.core import crypto
from payops.core.actors import Actor
from payops.core.models import Book, Evidence
from payops.formats.journals.base import Document, Journal, MappingSet, Problem, Target
from payops.formats.journals.filling import Filling
from payops.formats.journals.registry import target as target_named

FILE_BYTES_MAX = 64 * 1024 * 1024


class ExportRefused(ValueError):
    """No file was made. `problems` are what is wrong, `count` how many there are in all."""

    def __init__(self, words: str, problems: Sequence[Problem] = (), count: int = 0) -> None:
        super().__init__(words)
        self.problems, self.count = list(problems), count


def content_of(
    *, export: Export, chosen: Sequence[Chosen], target: Target, mapping: MappingSet
) -> tuple[bytes, Filling]:
    """The whole file, or ExportRefused with everything that is wrong."""
    filling = filling_of(
        book=export.book, target=target, mapping=mapping, reference=export.reference
    )
    documents = filling.fill(
        journals_of(chosen=chosen, book=export.book, mode=export.mode, mapping=mapping)
    )
    parts, size = [], 0
    for part in target.write(_while_sound(documents, filling), mapping):
        parts.append(part)
        size += len(part)
        if size > FILE_BYTES_MAX:
            raise ExportRefused(
                f"the file grows over {FILE_BYTES_MAX // 1024 // 1024} MB; choose fewer days or "
                "summarise"
            )
    if filling.problem_count:
        raise ExportRefused(
            f"{filling.problem_count} values cannot leave; nothing was made",
            list(filling.problems),
            filling.problem_count,
        )
    if not filling.documents:
        raise ExportRefused(f"nothing of these {len(chosen)} entries is for {target.name}")
    must = exporting.sums_of(chosen, book=export.book, target=target, mapping=mapping)
    assert dict(filling.sums) == must, f"{export.reference}: {filling.sums} in the file, not {must}"
    return b"".join(parts), filling


def filling_of(*, book: Book, target: Target, mapping: MappingSet, reference: str) -> Filling:
    return Filling(target, mapping, said_by(reference, book))


def journals_of(
    *, chosen: Sequence[Chosen], book: Book, mode: str, mapping: MappingSet
) -> Iterator[Journal]:
    return exporting.journals(chosen, book=book, mode=mode, by_party=mapping.by_party)


def keep(
    export: Export,
    content: bytes,
    *,
    attempt: int,
    mapping: MappingSet,
    actor: Actor,
    now: datetime,
) -> None:
    """A file made here has neither the size nor the types that people may attach."""
    target = target_named(export.target)
    named = f"{export.reference}{f'-{attempt}' if attempt > 1 else ''}.{target.extension}"
    key = crypto.data_key(book=export.book, scope=f"evidence:{now:%Y-%m-%d}")
    document = Evidence(
        book=export.book,
        subject_id=export.public_id,
        filename=named,
        content_type=target.media_type,
        size_bytes=len(content),
        sha256=_sha256(content),
        data_key=key,
        ciphertext=crypto.seal(key, content),
        added_by_id=actor.human(),
        created_at=now,
    )
    document.save(force_insert=True)
    ExportFile.objects.create(
        book=export.book,
        export=export,
        attempt=attempt,
        mapping_version=mapping.version,
        filename=named,
        sha256=document.sha256,
        size_bytes=len(content),
        evidence=document,
        created_at=now,
    )


def file_facts(content: bytes) -> dict[str, object]:
    return {"sha256": _sha256(content), "size_bytes": len(content)}


def totals_of(filling: Filling, mapping: MappingSet) -> dict[str, object]:
    """What is kept of the sums, for I15 and for the page."""
    return {
        "basis": mapping.basis,
        "memo": mapping.settings["memo"],
        "documents": filling.documents,
        "lines": filling.lines,
        "sums": {
            currency: {"debit": debit, "credit": credit}
            for currency, debit, credit in sums_of(filling)
        },
    }


def sums_of(filling: Filling) -> list[tuple[str, int, int]]:
    return [
        (currency, filling.sums[currency, "debit"], filling.sums[currency, "credit"])
        for currency in sorted({currency for currency, _ in filling.sums})
    ]


def said_by(export_reference: str, book: Book) -> dict[str, str]:
    """The texts that are the same in the whole export."""
    return {
        "export.reference": export_reference,
        "book.code": book.code,
        "book.name": book.name,
        "book.currency": book.reporting_currency,
    }


def _while_sound(documents: Iterator[Document], filling: Filling) -> Iterator[Document]:
    """With the first problem nothing more is written, but the rest is still looked at."""
    for document in documents:
        if not filling.problem_count:
            yield document


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
