"""I14: invariants of nouns that have no tables yet. A table that appears is a break."""

from __future__ import annotations

from payops.commands.invariants.base import Finding, Moment, table_exists

TABLES = {
    "I14": (
        ("reconciliation_settlementbatch", "settlement batches"),
        ("reconciliation_bankstatement", "bank statements"),
    ),
}


def files_once(moment: Moment) -> Finding:
    """I14: each imported file yields its lines once; a partial import is never visible."""
    return _absent("I14")


def _absent(key: str) -> Finding:
    finding = Finding(note="not applicable yet")
    for table, words in TABLES[key]:
        if table_exists(table):
            finding.add(f"the table {table} exists, and nothing recomputes {key} from it")
        else:
            finding.absent.append(words)
    return finding
