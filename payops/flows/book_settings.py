"""How a book is kept: its policies and limits, changed through approval alone (D5, D12).

Owns the table of what can be changed, the check before it is asked for, and what the granted
change does. Entries already posted keep what applied when they were posted. The database lets the
running product change these columns only with the granted request named beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from approvals.models import ApprovalRequest
from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import Book
from payops.core.money import MINOR_MAX
from payops.flows import late_postings
from payops.flows.governed import ChangeRefused

KIND = "book_settings"
SECONDS_MAX, COUNT_MAX = 86_400, 100_000
NEW_ENTRIES = "Applies to new entries only; what is posted stays as it was posted."


class BookChangeRefused(ChangeRefused):
    """The settings cannot be asked for or made so; the text has the numbers."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One column. `kind`: choice money number flag day; `effect` is told to the deciders."""

    column: str
    label: str
    kind: str
    help: str
    choices: tuple[tuple[str, str], ...] = ()
    least: int = 0
    most: int = MINOR_MAX
    effect: str = ""


SETTINGS = (
    Setting(
        "late_event_policy",
        "Events of a locked period",
        "choice",
        "Where an event is booked whose own day is closed.",
        (
            ("first_open_day", "Book on the first open day"),
            ("block", "Block until the period is reopened"),
            ("approve", "People grant the day"),
        ),
        effect="Events that wait are looked at again at once.",
    ),
    Setting(
        "late_approval_above_minor",
        "Late postings need approval above",
        "money",
        "Above this amount, and for a prior fiscal year, people grant the day of a late posting.",
        effect="Events that wait are looked at again at once.",
    ),
    Setting(
        "fiscal_year_start_month",
        "Fiscal year begins in month",
        "number",
        "1 is January. Decides what a prior fiscal year is.",
        least=1,
        most=12,
        effect="Retained earnings and the year so far are computed from the new start, for past "
        "years too; no entry changes.",
    ),
    Setting(
        "authorization_policy",
        "Authorised payments",
        "choice",
        "What an authorisation posts before it is captured.",
        (
            ("none", "No entry"),
            ("memo", "No entry; kept with the payment alone"),
            ("pending", "Memo accounts 9100 and 9200, released by what is captured or expires"),
        ),
        effect=NEW_ENTRIES,
    ),
    Setting(
        "presentation",
        "Presentation of sales",
        "choice",
        "Net as the sellers' agent, or gross as principal; the margin is the same.",
        (("net", "Net: our fee is revenue"), ("gross", "Gross: sales and cost of sales")),
        effect=NEW_ENTRIES,
    ),
    Setting(
        "refund_fee_policy",
        "Our fee when a customer is refunded",
        "choice",
        "Whether the seller gets the fee's share back.",
        (("returned", "Returned in proportion"), ("kept", "Kept")),
        effect=NEW_ENTRIES,
    ),
    Setting(
        "penny_cap_minor",
        "Penny differences, at most",
        "money",
        "A difference with a provider or bank up to this amount may go to account 5950.",
    ),
    Setting(
        "erp_locked_until",
        "ERP locked until",
        "day",
        "The ERP takes nothing dated up to this day any more. Empty: it takes everything.",
    ),
    Setting(
        "protective_hold",
        "Protective hold",
        "flag",
        "Hold a beneficiary at once when a payout fails for bad details or for compliance.",
    ),
    Setting(
        "hold_rollback_allowed",
        "A runbook that fails may release its holds",
        "flag",
        "Otherwise people release them.",
    ),
    Setting(
        "typed_confirmation_above_minor",
        "Typed confirmation above",
        "money",
        "Above this amount a decider types the amount again.",
    ),
    Setting(
        "bank_detail_cooldown_hours",
        "New bank details cool down, hours",
        "number",
        "Nothing is paid to new bank details before.",
        most=24 * 31,
    ),
    Setting(
        "case_storm_cap",
        "Cases of one cause before they are gathered",
        "number",
        "More of them within the window become one systemic case.",
        least=1,
        most=COUNT_MAX,
    ),
    Setting(
        "case_storm_window_s",
        "Window for gathering, seconds",
        "number",
        "Within which cases of one cause are counted.",
        least=1,
        most=SECONDS_MAX,
    ),
)
BY_COLUMN = {setting.column: setting for setting in SETTINGS}


def check(facts: dict[str, Any]) -> dict[str, Any]:
    """The columns that change, each with what it was. Raises BookChangeRefused."""
    book = Book.objects.filter(code=str(facts.get("book", "")), is_system=False).first()
    if book is None:
        raise BookChangeRefused(f"there is no book {str(facts.get('book', ''))[:40]!r}")
    checked: dict[str, Any] = {"book": book.code}
    for setting in SETTINGS:
        if setting.column not in facts:
            continue
        before = plain(getattr(book, setting.column))
        becomes = _read(setting, facts[setting.column])
        if becomes != before:
            checked[setting.column] = becomes
            checked[f"{setting.column}_before"] = before
    if len(checked) == 1:
        raise BookChangeRefused(f"nothing would change for {book.name}")
    return checked


def changed(facts: dict[str, Any]) -> list[Setting]:
    """The settings that a checked request changes, in the order of the table."""
    return [setting for setting in SETTINGS if f"{setting.column}_before" in facts]


def apply(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    facts = approval.facts
    held = Book.objects.select_for_update(no_key=True)
    book = held.get(pk=approval.book_id, code=facts["book"])
    settings = changed(facts)
    for setting in settings:
        value = facts[setting.column]
        is_day = setting.kind == "day" and value is not None
        setattr(book, setting.column, date.fromisoformat(value) if is_day else value)
    book.approval_id = approval.public_id
    book.save(update_fields=[*(setting.column for setting in settings), "approval_id"])
    audit.record(
        [
            audit.event(
                book=book,
                actor=actor,
                action="book.settings_changed",
                subject_id=f"book:{book.code}",
                now=now,
                reason=approval.reason,
                evidence={**facts, "approval_id": approval.public_id},
            )
        ]
    )
    if {"late_event_policy", "late_approval_above_minor"} & facts.keys():
        late_postings.release_all(book=book, actor=actor, now=now)


def plain(value: Any) -> Any:
    """A column's value as facts keep it."""
    return value.isoformat() if isinstance(value, date) else value


def _read(setting: Setting, value: Any) -> Any:
    words = setting.label
    if setting.kind == "choice":
        known = [key for key, _ in setting.choices]
        if value not in known:
            raise BookChangeRefused(
                f"{words}: {str(value)[:40]!r} is not one of {', '.join(known)}"
            )
        return value
    if setting.kind == "flag":
        if not isinstance(value, bool):
            raise BookChangeRefused(f"{words}: {str(value)[:40]!r} is neither yes nor no")
        return value
    if setting.kind == "day":
        return _read_day(words, value)
    if type(value) is not int or not setting.least <= value <= setting.most:
        raise BookChangeRefused(f"{words} {value}: {setting.least} to {setting.most} fit")
    return value


def _read_day(words: str, value: Any) -> str | None:
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(str(plain(value))).isoformat()
    except ValueError as error:
        raise BookChangeRefused(f"{words}: {str(value)[:40]!r} is not a day") from error
