"""Which file this is, and whether two statements cover the same days (F18, D16).

The hash of the bytes finds the same file under another name. `overlap` tells an importer when to
look lines up by `Entry.overlap_key`: a page that follows is new, the same days are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import blake2b, sha256

from payops.formats.bank.base import SEPARATOR, Entry, Source, Statement
from payops.formats.bank.lines import CHUNK


@dataclass(frozen=True, slots=True)
class FileIdentity:
    sha256: str
    size: int


class Overlap(StrEnum):
    """SAME: told again. PARTLY: some days are in both. APART: nothing in common."""

    SAME = "SAME"
    PARTLY = "PARTLY"
    APART = "APART"


@dataclass(frozen=True, slots=True)
class Span:
    """What a statement covers, as far as it is told; of one account and currency."""

    kind: str
    number: str
    page: int | None
    from_on: date | None
    to_on: date | None
    opening_minor: int | None
    closing_minor: int | None

    @classmethod
    def of(cls, statement: Statement, *, entries_from: date | None = None) -> Span:
        """`entries_from` is the first booking day read, for files that tell no period."""
        opening, closing = statement.opening, statement.closing
        begins = statement.from_on or entries_from or (opening.on if opening else None)
        return cls(
            statement.kind.value,
            statement.number or statement.reference,
            statement.page,
            begins,
            statement.to_on or (closing.on if closing else None) or begins,
            opening.amount_minor if opening else None,
            closing.amount_minor if closing else None,
        )


def file_identity(source: Source) -> FileIdentity:
    """Reads the source to its end, a piece at a time."""
    digest, size = sha256(), 0
    while piece := source.read(CHUNK):
        digest.update(piece)
        size += len(piece)
    return FileIdentity(digest.hexdigest(), size)


def statement_key(statement: Statement) -> str:
    """The same for the same statement in another file, whatever that file is called."""
    span = Span.of(statement)
    told = (
        statement.account.identifier,
        statement.currency,
        *(span.kind, span.number, span.page, span.from_on, span.to_on),
        *(span.opening_minor, span.closing_minor),
    )
    return blake2b(SEPARATOR.join(map(str, told)).encode(), digest_size=16).hexdigest()


def overlap(known: Span, new: Span) -> Overlap:
    """Pages of one number, and days that only touch at a balance, have no lines in common."""
    if known == new:
        return Overlap.SAME
    if known.kind == new.kind and known.number and known.number == new.number:
        if known.page != new.page:
            return Overlap.APART
        if (known.from_on, known.to_on) == (new.from_on, new.to_on):
            return Overlap.SAME
    if None in (known.from_on, known.to_on, new.from_on, new.to_on):
        return Overlap.PARTLY
    assert known.from_on and known.to_on and new.from_on and new.to_on
    if known.to_on < new.from_on or new.to_on < known.from_on:
        return Overlap.APART
    if _touch(known, new) or _touch(new, known):
        return Overlap.APART
    return Overlap.PARTLY


def _touch(first: Span, second: Span) -> bool:
    """One ends on the day the other begins, and its closing balance is carried over."""
    return (
        first.to_on == second.from_on
        and first.from_on != second.from_on
        and first.closing_minor is not None
        and first.closing_minor == second.opening_minor
    )


def numbered(entries: Iterable[Entry]) -> Iterator[tuple[str, int, Entry]]:
    """(overlap key, which of its equals it is, entry): the line's name in any file.

    Holds one count per different key; an import of many lines numbers them in the database.
    """
    seen: Counter[str] = Counter()
    for entry in entries:
        key = entry.overlap_key
        seen[key] += 1
        yield key, seen[key], entry
