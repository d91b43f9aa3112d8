"""Refund calls on the provider's worst days: lost and spoilt answers, lost memory, no rules.

What the witness must show of them: one movement, one key, and the queries before a repeat (RF-6,
I6, I7, D14).
"""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.simulator.process import API_KEY, Process, Receiver
from tests.simulator.refunding import PROVIDERS, found, moved, paid, refund, told

LOST = (TimeoutError, ConnectionError, http.client.HTTPException)
DAY_S = 86_400.0


def order(simulator: Process, fault: str, operation: str = "refund.create", **more: Any) -> None:
    asked = {"match": {"operation": operation}, "fault": fault, **more}
    simulator.control("POST", "/faults", asked)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_refund_whose_answer_was_lost_moved_once(simulator: Process, provider: str) -> None:
    """S1-b: applied, then the connection dropped; the same key gives the answer afterwards."""
    payment = paid(simulator, provider)
    order(simulator, "reset_after_success")

    with pytest.raises(LOST):
        refund(simulator, provider, payment, 3_000)
    unseen = moved(simulator)
    if provider != "adyen":
        assert found(simulator, provider, payment) == [("rf_1", 3_000)]
    again = refund(simulator, provider, payment, 3_000)

    assert unseen == moved(simulator) == [("refund", "out", 3_000)]
    assert again.status in (200, 201)


def test_every_first_call_is_lost_and_no_repeat(simulator: Process) -> None:
    """Twenty refunds, each first answer lost: twenty movements, one key each, asked in between."""
    paid(simulator, "stripe", amount=100_000)
    charge = simulator.control("GET", "/payments")["payments"][0]["id"]
    order(simulator, "reset_after_success", times=20, first_only=True)

    for number in range(20):
        told_by: dict[str, Any] = {"reference": f"rf_{number}", "key": f"k{number}"}
        with pytest.raises(LOST):
            refund(simulator, "stripe", charge, 1_000, **told_by)
        simulator.stripe("GET", "/refunds", {"charge": charge})
        assert refund(simulator, "stripe", charge, 1_000, **told_by).status == 200

    rows = simulator.control("GET", "/movements?kind=refund")["movements"]
    assert [row["idempotency_key"] for row in rows] == [f"k{n}" for n in range(20)]
    assert [row["reference"] for row in rows] == [f"rf_{n}" for n in range(20)]
    calls = simulator.control("GET", f"/calls?object_id={charge}")["calls"]
    assert [(call["operation"], call["key"], call["status"]) for call in calls] == [
        row
        for n in range(20)
        for row in (
            ("refund.create", f"k{n}", None),
            ("refund.list", None, 200),
            ("refund.create", f"k{n}", 200),
        )
    ]
    assert [call["at"] for call in calls] == sorted(call["at"] for call in calls)
    assert calls[0]["reference"] == "rf_0"
    assert len(simulator.control("GET", "/calls?key=k7")["calls"]) == 2
    assert len(simulator.control("GET", "/movements?key=k7")["movements"]) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_key_lives_as_long_as_its_provider_says_and_no_longer(
    simulator: Process, provider: str
) -> None:
    """D14: after that a repeat under the same key would be a second refund."""
    payment = paid(simulator, provider)
    refund(simulator, provider, payment, 1_000)
    days = {"stripe": 1, "standard": 1, "adyen": 7, "paypal": 45}[provider]

    simulator.control("POST", "/clock", {"keys_ahead_s": days * DAY_S - 60})
    refund(simulator, provider, payment, 1_000)
    within = moved(simulator)
    simulator.control("POST", "/clock", {"keys_ahead_s": days * DAY_S + 3_600})
    again = refund(simulator, provider, payment, 1_000)

    assert within == [("refund", "out", 1_000)]
    # PayPal refuses the invoice number even when it has forgotten the key.
    status = {"stripe": 200, "standard": 201, "adyen": 201, "paypal": 422}[provider]
    assert (again.status, len(moved(simulator))) == (status, 1 if status == 422 else 2)


def test_provider_forgets_every_key_when_told(simulator: Process) -> None:
    for provider in ("stripe", "standard"):
        refund(simulator, provider, paid(simulator, provider), 1_000)

    answer = simulator.control("POST", "/keys/forget", {"provider": "stripe"})

    assert answer == {"forgotten": 1}
    rows = simulator.control("GET", "/payments")["payments"]
    for row in rows:
        refund(simulator, row["provider"], row["id"], 1_000)
    assert len(moved(simulator)) == 3


