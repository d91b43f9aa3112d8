"""Statement parity: the books beside a reference pack that finance signed, line by line (RP-2, 3).

Totals that agree are not enough: an amount on another line, an entry in another period, a reversal
that is missing, each is a difference of its own. A difference of a figure that other differences
account for to the cent is explained by them; what is left over is shown apart and never netted
into it (F13). Reads only; the verdict is an approval (`payops/flows/parity.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ledger.models import AccountingPeriod
from ledger.parity_entries import findings
from ledger.parity_figures import Group
from ledger.parity_parts import UNEXPECTED, Difference, Finding, PackMisfit
from ledger.statement_figures import snapshot
from payops.core.models import Book
from payops.formats.reference_pack import ENTRIES, PackRow

DIFFERENCES_MAX = 1000


def compare(*, book: Book, period: AccountingPeriod, rows: Sequence[PackRow]) -> list[Difference]:
    """Every difference, those of entries first. Raises PackMisfit."""
    with snapshot():
        found = findings(book=book, period=period, rows=[r for r in rows if r.statement == ENTRIES])
        made = [_of_finding(no, finding) for no, finding in enumerate(found, start=1)]
        effects = [(each.no, finding.effects) for each, finding in zip(made, found, strict=True)]
        groups: dict[tuple[str, str], list[PackRow]] = defaultdict(list)
        for row in rows:
            if row.statement != ENTRIES:
                groups[(row.statement, row.currency)].append(row)
        problems: list[str] = []
        for (statement, currency), own in groups.items():
            group = Group(book, period, statement, currency)
            try:
                made += group.differences(own, effects, first_no=len(made) + 1)
            except PackMisfit as misfit:
                problems += misfit.problems
    if problems:
        raise PackMisfit(problems)
    return _cut(made)


def of_json(stored: Iterable[dict[str, Any]]) -> list[Difference]:
    lists = ("explained_by", "entries")
    return [
        Difference(**{**each, **{name: tuple(each[name]) for name in lists}}) for each in stored
    ]


def to_json(rows: Iterable[Difference | PackRow]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(json.dumps([asdict(row) for row in rows]))
    return made


def digest(stored: object) -> str:
    """What an approval is bound to: the rows and the differences as they are kept."""
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def unexplained(differences: Iterable[Difference]) -> list[Difference]:
    return [each for each in differences if not each.is_explained]


def _cut(made: list[Difference]) -> list[Difference]:
    if len(made) <= DIFFERENCES_MAX:
        return made
    kept, left = made[:DIFFERENCES_MAX], len(made) - DIFFERENCES_MAX
    words = f"{left} more differences are not listed; the pack and the books are far apart"
    last = Difference(len(kept) + 1, UNEXPECTED, 0, "", "", "", "", None, None, words)
    return [*kept, last]


def _of_finding(no: int, finding: Finding) -> Difference:
    return Difference(
        no=no,
        kind=finding.kind,
        row=finding.row,
        statement=ENTRIES,
        place=finding.place,
        party="",
        money=finding.currency,
        expected_minor=finding.expected_minor,
        found_minor=finding.found_minor,
        words=finding.words,
        entries=finding.entries,
    )
