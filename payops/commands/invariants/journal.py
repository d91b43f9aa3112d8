"""I4, I5, I12, I17: one outcome per key, entries balance, locked months stay, balances are sums."""

from __future__ import annotations

from datetime import timedelta

from payops.commands.invariants.base import Finding, Moment, count

# A posting that waited for the period's row lock carries a time just before the lock was taken.
LOCK_WAIT = timedelta(seconds=10)


def outcome_once(moment: Moment) -> Finding:
    """I4: exactly one journal outcome per (book, event class, subject, movement)."""
    finding = Finding(checked=count("ledger_journalentry"))
    finding.break_each(
        "{} {} {} was posted {} times",
        "SELECT event_class, subject_id, movement_ref, count(*) FROM ledger_journalentry"
        " WHERE reverses_id IS NULL GROUP BY book_id, event_class, subject_id, movement_ref"
        " HAVING count(*) > 1 ORDER BY 1, 2",
    )
    finding.break_each(
        "key {} was used by {} entries",
        "SELECT idempotency_key, count(*) FROM ledger_journalentry"
        " GROUP BY book_id, idempotency_key HAVING count(*) > 1 ORDER BY 1",
    )
    finding.break_each(
        "entry {} was reversed {} times",
        "SELECT payops_public_id('je', reverses_id), count(*) FROM ledger_journalentry"
        " WHERE reverses_id IS NOT NULL GROUP BY reverses_id HAVING count(*) > 1 ORDER BY 1",
    )
    finding.break_each(
        "entry {} is not what the key registry answers under {}",
        "SELECT payops_public_id('je', e.id), e.idempotency_key FROM ledger_journalentry e"
        " LEFT JOIN ledger_postingkey k ON k.book_id = e.book_id AND k.key = e.idempotency_key"
        " WHERE k.entry_id IS DISTINCT FROM e.id OR k.fingerprint <> e.fingerprint ORDER BY e.id",
    )
    finding.break_each(
        "key {} promises an entry that does not exist",
        "SELECT k.key FROM ledger_postingkey k WHERE k.entry_id IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM ledger_journalentry e WHERE e.id = k.entry_id)"
        " ORDER BY k.id",
    )
    return finding


def entries_balance(moment: Moment) -> Finding:
    """I5: nil per currency and in reporting currency, two lines or more, sealed together."""
    finding = Finding(checked=count("ledger_journalentry"))
    finding.break_each(
        "entry {} is out of balance by {} {}",
        "SELECT payops_public_id('je', entry_id), sum(amount_minor), currency"
        " FROM ledger_journalline GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0"
        " ORDER BY 1",
    )
    finding.break_each(
        "entry {} is out of balance by {} in reporting currency",
        "SELECT payops_public_id('je', entry_id), sum(reporting_minor) FROM ledger_journalline"
        " GROUP BY entry_id HAVING sum(reporting_minor) <> 0 ORDER BY 1",
    )
    finding.break_each(
        "entry {} has {} lines",
        "SELECT payops_public_id('je', e.id), count(l.id) FROM ledger_journalentry e"
        " LEFT JOIN ledger_journalline l ON l.entry_id = e.id"
        " GROUP BY e.id HAVING count(l.id) < 2 ORDER BY 1",
    )
    finding.break_each(
        "line {} was not written with its entry {}",
        "SELECT payops_public_id('jl', l.id), payops_public_id('je', l.entry_id)"
        " FROM ledger_journalline l JOIN ledger_journalentry e ON e.id = l.entry_id"
        " WHERE l.xid <> e.xid OR l.posting_on <> e.posting_on OR l.book_id <> e.book_id"
        " ORDER BY l.id",
    )
    return finding


def locked_stays(moment: Moment) -> Finding:
    """I12: no entry is dated in a locked period after its lock, or outside its period."""
    finding = Finding(checked=count("ledger_accountingperiod"))
    finding.break_each(
        "entry {} of {} was posted at {} into {}, locked at {}",
        "SELECT payops_public_id('je', e.id), e.posting_on, e.created_at, p.code, h.locked_from"
        " FROM (SELECT id, state, history_date AS locked_from,"
        "     coalesce(lead(history_date) OVER w, 'infinity') AS locked_until"
        "   FROM ledger_historicalaccountingperiod"
        "   WINDOW w AS (PARTITION BY id ORDER BY history_id)"
        " ) h JOIN ledger_accountingperiod p ON p.id = h.id"
        " JOIN ledger_journalentry e ON e.period_id = h.id WHERE h.state = 'LOCKED'"
        " AND e.created_at > h.locked_from + %s AND e.created_at < h.locked_until ORDER BY e.id",
        [LOCK_WAIT],
    )
    finding.break_each(
        "entry {} of {} is outside its period {}",
        "SELECT payops_public_id('je', e.id), e.posting_on, p.code FROM ledger_journalentry e"
        " JOIN ledger_accountingperiod p ON p.id = e.period_id"
        " WHERE e.posting_on NOT BETWEEN p.starts_on AND p.ends_on ORDER BY e.id",
    )
    return finding


