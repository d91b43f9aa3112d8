"""Why the ledger says no: refusals that are final, and those that time can change (D17a).

A final refusal may be stored under its key and is then answered again; a LedgerBusy leaves the
key free, so the same posting can be sent again.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID


class LedgerError(Exception):
    """`key` names the posting of the batch that was refused ("" before one is known)."""

    def __init__(self, words: str, *, key: str = "") -> None:
        super().__init__(f"{key}: {words}" if key else words)
        self.words = words
        self.key = key


class LedgerRefused(LedgerError):
    """Final: the same facts will be refused for ever."""


class Unbalanced(LedgerRefused):
    """Debits and credits differ in a currency, or there are fewer than two lines."""


class UnknownAccount(LedgerRefused):
    """A leg names an account that the book's chart does not have."""


class OutsideMatrix(LedgerRefused):
    """The event class, or an account used for it, has no place in the journal matrix."""


class PartyMissing(LedgerRefused):
    """An account is kept per party and the leg names none."""


class Malformed(LedgerRefused):
    """A text is too long, an amount is zero or too large, a currency is not one."""


class AlreadyReversed(LedgerRefused):
    """An entry is reversed once, and a reversal is never reversed; post anew instead."""


class KeyConflict(LedgerRefused):
    """The key has been answered for other facts."""

    def __init__(self, *, key: str, stored: str, given: str) -> None:
        super().__init__(
            f"the key was used for other facts (fingerprint {stored}, now {given})", key=key
        )
        self.stored = stored
        self.given = given


class LedgerBusy(LedgerError):
    """Not now: nothing was written and the key is free for the retry."""


class PeriodLocked(LedgerBusy):
    """The day lies in a locked period and the book's policy does not place it elsewhere (D12)."""


class LateApprovalNeeded(LedgerBusy):
    """The day lies in a locked period and people have to grant another one first (D12).

    Carries what they are asked about; `amount_minor` is in the book's reporting currency.
    """

    def __init__(
        self,
        words: str,
        *,
        book_id: UUID,
        key: str,
        fingerprint: str,
        event_class: str,
        subject_id: str,
        event_id: str,
        occurred_on: date,
        proposed_on: date,
        amount_minor: int,
        why: str,
    ) -> None:
        super().__init__(words, key=key)
        self.book_id = book_id
        self.fingerprint = fingerprint
        self.event_class = event_class
        self.subject_id = subject_id
        self.event_id = event_id
        self.occurred_on = occurred_on
        self.proposed_on = proposed_on
        self.amount_minor = amount_minor
        self.why = why


class PredecessorMissing(LedgerBusy):
    """The entry that must come first has not been posted, or was reversed (LJ-18)."""


class ImpossibleState(LedgerBusy):
    """An entry that rules this one out stands unreversed for the subject (LJ-18)."""


class RateUnknown(LedgerBusy):
    """No rate to the reporting currency is known for the moment of the event."""


class ApprovalMissing(LedgerBusy):
    """The class is a compensating template and no approval is named (LJ-21)."""


REFUSALS: dict[str, type[LedgerRefused]] = {
    kind.__name__: kind
    for kind in (
        Unbalanced,
        UnknownAccount,
        OutsideMatrix,
        PartyMissing,
        Malformed,
        AlreadyReversed,
    )
}
