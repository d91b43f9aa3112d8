"""The forms of the dispute page: what may be typed; the flows check the rest (D9)."""

from __future__ import annotations

from django import forms

from payops.console.forms import SHORT_REASON_MAX, ActForm, line_field, reason_field
from payops.flows.disputes.acts import REFERENCE_MAX
from payops.payments.models import Dispute


class EvidenceSentForm(ActForm):
    name = "evidence-sent"
    reference = line_field(
        "What was sent",
        REFERENCE_MAX,
        "The name or number of the submission at the provider, so that others find it.",
    )


class BearerForm(ActForm):
    name = "bearer"
    borne_by = forms.ChoiceField(
        label="Borne by",
        choices=[
            (Dispute.Bearer.SELLER, "The seller: its share is held until the end"),
            (Dispute.Bearer.PLATFORM, "The platform: an allowance for the whole amount"),
        ],
        help_text="Open until the provider takes the money; then it is booked.",
    )
    reason = line_field("Reason", SHORT_REASON_MAX)


class AcceptLossForm(ActForm):
    name = "accept-loss"
    reason = reason_field(
        help_text="Why it is not worth answering. Others decide; nothing is sent to the provider."
    )