def trial_balance(moment: Moment) -> Finding:
    """I17: the trial balance is nil per book, day and currency; balances are sums of lines."""
    finding = Finding(checked=count("ledger_journalline"))
    finding.break_each(
        "book {}: the lines of {} are off by {} {}",
        "SELECT b.code, l.posting_on, sum(l.amount_minor), l.currency FROM ledger_journalline l"
        " JOIN core_book b ON b.id = l.book_id GROUP BY b.code, l.posting_on, l.currency"
        " HAVING sum(l.amount_minor) <> 0 ORDER BY 1, 2",
    )
    finding.break_each(
        "book {}: the lines of {} are off by {} in reporting currency",
        "SELECT b.code, l.posting_on, sum(l.reporting_minor) FROM ledger_journalline l"
        " JOIN core_book b ON b.id = l.book_id GROUP BY b.code, l.posting_on"
        " HAVING sum(l.reporting_minor) <> 0 ORDER BY 1, 2",
    )
    finding.break_each(
        "line {} is on account {} of another book",
        "SELECT payops_public_id('jl', l.id), a.code FROM ledger_journalline l"
        " JOIN ledger_account a ON a.id = l.account_id WHERE a.book_id <> l.book_id ORDER BY l.id",
    )
    _folded(finding)
    return finding


# The folded part of every balance beside the lines it stands for; the rest is added up at reading.
FOLDED = """
WITH days AS MATERIALIZED (
  SELECT l.book_id, l.account_id, l.currency, l.{column} AS kept, l.posting_on,
    sum(greatest(l.amount_minor, 0)) AS debit, sum(greatest(-l.amount_minor::numeric, 0)) AS credit,
    sum(greatest(l.reporting_minor, 0)) AS reporting_debit,
    sum(greatest(-l.reporting_minor::numeric, 0)) AS reporting_credit, count(*) AS lines
  FROM ledger_journalline l JOIN ledger_balancecut c ON c.book_id = l.book_id
  WHERE l.xid < c.cut GROUP BY 1, 2, 3, 4, 5),
summed AS (
  SELECT d.book_id, d.account_id, d.currency, d.kept, g.grain, g.starts_on,
    sum(d.debit) AS debit, sum(d.credit) AS credit, sum(d.reporting_debit) AS reporting_debit,
    sum(d.reporting_credit) AS reporting_credit, sum(d.lines) AS lines
  FROM days d CROSS JOIN LATERAL (VALUES
    ('day', d.posting_on), ('month', date_trunc('month', d.posting_on)::date)
  ) AS g(grain, starts_on) GROUP BY 1, 2, 3, 4, 5, 6),
kept AS (
  SELECT t.book_id, t.account_id, t.currency, t.{column} AS kept, t.grain::text, t.starts_on,
    t.debit_minor, t.credit_minor, t.reporting_debit_minor, t.reporting_credit_minor, t.lines
  FROM {table} t)
SELECT b.code, a.code, currency, nullif(kept, ''), grain, starts_on,
  k.debit_minor - k.credit_minor, k.reporting_debit_minor - k.reporting_credit_minor, k.lines,
  s.debit - s.credit, s.reporting_debit - s.reporting_credit, s.lines
FROM kept k FULL JOIN summed s USING (book_id, account_id, currency, kept, grain, starts_on)
JOIN core_book b ON b.id = book_id JOIN ledger_account a ON a.id = account_id
WHERE (k.debit_minor, k.credit_minor, k.reporting_debit_minor, k.reporting_credit_minor, k.lines)
  IS DISTINCT FROM (s.debit, s.credit, s.reporting_debit, s.reporting_credit, s.lines)
ORDER BY 1, 2, 3, 4, 5, 6"""


def _folded(finding: Finding) -> None:
    """Totals per account, cash-flow tag and party, by day and month, are the sum of their lines."""
    for table, column in (
        ("ledger_accounttotal", "cash_flow_tag"),
        ("ledger_partytotal", "party"),
    ):
        finding.break_each(
            "book {}: account {} {} ({}): the total of the {} {} says {} ({} in reporting currency,"
            " {} lines), its lines say {} ({}, {})",
            FOLDED.format(table=table, column=column),
        )
    finding.break_each(
        "book {}: the totals reach up to transaction {}, ahead of this server at {}",
        "SELECT b.code, c.cut, pg_snapshot_xmax(pg_current_snapshot()) FROM ledger_balancecut c"
        " JOIN core_book b ON b.id = c.book_id"
        " WHERE c.cut > pg_snapshot_xmax(pg_current_snapshot()) ORDER BY 1",
    )
