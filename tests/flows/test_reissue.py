"""The re-issue end to end at the real simulator: once, verified terminal first (PX-6, I8, F39)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from approvals.refusals import ApprovalRefused
from payops.cases.models import Case, LocalTicket, RunbookStep
from payops.cases.services import CaseRefused
from payops.core import clock
from payops.flows import beneficiary
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import exception_plan
from payops.flows.payouts.request import PayoutAsk, PayoutRefused, ask_release, request_payout
from payops.payments.models import Hold, Payout
from tests.builders import approval_of, approve_all, decide, drain, reload, seller
from tests.flows.lifecycle import Teller, approve_and_run, balances, open_case, propose
from tests.flows.provider import Provider, approved, later
from tests.people import actor, person
from tests.races import race
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)

BOTH = pytest.mark.parametrize("name", ["standard", "stripe"])


def failed_at(provider: Provider, name: str, code: str = "could_not_process") -> Payout:
    """Sent, paid and then failed, all at the simulator and told by its own webhooks."""
    payout = approved("1200.00", provider=name)
    drain()
    payout = reload(payout)
    provider.process.control("POST", f"/payouts/{payout.provider_ref}/pay")
    provider.deliver()
    drain()
    provider.process.control("POST", f"/payouts/{payout.provider_ref}/fail", {"failure_code": code})
    provider.deliver()
    drain()
    payout = reload(payout)
    assert (payout.state, payout.exception_from) == ("EXCEPTION", "PAID")
    return payout


def sent_out(provider: Provider) -> list[str]:
    """Our reference of every movement of money out, in order."""
    return [row[1] for row in provider.movements() if row[0] == "payout"]


def verify() -> None:
    beneficiary.verify(
        beneficiary_id=seller().pk,
        evidence="called back on the known number",
        actor=actor("tomas"),
        now=clock.utc_now(),
    )


def reissued(payout: Payout) -> Payout:
    return Payout.objects.get(reissue_of=payout)


@BOTH
def test_a_payout_is_reissued_once_and_its_case_ends_when_the_money_arrives(
    provider: Provider, name: str
) -> None:
    payout = failed_at(provider, name)
    case = open_case(payout)
    assert case is not None
    with pytest.raises(CaseRefused, match="verify them after the failure"):
        propose(case, "reissue")
    verify()

    assert approve_and_run(propose(case, "reissue"))

    fresh = reissued(payout)
    assert (fresh.state, fresh.amount, fresh.merchant_ref) == (
        "AWAITING_APPROVAL",
        payout.amount,
        f"{payout.merchant_ref}-R1",
    )
    assert (Case.objects.get().state, reload(payout).state) == ("WAITING", "RETURNED")
    with pytest.raises(ApprovalRefused):
        decide(approval_of(fresh.approval_id), "amara")
    approve_all(approval_of(fresh.approval_id))
    drain()
    fresh = reissued(payout)
    provider.process.control("POST", f"/payouts/{fresh.provider_ref}/pay")
    provider.deliver()
    drain()

    assert (reissued(payout).state, Case.objects.get().state) == ("PAID", "RESOLVED")
    assert sent_out(provider) == [payout.public_id, fresh.public_id]
    on_its_way = {"1100": -120_000, "1200": 120_000} if name == "standard" else {}
    assert balances(payout) == on_its_way
    assert balances(fresh) == {"1100": -120_000, "2000": 120_000}
    assert not Hold.objects.filter(released_at=None).exists()
    with pytest.raises(CaseRefused, match="re-issued already; once is the limit"):
        _second_proposal(payout)


@BOTH
def test_nothing_is_reissued_while_the_provider_shows_the_original_as_not_terminal(
    provider: Provider, name: str
) -> None:
    payout = approved("1200.00", provider=name)
    drain()
    payout = reload(payout)
    provider.process.control("POST", f"/payouts/{payout.provider_ref}/pay")
    provider.deliver()
    Teller(payout).tell("failed")
    drain()
    verify()

    approve_and_run(propose(open_case(payout), "reissue"))  # type: ignore[arg-type]

    assert not Payout.objects.filter(reissue_of=payout).exists()
    step = RunbookStep.objects.get(name="verify_terminal")
    assert step.status == "FAILED"
    assert step.error.startswith("the provider shows the original as paid")
    urgent = LocalTicket.objects.get(priority="urgent")
    assert "verify_terminal" in urgent.title
    assert (Case.objects.get().state, sent_out(provider)) == ("TRIAGED", [payout.public_id])


def test_an_unreachable_provider_is_asked_again_before_anything_is_reissued(
    provider: Provider,
) -> None:
    """D14: no answer is never taken for an answer."""
    payout = failed_at(provider, "standard")
    verify()
    match = {"operation": "payout.get"}
    provider.process.control("POST", "/faults", {"match": match, "fault": "503"})

    approve_and_run(propose(open_case(payout), "reissue"))  # type: ignore[arg-type]
    assert not Payout.objects.filter(reissue_of=payout).exists()
    assert Case.objects.get().state == "EXECUTING"
    later()
    drain()

    assert reissued(payout).state == "AWAITING_APPROVAL"
    assert RunbookStep.objects.get(name="verify_terminal").attempts == 2


def test_details_that_cannot_succeed_are_not_reissued() -> None:
    """F39: a closed account needs new details first, and compliance causes are not re-issued."""
    for code, words in (("account_closed", "cannot succeed"), ("account_frozen", "compliance")):
        payout = paid_payout(
            "1200.00", reference="S-1002" if code == "account_frozen" else "S-1001"
        )
        Teller(payout, code=code).tell("failed")
        drain()
        with pytest.raises(CaseRefused, match=words):
            propose(open_case(payout), "reissue")  # type: ignore[arg-type]


def test_sixteen_reissues_at_once_make_one(provider: Provider) -> None:
    """I8"""
    payout = failed_at(provider, "standard")

    answers = race(16, lambda i: request_payout(ask=_ask(payout, f"key-{i}"), **_by()))

    made = [answer for answer in answers if isinstance(answer, Payout)]
    refused = [str(answer) for answer in answers if isinstance(answer, PayoutRefused)]
    assert (len(made), len(refused)) == (1, 15)
    assert set(refused) == {f"{payout.merchant_ref} was re-issued already; once is the limit"}


def test_sixteen_equal_requests_at_once_are_one_payout(provider: Provider) -> None:
    payout = failed_at(provider, "standard")

    answers = race(16, lambda _: request_payout(ask=_ask(payout, "same key"), **_by()))

    assert {answer.pk for answer in answers} == {reissued(payout).pk}


def test_a_reissue_before_verified_terminal_is_blocked_by_its_gate(provider: Provider) -> None:
    """I8, I13: asked for past the runbook, it is approved and still does not leave."""
    payout = failed_at(provider, "standard")
    verify()
    with transaction.atomic():
        fresh = ask_release(_ask(payout, "past the runbook"), **_by())
    approve_all(approval_of(fresh.approval_id))

    drain()

    assert (reissued(payout).state, reissued(payout).blocked_reason) == (
        "BLOCKED",
        "the original payout is not verified terminal at the provider",
    )
    assert sent_out(provider) == [payout.public_id]


def test_a_reissue_paid_before_its_runbook_finished_still_resolves_the_case(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker died between the last step and the end of the run."""
    payout = failed_at(provider, "standard")
    verify()
    with monkeypatch.context() as patched:
        patched.setattr(payout_exception, "_finish", _dies)
        approve_and_run(propose(open_case(payout), "reissue"))  # type: ignore[arg-type]
        approve_all(approval_of(reissued(payout).approval_id))
        drain()
        provider.process.control("POST", f"/payouts/{reissued(payout).provider_ref}/pay")
        provider.deliver()
        drain()
    assert (Case.objects.get().state, reissued(payout).state) == ("EXECUTING", "PAID")

    later()
    drain()
    later()
    drain()

    assert Case.objects.get().state == "RESOLVED"


def _second_proposal(payout: Payout) -> None:
    case = Case.objects.get(subject_id=payout.public_id)
    plan = exception_plan.preview(
        case=case, resolution="reissue", hold_beneficiary=False, now=clock.utc_now()
    )
    raise CaseRefused(" ".join(plan.refusals))


def _ask(original: Payout, key: str) -> PayoutAsk:
    return PayoutAsk(
        account=original.account,
        beneficiary=original.beneficiary,
        amount=original.amount,
        merchant_ref=f"{original.merchant_ref}-R1",
        request_key=key,
        reason="asked again",
        requested_by=person("amara"),
        reissue_of=original,
    )


def _by() -> dict[str, Any]:
    return {"actor": actor("amara"), "now": clock.utc_now()}


def _dies(*_: Any) -> None:
    raise ConnectionError("the worker is gone")
