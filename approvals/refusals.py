"""Why an approval step was refused: one named exception per rule, with the numbers in its words.

Every text says which rule, on which numbers, and what to do next; screens show it as it is.
"""

from __future__ import annotations

from typing import Any


class ApprovalRefused(Exception):
    """Nothing was decided. `rule` is a stable key, `numbers` the facts the rule looked at."""

    rule = "refused"

    def __init__(self, words: str, **numbers: Any) -> None:
        super().__init__(words)
        self.words = words
        self.numbers = numbers


class NotYourDecision(ApprovalRefused):
    """No role of this person counts for a seat of the request (AP-1, SE-4)."""

    rule = "seat_needed"


class RequesterBarred(NotYourDecision):
    """Whoever asked never decides, through whichever login (D5)."""

    rule = "requester_barred"


class PersonBarred(NotYourDecision):
    """The request names this person as barred, or the person is excluded from deciding (F24)."""

    rule = "person_barred"


class SecondDecision(ApprovalRefused):
    """One person decides once on a request and fills one seat (AP-4)."""

    rule = "one_decision_per_person"


class SeatTaken(ApprovalRefused):
    """Every seat this person could fill is filled already (F25)."""

    rule = "seat_taken"


class SeatChoiceNeeded(ApprovalRefused):
    """The person could fill more than one open seat and has to choose (F22)."""

    rule = "seat_choice"


class StepUpNeeded(ApprovalRefused):
    """The password was not confirmed within the last minutes (SE-3)."""

    rule = "step_up"


class ReasonNeeded(ApprovalRefused):
    """A request, decision or undo without a reason (AP-3, AP-5)."""

    rule = "reason_needed"


class ContentChanged(ApprovalRefused):
    """What was shown, what was asked and what is stored are not the same content (D6)."""

    rule = "content_changed"


class TypedConfirmationNeeded(ApprovalRefused):
    """The amount above the book's limit was not typed as shown (F7)."""

    rule = "typed_confirmation"


class RequestClosed(ApprovalRefused):
    """The request is not open any more: decided, expired, void or withdrawn."""

    rule = "request_closed"


class NotYourRequest(ApprovalRefused):
    """Only the requester withdraws; only the requester or a decider undoes (F9)."""

    rule = "not_yours"


class NotApproved(ApprovalRefused):
    """Execution without a granted approval (AP-10)."""

    rule = "not_approved"


class AlreadyExecuted(ApprovalRefused):
    """The approved act has begun; it is corrected by a new request, never undone."""

    rule = "already_executed"


class PendingDiffers(ApprovalRefused):
    """An open request for the subject asks for something else, or was asked by somebody else."""

    rule = "pending_differs"


class PolicyMissing(ApprovalRefused):
    """The book has no active policy for this kind of request."""

    rule = "policy_missing"
