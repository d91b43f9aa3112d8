"""I4, I5, I12, I17: one outcome per key, entries balance, locked months stay, the trial is nil."""

from __future__ import annotations

from datetime import timedelta

from payops.commands.invariants.base import Finding, Moment, count, table_exists

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
    if table_exists("ledger_balance"):
        finding.add("stored balances exist; nothing here compares them with the lines")
    return finding
