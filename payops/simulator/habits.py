"""What the payouts of each provider have of their own: event names, failures, what may be canceled.

A table that lifecycle.py reads; no rule lives here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from payops.simulator import adyen_objects, paypal_objects
from payops.simulator.config import ADYEN, PAYPAL, STANDARD, STRIPE

FAILED, REVERSED = "failed", "reversed"


@dataclass(frozen=True)
class Habits:
    """One provider: act -> event type (None tells nothing), failure event -> (status, wire)."""

    created: str
    sent: str | None
    paid: str
    reversed: str
    canceled: str
    # The events a failure can be told by, the usual one first: what the payout becomes, and the
    # provider's own word for it when that is not the usual one.
    failures: Mapping[str, tuple[str, str | None]]
    codes: Mapping[str, str] = field(default_factory=dict)
    cancelable: tuple[str, ...] = ("pending",)
    # Whether the money of a payout that was paid returns with a later failure, or by a reversal.
    late_failure_returns_money: bool = True

    def failure_type(self, event: str) -> str:
        """The event type a failure is told under."""
        return self.reversed if event in ("failed", "refused", "returned") else event

    def code(self, code: str) -> str:
        """A failure code in this provider's words."""
        return self.codes.get(code, code)


_ITEM = paypal_objects.ITEM
HABITS: Mapping[str, Habits] = {
    STRIPE: Habits(
        created="payout.created",
        sent="payout.updated",
        paid="payout.paid",
        reversed="payout.updated",
        canceled="payout.canceled",
        failures={"payout.failed": (FAILED, None)},
    ),
    ADYEN: Habits(
        created=adyen_objects.TRANSFER_CREATED,
        sent=adyen_objects.TRANSFER_UPDATED,
        paid=adyen_objects.TRANSFER_UPDATED,
        reversed=adyen_objects.TRANSFER_UPDATED,
        canceled=adyen_objects.TRANSFER_UPDATED,
        failures={
            "failed": (FAILED, None),
            "refused": (FAILED, "refused"),
            "returned": (REVERSED, None),
        },
        codes=adyen_objects.REASONS,
    ),
    PAYPAL: Habits(
        created=f"{paypal_objects.BATCH}PROCESSING",
        sent=None,
        paid=f"{_ITEM}SUCCEEDED",
        reversed=f"{_ITEM}RETURNED",
        canceled=f"{_ITEM}CANCELED",
        failures={
            f"{_ITEM}FAILED": (FAILED, None),
            f"{_ITEM}BLOCKED": (FAILED, "BLOCKED"),
            f"{_ITEM}RETURNED": (REVERSED, None),
            f"{_ITEM}REFUNDED": (REVERSED, "REFUNDED"),
        },
        codes=paypal_objects.ERRORS,
        cancelable=("unclaimed",),
    ),
    STANDARD: Habits(
        created="payout.created",
        sent=None,
        paid="payout.paid",
        reversed="payout.reversed",
        canceled="payout.canceled",
        failures={"payout.failed": (FAILED, None), "settlementFailed": (FAILED, None)},
        late_failure_returns_money=False,
    ),
}
