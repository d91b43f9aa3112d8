"""What a dispute leaves in the books, by the real flow: worked check (c), LJ-12, D9."""

from __future__ import annotations

import pytest

from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.webhooks.models import ProviderEvent
from tests.accounts import account_of, with_settings
from tests.flows.dispute_tales import PROVIDERS, Tale
from tests.replaying import named, replayed_months

pytestmark = pytest.mark.django_db(transaction=True)
CAPTURED = {"1100": 10_000, "2000": -9_000, "4000": -1_000}


def classes(tale: Tale) -> list[str]:
    rows = JournalEntry.objects.filter(dispute_id=tale.dispute.public_id).order_by("pk")
    return list(rows.values_list("event_class", flat=True))


def proofs_hold() -> None:
    assert [named(proof) for proof in replayed_months() if not proof.holds] == []


@pytest.mark.parametrize("provider", ["stripe", "standard"])
def test_c_a_won_chargeback_costs_its_fee_alone(provider: str) -> None:
    """100 and a fee of 15, split out of the withdrawal once; won: all but the fee is back."""
    tale = Tale(provider, fee=1_500).captured()
    assert tale.balances() == CAPTURED

    tale.happens("opened", "withdrawn")
    assert tale.balances() == {
        "1100": -1_500,
        "1300": 10_000,
        "2310": -9_000,
        "4000": -1_000,
        "5150": 1_500,
    }
    tale.happens("won", "returned")

    assert tale.balances() == {**CAPTURED, "1100": 8_500, "5150": 1_500}
    assert tale.dispute.state == "WON"
    assert classes(tale) == [
        *("dispute.opened", "dispute.funds_withdrawn", "fee.charged", "dispute.funds_returned")
    ]
    proofs_hold()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_c_lost_by_the_seller_with_our_fee_given_back(provider: str) -> None:
    tale = Tale(provider).captured().happens("opened", "withdrawn", "lost")

    assert tale.balances() == {}
    assert (tale.dispute.state, tale.dispute.round) == ("LOST", 1)
    assert tale.dispute.hold_minor == 9_000
    proofs_hold()


def test_c_lost_by_the_platform_costs_108_in_all() -> None:
    """10 - 3 - 100 - 15: the account's policy says that the platform bears its disputes."""
    with_settings("stripe", settings={**account_of("stripe").settings, **POLICY})
    tale = Tale("stripe", fee=1_500).captured()
    tale.happens("opened", "withdrawn", "lost")

    after = tale.balances()
    assert after == {"1100": -1_500, "2000": -9_000, "4000": -1_000, "5100": 10_000, "5150": 1_500}
    # The provider's processing fee of 3 is another entry of the same story.
    assert -sum(minor for code, minor in after.items() if code[0] in "45") - 300 == -10_800
    proofs_hold()


POLICY = {"disputes_borne_by": "platform"}


def test_an_appeal_takes_the_loss_back_before_the_money_returns() -> None:
    tale = Tale("stripe").captured().happens("opened", "withdrawn", "lost")
    assert tale.balances() == {}

    tale.happens("back")

    assert tale.balances() == CAPTURED
    assert tale.dispute.state == "WON"
    assert classes(tale)[-2:] == ["entry.reversed", "dispute.funds_returned"]
    proofs_hold()


def test_a_second_round_after_a_won_one_is_a_subject_of_its_own() -> None:
    tale = Tale("adyen").captured().happens("opened", "withdrawn", "returned")
    assert (tale.dispute.state, tale.balances()) == ("WON", CAPTURED)

    tale.happens("again")
    dispute = tale.dispute
    assert (dispute.state, dispute.round, dispute.movement_ref) == (
        *("OPEN", 2, f"{tale.ref}:SECOND_CHARGEBACK"),
    )
    subjects = JournalEntry.objects.filter(dispute_id=dispute.public_id).order_by("pk")
    assert list(subjects.values_list("subject_id", flat=True))[-1] == f"{dispute.public_id}/2"

    tale.happens("lost")
    assert (tale.dispute.state, tale.balances()) == ("LOST", {})
    proofs_hold()


def test_a_hold_is_released_when_the_dispute_ends_without_money() -> None:
    tale = Tale("standard").captured().happens("opened")
    assert tale.balances() == {"1100": 10_000, "2310": -9_000, "4000": -1_000}

    tale.happens("won")

    assert tale.balances() == CAPTURED
    assert classes(tale) == ["dispute.opened", "entry.reversed"]
    proofs_hold()


def test_an_inquiry_that_ends_without_money_posts_nothing() -> None:
    for provider in ("stripe", "paypal", "standard"):
        tale = Tale(provider).captured().happens("inquiry")
        assert (tale.dispute.state, tale.dispute.blocks_refunds) == (
            *("INQUIRY", provider == "paypal"),
        )
        tale.happens("closed")
        assert (tale.dispute.state, tale.dispute.blocks_refunds) == ("CLOSED", False)
        assert tale.balances() == CAPTURED
        assert classes(tale) == []


def test_a_dispute_waits_until_its_charge_is_known() -> None:
    """WH-10: told first, applied once the capture has come; nothing is lost or doubled."""
    tale = Tale("standard").happens("opened", "withdrawn")
    waiting = ProviderEvent.objects.filter(state="PARKED").order_by("pk")
    assert [event.waits_for for event in waiting] == [f"payment:standard/demo:{tale.charge}"] * 2
    assert "waits for charge" in waiting[0].outcome

    tale.captured()

    assert tale.dispute.state == "OPEN"
    assert tale.balances() == {"1300": 10_000, "2310": -9_000, "4000": -1_000}
    assert not ProviderEvent.objects.filter(state="PARKED").exists()


def test_another_amount_than_told_before_is_a_case_and_is_not_applied() -> None:
    tale = Tale("standard").captured().happens("opened")
    tale.tell("withdrawn", amount=9_999)
    tale.happens()
    tale.happens("review")

    case = Case.objects.get(rule="provider_mismatch")
    assert "99.99" in case.title and "100.00" in case.title
    assert tale.dispute.withdrawn_at is None
    event = ProviderEvent.objects.get(provider_event_id=f"sev_{tale.name}_withdrawn")
    assert event.outcome.startswith("not applied: the event says")


def test_more_than_was_captured_is_a_case() -> None:
    tale = Tale("standard").captured()
    tale.tell("opened", amount=10_001)
    tale.happens("review")

    assert Case.objects.get(rule="provider_mismatch").subject_id == tale.payment.public_id
