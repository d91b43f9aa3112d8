"""Shapes of refunds in the API: what a request may hold, what an answer holds (RF-1, RF-11).

Amounts are decimal text with their currency, or the word "all". Answers name people by id, and
hold every check of the decision with its figures.
"""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from payops.api.serializers import (
    ACCOUNT,
    AMOUNT,
    CURRENCY,
    AccountText,
    AmountOut,
    CurrencyText,
    PatternText,
    Text,
)
from payops.core.money import Money, MoneyError
from payops.payments.models import Refund, RefundDecision

ALL = "all"
EVIDENCE_FIELDS_MAX = 24
EVIDENCE_CHARS_MAX = 400
EVIDENCE_NAME = re.compile(r"[a-z0-9_]{1,48}", re.ASCII)


@extend_schema_field(
    {"oneOf": [{"type": "string", "pattern": AMOUNT}, {"enum": [ALL]}], "example": "30.00"}
)
class AmountOrAll(PatternText):
    pass


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": EVIDENCE_CHARS_MAX},
        "maxProperties": EVIDENCE_FIELDS_MAX,
        "example": {"return_tracking": "1Z999AA10123456784"},
    }
)
class EvidenceIn(serializers.Field):
    """Named fields, each one line of text; the policy says which a reason needs."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if type(data) is not dict or len(data) > EVIDENCE_FIELDS_MAX:
            raise ValidationError(f"write an object of at most {EVIDENCE_FIELDS_MAX} members")
        for name, value in data.items():
            if not EVIDENCE_NAME.fullmatch(name):
                raise ValidationError("members are named as return_tracking is")
            plain = isinstance(value, str) and value.isprintable() and value.strip() == value
            if not plain or not 0 < len(value) <= EVIDENCE_CHARS_MAX:
                raise ValidationError(
                    f"{name} is one line of 1 to {EVIDENCE_CHARS_MAX} characters, as text"
                )
        return dict(data)

    def to_representation(self, value: Any) -> Any:
        return value


class RefundRequest(serializers.Serializer):
    """What is asked for. No other member is taken."""

    payment = Text(
        max_length=255,
        help_text="The charge: our pa_ id, the provider's reference or your merchant reference.",
    )
    account = AccountText(
        pattern=ACCOUNT,
        must="write provider/account, such as stripe/demo",
        required=False,
        help_text="The provider account of the charge. Needed where references of several meet.",
    )
    amount = AmountOrAll(
        pattern=rf"{AMOUNT}|^{ALL}$",
        must='write decimal text such as "30.00", or "all" for all that is left',
    )
    currency = CurrencyText(
        pattern=CURRENCY,
        must="write the ISO 4217 code, such as EUR",
        required=False,
        help_text='Of the charge. Only with "all" it may be left out.',
    )
    reason_code = Text(max_length=48, help_text="A reason of the refund policy.")
    note = Text(
        max_length=400,
        required=False,
        default="",
        allow_blank=True,
        help_text="Why, in words; deciders and auditors read it.",
    )
    evidence = EvidenceIn(required=False, default=dict)
    request_id = Text(
        max_length=120,
        required=False,
        help_text="Your own id of this refund. Told again under any Idempotency-Key, it is the "
        "same refund.",
    )
    on_behalf_of = Text(
        max_length=254,
        help_text="Login or e-mail of the person who asks; that person cannot approve it.",
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if unknown := sorted(set(data) - set(self.fields)):
            raise ValidationError({name: ["there is no such member"] for name in unknown})
        return super().to_internal_value(data)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields["money"] = money_of(fields["amount"], fields.get("currency", ""))
        return fields


def money_of(amount: str, currency: str) -> Money | None:
    """None stands for all that is left. Raises ValidationError."""
    if amount == ALL:
        return None
    if not currency:
        raise ValidationError({"currency": ["an amount needs its currency"]})
    try:
        money = Money.from_decimal(amount, currency)
    except MoneyError as error:
        raise ValidationError({"amount": [str(error)]}) from error
    if money.minor <= 0:
        raise ValidationError({"amount": ["a refund gives back more than nothing"]})
    return money


class CheckAnswer(serializers.Serializer):
    """One thing that was looked at; figures are whole minor units and counts."""

    check = serializers.CharField()
    passed = serializers.BooleanField()
    words = serializers.CharField()
    figures = serializers.DictField(child=serializers.JSONField())


class DecisionOfRefund(serializers.Serializer):
    verdict = serializers.ChoiceField(RefundDecision.Verdict.choices)
    ruleset = serializers.CharField(help_text="The policy and its version.")
    words = serializers.CharField()
    checks = CheckAnswer(many=True)
    decided_at = serializers.DateTimeField(source="created_at")


class ChargeAnswer(serializers.Serializer):
    """The charge as it stands now; `remaining` is what no refund has taken or reserved."""

    id = serializers.CharField(source="public_id")
    captured = serializers.CharField()
    reserved = serializers.CharField()
    refunded = serializers.CharField()
    remaining = serializers.CharField()
    currency = serializers.CharField()


class RefundAnswer(serializers.Serializer):
    id = serializers.CharField(source="public_id")
    state = serializers.ChoiceField(Refund.State.choices)
    amount = AmountOut()
    currency = serializers.CharField()
    payment = ChargeAnswer(source="charge")
    account = serializers.CharField(source="account.address")
    source = serializers.CharField()
    reason_code = serializers.CharField()
    note = serializers.CharField()
    evidence = serializers.DictField(child=serializers.CharField())
    requested_by = serializers.UUIDField(
        source="requested_by_id", allow_null=True, help_text="Id of the person; null: the provider."
    )
    decision = DecisionOfRefund(allow_null=True, help_text="Why it was decided as it was.")
    approval_id = serializers.CharField()
    refusal = serializers.CharField()
    ticket = serializers.CharField(source="ticket_ref")
    retry_of = serializers.CharField(source="retry_of.public_id", allow_null=True, default=None)
    promise_id = serializers.CharField(help_text="The first refund of this promise.")
    obligation = serializers.ChoiceField(Refund.Obligation.choices)
    provider_ref = serializers.CharField()
    failure_code = serializers.CharField()
    created_at = serializers.DateTimeField()
    dispatched_at = serializers.DateTimeField(allow_null=True)
    accepted_at = serializers.DateTimeField(allow_null=True)
    succeeded_at = serializers.DateTimeField(allow_null=True)
    failed_at = serializers.DateTimeField(allow_null=True)
    money_back_at = serializers.DateTimeField(allow_null=True)


class RefundsAnswer(serializers.Serializer):
    refunds = RefundAnswer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="Send it as `after` for older ones; null at the end."
    )


class RefundableAnswer(serializers.Serializer):
    """What would come of a request now; nothing is kept and nothing reserved."""

    payment = ChargeAnswer()
    amount = serializers.CharField(help_text="What was looked at.")
    verdict = serializers.ChoiceField(RefundDecision.Verdict.choices)
    words = serializers.CharField()
    checks = CheckAnswer(many=True)