def test_whole_clock_runs_ahead_and_survives_a_restart(simulator: Process) -> None:
    before = time.time()
    simulator.control("POST", "/clock", {"ahead_s": 3_600})
    made = refund(simulator, "stripe", paid(simulator, "stripe"), 1_000).json
    simulator.kill()
    simulator.start()

    clock = simulator.control("GET", "/clock")
    assert 3_600 <= made["created"] + 1 - before < 3_660
    assert (clock["ahead_s"], clock["keys_ahead_s"]) == (3_600, 0)
    simulator.control("POST", "/reset")
    assert simulator.control("GET", "/clock")["ahead_s"] == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_permissive_provider_applies_anything_and_knows_no_key(
    simulator: Process, provider: str
) -> None:
    """I6: only our own gates stand between us and a second refund."""
    payment = paid(simulator, provider)
    simulator.control("POST", "/payments/ORDER-1/dispute", {"withdraw": False})
    simulator.control("POST", "/rules", {"permissive": True})

    replies = [refund(simulator, provider, payment, 6_000) for _ in range(3)]

    assert len({reply.body for reply in replies}) == 3
    assert moved(simulator) == [("refund", "out", 6_000)] * 3
    simulator.control("POST", "/rules", {"permissive": False})
    refused = refund(simulator, provider, payment, 1, key="k9")
    assert (refused.status >= 400) == (provider != "adyen")
    assert len(moved(simulator)) == 3


@pytest.mark.parametrize("provider", PROVIDERS)
def test_stored_500_is_replayed_for_ever_and_the_refund_can_be_found(
    simulator: Process, provider: str
) -> None:
    payment = paid(simulator, provider)
    order(simulator, "500_stored", moves_money=True)

    replies = [refund(simulator, provider, payment, 3_000) for _ in range(3)]

    assert [reply.status for reply in replies] == [500] * 3
    assert len({reply.body for reply in replies}) == 1
    assert moved(simulator) == [("refund", "out", 3_000)]
    if provider != "adyen":
        assert found(simulator, provider, payment) == [("rf_1", 3_000)]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("empty", 200, "application/json"),
        ("html", 200, "text/html; charset=utf-8"),
        ("redirect", 307, "application/json"),
    ],
)
def test_spoilt_answer_hides_a_refund_that_was_made(
    simulator: Process, provider: str, fault: str, status: int, kind: str
) -> None:
    payment = paid(simulator, provider)
    order(simulator, fault)

    spoilt = refund(simulator, provider, payment, 3_000)
    again = refund(simulator, provider, payment, 3_000)

    assert (spoilt.status, spoilt.headers["content-type"]) == (status, kind)
    assert spoilt.headers.get("location", "").endswith("/elsewhere") == (fault == "redirect")
    assert again.status in (200, 201)
    assert json.loads(again.body)
    assert moved(simulator) == [("refund", "out", 3_000)]


def test_spoilt_answer_of_a_refund_that_was_never_made(simulator: Process) -> None:
    payment = paid(simulator, "stripe")
    order(simulator, "empty", executed=False)

    spoilt = refund(simulator, "stripe", payment, 3_000)

    assert (spoilt.status, spoilt.body, moved(simulator)) == (200, b"", [])
    assert "idempotent-replayed" not in refund(simulator, "stripe", payment, 3_000).headers
    assert moved(simulator) == [("refund", "out", 3_000)]


def test_answer_of_fifty_megabytes_is_still_the_same_answer(simulator: Process) -> None:
    payment = paid(simulator, "stripe")
    order(simulator, "huge")

    reply = refund(simulator, "stripe", payment, 3_000, timeout_s=30)

    assert len(reply.body) == len(reply.body.rstrip()) + 50 * 1024**2
    assert json.loads(reply.body.rstrip())["amount"] == 3_000


