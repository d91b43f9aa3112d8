"""The steps of a refund under one piece of news, along its allowed transitions (D8, F3, F31).

Gives one change after the other and writes none: `outcome` writes those of many refunds together.
The caller holds the locks of payment and refund. Serves RF-7, RF-13, RF-16.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from payops.core.state import Change
from payops.flows.refunds import entries as refund_entries
from payops.flows.refunds.news import (
    CANCELED,
    CANCELED_CODE,
    FAILURES,
    LEFT,
    NO_CODE,
    RETURNED,
    SUCCEEDED,
    Told,
)
from payops.payments import refundable
from payops.payments.models import Refund

State = Refund.State
SENT = (State.DISPATCHING, State.UNKNOWN)


class Steps:
    """One piece of news worked into a refund along its allowed transitions.

    `take` gives one change after the other, each to be written before the next is asked for.
    """

    def __init__(self, refund: Refund, told: Told, *, trace_id: str) -> None:
        self.refund, self.told, self.trace_id = refund, told, trace_id
        self.was_owed, self.waited = bool(refund.obligation), refund.state in SENT
        self.pending = refund.state == State.LEDGER_PENDING
        # What was new; empty when nothing was.
        self.words: list[str] = []
        self._unsaved = False

    def take(self, others: Sequence[Refund] | None) -> Iterator[Change]:
        """`others`: the refunds beside one that waited, where they are read already."""
        refund, reached = self.refund, self.told.reached
        if self.pending:
            yield from self._take_while_pending()
            return
        if refund.state in SENT:
            yield self._accept(others)
        self._learn_references()
        if reached & LEFT and refund.succeeded_at is None:
            yield from self._leave()
        if reached & FAILURES:
            yield from self._fail()
        if refund.state == State.FAILED and refund.succeeded_at is not None:
            yield self._turn_late()
        if refund.money_back_at is None and self._is_back():
            yield self._come_back()
        if self._unsaved:
            yield self._change("refund.references_learned", "")

    def _take_while_pending(self) -> Iterator[Change]:
        refund, told = self.refund, self.told
        assert not told.fails, "a failure waits until the journal has the acceptance"
        if SUCCEEDED in told.reached and refund.succeeded_at is None:
            refund.succeeded_at = told.at
            refund.heading_for = State.SUCCEEDED
            self._learn_references()
            yield self._change("refund.succeeded_before_ledger", "succeeded; its entries follow")

    def _accept(self, others: Sequence[Refund] | None) -> Change:
        refund, told = self.refund, self.told
        refund.accept(provider_ref=told.provider_ref, at=told.at)
        refund.movement_ref = told.movement_ref
        refund.shares = refund_entries.share(refund, others)
        return self._change("refund.accepted", "accepted by the provider")

    def _learn_references(self) -> None:
        refund, told = self.refund, self.told
        known = (refund.provider_ref, refund.movement_ref, refund.failure_movement_ref)
        refund.provider_ref = refund.provider_ref or told.provider_ref
        refund.movement_ref = refund.movement_ref or told.movement_ref
        if told.fails and not refund.failure_movement_ref:
            refund.failure_movement_ref = told.failure_movement_ref
        learned = (refund.provider_ref, refund.movement_ref, refund.failure_movement_ref)
        self._unsaved = learned != known

    def _leave(self) -> Iterator[Change]:
        """A success that is older than the failure told before it leaves the state to that one."""
        if self.refund.state == State.ACCEPTED:
            self.refund.succeed(at=self.told.at)
            yield self._change("refund.succeeded", "succeeded")
        else:
            self.refund.succeeded_at = self.told.at

    def _fail(self) -> Iterator[Change]:
        refund, told = self.refund, self.told
        code = told.failure_code or (CANCELED_CODE if CANCELED in told.reached else "")
        if refund.failed_at is not None:
            if code and refund.failure_code in ("", NO_CODE):
                yield self._learn_cause(code, "failed for a cause that was not known")
            return
        self._owe()
        if refund.state == State.ACCEPTED:
            canceled = code == CANCELED_CODE
            words = "was canceled at the provider" if canceled else "failed before it left"
            refund.fail(code=code, message=told.failure_message, at=told.at)
            yield self._change("refund.failed", words)
        elif refund.state == State.SUCCEEDED:
            refund.fail_late(code=code, message=told.failure_message, at=told.at)
            yield self._change("refund.failed_late", "failed after it had succeeded")
        else:
            refund.failed_at = told.at
            yield self._learn_cause(code, "failed, which the return of its money had told")

    def _learn_cause(self, code: str, words: str) -> Change:
        refund, told = self.refund, self.told
        refund.failure_code = code[:64] or refund.failure_code
        refund.failure_message = told.failure_message[:240] or refund.failure_message
        return self._change("refund.cause_learned", words)

    def _turn_late(self) -> Change:
        refund = self.refund
        refund.fail_late(
            code=refund.failure_code,
            message=refund.failure_message,
            at=refund.failed_at or self.told.at,
        )
        return self._change("refund.reclassified_late", "had left before it failed")

    def _is_back(self) -> bool:
        """The return was told, or the failure names the movement that gave the money back."""
        refund = self.refund
        if RETURNED in self.told.reached:
            return True
        named = bool(refund.failure_movement_ref)
        return named and refund.failed_at is not None and refund.succeeded_at is not None

    def _come_back(self) -> Change:
        refund, told = self.refund, self.told
        self._owe()
        told_now = RETURNED in told.reached or refund.failed_at is None
        refund.come_back(at=told.at if told_now else refund.failed_at or told.at)
        if refund.failed_at is None:
            refund.failure_code = told.failure_code[:64] or NO_CODE
            refund.failure_message = told.failure_message[:240]
        return self._change("refund.returned", "came back: the money is ours again")

    def _owe(self) -> None:
        """From the first failure on the customer is owed; a decision ends it, never an event.

        Beyond the capture nobody is owed: what was given too much and not delivered has lapsed.
        """
        refund = self.refund
        if refund.obligation:
            return
        counted = refundable.recount(refund.payment_id)
        fits = counted.reserved_minor + refund.amount_minor <= counted.captured_minor
        kinds = Refund.Obligation
        refund.obligation = kinds.OWED if fits else kinds.LAPSED

    def _change(self, action: str, words: str) -> Change:
        if words:
            self.words.append(words)
        self._unsaved = False
        return Change(self.refund, action, words, {"told": self.told.facts()}, self.trace_id)
