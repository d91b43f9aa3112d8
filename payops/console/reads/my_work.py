"""My work: what waits for one person, how old it is and what it is worth (F22, OB-8).

Every number stands for rows behind a link. Worth is told per currency; amounts of different
currencies are never added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, Q, Sum

from approvals import selectors
from approvals.selectors import QueueItem
from payops.cases.models import Case
from payops.cases.rules import CASE_RULES
from payops.console.reads.case_queue import OPEN, overdue, snoozed
from payops.console.templatetags.payops_tags import money_text, span_text
from payops.core import dead
from payops.core.models import AuditEvent, Book, Person
from payops.core.roles import Act, Role
from payops.payments.models import Payout, Refund
from payops.webhooks.models import ProviderEvent

ROWS_MAX = 12
CURRENCIES_MAX = 3
QUEUE_OF_ROLE = "Queue of your role, nobody's yet"
QUEUE_OF_ALL = "Open cases nobody owns"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure as `parts/tile.html` shows it."""

    label: str
    value: str
    detail: str
    href: str
    tone: str = ""


@dataclass(slots=True)
class Work:
    tiles: list[Tile] = field(default_factory=list)
    approvals: list[QueueItem] = field(default_factory=list)
    approvals_more: int = 0
    mine: list[Case] = field(default_factory=list)
    queue: list[Case] = field(default_factory=list)
    queue_title: str = QUEUE_OF_ROLE
    queue_url: str = ""
    asked: list[QueueItem] = field(default_factory=list)
    decides: bool = False
    works: bool = False

    @property
    def empty(self) -> bool:
        return not (self.approvals or self.mine or self.queue or self.asked)


def my_work(
    *, person: Person, roles: frozenset[Role], acts: frozenset[Act], book: Book, now: datetime
) -> Work:
    work = Work(decides=Act.DECIDE in acts, works=Act.WORK_CASE in acts)
    items = selectors.all_open(person, now) if acts else []
    mine = [item for item in items if item.mine.seats]
    work.approvals, work.approvals_more = mine[:ROWS_MAX], max(len(mine) - ROWS_MAX, 0)
    work.asked = [i for i in items if i.request.requested_by_id == person.pk][:ROWS_MAX]
    if work.decides:
        work.tiles.append(_approvals_tile(mine, now))
    if work.works:
        _cases(work, person.pk, roles, book, now)
    _role_tiles(work, acts, book, now)
    if Act.MANAGE_ACCESS in acts:
        access = [i for i in items if i.request.book.is_system]
        oldest = min((i.request.created_at for i in access), default=None)
        said = _old(oldest, now)
        _if_any(work, Tile("Access requests open", str(len(access)), said, "/approvals/?show=all"))
    return work


def _approvals_tile(mine: list[QueueItem], now: datetime) -> Tile:
    oldest = min((item.request.created_at for item in mine), default=None)
    sums: dict[str, int] = defaultdict(int)
    for item in mine:
        if item.request.amount_minor is not None:
            sums[item.request.currency] += item.request.amount_minor
    return Tile(
        "Waiting for your decision",
        str(len(mine)),
        _detail(_old(oldest, now), worth(sums.items())),
        "/approvals/",
        "warn" if mine else "good",
    )


def _cases(work: Work, person_id: UUID, roles: frozenset[Role], book: Book, now: datetime) -> None:
    waiting = Case.objects.filter(OPEN & ~snoozed(now), book=book).select_related("owner", "book")
    rules = [rule.key for rule in CASE_RULES.values() if rule.owner_role in roles]
    mine = waiting.filter(owner_id=person_id)
    queue = waiting.filter(owner=None, rule__in=rules) if rules else waiting.none()
    if Role.OPS_AGENT in roles:  # no rule is an agent's own: they take up whatever lies there
        queue, work.queue_title = waiting.filter(owner=None), QUEUE_OF_ALL
    work.mine = list(mine.order_by("due_at", "pk")[:ROWS_MAX])
    work.queue = list(queue.order_by("due_at", "pk")[:ROWS_MAX])
    work.queue_url = "/cases/?owner=none"
    work.tiles += [
        _cases_tile("Your cases", mine, "/cases/?owner=me", now),
        _cases_tile(work.queue_title, queue, work.queue_url, now),
    ]
    late = waiting.filter(overdue(now))
    _if_any(work, _cases_tile("Overdue, all", late, "/cases/?overdue=1", now, bad=True))


