"""Adyen's face: marks its own library accepts, transfers, notifications (WH-2, WH-28, PX-3)."""

import datetime
from typing import Any

import pytest
from Adyen.util import is_valid_hmac_notification, is_valid_hmac_payload

from tests.simulator.process import ADYEN_SECRET, BALANCE_ACCOUNT, Process, Received, Receiver


def told(webhook: Received) -> list[dict[str, Any]]:
    """The items of a classic notification."""
    return [item["NotificationRequestItem"] for item in webhook.event["notificationItems"]]


def believed(webhook: Received) -> list[bool]:
    """What Adyen's own library says of every item; it looks at the first one only."""
    return [
        bool(
            is_valid_hmac_notification(
                {**webhook.event, "notificationItems": [{"NotificationRequestItem": item}]},
                ADYEN_SECRET,
            )
        )
        for item in told(webhook)
    ]


def refund(simulator: Process, psp_reference: str, value: int, **more: Any) -> Any:
    params = {
        "merchantAccount": "MeridianDE",
        "amount": {"value": value, "currency": "EUR"},
        "reference": "rf_1",
    }
    path = f"/checkout/v71/payments/{psp_reference}/refunds"
    return simulator.adyen("POST", path, params | more, key=more.pop("key", None))


def test_transfer_is_received_authorised_and_booked_in_numbered_steps(
    simulator: Process, receiver: Receiver
) -> None:
    made = simulator.transfer(key="k1")
    simulator.control("POST", "/payouts/po_1/send")
    simulator.control("POST", "/payouts/P-10492/pay")
    simulator.quiet()

    data = sorted((w.event["data"] for w in receiver.received), key=lambda d: d["sequenceNumber"])
    assert (made["status"], made["sequenceNumber"]) == ("received", 1)
    assert [d["status"] for d in data] == ["received", "authorised", "booked"]
    assert [d["sequenceNumber"] for d in data] == [1, 2, 3]
    assert sorted(receiver.types()) == [
        "balancePlatform.transfer.created",
        "balancePlatform.transfer.updated",
        "balancePlatform.transfer.updated",
    ]
    assert {w.path for w in receiver.received} == {"/webhooks/adyen/demo/"}
    booked = simulator.adyen("GET", f"/btl/v4/transfers/{made['id']}").json
    assert booked["tracking"]["type"] == "estimation"
    assert [e.get("mutations") for e in booked["events"]] == [
        None,
        None,
        [{"balance": -1_240_000, "currency": "EUR"}],
    ]
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "EUR", "k1")]


