"""What tests of exports share: entries to export, a mapping people granted, the file of a batch."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any

from approvals.models import ApprovalRequest
from ledger.accounts import ensure_chart
from ledger.models import Export, ExportFile
from payops.core import clock, evidence
from payops.core.models import Book
from payops.flows import export, export_mapping, governance
from payops.flows.export import ExportAsk
from payops.formats.journals.registry import TARGETS
from tests.builders import decide
from tests.ledger.scene import Scene, capture, public_id
from tests.people import actor
from tests.rates import known_rate

MARCH = (date(2026, 3, 1), date(2026, 3, 31))
DAY = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
FIVE = ("EUR", "USD", "GBP", "JPY", "KWD")


def meridian() -> Book:
    book = Book.objects.get(code="meridian")
    ensure_chart(book)
    return book


def posted(book: Book, number: int = 3, *, currency: str = "EUR", gross: int = 10_000) -> Scene:
    """Captures of one seller, one a day from 4 March on."""
    scene = Scene(book, currency=currency)
    if currency != book.reporting_currency:
        known_rate(currency, book.reporting_currency, "0.5", as_of=DAY - timedelta(days=1))
    for place in range(number):
        at = DAY + timedelta(days=place)
        scene.post(
            capture(
                scene,
                public_id("pa"),
                occurred_at=at,
                gross=gross,
                seller_share=gross - gross // 10,
                platform_fee=gross // 10,
            ),
            now=at,
        )
    return scene


def ask(target: str = "netsuite", mode: str = "detailed", **changes: Any) -> ExportAsk:
    said: dict[str, Any] = {"from_on": MARCH[0], "to_on": MARCH[1], "book": meridian(), **changes}
    return ExportAsk(target=target, mode=mode, **said)


def made(target: str = "netsuite", mode: str = "detailed", **changes: Any) -> Export:
    return export.start(ask=ask(target, mode, **changes), actor=actor("priya"), now=clock.utc_now())


def file_of(batch: Export, attempt: int = 1) -> bytes:
    row = ExportFile.objects.select_related("evidence__data_key").get(export=batch, attempt=attempt)
    return evidence.content_of(row.evidence)


def rules_of(target: str, book: Book | None = None, **parts: dict[str, Any]) -> dict[str, Any]:
    """The seeded set with parts changed: settings={"amounts": "reporting"}."""
    rules = copy.deepcopy(export_mapping.seeded(book or meridian(), TARGETS[target]))
    for part, changes in parts.items():
        rules[part] = {**rules[part], **changes}
    return rules


def granted(target: str, rules: dict[str, Any]) -> ApprovalRequest:
    """A mapping set asked for by Marco and put in force by the seats."""
    now = clock.utc_now()
    approval = governance.propose(
        kind="policy_change",
        facts={"policy": f"erp.{target}", "rules": rules},
        title="",
        reason="the chart of the ERP",
        actor=actor("marco"),
        now=now,
    )
    decided(approval)
    return approval


def decided(approval: ApprovalRequest) -> None:
    for username in ("ingrid", "sofia"):
        decide(approval, username)
    approval.refresh_from_db()
    governance.on_decided(approval, clock.utc_now())
