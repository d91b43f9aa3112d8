"""What the tests of settlement files share: reading, and writing a report by hand."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from payops.formats.settlement.base import (
    NO_OPTIONS,
    Balance,
    Batch,
    Finding,
    Line,
    ReadOptions,
    Reject,
    Summary,
)
from payops.formats.settlement.registry import read

# Real reports are no part of the product: beside the checkout, or where PAYOPS_SAMPLES points.
BESIDE = Path(__file__).resolve().parents[3].parent / "shared" / "samples"
SAMPLES = Path(os.environ.get("PAYOPS_SAMPLES") or BESIDE) / "settlement"


@dataclass(slots=True)
class Reading:
    lines: list[Line] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)

    @property
    def summary(self) -> Summary:
        (only,) = self.summaries
        return only

    @property
    def batch(self) -> Batch:
        (only,) = self.batches
        return only

    @property
    def codes(self) -> list[str]:
        return [each.code for each in self.findings]

    def words(self, code: str) -> str:
        (only,) = [each.words for each in self.findings if each.code == code]
        return only


def reading(source: bytes | Path, options: ReadOptions = NO_OPTIONS, key: str = "") -> Reading:
    found = Reading()
    places = {
        Line: found.lines,
        Reject: found.rejects,
        Finding: found.findings,
        Balance: found.balances,
        Batch: found.batches,
        Summary: found.summaries,
    }
    for event in read(source=source, options=options, key=key):
        places[type(event)].append(event)  # type: ignore[attr-defined]
    return found


def table(names: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def by_name(names: Sequence[str], rows: Sequence[dict[str, str]], delimiter: str = ",") -> bytes:
    """Rows that name their cells; what they leave out is empty."""
    return table(names, [[row.get(name, "") for name in names] for row in rows], delimiter)
