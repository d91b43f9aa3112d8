"""The refunds as a queue: tabs by what is to be done, with counts, and the filters over them.

The counts come from one statement over the state index and stop at COUNT_MAX. Reads only. Serves
RF-1, OB-8, F16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Q, QuerySet

from payops.console import refund_wording, wording
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, amount_within, choices, days_within
from payops.console.reads.payouts import account_q, accounts_of, key_of
from payops.core.models import Book
from payops.payments.models import Refund

State = Refund.State
BAD = (State.FAILED, State.FAILED_LATE, State.RETURNED)
COUNT_MAX = 99
# Filters behind "More filters".
MORE = ("reason", "min", "max", "from", "to")
OPEN_PROMISE = ("", Refund.Obligation.OWED)

CSV: Columns = (
    ("id", "public_id"),
    ("payment", "payment.public_id"),
    ("payment_ref", "payment.merchant_ref"),
    ("state", "state"),
    ("obligation", "obligation"),
    ("amount", "amount"),
    ("currency", "currency"),
    ("reason_code", "reason_code"),
    ("source", "source"),
    ("ticket_system", "ticket_system"),
    ("ticket_ref", "ticket_ref"),
    ("provider", "account.provider"),
    ("account", "account.slug"),
    ("provider_ref", "provider_ref"),
    ("offline", lambda refund: "yes" if refund.offline else "no"),
    ("goodwill", lambda refund: "yes" if refund.goodwill else "no"),
    ("ruleset", "ruleset"),
    ("requested_by", lambda refund: refund.requested_by.name if refund.requested_by else ""),
    ("requested_at", "created_at"),
    ("dispatched_at", "dispatched_at"),
    ("accepted_at", "accepted_at"),
    ("succeeded_at", "succeeded_at"),
    ("failed_at", "failed_at"),
    ("failure_code", "failure_code"),
)


@dataclass(frozen=True, slots=True)
class Tab:
    """`key` is the value of `todo` in the address, "" for all; `empty`: what will stand here."""

    key: str
    label: str
    rows: Q
    empty: str = ""


TABS = (
    Tab("", "All", Q(), "Refunds appear here as soon as somebody asks for one, through any door."),
    Tab(
        "decide",
        "Needs a decision",
        Q(state=State.AWAITING_APPROVAL),
        "A refund that the policy does not grant by itself waits here for its approval.",
    ),
    Tab(
        "send",
        "To be sent",
        Q(state=State.APPROVED),
        "A granted refund stands here until it has left or was paid by hand.",
    ),
    Tab(
        "unknown",
        "Unknown",
        Q(state__in=[State.UNKNOWN, State.DISPATCHING]),
        "A refund whose answer is awaited or lost stands here until the provider was asked.",
    ),
    Tab(
        "ledger",
        "Ledger pending",
        Q(state=State.LEDGER_PENDING),
        "A refund that the provider has and the journal refused stands here.",
    ),
    Tab(
        "owed",
        "Failed or owed",
        Q(state__in=BAD, obligation__in=OPEN_PROMISE),
        "A refund that did not reach the customer stands here until its promise has ended.",
    ),
)
# One statement; every part stops counting at its limit and uses the index by state.
COUNT = """(SELECT count(*) FROM (SELECT 1 FROM payments_refund
  WHERE book_id = %(book)s AND {} LIMIT %(most)s) c)"""
COUNTED = {
    "decide": "state = 'AWAITING_APPROVAL'",
    "send": "state = 'APPROVED'",
    "unknown": "state IN ('UNKNOWN', 'DISPATCHING')",
    "ledger": "state = 'LEDGER_PENDING'",
    "owed": "state IN ('FAILED', 'FAILED_LATE', 'RETURNED') AND obligation IN ('', 'owed')",
}
COUNTS = "SELECT " + ", ".join(COUNT.format(where) for where in COUNTED.values())


@dataclass(frozen=True, slots=True)
class TabLink:
    """`count` is text: "" when nothing stands there, and for all of them."""

    label: str
    url: str
    count: str
    current: bool


def controls(book: Book) -> list[Control]:
    states = [(value, wording.state(value)) for value in State.values]
    doors = [(value, refund_wording.SOURCES[value]) for value in Refund.Source.values]
    return [
        Control("todo", "To do", "hidden"),
        Control("q", "Reference", placeholder="Refund, charge, ticket"),
        Control("state", "State", "select", choices(states)),
        Control("source", "Asked through", "select", choices(doors)),
        Control("provider", "Provider", "select", choices(accounts_of(book))),
        Control("reason", "Reason", placeholder="Begins with"),
        Control("min", "Amount from", "amount", placeholder="0.00"),
        Control("max", "Amount to", "amount"),
        Control("from", "Asked from", "date"),
        Control("to", "Asked to", "date"),
    ]


def tab_of(wanted: Filters) -> Tab:
    """The tab asked for; an unknown one is all of them."""
    return next((tab for tab in TABS if tab.key == wanted["todo"]), TABS[0])


def is_narrowed(wanted: Filters) -> bool:
    """A filter beside the tab is set."""
    return any(control.value for control in wanted if control.name != "todo")


def unknown_tab(wanted: Filters) -> str:
    return "" if wanted["todo"] in {tab.key for tab in TABS} else wanted["todo"]


def listed(book: Book, wanted: Filters) -> QuerySet[Refund]:
    rows = Refund.objects.filter(tab_of(wanted).rows, book=book)
    rows = rows.select_related("payment", "account", "requested_by", "book")
    for name in ("state", "source"):
        if wanted[name]:
            rows = rows.filter(**{name: wanted[name]})
    rows = rows.filter(account_q(wanted["provider"]))
    if wanted["reason"]:
        rows = rows.filter(reason_code__istartswith=wanted["reason"].replace(" ", "_"))
    rows = rows.filter(amount_within("amount_minor", wanted.amount("min"), wanted.amount("max")))
    days = days_within("created_at", wanted.day("from"), wanted.day("to"), time_zone=book.time_zone)
    rows = rows.filter(**days)
    return rows.filter(reference_q(wanted["q"])) if wanted["q"] else rows


def reference_q(text: str) -> Q:
    """Our ids; the beginning of the charge's reference; a ticket or a provider's reference."""
    for prefix, column in (("rf", "pk"), ("pa", "payment"), ("ap", "")):
        key = key_of(prefix, text)
        if key is not None:
            return Q(**{column: key}) if column else Q(approval_id=text)
    return (
        Q(payment__merchant_ref__istartswith=text)
        | Q(provider_ref__startswith=text)
        | Q(ticket_ref__istartswith=text)
    )


def counts(book: Book) -> dict[str, int]:
    """What stands behind each tab, up to COUNT_MAX + 1 of each."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"book": book.pk, "most": COUNT_MAX + 1})
        return dict(zip(COUNTED, cursor.fetchone(), strict=True))


def tabs(book: Book, wanted: Filters, query: Mapping[str, str]) -> list[TabLink]:
    """The filters stay when a tab is changed; cursors do not."""
    found, here = counts(book), tab_of(wanted).key
    kept = {n: v for n, v in query.items() if v and n not in ("todo", "after", "before", "format")}
    return [
        TabLink(
            tab.label,
            f"?{urlencode({**kept, **({'todo': tab.key} if tab.key else {})})}",
            count_text(found.get(tab.key, 0)),
            tab.key == here,
        )
        for tab in TABS
    ]


def count_text(count: int) -> str:
    if count > COUNT_MAX:
        return f"{COUNT_MAX}+"
    return str(count) if count else ""


@dataclass(frozen=True, slots=True)
class Row:
    """One refund of the list with whose turn it is."""

    refund: Refund
    door: str
    turn: str
    reason: str


def row_of(refund: Refund) -> Row:
    return Row(
        refund,
        refund_wording.door(refund),
        refund_wording.turn(refund, ()),
        wording.value(refund.reason_code).capitalize(),
    )