def _cases_tile(label: str, rows: Any, href: str, now: datetime, *, bad: bool = False) -> Tile:
    by_currency = list(
        rows.order_by()
        .values_list("currency")
        .annotate(worth=Sum("amount_minor"), cases=Count("pk"), oldest=Min("created_at"))
    )
    cases = sum(row[2] for row in by_currency)
    oldest = min((row[3] for row in by_currency), default=None)
    sums = [(row[0], row[1]) for row in by_currency if row[0] and row[1]]
    tone = ("bad" if bad else "info") if cases else "good"
    return Tile(label, str(cases), _detail(_old(oldest, now), worth(sums)), href, tone)


def _role_tiles(work: Work, acts: frozenset[Act], book: Book, now: datetime) -> None:
    """What a role watches beside cases: payouts that stand still, dead letters, the trail."""
    if Act.REQUEST_PAYOUT in acts or Act.RELEASE_HOLD in acts:
        still = Payout.objects.filter(book=book).aggregate(
            blocked=Count("pk", filter=Q(state=Payout.State.BLOCKED)),
            unknown=Count("pk", filter=Q(state=Payout.State.UNKNOWN)),
        )
        for state, label, detail in (
            ("blocked", "Payouts blocked", "a gate refused the release"),
            ("unknown", "Payouts with unknown outcome", "verified at the provider before a retry"),
        ):
            count = still[state]
            href = f"/payouts/?state={state.upper()}"
            _if_any(work, Tile(label, str(count), detail, href, "warn"))
    if Act.REQUEST_REFUND in acts or Act.SEND_REFUND in acts:
        _refund_tiles(work, acts, book)
    if Act.REDRIVE_EVENT in acts:
        letters = ProviderEvent.objects.filter(book=book, state=ProviderEvent.State.DEAD)
        count, more = dead.count(letters)
        ordered = letters.order_by("last_failed_at", "pk")
        said = _old(ordered.values_list("first_failed_at", flat=True).first(), now)
        shown = f"{count}+" if more else str(count)
        _if_any(work, Tile("Dead letters", shown, said, "/inbox/dead/", "bad"))
    if Act.VIEW_AUDIT in acts and not work.works and not work.decides:
        last = AuditEvent.objects.order_by("-created_at").values_list("created_at", flat=True)
        newest = last.first()
        said = f"newest {span_text(now - newest)} ago" if newest else ""
        work.tiles.append(Tile("Audit trail", "Open", said, "/audit/", "info"))


def _refund_tiles(work: Work, acts: frozenset[Act], book: Book) -> None:
    """Refunds that stand still until a person looks at them; one statement."""
    by_hand = Q(state=Refund.State.APPROVED, sent_by=None) & (
        Q(send_by_person=True) | Q(offline=True)
    )
    waiting = {
        "decide": Q(state=Refund.State.AWAITING_APPROVAL),
        "send": by_hand,
        "unknown": Q(state=Refund.State.UNKNOWN),
        "owed": Q(obligation=Refund.Obligation.OWED),
    }
    looked_at = [*Refund.UNSENT, Refund.State.UNKNOWN, "FAILED", "FAILED_LATE", "RETURNED"]
    still = Refund.objects.filter(book=book, state__in=looked_at).aggregate(
        **{name: Count("pk", filter=where) for name, where in waiting.items()}
    )
    tiles = [
        ("decide", "Refunds to decide", "put to people by the policy", "info"),
        ("unknown", "Refunds with unknown outcome", "verified before anything is sent", "warn"),
        ("owed", "Refunds still owed", "failed after the customer was promised", "bad"),
    ]
    if Act.SEND_REFUND in acts:
        tiles.insert(1, ("send", "Refunds to send", "granted; a person sends or pays", "warn"))
    for name, label, detail, tone in tiles:
        href = f"/refunds/?todo={name}"
        _if_any(work, Tile(label, str(still[name]), detail, href, tone))


def _if_any(work: Work, tile: Tile) -> None:
    """What somebody only watches is shown while there is something to see."""
    if tile.value != "0":
        work.tiles.append(tile)


def worth(sums: Iterable[tuple[str, int]]) -> str:
    """ "12,400.00 EUR · 80.00 USD", the largest number of digits first."""
    found = sorted(((m, c) for c, m in sums if m), reverse=True)
    words = [money_text(minor, currency) for minor, currency in found[:CURRENCIES_MAX]]
    if len(found) > CURRENCIES_MAX:
        words.append(f"{len(found) - CURRENCIES_MAX} more currencies")
    return " · ".join(words)


def _old(oldest: datetime | None, now: datetime) -> str:
    return f"oldest {span_text(now - oldest)}" if oldest else ""


def _detail(*parts: str) -> str:
    return " · ".join(part for part in parts if part) or "Nothing waits here."
