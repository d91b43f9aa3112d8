"""All 120 orders of created, paid, failed, reversed and a late duplicate, for every provider.

Each of 120 payouts is told one order, and every lane is drained after each telling; nobody decides
in between. Same state, same balance per account, one case, and the replay proof holds: WH-10,
WH-11, PX-1, PX-3, F31, I4.
"""

from __future__ import annotations

from itertools import permutations
from unittest import mock

import pytest

from ledger.models import JournalEntry
from payops.cases.models import Case, CaseEntry
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.core.models import AuditEvent
from payops.flows.payouts import dispatch as payout_dispatch
from payops.payments.models import Payout
from payops.webhooks.models import ProviderEvent
from tests import books
from tests.accounts import with_settings
from tests.builders import drain, reload
from tests.flows.lifecycle import Teller, balances
from tests.flows.provider import approved
from tests.replaying import named, replayed_months
from tests.stories import accepted

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = 120_000
EVENTS = ("created", "paid", "failed", "reversed")
DUPLICATED = "failed"
ORDERS = sorted(set(permutations([*EVENTS, f"{DUPLICATED} again"])))
# The money came back and nobody decided yet: it waits in 2910 for its case.
BACK_UNDECIDED = {"2000": AMOUNT, "2910": -AMOUNT}
CODES = {
    "stripe": "could_not_process",
    "standard": "could_not_process",
    "adyen": "refusedByCounterpartyBank",
    "paypal": "RECEIVER_ACCOUNT_LOCKED",
}
RECOMPUTED = ["I1", "I2", "I3", "I4", "I5", "I10", "I17", "I18"]


@pytest.mark.parametrize("provider", ["stripe", "standard", "adyen", "paypal"])
def test_every_order_ends_in_one_state_one_balance_and_one_case(provider: str) -> None:
    assert len(ORDERS) == 120
    _without_limits(provider)
    tellers = [Teller(payout, code=CODES[provider]) for payout in _sent(provider)]

    for position in range(len(EVENTS) + 1):
        for teller, order in zip(tellers, ORDERS, strict=True):
            teller.tell(order[position].removesuffix(" again"))
        drain()

    ends = [_end(teller.payout) for teller in tellers]
    assert {state for state, *_ in ends} == {"EXCEPTION"}
    assert {before for _, before, *_ in ends} == {"PAID"}
    assert {told for _, _, told, _ in ends} == {(True, True, True)}
    assert {code for *_, code in ends} == {CODES[provider]}
    assert [balances(teller.payout) for teller in tellers] == [BACK_UNDECIDED] * 120
    cases = Case.objects.values_list("rule", "subject_id", "state")
    assert sorted(cases) == sorted(
        ("payout_failure", teller.payout.public_id, "OPEN") for teller in tellers
    )
    classes = JournalEntry.objects.filter(subject_id=tellers[0].payout.public_id)
    assert sorted(classes.values_list("event_class", flat=True)) == [
        "payout.initiated",
        "payout.paid",
        "payout.return_received",
    ]
    assert set(ProviderEvent.objects.values_list("state", flat=True)) <= {"PROCESSED", "IGNORED"}
    assert ProviderEvent.objects.count() == 120 * len(EVENTS)
    assert AuditEvent.objects.filter(action="event.duplicate_ignored").count() == 120
    assert CaseEntry.objects.filter(kind="duplicate").count() == 120
    findings = check_all(Moment(now=clock.utc_now()), only=RECOMPUTED)
    assert {key: found.breaks for key, found in findings.items() if found.breaks} == {}
    proofs = replayed_months()
    assert sum(proof.entries for proof in proofs) == 360
    assert [named(proof) for proof in proofs if not proof.holds] == []


def _sent(provider: str) -> list[Payout]:
    """One payout per order, asked for and approved one by one, taken by the provider together."""
    asked = [approved("1200.00", provider=provider) for _ in ORDERS]
    with mock.patch.object(payout_dispatch, "_submit", lambda row, _: accepted(row)):
        drain()
    payouts = [reload(payout) for payout in asked]
    assert {payout.state for payout in payouts} == {"IN_TRANSIT"}
    return payouts


def _end(payout: Payout) -> tuple[str, str, tuple[bool, ...], str]:
    now = reload(payout)
    told = tuple(at is not None for at in (now.paid_at, now.failed_at, now.money_back_at))
    return now.state, now.exception_from, told, now.failure_code


def _without_limits(provider: str) -> None:
    """The storm cap and the rate of calls are other tests' matter."""
    books.with_settings(case_storm_cap=100_000)
    with_settings(provider, calls_per_s=30_000)
