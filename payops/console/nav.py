"""The table of the navigation: by job, not by table, with what waits behind each entry.

A row is shown to whoever holds its permission. Counts come from one statement over partial indexes
and stop at COUNT_MAX.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from payops.console.reads.saved_views import ViewLink
from payops.core.models import Book
from payops.core.roles import Act, Role

COUNT_MAX = 99


@dataclass(frozen=True, slots=True)
class Row:
    """`act` is the permission that shows the entry; None: everybody who is signed in."""

    label: str
    url: str
    act: Act | None
    counted: str = ""


ROWS = (
    Row("My work", "/", None),
    Row("Cases", "/cases/", Act.VIEW_BOOKS, "cases"),
    Row("Approvals", "/approvals/", None, "approvals"),
    Row("Payouts", "/payouts/", Act.VIEW_BOOKS),
    Row("Payments", "/payments/", Act.VIEW_BOOKS),
    Row("Refunds", "/refunds/", Act.VIEW_BOOKS, "refunds"),
    Row("Disputes", "/disputes/", Act.VIEW_BOOKS, "disputes"),
    Row("Beneficiaries", "/beneficiaries/", Act.VIEW_BOOKS),
    Row("Ledger", "/ledger/", Act.VIEW_BOOKS),
    Row("Inbox", "/inbox/", Act.VIEW_INBOX, "dead"),
    Row("Accounts", "/accounts/", Act.VIEW_INBOX),
    Row("Messages", "/messages/", Act.VIEW_BOOKS),
    Row("Jobs", "/jobs/", Act.VIEW_BOOKS, "jobs"),
    Row("Monitoring", "/monitoring/", Act.VIEW_BOOKS),
    Row("Trace", "/trace/", Act.VIEW_BOOKS),
    Row("Audit", "/audit/", Act.VIEW_AUDIT),
    Row("Settings", "/settings/", None),
)
# What COUNTS counts, in its order; refunds and disputes: those that a person has to look at.
COUNTED = ("cases", "approvals", "dead", "jobs", "refunds", "disputes")
COUNTS = """
SELECT
 (SELECT count(*) FROM (SELECT 1 FROM cases_case WHERE book_id = %(book)s
   AND state NOT IN ('RESOLVED', 'REJECTED') LIMIT %(most)s) c),
 (SELECT count(*) FROM (SELECT 1 FROM approvals_approvalrequest r WHERE r.state = 'PENDING'
   AND r.seats ?| %(roles)s AND r.requested_by_id <> %(person)s
   AND NOT r.barred ? %(person)s::text AND NOT EXISTS (SELECT 1 FROM approvals_approvaldecision d
     WHERE d.request_id = r.id AND (d.person_id = %(person)s OR d.seat = ANY(%(roles)s)))
   LIMIT %(most)s) a),
 (SELECT count(*) FROM (SELECT 1 FROM webhooks_providerevent WHERE book_id = %(book)s
   AND state = 'DEAD' LIMIT %(most)s) d),
 (SELECT count(*) FROM (SELECT 1 FROM core_job WHERE book_id = %(book)s
   AND state IN ('QUEUED', 'RUNNING') AND created_at > now() - interval '7 days'
   LIMIT %(most)s) j),
 (SELECT count(*) FROM (SELECT 1 FROM payments_refund WHERE book_id = %(book)s
   AND (state IN ('UNKNOWN', 'LEDGER_PENDING') OR state = 'APPROVED' AND sent_by_id IS NULL
     AND (send_by_person OR offline)
     OR state IN ('FAILED', 'FAILED_LATE', 'RETURNED') AND obligation = 'owed')
   LIMIT %(most)s) r),
 (SELECT count(*) FROM (SELECT 1 FROM payments_dispute WHERE book_id = %(book)s
   AND state IN ('INQUIRY', 'OPEN') AND evidence_sent_at IS NULL LIMIT %(most)s) p)
"""


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose navigation it is; approvals count those that wait for this person."""

    person_id: UUID
    roles: Set[Role]
    acts: Set[Act]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry as `parts/nav.html` shows it; `count` is text, "" when nothing waits.

    `views` are the pinned saved views of its screens.
    """

    label: str
    url: str
    count: str
    current: bool
    views: tuple[ViewLink, ...] = ()


def items(
    *, path: str, reader: Reader, book: Book | None, views: Sequence[ViewLink] = ()
) -> list[Item]:
    shown = [row for row in ROWS if row.act is None or row.act in reader.acts]
    counts = _counts(book, reader) if book is not None else {}
    pinned = [view for view in views if view.pinned]
    return [
        Item(
            row.label,
            row.url,
            _text(counts.get(row.counted, 0)),
            _is_current(row.url, path),
            tuple(view for view in pinned if view.url.startswith(row.url) and row.url != "/"),
        )
        for row in shown
    ]


def _counts(book: Book, reader: Reader) -> dict[str, int]:
    values = {
        "book": book.pk,
        "most": COUNT_MAX + 1,
        "roles": sorted(reader.roles),
        "person": reader.person_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, values)
        return dict(zip(COUNTED, cursor.fetchone(), strict=True))


def _text(count: int) -> str:
    if count > COUNT_MAX:
        return f"{COUNT_MAX}+"
    return str(count) if count else ""


def _is_current(url: str, path: str) -> bool:
    return path == url if url == "/" else path.startswith(url)
