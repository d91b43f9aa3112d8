"""Every order of a refund's events and our own answer, at every provider (D8, F3, F31, WH-10).

Each refund is told one order, with everything drained after each telling and one event told twice.
One state, one balance per account, one case, and the replay proof holds.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from payops.cases.models import Case
from payops.payments.models import Payment, Refund
from payops.webhooks.models import ProviderEvent
from tests import books, refunds
from tests.accounts import account_of
from tests.builders import drain
from tests.flows.refund_life import (
    CAPTURES,
    Teller,
    answer,
    balances,
    begin,
    keep,
    reload,
    teller_of,
)
from tests.replaying import named, replayed

pytestmark = pytest.mark.django_db(transaction=True)
ANSWER = "answer"
WORDS = {
    "stripe": ("created", "succeeded", "failed", "failed twice", ANSWER),
    "adyen": ("created", "failed", "returned", ANSWER),
    "paypal": ("created", "succeeded", "failed", ANSWER),
    "standard": ("created", "succeeded", "failed", "returned", ANSWER),
}
SHARES = {"2000": 2_700, "4000": 300}
OWED = {"2000": 2_700, "2150": -3_000, "4000": 300}
NOT_BACK = {"1100": -3_000, "1210": 3_000, **OWED}
# PayPal names no movement back: it is waited for.
ENDS = {
    "stripe": ("RETURNED", OWED),
    "adyen": ("RETURNED", OWED),
    "paypal": ("FAILED_LATE", NOT_BACK),
    "standard": ("RETURNED", OWED),
}


@pytest.mark.parametrize("provider", WORDS)
def test_every_order_ends_in_one_state_one_balance_and_one_case(provider: str) -> None:
    books.with_settings(case_storm_cap=100_000)
    orders = sorted(permutations(WORDS[provider]))
    tellers = [teller_of(refund) for refund in _sent(provider, len(orders))]

    for position in range(len(WORDS[provider])):
        for teller, order in zip(tellers, orders, strict=True):
            _tell(teller, order[position])
        drain()
    for teller in tellers:
        teller.tell("failed")
    drain()

    found = [Refund.get(teller.our_ref) for teller in tellers]
    state, balance = ENDS[provider]
    assert {refund.state for refund in found} == {state}
    assert {refund.obligation for refund in found} == {"owed"}
    assert [refund.provider_ref for refund in found] == [teller.ref for teller in tellers]
    assert [balances(refund.public_id) for refund in found] == [balance] * len(orders)
    rules = Case.objects.values_list("rule", "subject_id")
    assert sorted(rules) == sorted(("refund_failed", refund.public_id) for refund in found)
    assert set(ProviderEvent.objects.values_list("state", flat=True)) <= {"PROCESSED", "IGNORED"}
    counted = Payment.objects.values_list("reserved_minor", "refunded_minor").distinct()
    assert list(counted) == [(3_000, 0)]
    assert named(replayed()) == []


def _tell(teller: Teller, word: str) -> None:
    if word == ANSWER:
        answer(reload(Refund.get(teller.our_ref)), teller.ref)
    else:
        teller.tell(word)


def _sent(provider: str, count: int) -> list[Refund]:
    """Charges captured together, each with a refund on its way."""
    account = account_of(provider)
    refs = [f"pay{provider}{number}" for number in range(count)]
    for ref in refs:
        keep(account, CAPTURES[provider](ref, 10_000, 1_000))
    drain()
    asked = [refunds.ask(payment) for payment in Payment.objects.filter(provider_ref__in=refs)]
    for refund in asked:
        begin(refund)
    return [reload(refund) for refund in asked]
