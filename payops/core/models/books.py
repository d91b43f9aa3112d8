"""Legal entities, their accounts at providers, and the rates they are counted in."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from payops.core.models.columns import history
from payops.core.records import Record

PROTECT = models.PROTECT


class Book(Record):
    """A legal entity with its reporting currency, accounting day and limits."""

    NEVER_DELETED = True

    code = models.SlugField(max_length=32, unique=True)
    name = models.CharField(max_length=120)
    reporting_currency = models.CharField(max_length=3, default="EUR")
    time_zone = models.CharField(max_length=64, default="Europe/Berlin")
    late_event_policy = models.CharField(
        max_length=16,
        default="first_open_day",
        choices=[(p, p) for p in ("first_open_day", "block", "approve")],
    )
    case_storm_cap = models.PositiveIntegerField(default=25)
    case_storm_window_s = models.PositiveIntegerField(default=60)
    protective_hold = models.BooleanField(default=True)
    hold_rollback_allowed = models.BooleanField(default=True)
    typed_confirmation_above_minor = models.BigIntegerField(default=1_000_000)
    bank_detail_cooldown_hours = models.PositiveIntegerField(default=24)
    # How the journal is kept (docs/journal-matrix.md); changed through approval alone.
    authorization_policy = models.CharField(
        max_length=16, default="none", choices=[(p, p) for p in ("none", "memo", "pending")]
    )
    presentation = models.CharField(
        max_length=8, default="net", choices=[(p, p) for p in ("net", "gross")]
    )
    refund_fee_policy = models.CharField(
        max_length=16, default="returned", choices=[(p, p) for p in ("returned", "kept")]
    )
    fiscal_year_start_month = models.PositiveSmallIntegerField(default=1)
    penny_cap_minor = models.BigIntegerField(default=100)
    late_approval_above_minor = models.BigIntegerField(default=5_000_000)
    # The ERP takes nothing dated up to this day any more (ERP-9).
    erp_locked_until = models.DateField(null=True, blank=True)
    # Who granted the latest change of the columns above.
    approval_id = models.CharField(max_length=40, blank=True, default="")
    is_system = models.BooleanField(default=False)

    history = history()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(fiscal_year_start_month__range=(1, 12)), name="book_fiscal_year"
            ),
            models.CheckConstraint(
                condition=Q(penny_cap_minor__gte=0, late_approval_above_minor__gte=0),
                name="book_limits",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProviderAccount(Record):
    """One account at one provider. `slug` is its place in the webhook address."""

    NEVER_DELETED = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    provider = models.CharField(max_length=32)
    slug = models.SlugField(max_length=64)
    live = models.BooleanField(default=False)
    currency = models.CharField(max_length=3, default="EUR")
    settlement_lag_days = models.PositiveIntegerField(default=2)
    payout_lag_days = models.PositiveIntegerField(default=5)
    verify_policy = models.CharField(
        max_length=16,
        default="never",
        choices=[(p, p) for p in ("never", "when_money_moves", "always")],
    )
    # Provider values that are ours by configuration: PayPal's webhook id, Adyen's merchant account.
    settings = models.JSONField(default=dict, blank=True)
    allowlist_mode = models.CharField(
        max_length=8, default="observe", choices=[(m, m) for m in ("off", "observe", "enforce")]
    )
    calls_per_s = models.PositiveSmallIntegerField(default=20)
    listing_every_s = models.PositiveIntegerField(default=900)
    park_deadline_s = models.PositiveIntegerField(default=3600)
    # Who granted the latest change of the columns above.
    approval_id = models.CharField(max_length=40, blank=True, default="")
    cutoff_time = models.TimeField(null=True, blank=True)
    cutoff_time_zone = models.CharField(max_length=64, default="Europe/Berlin")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "slug"], name="provider_account_address")
        ]

    @property
    def address(self) -> str:
        return f"{self.provider}/{self.slug}"

    def __str__(self) -> str:
        return self.address


class Rate(Record):
    """Units of `quote` per one unit of `base`, with source and time. Unknown is never guessed."""

    APPEND_ONLY = True

    base = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    rate = models.DecimalField(max_digits=20, decimal_places=10)
    source = models.CharField(max_length=64)
    as_of = models.DateTimeField()
    approval_id = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["base", "quote", "-as_of"], name="rate_latest")]
        constraints = [models.CheckConstraint(condition=Q(rate__gt=0), name="rate_positive")]
