"""Refunds looked up at Stripe and at the generic provider (RF-6, RF-12, D14)."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from payops.psp.calling import NoAnswer, NotFound, RefundList, RefundState
from tests.psp.payouts import body, error, requests_seen
from tests.psp.refund_orders import (
    BOTH,
    PAYMENT,
    REFUND_REF,
    REFUNDS,
    STANDARD_REFUND,
    STRIPE_REFUND,
    THIRTY,
    ask,
    listed,
)
from tests.psp.scripted_server import always, http, in_turn

TWIN = {"stripe": STRIPE_REFUND | {"id": "re_2"}, "standard": STANDARD_REFUND | {"id": "srf_2"}}
OUTSIDE = {
    "stripe": STRIPE_REFUND | {"id": "re_9", "metadata": {}},
    "standard": STANDARD_REFUND | {"id": "srf_9", "reference": None},
}


def find(name, script, **named):
    return ask(
        name,
        "find_refund",
        script,
        our_ref=REFUND_REF,
        payment_provider_ref=PAYMENT[name],
        **named,
    )


def fetch(name, script, ref=None):
    return ask(name, "fetch_refund", script, provider_ref=ref or REFUNDS[name]["id"])


def list_(name, script, ref=None):
    return ask(name, "list_refunds", script, payment_provider_ref=ref or PAYMENT[name])


@BOTH
def test_refund_is_found_by_our_reference(name):
    found = find(name, always(listed(OUTSIDE[name], REFUNDS[name])))

    assert isinstance(found, RefundState)
    assert (found.provider_ref, found.our_ref) == (REFUNDS[name]["id"], REFUND_REF)
    assert (found.payment_provider_ref, found.amount) == (PAYMENT[name], THIRTY)
    assert found.reached == {"refund.accepted", "refund.succeeded"}
    assert found.created_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_stripe_lists_by_charge_and_standard_by_our_reference():
    find("stripe", always(listed()))
    assert requests_seen[0].target == "/base/v1/refunds?charge=ch_1&limit=100"

    find("standard", always(listed()))
    assert requests_seen[0].target == f"/base/refunds?reference={REFUND_REF}"


@BOTH
def test_not_found_only_when_all_refunds_were_seen(name):
    assert find(name, always(listed(OUTSIDE[name]))) == NotFound(searched=REFUND_REF)


@BOTH
def test_two_refunds_under_our_reference_go_to_a_person(name):
    found = find(name, always(listed(REFUNDS[name], TWIN[name])))

    refs = (REFUNDS[name]["id"], TWIN[name]["id"])
    assert found == NoAnswer(reason="more_than_one", provider_refs=refs)


@BOTH
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(200, b"{}"), "answer_unreadable"),
        (http(200, body({"data": [1]})), "answer_unreadable"),
        (error(404, "resource_missing"), "status_404"),
        (error(500, "", "api_error"), "api_error"),
        (http(200, b"<html>"), "answer_not_json"),
        (listed({"id": "x"}), "answer_unreadable"),
    ],
)
def test_list_that_cannot_be_read_is_never_not_found(name, answer, reason):
    assert find(name, always(answer)) == NoAnswer(reason=reason)
    assert list_(name, always(answer)) == NoAnswer(reason=reason)


@BOTH
def test_refunds_made_outside_are_listed_without_a_reference_of_ours(name):
    found = list_(name, always(listed(OUTSIDE[name], REFUNDS[name])))

    assert isinstance(found, RefundList)
    assert found.complete
    assert [state.our_ref for state in found.refunds] == [None, REFUND_REF]


@BOTH
def test_list_with_a_refund_of_another_payment_is_not_believed(name):
    other = REFUNDS[name] | {"charge": "ch_2", "payment_intent": "pi_2", "payment": "spm_2"}

    assert list_(name, always(listed(other))) == NoAnswer(reason="answer_unreadable")


def test_stripe_list_is_read_to_its_end():
    first = listed(OUTSIDE["stripe"], more=True)

    found = find("stripe", in_turn(always(first), always(listed(STRIPE_REFUND))))

    assert isinstance(found, RefundState)
    queries = [parse_qs(urlsplit(request.target).query) for request in requests_seen]
    assert queries[1]["starting_after"] == ["re_9"]


def test_list_without_an_end_finds_nothing_for_certain():
    numbers = iter(range(100))

    def endless(request):
        yield listed(OUTSIDE["stripe"] | {"id": f"re_x{next(numbers)}"}, more=True)

    assert find("stripe", endless) == NoAnswer(reason="list_too_long")
    assert len(requests_seen) == 5
    cut = list_("standard", always(listed(STANDARD_REFUND, more=True)))
    assert isinstance(cut, RefundList) and not cut.complete
    assert find("standard", always(listed(STANDARD_REFUND, more=True))) == NoAnswer(
        reason="list_too_long", provider_refs=("srf_1",)
    )


def test_all_pages_share_the_deadline():
    def slow(request):
        yield 0.3
        yield listed(OUTSIDE["stripe"] | {"id": f"re_s{len(request.target)}"}, more=True)

    found = find("stripe", slow, deadline_s=0.5)

    assert isinstance(found, NoAnswer)
    assert found.reason in ("deadline", "read_timeout")
    assert len(requests_seen) <= 3


@BOTH
@pytest.mark.parametrize(
    ("change", "reached", "failure"),
    [
        ({"status": "pending"}, {"accepted"}, None),
        (
            {"status": "failed", "failure_reason": "declined", "failure_code": "declined"},
            {"accepted", "failed", "failed_late"},
            "declined",
        ),
        ({"status": "canceled"}, {"accepted", "canceled"}, None),
    ],
)
def test_fetched_refund_as_it_stands_now(name, change, reached, failure):
    found = fetch(name, always(http(200, body(REFUNDS[name] | change))))

    assert isinstance(found, RefundState)
    assert found.reached == {f"refund.{step}" for step in reached}
    assert (found.failure_code, found.raw_status) == (failure, change["status"])


def test_money_that_came_back_is_named():
    stripe = STRIPE_REFUND | {"status": "failed", "failure_balance_transaction": "txn_2"}
    standard = STANDARD_REFUND | {"status": "reversed"}

    gone = [
        fetch("stripe", always(http(200, body(stripe)))),
        fetch("standard", always(http(200, body(standard)))),
    ]

    assert [state.failure_movement_ref for state in gone] == ["txn_2", "srf_1:back"]
    assert gone[1].reached >= {"refund.succeeded", "refund.failed_late", "refund.returned"}


@BOTH
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404, "resource_missing"), NotFound(searched="re_0")),
        (error(404, "route_missing"), NoAnswer(reason="status_404")),
        (http(404, b"<html>"), NoAnswer(reason="answer_not_json")),
        (error(500, "", "api_error"), NoAnswer(reason="api_error")),
        (http(200, b"{}"), NoAnswer(reason="answer_unreadable")),
    ],
)
def test_only_the_provider_itself_can_say_not_found(name, answer, expected):
    assert fetch(name, always(answer), "re_0") == expected


@BOTH
def test_answer_about_another_refund_is_no_answer(name):
    found = fetch(name, always(http(200, body(REFUNDS[name]))), "re_somebody_elses")

    assert found == NoAnswer(reason="answer_unreadable")


@BOTH
@pytest.mark.parametrize("ref", ["../events", "re_1?x=1", "re 1", "x" * 300])
def test_reference_that_is_no_id_is_not_asked_for(name, ref):
    assert fetch(name, always(), ref) == NoAnswer(reason="reference_malformed")
    assert requests_seen == []


@BOTH
@pytest.mark.parametrize("ref", ["ch 1", "ch_1\r\n", "x" * 300])
def test_payment_that_is_no_id_is_not_asked_for(name, ref):
    assert list_(name, always(), ref) == NoAnswer(reason="reference_malformed")
    assert requests_seen == []


@BOTH
def test_reference_in_another_form_than_ours_counts_as_somebody_elses(name):
    legacy = REFUNDS[name] | {"reference": "R-77", "metadata": {"payops_reference": "R-77"}}

    found = fetch(name, always(http(200, body(legacy))))

    assert isinstance(found, RefundState)
    assert found.our_ref is None