def test_library_accepts_the_header_and_refuses_one_changed_byte(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.transfer()
    simulator.quiet()
    (webhook,) = receiver.received
    mark, body = webhook.headers["hmacsignature"], webhook.body

    assert is_valid_hmac_payload(mark, ADYEN_SECRET, body)
    assert not is_valid_hmac_payload(mark, ADYEN_SECRET, body.replace(b"1240000", b"1240001"))


def test_payment_is_one_body_of_two_items_each_with_its_mark(
    simulator: Process, receiver: Receiver
) -> None:
    payment = simulator.pay_in("adyen", reference=r"OR\DER:1")["payment"]
    simulator.quiet()

    (webhook,) = receiver.received
    assert "hmacsignature" not in webhook.headers
    assert believed(webhook) == [True, True]
    first, second = told(webhook)
    assert (first["eventCode"], first["pspReference"]) == ("AUTHORISATION", payment["id"])
    assert "originalReference" not in first
    assert (second["eventCode"], second["originalReference"]) == ("CAPTURE", payment["id"])
    for item in (first, second):
        assert item["success"] == "true"
        assert item["merchantReference"] == r"OR\DER:1"
        assert item["amount"] == {"currency": "EUR", "value": 3_000}
        assert len(item["pspReference"]) == 16
    assert webhook.event["live"] == "false"


def test_split_payment_is_told_in_two_bodies(simulator: Process, receiver: Receiver) -> None:
    simulator.pay_in("adyen", split=True)
    simulator.quiet()

    assert sorted(told(w)[0]["eventCode"] for w in receiver.received) == [
        "AUTHORISATION",
        "CAPTURE",
    ]
    assert [believed(w) for w in receiver.received] == [[True], [True]]


def test_forged_webhooks_fail_at_the_library(simulator: Process, receiver: Receiver) -> None:
    simulator.control("POST", "/delivery", {"forge_signature": True})
    simulator.transfer()
    simulator.pay_in("adyen")
    simulator.quiet()

    transfer, payment = sorted(receiver.received, key=lambda w: "notificationItems" in w.event)
    mark = transfer.headers["hmacsignature"]
    assert not is_valid_hmac_payload(mark, ADYEN_SECRET, transfer.body)
    assert believed(payment) == [False, False]


@pytest.mark.parametrize(
    ("event", "status"), [("", "failed"), ("refused", "refused"), ("returned", "returned")]
)
def test_late_failure_gives_the_booked_money_back_with_a_movement_of_its_own(
    simulator: Process, receiver: Receiver, event: str, status: str
) -> None:
    made = simulator.transfer()
    simulator.control("POST", "/payouts/po_1/pay")

    params = {"failure_code": "account_closed", "event": event or None}
    simulator.control("POST", "/payouts/po_1/fail", params)
    simulator.quiet()

    shown = simulator.adyen("GET", f"/btl/v4/transfers/{made['id']}").json
    assert (shown["status"], shown["reason"]) == (status, "counterpartyAccountClosed")
    assert shown["sequenceNumber"] == 3
    taken, back = shown["events"][1:]
    assert back["mutations"] == [{"balance": 1_240_000, "currency": "EUR"}]
    assert back["transactionId"] != taken["transactionId"]
    kind = "payout_reversal" if status == "returned" else "payout_failure"
    assert [row[0] for row in simulator.movements()] == ["payout", kind]
    with pytest.raises(AssertionError, match=r"payout_status_invalid|already_reversed"):
        simulator.control("POST", "/payouts/po_1/reverse")


def test_failure_before_booking_changes_no_balance(simulator: Process) -> None:
    made = simulator.transfer()

    simulator.control("POST", "/payouts/po_1/fail")

    shown = simulator.adyen("GET", f"/btl/v4/transfers/{made['id']}").json
    assert [e.get("mutations") for e in shown["events"]] == [None, None]


def test_failure_told_again_has_the_next_number(simulator: Process, receiver: Receiver) -> None:
    simulator.transfer()
    simulator.control("POST", "/payouts/po_1/fail")
    simulator.control("POST", "/payouts/po_1/fail", {"repeat": True, "copies": 3})
    simulator.quiet()

    numbers = sorted(w.event["data"]["sequenceNumber"] for w in receiver.received)
    assert numbers == [1, 2, 3, 3, 3]


def test_same_key_is_the_same_transfer_and_other_parameters_are_refused(
    simulator: Process,
) -> None:
    first, again = simulator.transfer(key="k1"), simulator.transfer(key="k1")
    params = {
        "amount": {"value": 1, "currency": "EUR"},
        "balanceAccountId": BALANCE_ACCOUNT,
        "category": "bank",
        "counterparty": {"transferInstrumentId": "SE1"},
    }
    other = simulator.adyen("POST", "/btl/v4/transfers", params, key="k1")

    assert first["id"] == again["id"]
    assert (other.status, other.headers["content-type"]) == (422, "application/problem+json")
    assert simulator.movements() == [("payout", "po_1", 1_240_000, "EUR", "k1")]


def test_wrong_key_of_the_api_is_refused_in_adyens_words(simulator: Process) -> None:
    reply = simulator.call("GET", "/adyen/btl/v4/transfers/X", headers={"X-API-Key": "no"})

    assert (reply.status, reply.json["errorCode"]) == (401, "010")


def test_transfers_are_listed_page_by_page(simulator: Process) -> None:
    made = [simulator.transfer(reference=f"po_{n}")["id"] for n in range(5)]
    now = datetime.datetime.now(datetime.UTC)
    query: dict[str, Any] = {
        "balanceAccountId": BALANCE_ACCOUNT,
        "createdSince": (now - datetime.timedelta(hours=1)).isoformat(),
        "createdUntil": (now + datetime.timedelta(hours=1)).isoformat(),
        "limit": 2,
    }
    seen, path = [], "/btl/v4/transfers"
    page = simulator.adyen("GET", path, query).json
    for _ in range(5):
        seen += [row["id"] for row in page["data"]]
        if "next" not in page["_links"]:
            break
        href = page["_links"]["next"]["href"]
        page = simulator.adyen("GET", href.partition("/adyen")[2]).json

    assert seen == made
    none = simulator.adyen("GET", path, query | {"balanceAccountId": "BAOTHER"}).json
    assert none == {"data": [], "_links": {}}


@pytest.mark.parametrize(
    ("currency", "value", "minor"),
    [("CLP", 100, 1), ("ISK", 100, 1), ("IDR", 1, 100), ("CVE", 1, 100), ("JPY", 7, 7)],
)
def test_decimals_differ_from_iso_where_adyen_says_so(
    simulator: Process, currency: str, value: int, minor: int
) -> None:
    made = simulator.transfer(amount={"value": value, "currency": currency})

    assert made["amount"] == {"value": value, "currency": currency}
    assert simulator.movements() == [("payout", "po_1", minor, currency, None)]


def test_amount_adyen_cannot_express_is_refused(simulator: Process) -> None:
    with pytest.raises(AssertionError, match="cannot be expressed"):
        simulator.pay_in("adyen", currency="CVE", amount=3_001)

    assert simulator.movements() == []


def test_refund_is_received_then_told_and_may_fail_later_under_the_same_reference(
    simulator: Process, receiver: Receiver
) -> None:
    payment = simulator.pay_in("adyen")["payment"]
    answer = refund(simulator, payment["id"], 1_000)
    failed = simulator.control("POST", "/refunds/rf_1/fail")
    simulator.quiet()

    assert (answer.status, answer.json["status"]) == (201, "received")
    assert answer.json["paymentPspReference"] == payment["id"]
    items = {item["eventCode"]: item for w in receiver.received for item in told(w)}
    for code in ("REFUND", "REFUND_FAILED"):
        assert items[code]["pspReference"] == answer.json["pspReference"]
        assert items[code]["originalReference"] == payment["id"]
        assert items[code]["success"] == "true"
    assert all(all(believed(w)) for w in receiver.received)
    assert failed["event"]
    assert [(row[0], row[2]) for row in simulator.movements()] == [
        ("payment", 3_000),
        ("refund", 1_000),
        ("refund_failure", 1_000),
    ]
    with pytest.raises(AssertionError, match="already_failed"):
        simulator.control("POST", "/refunds/rf_1/fail")


def test_refund_of_more_than_was_captured_is_received_and_told_as_false(
    simulator: Process, receiver: Receiver
) -> None:
    payment = simulator.pay_in("adyen")["payment"]
    answer = refund(simulator, payment["id"], 3_001)
    simulator.quiet()

    item = next(i for w in receiver.received for i in told(w) if i["eventCode"] == "REFUND")
    assert (answer.status, item["success"]) == (201, "false")
    assert item["reason"] == "Insufficient balance on payment"
    assert [row[0] for row in simulator.movements()] == ["payment"]


def test_refund_for_another_merchant_account_is_refused(simulator: Process) -> None:
    payment = simulator.pay_in("adyen")["payment"]

    answer = refund(simulator, payment["id"], 1, merchantAccount="Other")

    assert (answer.status, answer.json["errorCode"]) == (403, "901")


def test_capture_that_fails_after_all_takes_the_money_back(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.pay_in("adyen")
    simulator.control("POST", "/payments/ORDER-1/tell", {"event": "CAPTURE_FAILED"})
    simulator.quiet()

    assert told(receiver.received[-1])[0]["eventCode"] == "CAPTURE_FAILED"
    rows = simulator.control("GET", "/movements")["movements"]
    assert [(row["kind"], row["direction"]) for row in rows] == [
        ("payment", "in"),
        ("capture_failed", "out"),
    ]


def test_failed_payment_is_one_authorisation_that_failed(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.pay_in("adyen", status="failed")
    simulator.quiet()

    (webhook,) = receiver.received
    (item,) = told(webhook)
    assert (item["eventCode"], item["success"]) == ("AUTHORISATION", "false")
    assert believed(webhook) == [True]
    assert simulator.movements() == []


def test_restart_goes_on_counting(simulator: Process, receiver: Receiver) -> None:
    made = simulator.transfer()
    simulator.control("POST", "/payouts/po_1/send")
    simulator.kill()
    simulator.start()

    simulator.control("POST", "/payouts/po_1/pay")

    shown = simulator.adyen("GET", f"/btl/v4/transfers/{made['id']}").json
    assert (shown["status"], shown["sequenceNumber"]) == ("booked", 3)