def test_caller_who_hangs_up_on_a_huge_answer_does_no_harm(simulator: Process) -> None:
    payment = paid(simulator, "stripe")
    order(simulator, "huge", "refund.list", times=3)

    for _ in range(3):
        link = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
        head = {"Authorization": f"Bearer {API_KEY}"}
        link.request("GET", f"/stripe/v1/refunds?charge={payment}", headers=head)
        link.getresponse().read(1_000)
        link.close()

    assert found(simulator, "stripe", payment) == []


def test_answer_trickles_byte_by_byte(simulator: Process) -> None:
    payment = paid(simulator, "standard")
    order(simulator, "trickle", delay_s=0.002)
    started = time.monotonic()

    reply = refund(simulator, "standard", payment, 3_000)

    assert time.monotonic() - started >= 0.002 * len(reply.body)
    assert reply.json["amount"] == 3_000


def test_trickle_of_a_byte_per_second_outlasts_a_deadline(simulator: Process) -> None:
    payment = paid(simulator, "stripe")
    order(simulator, "trickle")

    with pytest.raises(LOST):
        refund(simulator, "stripe", payment, 3_000, timeout_s=0.5)

    assert moved(simulator) == [("refund", "out", 3_000)]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_wrong_currency_amount_and_reference_are_told_and_not_moved(
    simulator: Process, provider: str
) -> None:
    payment = paid(simulator, provider)
    for number, fault in enumerate(("wrong_currency", "wrong_amount", "wrong_reference")):
        order(simulator, fault)
        refund(simulator, provider, payment, 1_000, reference=f"rf_{number}", key=f"k{number}")

    rows = simulator.control("GET", "/movements?kind=refund")["movements"]
    assert [(row["reference"], row["amount"], row["currency"]) for row in rows] == [
        (f"rf_{number}", 1_000, "EUR") for number in range(3)
    ]


def test_stripe_echo_is_wrong_in_the_member_the_fault_names(simulator: Process) -> None:
    payment = paid(simulator, "stripe")
    told_wrong = []
    for number, fault in enumerate(("wrong_currency", "wrong_amount", "wrong_reference")):
        order(simulator, fault)
        made = refund(
            simulator, "stripe", payment, 1_000, reference=f"rf_{number}", key=f"k{number}"
        ).json
        told_wrong.append((made["currency"], made["amount"], made["metadata"]["payops_reference"]))

    assert told_wrong == [("chf", 1_000, "rf_0"), ("eur", 1_100, "rf_1"), ("eur", 1_000, "rf_2x")]


def test_429_says_when_to_come_back(simulator: Process) -> None:
    payment = paid(simulator, "paypal")
    order(simulator, "429", retry_after_s=7)

    refused = refund(simulator, "paypal", payment, 1_000)

    assert (refused.status, refused.headers["retry-after"]) == (429, "7")
    assert (refund(simulator, "paypal", payment, 1_000).status, len(moved(simulator))) == (201, 1)


def test_constant_latency_holds_many_calls_at_once(simulator: Process) -> None:
    """Sixty-four calls of 200 ms, side by side, take far less than one after the other."""
    payment = paid(simulator, "stripe", amount=100_000)
    simulator.control("POST", "/rules", {"latency_s": 0.2})
    started = time.monotonic()

    with ThreadPoolExecutor(64) as pool:
        made = list(
            pool.map(
                lambda n: refund(simulator, "stripe", payment, 1, reference=f"r{n}", key=f"k{n}"),
                range(64),
            )
        )

    took_s = time.monotonic() - started
    assert {reply.status for reply in made} == {200}
    assert 0.2 <= took_s < 64 * 0.2 / 2
    assert len(moved(simulator)) == 64


def test_refund_webhooks_come_late_twice_and_out_of_order(
    simulator: Process, receiver: Receiver
) -> None:
    """F3: the failure may arrive before the refund."""
    simulator.control("POST", "/delivery", {"hold": True})
    refund(simulator, "stripe", paid(simulator, "stripe"), 1_000)
    simulator.control("POST", "/refunds/rf_1/fail", {"copies": 2})
    simulator.control("POST", "/delivery", {"hold": False, "order": "reversed"})
    simulator.quiet()

    assert [webhook.type for webhook in receiver.received] == [
        *["charge.refund.updated"] * 2,
        *["refund.failed"] * 2,
        "charge.refunded",
        "refund.created",
        "charge.succeeded",
    ]
    assert told(receiver).count("refund.failed") == 2
