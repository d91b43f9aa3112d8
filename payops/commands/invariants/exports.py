"""I15: what an export says it has is what its entries add up to, and an entry goes once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from ledger.exporting import expected
from payops.commands.invariants.base import Finding, Moment, count, select
from payops.formats.journals.registry import TARGETS

SUMS = """
SELECT i.export_id, l.currency,
  sum(greatest(l.amount_minor, 0)), sum(greatest(-l.amount_minor, 0)),
  sum(greatest(l.reporting_minor, 0)), sum(greatest(-l.reporting_minor, 0)),
  coalesce(sum(greatest(l.reporting_minor, 0)) FILTER (WHERE l.amount_minor = 0), 0),
  coalesce(sum(greatest(-l.reporting_minor, 0)) FILTER (WHERE l.amount_minor = 0), 0)
FROM ledger_exportitem i
JOIN ledger_export x ON x.id = i.export_id
JOIN ledger_journalline l ON l.entry_id = i.entry_id
JOIN ledger_account a ON a.id = l.account_id
WHERE a.kind <> 'memo' OR x.totals ->> 'memo' = 'keep'
GROUP BY i.export_id, l.currency"""
EXPORTS = """
SELECT x.id, payops_public_id('xp', x.id), x.reference, x.target, x.totals ->> 'basis',
  b.reporting_currency, s.key, (s.value ->> 'debit')::numeric, (s.value ->> 'credit')::numeric
FROM ledger_export x JOIN core_book b ON b.id = x.book_id
LEFT JOIN LATERAL jsonb_each(x.totals -> 'sums') s ON true ORDER BY x.id"""


def exported_once(moment: Moment) -> Finding:
    """I15: the export's total is the ledger's; each entry is exported once per target."""
    finding = Finding(checked=count("ledger_export"))
    _totals(finding)
    finding.break_each(
        "entry {} was exported {} times to {}",
        "SELECT payops_public_id('je', entry_id), count(*), target FROM ledger_exportitem"
        " GROUP BY book_id, target, entry_id HAVING count(*) > 1 ORDER BY 1",
    )
    finding.break_each(
        "export {} says {} entries and has {}",
        "SELECT x.reference, x.entries, count(i.id) FROM ledger_export x"
        " LEFT JOIN ledger_exportitem i ON i.export_id = x.id"
        " GROUP BY x.id HAVING x.entries <> count(i.id) ORDER BY 1",
    )
    finding.break_each(
        "entry {} went with {} of another book, target or day",
        "SELECT payops_public_id('je', e.id), x.reference FROM ledger_exportitem i"
        " JOIN ledger_export x ON x.id = i.export_id"
        " JOIN ledger_journalentry e ON e.id = i.entry_id"
        " WHERE e.book_id <> x.book_id OR i.book_id <> x.book_id OR i.target <> x.target"
        " OR e.posting_on NOT BETWEEN x.from_on AND x.to_on ORDER BY e.id",
    )
    finding.break_each(
        "export {} has no file, or one that is not the kept document",
        "SELECT x.reference FROM ledger_export x WHERE NOT EXISTS"
        " (SELECT 1 FROM ledger_exportfile f WHERE f.export_id = x.id) OR EXISTS"
        " (SELECT 1 FROM ledger_exportfile f JOIN core_evidence d ON d.id = f.evidence_id"
        "  WHERE f.export_id = x.id AND (d.sha256 <> f.sha256 OR d.size_bytes <> f.size_bytes))"
        " ORDER BY 1",
    )
    return finding


def _totals(finding: Finding) -> None:
    ledger: dict[UUID, list[Any]] = defaultdict(list)
    for key, *row in select(SUMS):
        ledger[key].append(row)
    said: dict[UUID, dict[tuple[str, str], int]] = defaultdict(dict)
    heads: dict[UUID, tuple[str, str, str, str]] = {}
    for key, _, reference, target, basis, reporting, currency, debit, credit in select(EXPORTS):
        heads[key] = (reference, target, basis, reporting)
        if currency is not None:
            said[key] |= {(currency, "debit"): int(debit), (currency, "credit"): int(credit)}
    for key, (reference, target, basis, reporting) in heads.items():
        splits = TARGETS[target].per_currency if target in TARGETS else False
        must = expected(ledger[key], reporting=reporting, basis=basis, splits=splits)
        for place in sorted(set(must) | set(said[key])):
            has, ought = said[key].get(place, 0), must.get(place, 0)
            if has != ought:
                currency, side = place
                finding.add(
                    f"export {reference} has {side}s of {has} {currency} and the ledger {ought}"
                )
