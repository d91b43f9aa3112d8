"""Shapes of the entries that systems post and read (LJ-13, LJ-16, D17).

Amounts are decimal text in major units by the measures of the journal matrix; a number is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from ledger.checks import TEXT_MAX
from ledger.facts import REF_NAMES
from ledger.models import JournalEntry, JournalLine
from payops.api.serializers import AMOUNT, CURRENCY, AmountText, CurrencyText, PatternText, Text
from payops.core import clock
from payops.core.money import Money

EVENT_CLASS = r"^[a-z][a-z0-9_.]{0,47}$"
VARIANT = r"^[a-z][a-z0-9_]{0,47}$"
SUBJECT = r"^[A-Za-z0-9][A-Za-z0-9._:/#-]{0,63}$"
MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)
MEMBERS_MAX = 12
MOVEMENT_MAX = 120
SENT_REFS = (
    "payment_id",
    "payout_id",
    "refund_id",
    "dispute_id",
    "bank_line_id",
    "provider_transaction_id",
    "psp_reference",
    "merchant_reference",
    "settlement_batch_id",
)


@extend_schema_field(
    {"type": "string", "format": "date-time", "example": "2026-03-18T10:00:00+01:00"}
)
class MomentText(PatternText):
    """A moment with its offset; without one it could be read as two."""

    def __init__(self, **options: Any) -> None:
        must = "write the moment with its offset, such as 2026-03-18T10:00:00+01:00"
        super().__init__(pattern=MOMENT, must=must, **options)

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValidationError(self.must) from error
        if not 1990 <= moment.year <= 2200:
            raise ValidationError("the year lies between 1990 and 2200")
        return moment


class KnownMembers(serializers.Serializer):
    """Takes the members it names and refuses every other."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise ValidationError({"": ["write a JSON object"]})
        if unknown := sorted(set(data) - set(self.fields)):
            raise ValidationError({name: ["there is no such member"] for name in unknown})
        return super().to_internal_value(data)


class EntryRefs(KnownMembers):
    """Trace keys the system knows; the others are added here (LJ-16)."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {
            name: Text(max_length=TEXT_MAX[name], required=False, default="") for name in SENT_REFS
        }


class EntryRequest(KnownMembers):
    """An event with its amounts by measure; the journal matrix makes the lines."""

    event_class = PatternText(
        pattern=EVENT_CLASS,
        must="write the class as the journal matrix names it, such as fee.charged",
        help_text="A class that systems may post; see the how-to.",
    )
    variant = PatternText(
        pattern=VARIANT,
        must="write the variant as the journal matrix names it",
        required=False,
        default="",
        help_text="Left out: the usual way to post the class.",
    )
    subject_id = PatternText(
        pattern=SUBJECT,
        must="letters, digits and . _ : / # - fit, 64 at most",
        help_text="What the event is about: an id of ours, or your own.",
    )
    movement_ref = Text(
        max_length=MOVEMENT_MAX,
        help_text="Id of the movement of money, never of the message: with book, class and "
        "subject it is the posting key.",
    )
    currency = CurrencyText(pattern=CURRENCY, must="write the ISO 4217 code, such as EUR")
    amounts = serializers.DictField(
        child=AmountText(
            pattern=AMOUNT, must='write decimal text such as "1200.00", without sign or separators'
        ),
        allow_empty=False,
        help_text="By measure of the matrix row, in major units; a measure left out is nil.",
    )
    parties = serializers.DictField(
        child=Text(max_length=120),
        required=False,
        default=dict,
        help_text='By kind, such as {"provider_account": "stripe/demo", "seller": "S-1001"}.',
    )
    occurred_at = MomentText(help_text="When it happened; kept beside the day it is posted on.")
    description = Text(max_length=TEXT_MAX["description"])
    refs = EntryRefs(required=False, default=dict)
    on_behalf_of = Text(
        max_length=254,
        help_text="Login or e-mail of the finance person who answers for the interface.",
    )

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        for name in ("amounts", "parties"):
            if len(fields[name]) > MEMBERS_MAX:
                words = f"{len(fields[name])} members; at most {MEMBERS_MAX} fit"
                raise ValidationError({name: [words]})
        return fields


class LineAnswer(serializers.Serializer):
    account = serializers.CharField(source="account.code")
    account_name = serializers.CharField(source="account.name")
    party = serializers.CharField()
    currency = serializers.CharField()
    debit = serializers.SerializerMethodField()
    credit = serializers.SerializerMethodField()
    reporting = serializers.SerializerMethodField(
        help_text="In the book's reporting currency; credits are negative."
    )
    cash_flow_tag = serializers.CharField()

    def get_debit(self, line: JournalLine) -> str:
        return Money(max(line.amount_minor, 0), line.currency).decimal_text()

    def get_credit(self, line: JournalLine) -> str:
        return Money(max(-line.amount_minor, 0), line.currency).decimal_text()

    def get_reporting(self, line: JournalLine) -> str:
        book = line.entry.book
        return Money(line.reporting_minor, book.reporting_currency).decimal_text()


class EntryAnswer(serializers.Serializer):
    id = serializers.CharField(source="public_id")
    event_class = serializers.CharField()
    matrix_version = serializers.IntegerField()
    subject_id = serializers.CharField()
    movement_ref = serializers.CharField()
    posting_key = serializers.CharField(source="idempotency_key")
    fingerprint = serializers.CharField()
    description = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    posting_on = serializers.DateField()
    period = serializers.CharField(source="period.code")
    late = serializers.SerializerMethodField(help_text="Posted on a later day than it happened.")
    reporting_currency = serializers.CharField(source="book.reporting_currency")
    lines = LineAnswer(many=True, source="lines.all")
    refs = serializers.SerializerMethodField()
    reverses = serializers.CharField(source="reverses.public_id", allow_null=True, default=None)
    reversed_by = serializers.CharField(
        source="reversed_by.public_id", allow_null=True, default=None
    )
    posted_by = serializers.CharField()
    created_at = serializers.DateTimeField()

    def get_late(self, entry: JournalEntry) -> bool:
        day = clock.business_day(entry.occurred_at, time_zone=entry.book.time_zone)
        return entry.posting_on > day

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_refs(self, entry: JournalEntry) -> dict[str, str]:
        """The trace keys that have a value."""
        named = {name: str(getattr(entry, name)) for name in REF_NAMES}
        return {name: value for name, value in named.items() if value}


class PostedAnswer(EntryAnswer):
    """The entry as it was when it was posted."""

    replayed = serializers.BooleanField(
        help_text="The posting key held this entry before; nothing was posted."
    )
    requested_by = serializers.CharField(help_text="Id of the person it was posted on behalf of.")


def problems_of(errors: Any, place: str = "") -> dict[str, list[str]]:
    """Errors of nested members by their path, such as refs.payment_id."""
    if isinstance(errors, Mapping):
        found: dict[str, list[str]] = {}
        for name, inner in errors.items():
            path = ".".join(part for part in (place, str(name)) if part)
            found |= problems_of(inner, path)
        return found
    return {place: [str(words) for words in errors]}
