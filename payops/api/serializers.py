"""Shapes of the API: what a request may hold, what an answer holds. The schema is made of them.

Amounts are decimal text in major units with their currency; a number is refused. Answers name
people by id and never hold bank details. Serves D17, AU-8, LJ-13.
"""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from approvals.models import ApprovalRequest
from payops.cases.models import Case
from payops.core.money import Money, MoneyError
from payops.payments.models import Payout

AMOUNT = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$"
CURRENCY = r"^[A-Z]{3}$"
ACCOUNT = r"^[a-z0-9_-]{1,32}/[A-Za-z0-9_-]{1,64}$"


class Text(serializers.CharField):
    """JSON text on one line, without blanks around it; numbers are not turned into text."""

    default_error_messages = {
        "not_text": "write it as text, not as a number or a structure",
        "not_plain": "leave out control characters and blanks at either end",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        if not data.isprintable() or data != data.strip():
            self.fail("not_plain")
        return super().to_internal_value(data)


class PatternText(Text):
    """Text of one form; `must` says the form in words. ASCII alone, unlike \\d of a pattern."""

    def __init__(self, *, pattern: str, must: str, **options: Any) -> None:
        super().__init__(**options)
        self.pattern, self.must = re.compile(pattern, re.ASCII), must

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not self.pattern.fullmatch(text):
            raise ValidationError(self.must)
        return text


@extend_schema_field({"type": "string", "pattern": AMOUNT, "example": "1200.00"})
class AmountText(PatternText):
    pass


@extend_schema_field({"type": "string", "pattern": CURRENCY, "example": "EUR"})
class CurrencyText(PatternText):
    pass


@extend_schema_field({"type": "string", "pattern": ACCOUNT, "example": "stripe/demo"})
class AccountText(PatternText):
    pass


class PayoutRequest(serializers.Serializer):
    """What is asked for; every member is needed and no other is taken."""

    amount = AmountText(
        pattern=AMOUNT, must='write decimal text such as "1200.00", without sign or separators'
    )
    currency = CurrencyText(pattern=CURRENCY, must="write the ISO 4217 code, such as EUR")
    beneficiary = Text(max_length=64, help_text="The seller's reference or its be_ id.")
    account = AccountText(
        pattern=ACCOUNT,
        must="write provider/account, such as stripe/demo",
        help_text="The provider account that pays.",
    )
    merchant_ref = Text(max_length=120, help_text="Your reference of the payout.")
    reason = Text(max_length=1000, help_text="Why it is paid; deciders and auditors read it.")
    on_behalf_of = Text(
        max_length=254,
        help_text="Login or e-mail of the person who asks; that person cannot approve it.",
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if unknown := sorted(set(data) - set(self.fields)):
            raise ValidationError({name: ["there is no such member"] for name in unknown})
        return super().to_internal_value(data)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            fields["money"] = Money.from_decimal(fields["amount"], fields["currency"])
        except MoneyError as error:
            raise ValidationError({"amount": [str(error)]}) from error
        return fields


@extend_schema_field(OpenApiTypes.STR)
class AmountOut(serializers.Field):
    """Decimal text of the row's `amount_minor` in its currency; null where it has no amount."""

    def __init__(self, **options: Any) -> None:
        super().__init__(source="*", read_only=True, **options)

    def to_representation(self, row: Any) -> str | None:
        if row.amount_minor is None:
            return None
        return Money(row.amount_minor, row.currency).decimal_text()


class PayoutAnswer(serializers.Serializer):
    id = serializers.CharField(source="public_id")
    state = serializers.ChoiceField(Payout.State.choices)
    on_hold = serializers.BooleanField(help_text="An open hold covers it or its beneficiary.")
    amount = AmountOut()
    currency = serializers.CharField()
    account = serializers.CharField(source="account.address")
    beneficiary = serializers.CharField(source="beneficiary.public_id")
    merchant_ref = serializers.CharField()
    provider_ref = serializers.CharField()
    requested_by = serializers.UUIDField(source="requested_by_id", help_text="Id of the person.")
    source = serializers.CharField()
    approval_id = serializers.CharField()
    reissue_of = serializers.CharField(source="reissue_of.public_id", allow_null=True, default=None)
    blocked_reason = serializers.CharField()
    failure_code = serializers.CharField()
    expected_on = serializers.DateField(allow_null=True)
    created_at = serializers.DateTimeField()
    initiated_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    failed_at = serializers.DateTimeField(allow_null=True)


class PayoutsAnswer(serializers.Serializer):
    payouts = PayoutAnswer(many=True)
    more = serializers.BooleanField(help_text="There are older ones that are not listed.")


class CaseAnswer(serializers.Serializer):
    id = serializers.CharField(source="public_id")
    state = serializers.ChoiceField(Case.State.choices)
    rule = serializers.CharField()
    period = serializers.CharField()
    subject_id = serializers.CharField()
    amount = AmountOut(allow_null=True)
    currency = serializers.CharField()
    root_cause = serializers.CharField()
    disposition = serializers.CharField()
    priority = serializers.CharField()
    owner = serializers.UUIDField(source="owner_id", allow_null=True, help_text="Id of the person.")
    approval_id = serializers.CharField()
    resolution = serializers.CharField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    resolved_at = serializers.DateTimeField(allow_null=True)


class DecisionAnswer(serializers.Serializer):
    id = serializers.CharField(source="public_id")
    seat = serializers.CharField()
    verdict = serializers.CharField()
    person = serializers.UUIDField(source="person_id", help_text="Id of the person.")
    created_at = serializers.DateTimeField()


class ApprovalAnswer(serializers.Serializer):
    id = serializers.CharField(source="public_id")
    state = serializers.ChoiceField(ApprovalRequest.State.choices)
    kind = serializers.CharField()
    subject_id = serializers.CharField()
    amount = AmountOut(allow_null=True)
    currency = serializers.CharField()
    tier = serializers.CharField()
    rule_fired = serializers.CharField()
    seats = serializers.ListField(child=serializers.CharField())
    content_hash = serializers.CharField()
    requested_by = serializers.UUIDField(source="requested_by_id", help_text="Id of the person.")
    requested_channel = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    executed_at = serializers.DateTimeField(allow_null=True)
    decisions = DecisionAnswer(many=True, source="decisions.all")


class TraceNode(serializers.Serializer):
    kind = serializers.CharField()
    id = serializers.CharField()
    label = serializers.CharField()
    state = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    words = serializers.CharField()
    href_kind = serializers.CharField()
    facts = serializers.DictField(child=serializers.JSONField())


class TraceEdge(serializers.Serializer):
    source = serializers.CharField()
    target = serializers.CharField()
    words = serializers.CharField()


class TraceLine(serializers.Serializer):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    id = serializers.CharField()
    who = serializers.CharField(help_text="A login, a service or the id of a person.")
    words = serializers.CharField()
    answers = serializers.ListField(child=serializers.CharField())


class TraceReply(serializers.Serializer):
    question = serializers.CharField()
    words = serializers.CharField()
    refers_to = serializers.ListField(child=serializers.CharField())


class TraceChoice(serializers.Serializer):
    kind = serializers.CharField()
    id = serializers.CharField()
    label = serializers.CharField()
    how = serializers.CharField()


class TraceAnswer(serializers.Serializer):
    """Either a chain, or `choices` when the text names more than one object."""

    text = serializers.CharField()
    focus = serializers.CharField()
    nodes = TraceNode(many=True)
    edges = TraceEdge(many=True)
    lines = TraceLine(many=True)
    answers = TraceReply(many=True)
    choices = TraceChoice(many=True)
    left_out = serializers.ListField(child=serializers.CharField())


class ProblemFieldAnswer(serializers.Serializer):
    field = serializers.CharField()
    detail = serializers.CharField()


class ProblemAnswer(serializers.Serializer):
    """RFC 9457. The members after `errors` appear with the kinds of problem they belong to."""

    type = serializers.CharField(help_text="urn:payops:problem:<kind>, stable.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = ProblemFieldAnswer(many=True, required=False)
    header = serializers.CharField(required=False)
    stored_fingerprint = serializers.CharField(required=False)
    given_fingerprint = serializers.CharField(required=False)
    case_id = serializers.CharField(required=False)
    refund_id = serializers.CharField(required=False)
    remaining = serializers.CharField(
        required=False, help_text="Of the charge, as decimal text of `currency`."
    )
    currency = serializers.CharField(required=False)
    decision = serializers.DictField(
        child=serializers.JSONField(), required=False, help_text="Every check with its figures."
    )
