"""What is looked at before a refund: every check with its figures, and the verdict of the policy.

Pure over facts and a table; never reads the database or the clock. A hard check that does not pass
refuses; everything else that does not pass puts the refund to people; only what passes entirely is
granted by rule. Serves RF-3, RF-4, RF-14, RF-18, AP-7, AP-8, AP-9, D9, F1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from payops.core.money import Money
from payops.payments.refund_table import NAME, Reason, Risk, Rules, TableError, parse, seeded

__all__ = [
    "CHECKS_BEFORE_SENDING",
    "NAME",
    "Check",
    "Facts",
    "Reason",
    "Risk",
    "Rules",
    "TableError",
    "checks_of",
    "left_words",
    "parse",
    "seeded",
    "verdict_of",
    "words_of",
]

Verdict = Literal["refused", "auto", "approval"]
# What a check that does not pass leads to; a warning is for people too, and stands out.
Otherwise = Literal["refused", "approval", "warning"]
CAPTURED = "CAPTURED"
# Facts that may have changed since it was granted; what the policy asked stays decided.
CHECKS_BEFORE_SENDING = frozenset(
    {"captured", "currency_and_account", "remaining", "no_blocking_dispute", "provider"}
)
WORDS_MAX = 400


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the rules look at, as it is stored with the decision.

    Amounts in minor units of `currency`, `reporting_minor` in the book's currency (None: no rate).
    `left_minor` is what this refund may take, its own reservation and the promise it retries
    included. `evidence` holds the names of the fields that were filled in, never their content.
    """

    payment_id: str
    payment_state: str
    currency: str
    captured_minor: int
    reserved_minor: int
    refunded_minor: int
    left_minor: int
    amount_minor: int
    reporting_minor: int | None
    account: str
    asked_currency: str
    asked_account: str
    settles_at: str
    settled: bool
    reason_code: str
    evidence: tuple[str, ...]
    prior_refunds: int
    prior_refunded_minor: int
    blocking_disputes: tuple[str, ...]
    early_disputes: tuple[str, ...]
    prior_disputes: int
    seller_disputes: int
    twins: tuple[str, ...]
    requester: str
    requester_may: bool
    provider_refunds: bool
    source: str
    offline: bool = False
    goodwill: bool = False
    is_retry: bool = False
    # What was asked for; None asked for all that is left.
    asked_minor: int | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_plain(cls, stored: Mapping[str, Any]) -> Facts:
        """Raises TypeError when a fact is missing."""
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
            if name in known
        }
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `otherwise` is what it leads to when it did not pass."""

    check: str
    passed: bool
    words: str
    figures: dict[str, Any]
    otherwise: Otherwise = "refused"

    def plain(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "passed": self.passed,
            "words": self.words,
            "figures": self.figures,
            "otherwise": self.otherwise,
        }


def checks_of(facts: Facts, rules: Rules) -> tuple[Check, ...]:
    """Every check in the order people read them; a retry and an offline refund have all of them."""
    return tuple(check(facts, rules) for check in CHECKS)


def verdict_of(checks: Sequence[Check]) -> Verdict:
    failed = [check for check in checks if not check.passed]
    if any(check.otherwise == "refused" for check in failed):
        return "refused"
    return "approval" if failed else "auto"


def words_of(checks: Sequence[Check], rules: Rules) -> str:
    """Why, in one sentence: what refused, or why people decide, or which rule granted it."""
    verdict = verdict_of(checks)
    if verdict == "auto":
        return f"granted by {rules.ruleset}: at most {rules.auto_max}, first refund of the charge"
    failed = [check for check in checks if not check.passed]
    told = [check for check in failed if check.otherwise == "refused"] or failed
    text = "; ".join(check.words for check in told)
    return text if len(text) <= WORDS_MAX else text[: WORDS_MAX - 1] + "…"


def left_words(facts: Facts) -> str:
    """What was asked, what is left of what was captured, and where the rest of it is."""

    def money(minor: int) -> Money:
        return Money(minor, facts.currency)

    is_rest = facts.asked_minor is None and facts.left_minor <= 0
    asked = "all that is left" if is_rest else str(money(facts.amount_minor))
    return (
        f"{asked} asked, {money(facts.left_minor)} left of "
        f"{money(facts.captured_minor)} captured "
        f"({money(facts.refunded_minor).decimal_text()} refunded, "
        f"{money(facts.reserved_minor).decimal_text()} reserved)"
    )


def _captured(facts: Facts, rules: Rules) -> Check:
    passed = facts.payment_state == CAPTURED and facts.captured_minor > 0
    captured = Money(facts.captured_minor, facts.currency)
    words = (
        f"{captured} captured"
        if passed
        else f"the payment is {facts.payment_state} with {captured} captured; only captured money "
        "can be given back"
    )
    figures = {"state": facts.payment_state, "captured_minor": facts.captured_minor}
    return Check("captured", passed, words, figures)


def _settled(facts: Facts, rules: Rules) -> Check:
    passed = facts.settled or not rules.requires_settled
    words = (
        f"settled since {facts.settles_at}"
        if facts.settled
        else f"the provider settles it at {facts.settles_at}"
        + (
            "; the policy refunds settled charges alone, so ask again then"
            if rules.requires_settled
            else ", which the policy does not wait for"
        )
    )
    figures = {"settles_at": facts.settles_at, "required": rules.requires_settled}
    return Check("settled", passed, words, figures)


def _same_charge(facts: Facts, rules: Rules) -> Check:
    other = []
    if facts.asked_currency != facts.currency:
        other.append(f"{facts.asked_currency} asked, the charge is in {facts.currency}")
    if facts.asked_account and facts.asked_account != facts.account:
        other.append(f"{facts.asked_account} named, the charge was made on {facts.account}")
    words = " and ".join(other) or f"{facts.currency} on {facts.account}, as charged"
    figures = {"currency": facts.currency, "account": facts.account}
    return Check("currency_and_account", not other, words, figures)


def _remaining(facts: Facts, rules: Rules) -> Check:
    passed = 0 < facts.amount_minor <= facts.left_minor
    figures = {
        "asked_minor": facts.amount_minor,
        "left_minor": facts.left_minor,
        "captured_minor": facts.captured_minor,
        "refunded_minor": facts.refunded_minor,
        "reserved_minor": facts.reserved_minor,
    }
    return Check("remaining", passed, left_words(facts), figures)


def _reason(facts: Facts, rules: Rules) -> Check:
    reason = rules.reasons.get(facts.reason_code)
    known = ", ".join(sorted(rules.reasons))
    words = reason.label if reason else f"no reason {facts.reason_code!r}; there are {known}"
    return Check("reason", reason is not None, words, {"reason_code": facts.reason_code})


def _required_evidence(facts: Facts, rules: Rules) -> Check:
    return _evidence(facts, rules, "required_evidence")


def _wanted_evidence(facts: Facts, rules: Rules) -> Check:
    return _evidence(facts, rules, "complete_evidence")


def _evidence(facts: Facts, rules: Rules, name: str) -> Check:
    reason = rules.reasons.get(facts.reason_code)
    is_required = name == "required_evidence"
    named = (reason.required if is_required else reason.wanted) if reason else ()
    missing = [field for field in named if field not in facts.evidence]
    spoken = ", ".join(field.replace("_", " ") for field in missing or named)
    if missing and is_required:
        words = f"{spoken} is missing; this reason needs it"
    elif missing:
        words = f"without {spoken} the evidence is not complete"
    else:
        words = f"{spoken} given" if named else "this reason asks for none"
    figures = {"missing": missing, "given": list(facts.evidence)}
    return Check(name, not missing, words, figures, "refused" if is_required else "approval")


def _no_dispute(facts: Facts, rules: Rules) -> Check:
    ids = list(facts.blocking_disputes)
    words = (
        f"the dispute {', '.join(ids)} blocks it: the customer would be paid twice; answer the "
        "dispute instead, or ask again once it is won or closed"
        if ids
        else "no dispute blocks it"
    )
    return Check("no_blocking_dispute", not ids, words, {"disputes": ids})


def _requester(facts: Facts, rules: Rules) -> Check:
    may = facts.requester_may
    words = f"{facts.requester} may ask for refunds"
    if not may:
        words = f"{facts.requester} may not ask for refunds"
    return Check("requester", may, words, {"requester": facts.requester})


def _provider(facts: Facts, rules: Rules) -> Check:
    passed = facts.provider_refunds or facts.offline
    if facts.offline:
        words = "paid by hand, outside the provider"
    elif passed:
        words = f"{facts.account} takes refunds"
    else:
        words = f"{facts.account} takes no refunds from here; ask for one that is paid by hand"
    return Check("provider", passed, words, {"account": facts.account, "offline": facts.offline})


def _amount(facts: Facts, rules: Rules) -> Check:
    figures = {"reporting_minor": facts.reporting_minor, "auto_max_minor": rules.auto_max_minor}
    if facts.reporting_minor is None:
        words = (
            f"no rate of {facts.asked_currency} in {rules.currency} is known, so people of the "
            "highest tier decide"
        )
        return Check("amount", False, words, figures, "approval")
    passed = facts.reporting_minor <= rules.auto_max_minor
    amount = Money(facts.reporting_minor, rules.currency)
    side = "not above" if passed else "above"
    words = f"{amount} is {side} {rules.auto_max}, the most a rule grants alone"
    return Check("amount", passed, words, figures, "approval")


def _first(facts: Facts, rules: Rules) -> Check:
    """AP-8's partial after a partial is a case of it: after a full one nothing is left."""
    count, figures = (
        facts.prior_refunds,
        {
            "prior_refunds": facts.prior_refunds,
            "prior_refunded_minor": facts.prior_refunded_minor,
        },
    )
    if not count:
        return Check("first_refund", True, "the first refund of the charge", figures, "approval")
    before = Money(facts.prior_refunded_minor, facts.currency)
    named = "1 refund" if count == 1 else f"{count} refunds"
    words = f"the charge has {named} of {before} in all already"
    return Check("first_refund", False, words, figures, "approval")


