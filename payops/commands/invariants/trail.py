"""I10, I11, I18: every state change is written down once, sealed, and one the table allows."""

from __future__ import annotations

from simple_history.utils import get_history_model_for_model

from payops.commands.invariants.base import Finding, Moment, count
from payops.core import guards, verification
from payops.core.state import StatefulModel

CHANGES = """
WITH told AS (
  SELECT id, coalesce(lag(state) OVER (PARTITION BY id ORDER BY history_id), '') AS was, state
  FROM {history}
)"""


def audited_once(moment: Moment) -> Finding:
    """I10: each state change of a governed row has exactly one audit row."""
    finding = Finding()
    for model in governed_models():
        table, history, prefix = _names(model)
        finding.checked += count(table)
        finding.break_each(
            "{} went from {} to {}: {} changes, {} audit rows",
            CHANGES.format(history=history) + ", changed AS ("
            "  SELECT payops_public_id(%s, id) AS subject, was, state AS becomes, count(*) AS n"
            "  FROM told WHERE was <> state GROUP BY 1, 2, 3"
            "), audited AS ("
            "  SELECT subject_id AS subject, from_state AS was, to_state AS becomes, count(*) AS n"
            "  FROM core_auditevent WHERE subject_id LIKE %s AND to_state <> ''"
            "  AND from_state <> to_state GROUP BY 1, 2, 3"
            ") SELECT coalesce(c.subject, a.subject),"
            "  coalesce(nullif(coalesce(c.was, a.was), ''), 'nothing'),"
            "  coalesce(c.becomes, a.becomes), coalesce(c.n, 0), coalesce(a.n, 0)"
            " FROM changed c FULL JOIN audited a USING (subject, was, becomes)"
            " WHERE coalesce(c.n, 0) <> coalesce(a.n, 0) ORDER BY 1",
            [prefix, f"{prefix}\\_%"],
        )
    return finding


def sealed(moment: Moment) -> Finding:
    """I11: every audit row older than 60 s is sealed once; no gap, no fork, no edit."""
    report = verification.verify(now=moment.now)
    finding = Finding(checked=report.rows)
    for words in report.breaks:
        finding.add(words)
    finding.break_each(
        "{} seals follow the same seal {}",
        "SELECT count(*), left(previous_hash, 16) FROM core_auditseal GROUP BY previous_hash"
        " HAVING count(*) > 1 ORDER BY 2",
    )
    finding.break_each(
        "audit row {} was sealed {} times",
        "SELECT audit_id, count(*) FROM core_auditseal GROUP BY audit_id HAVING count(*) > 1"
        " ORDER BY 1",
    )
    finding.note = f"{report.unsealed} newer rows wait for their seal" if report.unsealed else ""
    return finding


def transitions_published(moment: Moment) -> Finding:
    """I18: every consecutive pair of states is in the published table; no row left its history."""
    finding = Finding()
    for model in governed_models():
        table, history, prefix = _names(model)
        finding.checked += count(history)
        allowed = {f"{was}>{becomes}" for was, becomes in guards.allowed_pairs(model)}
        finding.break_each(
            "{} went from {} to {}, which is not in the table",
            CHANGES.format(history=history) + " SELECT payops_public_id(%s, id),"
            " coalesce(nullif(was, ''), 'nothing'), state FROM told WHERE was <> state"
            " AND NOT (was || '>' || state) = ANY (%s) ORDER BY id, was",
            [prefix, sorted(allowed)],
        )
        finding.break_each(
            "{} is {}, but its history ends in {}",
            f"SELECT payops_public_id(%s, t.id), t.state, coalesce(h.state, 'nothing')"
            f" FROM {table} t LEFT JOIN (SELECT DISTINCT ON (id) id, state FROM {history}"
            " ORDER BY id, history_id DESC) h ON h.id = t.id"
            " WHERE h.state IS DISTINCT FROM t.state ORDER BY t.id",
            [prefix],
        )
    return finding


def governed_models() -> list[type[StatefulModel]]:
    return [m for m in guards.product_models() if issubclass(m, StatefulModel)]


def _names(model: type[StatefulModel]) -> tuple[str, str, str]:
    history = get_history_model_for_model(model)
    return model._meta.db_table, history._meta.db_table, model.PREFIX
