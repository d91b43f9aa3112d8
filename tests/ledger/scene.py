"""A seller, an account and the postings of their story; every test of the ledger starts here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from ledger import selectors
from ledger.accounts import ensure_chart
from ledger.matrix import legs
from ledger.models import JournalEntry
from ledger.posting import Outcome, Posting, Refs, post_many
from payops.core import ids
from payops.core.actors import Actor, service
from payops.core.models import Book
from tests import periods
from tests.rates import known_rate

NOW = datetime(2026, 3, 18, 10, 0, tzinfo=UTC)
LEDGER = service("ledger-tests")
PSP = "stripe/demo"
# The provider took a capture back: a reversal that needs nobody's request.
CAPTURE_FAILED = "payment.capture_failed"
OTHER_PSP = "adyen/demo"
BANK = "main-account"


def public_id(prefix: str) -> str:
    return ids.render(prefix, ids.uuid7())


def make_book(**changes: Any) -> Book:
    """A book of its own, so that no seeded rate, period or entry plays a part."""
    code = f"t{ids.uuid7().hex[-12:]}"
    book = Book.objects.create(**{"code": code, "name": "Test book", **changes})
    ensure_chart(book)
    return book


@dataclass(frozen=True)
class Scene:
    book: Book
    seller: str = field(default_factory=lambda: public_id("be"))
    currency: str = "EUR"
    dispute: str = field(default_factory=lambda: public_id("dp"))

    @property
    def parties(self) -> dict[str, str]:
        return {
            "seller": self.seller,
            "provider_account": PSP,
            "to_provider_account": OTHER_PSP,
            "bank_account": BANK,
            "dispute": self.dispute,
        }

    def posting(
        self,
        event_class: str,
        subject_id: str,
        *,
        variant: str = "",
        movement_ref: str = "mv_1",
        occurred_at: datetime = NOW,
        refs: Refs | None = None,
        currency: str = "",
        **amounts: int,
    ) -> Posting:
        template = (
            "payout exception v1" if event_class in ("payout.failed", "payout.returned") else ""
        )
        approval = "ap_" + "0" * 32 if template else ""
        return Posting(
            book=self.book,
            event_class=event_class,
            subject_id=subject_id,
            movement_ref=movement_ref,
            legs=legs(
                event_class,
                variant=variant,
                amounts=amounts,
                currency=currency or self.currency,
                parties=self.parties,
            ),
            occurred_at=occurred_at,
            description=event_class,
            template=template,
            refs=refs or Refs(approval_id=approval),
        )

    def post(self, *postings: Posting, now: datetime = NOW) -> list[Outcome]:
        with transaction.atomic():
            return post_many(postings, actor=LEDGER, now=now)

    def balances(self) -> dict[str, int]:
        """Account → balance, all parties and currencies together; nil accounts left out."""
        sums: dict[str, int] = {}
        for row in selectors.trial_balance(book=self.book):
            sums[row.account] = sums.get(row.account, 0) + row.balance_minor
        return {code: balance for code, balance in sums.items() if balance}

    def entries(self) -> int:
        return JournalEntry.objects.filter(book=self.book).count()


def rate(base: str, quote: str, value: str, *, as_of: datetime = NOW) -> None:
    """A rate of the test's own moment; the seeded ones are of another day."""
    known_rate(base, quote, value, as_of=as_of)


def lock_period(book: Book, code: str, *, actor: Actor = LEDGER, now: datetime = NOW) -> None:
    periods.lock(book, code, by=actor, now=now)


def capture(scene: Scene, subject_id: str, **changes: Any) -> Posting:
    """100.00 captured, 90.00 for the seller, 10.00 for us, unless told otherwise."""
    amounts = {"gross": 10_000, "seller_share": 9_000, "platform_fee": 1_000}
    return scene.posting("payment.captured", subject_id, **{**amounts, **changes})


def refused(kind: type[Exception], act: Callable[[], Any]) -> Any:
    """Run `act`; answer the exception of exactly this kind."""
    try:
        act()
    except kind as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}"
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