def _risk(facts: Facts, rules: Rules) -> Check:
    figures = {"prior_disputes": facts.prior_disputes, "seller_disputes": facts.seller_disputes}
    passed = not is_high_risk(facts, rules)
    reason = rules.reasons.get(facts.reason_code)
    label = reason.label if reason else facts.reason_code
    words = f"{label} is of no high risk here"
    if not passed:
        words = f"{label} is of high risk"
        if reason and reason.high_risk == Risk.WITH_PRIOR_DISPUTES:
            words += (
                f" with prior disputes: {facts.prior_disputes} of the charge, "
                f"{facts.seller_disputes} of its seller lately"
            )
    return Check("risk", passed, words, figures, "approval")


def is_high_risk(facts: Facts, rules: Rules) -> bool:
    """AP-8, RF-14: of the reason's rule and the disputes that went before."""
    reason = rules.reasons.get(facts.reason_code)
    if reason is None or reason.high_risk == Risk.NEVER:
        return False
    of_seller = 0 < rules.seller_disputes_min <= facts.seller_disputes
    return reason.high_risk == Risk.ALWAYS or facts.prior_disputes > 0 or of_seller


def _channel(facts: Facts, rules: Rules) -> Check:
    by_hand = [
        words
        for words, applies in (
            (f"requests by {facts.source}", facts.source in rules.never_auto_channels),
            ("a refund that is paid by hand", facts.offline),
            ("a gift of the platform", facts.goodwill),
            ("another attempt at a refund that did not arrive", facts.is_retry),
        )
        if applies
    ]
    words = f"people decide about {' and '.join(by_hand)}" if by_hand else "a rule may grant it"
    return Check("way", not by_hand, words, {"source": facts.source}, "approval")


def _early_dispute(facts: Facts, rules: Rules) -> Check:
    ids = list(facts.early_disputes)
    words = "no inquiry is open"
    if ids:
        words = (
            f"the inquiry {', '.join(ids)} may become a chargeback: refund and chargeback together "
            "would pay the customer twice"
        )
    return Check("early_dispute", not ids, words, {"disputes": ids}, "warning")


def _no_twin(facts: Facts, rules: Rules) -> Check:
    ids = list(facts.twins)
    words = "no request like it is open"
    if ids:
        words = (
            f"{', '.join(ids)} asks for the same amount and reason within {rules.twin_minutes} "
            "minutes; make sure that both are meant"
        )
    return Check("no_twin", not ids, words, {"twins": ids}, "warning")


CHECKS: tuple[Callable[[Facts, Rules], Check], ...] = (
    _captured,
    _settled,
    _same_charge,
    _remaining,
    _reason,
    _required_evidence,
    _no_dispute,
    _requester,
    _provider,
    _amount,
    _first,
    _wanted_evidence,
    _risk,
    _channel,
    _early_dispute,
    _no_twin,
)
