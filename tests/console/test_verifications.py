"""The page of a parked event: what it waits for, until when, what was asked (WH-10, WH-15)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from payops.cases.models import Case
from payops.cases.rules import CASE_RULES
from payops.cases.services import Finding, open_case
from payops.console.reads.verifications import Question, proof_of, waited_for
from payops.core import clock
from payops.core.models import Message
from payops.core.money import Money
from payops.flows import verify_event
from payops.payments import call_gate
from payops.payments.models import CallGate
from payops.webhooks.models import ProviderEvent, Verification
from tests import builders
from tests.console.work import shows
from tests.flows.lifecycle import Teller
from tests.flows.view import View, come_due, policy, view  # noqa: F401
from tests.people import actor
from tests.stories import sent_payout

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_parked_event_says_what_it_waits_for_and_when_the_provider_is_asked(as_):
    payout = sent_payout("1200.00")
    Teller(payout).tell("reversed")
    builders.drain()
    event = ProviderEvent.objects.select_related("account").get()

    page = as_("eli").get(f"/inbox/{event.public_id}/").content.decode()
    listed = as_("eli").get("/inbox/?state=PARKED").content.decode()

    proof = proof_of(event)
    assert proof is not None
    assert proof.waits_for == f"the paid event of {payout.public_id}"
    assert proof.asked_by == event.created_at + timedelta(hours=1)
    assert f"the paid event of {payout.public_id}" in page
    assert "The provider was not asked yet." in page
    assert f"waits for the paid event of payout {payout.merchant_ref}" in listed


def test_the_answers_of_the_provider_are_on_the_page(as_):
    payout = sent_payout("1200.00")
    Teller(payout).tell("paid")
    builders.drain()
    event = ProviderEvent.objects.get()
    Verification.objects.create(
        book=event.book,
        event=event,
        cause="policy",
        verdict="agrees",
        provider_status="paid",
        amount_minor=120_000,
        currency="EUR",
        words="confirmed by the provider: it is <b>paid</b> there",
        asked_at=clock.utc_now(),
    )

    page = as_("eli").get(f"/inbox/{event.public_id}/").content.decode()

    assert "Asked at the provider" in page and "before acting" in page
    assert "it is &lt;b&gt;paid&lt;/b&gt; there" in page


def asked_of(event: ProviderEvent) -> Question:
    proof = proof_of(event)
    assert proof is not None and proof.question is not None
    return proof.question


def test_a_pending_answer_is_told_with_how_often_it_was_asked_for(as_, view: View):  # noqa: F811
    """WH-15: silence writes no row, and the page still says that the provider was asked."""
    policy("always")
    payout = sent_payout("1200.00")
    view.hush(payout)
    Teller(payout).tell("paid")
    builders.drain()
    first = as_("eli").get(f"/inbox/{ProviderEvent.objects.get().public_id}/").content.decode()
    for _ in range(2):
        come_due()
        builders.drain()

    event = ProviderEvent.objects.select_related("account", "book").get()
    question, message = asked_of(event), Message.objects.get(topic="event.verify")
    page = as_("eli").get(f"/inbox/{event.public_id}/").content.decode()

    assert (len(view.asked), Verification.objects.count()) == (3, 0)
    assert (question.asked, question.said, question.held) == (3, "no answer: deadline", "")
    assert question.again_at == message.due_at
    assert question.asked_at is not None and question.asked_at <= clock.utc_now()
    assert "1 time, last " in first
    assert "3 times, last " in page and "No answer: deadline" in page
    assert "No answer settles it yet." in page
    assert "was not asked yet" not in first + page


def test_a_question_that_is_held_back_is_not_counted_as_asked(as_, view: View):  # noqa: F811
    """WH-22: the valve is closed, so nobody was asked; the page says why."""
    policy("always")
    payout = sent_payout("1200.00")
    now = clock.utc_now()
    for _ in range(call_gate.FAILURES_TO_OPEN):
        call_gate.report(account=payout.account, answered=False, error="refused", now=now)
    Teller(payout).tell("paid")
    builders.drain()

    event = ProviderEvent.objects.select_related("account", "book").get()
    question = asked_of(event)
    page_of = as_("eli").get(f"/inbox/{event.public_id}/")

    assert (view.asked, question.asked, question.said) == ([], 0, "")
    assert question.held != "" and shows(page_of, question.held[1:])
    assert shows(page_of, "The provider was not asked yet.")

    CallGate.objects.all().delete()
    view.show(payout, "payout.initiated", "payout.paid")
    come_due()
    builders.drain()
    event = ProviderEvent.objects.select_related("account", "book").get()
    settled = Message.objects.get(topic="event.verify")
    assert (event.state, settled.state) == ("PROCESSED", "DONE")
    assert (settled.payload["asked"], Verification.objects.get().verdict) == (1, "agrees")
    assert len(view.asked) == 1


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("seq:adyen/demo:3JERI65VWQ4:3", "update 3 of 3JERI65VWQ4"),
        ("payout:stripe/demo:po_1", "payout po_1 to be known here"),
        ("verify:ev_1", "the provider's answer; nothing is applied before it"),
        ("something:else", "something:else"),
    ],
)
def test_every_key_has_words(key, words):
    event = ProviderEvent(state="PARKED", waits_for=key)

    assert waited_for(event) == words


def test_a_disagreement_is_explained_by_its_rule_and_linked_from_its_event(
    as_,
    view: View,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    """WH-15: other figures at the provider are no failed payout; nobody confirms bank details."""
    monkeypatch.setattr(verify_event, "LAG_MAX", timedelta(0))
    policy("always")
    payout, other = sent_payout("1200.00"), sent_payout("1200.00")
    view.show(payout, "payout.initiated", "payout.paid", amount=Money(110_000, "EUR"))
    view.show(other, "payout.initiated", "payout.paid")
    for each in (payout, other):
        Teller(each).tell("paid")
    builders.drain()

    case = Case.objects.get()
    told = ProviderEvent.objects.get(state="IGNORED")
    quiet = ProviderEvent.objects.get(state="PROCESSED")
    page = as_("amara").get(f"/cases/{case.public_id}/")
    event, unrelated = (as_("eli").get(f"/inbox/{each.public_id}/") for each in (told, quiet))

    assert (case.rule, case.subject_id) == ("provider_mismatch", payout.public_id)
    rule = CASE_RULES["provider_mismatch"]
    assert shows(page, f"Next: {rule.next_step}.") and shows(page, f"{rule.words}.")
    for words in ("failure code", "Retryable", "bank details"):
        assert not shows(page, words), words
    assert shows(event, f'<a href="/cases/{case.public_id}/">')
    assert not shows(unrelated, "/cases/cs_")


@pytest.mark.parametrize("rule", sorted(set(CASE_RULES) - {"payout_failure"}))
def test_only_a_failed_payout_is_given_the_help_for_failed_payouts(as_, rule: str):
    payout = sent_payout("1200.00")
    finding = Finding(payout.book, rule, "f1", "2026-03", payout.public_id, "Something")
    with transaction.atomic():
        case = open_case(finding, actor=actor("lena"), now=clock.utc_now())

    page = as_("amara").get(f"/cases/{case.public_id}/")

    assert shows(page, f"Next: {CASE_RULES[rule].next_step}.")
    assert not shows(page, "The provider gave no failure code.")
    assert not shows(page, "Retryable")


def test_the_one_case_of_a_silent_account_is_linked_from_each_event(
    as_,
    view: View,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(verify_event, "SILENCE_MAX", timedelta(0))
    policy("always")
    for payout in [sent_payout("1200.00") for _ in range(2)]:
        view.hush(payout)
        Teller(payout).tell("paid")
    builders.drain()

    case = Case.objects.get()
    assert case.rule == "verification_unanswered"
    for event in ProviderEvent.objects.all():
        page = as_("eli").get(f"/inbox/{event.public_id}/")
        assert shows(page, f'<a href="/cases/{case.public_id}/">')
        assert shows(page, "1 time, last ") and shows(page, "Unanswered")
