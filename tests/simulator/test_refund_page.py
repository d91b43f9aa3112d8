"""The page's refunds and disputes: plain forms that do what their buttons say."""

import re
from urllib.parse import urlencode

from tests.simulator.process import Process, Receiver
from tests.simulator.refunding import moved, paid, refund, told

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOSTILE = "<script>alert(1)</script>"


def actions(simulator: Process) -> list[str]:
    """Every button about a payment, refund or dispute: noun and verb."""
    page = simulator.call("GET", "/").body.decode()
    found = re.findall(r'formaction="/control/(\w+)/[^/"]+/(\w+)"', page)
    return [f"{noun} {verb}" for noun, verb in found if noun != "payouts"]


def press(simulator: Process, path: str, **fields: object) -> str:
    """Press a button; what the page says afterwards."""
    reply = simulator.call("POST", path, body=urlencode(fields).encode(), headers=FORM)
    assert reply.status == 303, (reply.status, reply.body)
    page = simulator.call("GET", reply.headers["location"]).body.decode()
    found = re.search(r'role="status">([^<]*)', page)
    assert found is not None
    return found[1].strip()


def test_refund_of_the_dashboard_and_its_late_failure_by_buttons(
    simulator: Process, receiver: Receiver
) -> None:
    payment = paid(simulator, "stripe")
    assert actions(simulator) == ["payments refund", "payments dispute", "payments dispute"]

    # The field left empty means all that is left.
    place = f"/control/payments/{payment}/refund"
    said = press(simulator, place, amount="", copies=1)
    (made,) = simulator.control("GET", "/refunds")["refunds"]
    fields = {"reason": "declined", "copies": 2}
    failed = press(simulator, f"/control/refunds/{made['id']}/fail", **fields)
    simulator.quiet()

    assert said == "Refunded in the provider's dashboard."
    assert failed == "Refund failed; the event is on its way."
    out, back = ("refund_external", "out", 10_000), ("refund_failure", "in", 10_000)
    assert moved(simulator) == [out, back]
    assert told(receiver).count("refund.failed") == 2
    assert actions(simulator)[3:] == ["refunds resend"]


def test_pending_refund_offers_every_way_out_of_it(simulator: Process) -> None:
    made = refund(simulator, "standard", paid(simulator, "standard"), 1_000).json
    offered = actions(simulator)[3:]

    press(simulator, f"/control/refunds/{made['id']}/succeed", reason="unknown", copies=1)

    assert offered == ["refunds fail", "refunds succeed", "refunds cancel", "refunds resend"]
    assert actions(simulator)[3:] == ["refunds fail", "refunds return", "refunds resend"]


def test_dispute_by_buttons(simulator: Process) -> None:
    payment = paid(simulator, "adyen")

    asked = press(simulator, f"/control/payments/{payment}/dispute", inquiry="true", copies=1)
    (made,) = simulator.control("GET", "/disputes")["disputes"]
    inquiring = actions(simulator)[3:]
    press(simulator, f"/control/disputes/{made['id']}/withdraw")
    standing = actions(simulator)[3:]
    press(simulator, f"/control/disputes/{made['id']}/win")

    assert asked == "Dispute opened."
    verbs = ["update", "withdraw", "lose", "close", "resend"]
    assert inquiring == [f"disputes {verb}" for verb in verbs]
    verbs = ["update", "lose", "win", "return", "resend"]
    assert standing == [f"disputes {verb}" for verb in verbs]
    assert actions(simulator)[3:] == ["disputes again", "disputes resend"]


def test_rules_clock_and_keys_by_forms(simulator: Process) -> None:
    press(simulator, "/control/rules", permissive="true")
    press(simulator, "/control/rules", refund_status="pending", latency_s="0.01")
    press(simulator, "/control/clock", ahead_s="60", keys_ahead_s="90000")
    said = press(simulator, "/control/keys/forget", provider="*")

    assert simulator.control("GET", "/rules") == {
        "permissive": True,
        "latency_s": 0.01,
        "refund_status": "pending",
    }
    clock = simulator.control("GET", "/clock")
    assert (clock["ahead_s"], clock["keys_ahead_s"]) == (60, 90_000)
    assert said == "Every idempotency key is forgotten."
    page = simulator.call("GET", "/").body.decode()
    assert "Refund anything and ignore keys</strong>: on" in page
    assert 'value="90000"' in page


def test_hostile_references_are_shown_as_text(simulator: Process) -> None:
    payment = paid(simulator, "stripe", reference=HOSTILE.replace(" ", ""))
    refund(simulator, "stripe", payment, 1_000, reference=HOSTILE)
    simulator.control("POST", f"/payments/{payment}/dispute", {"reason": "general"})

    page = simulator.call("GET", "/").body

    assert HOSTILE.encode() not in page
    assert page.count(b"<strong>&lt;script&gt;") == 3


def test_page_offers_only_what_the_control_side_takes(simulator: Process) -> None:
    """Every button of a form sends the form's fields: none may be refused as unknown."""
    for number, provider in enumerate(("stripe", "adyen", "paypal", "standard")):
        payment = paid(simulator, provider, reference=f"ORDER-{number}")
        refund(simulator, provider, payment, 1_000, reference=f"rf_{number}", key=f"k{number}")
        simulator.control("POST", f"/payments/ORDER-{number}/dispute", {"inquiry": True})
    page = simulator.call("GET", "/").body.decode()

    for form in re.findall(r'<form class="line" method="post">.*?</form>', page):
        fields = dict.fromkeys(re.findall(r'<input[^>]* name="(\w+)"', form), "1")
        options = re.findall(r'<select name="(\w+)"><option value="(\w+)"', form)
        for action in re.findall(r'formaction="([^"]+)"', form):
            body = urlencode({**fields, **dict(options)}).encode()
            reply = simulator.call("POST", action, body=body, headers=FORM)
            # Some are no longer possible after the one before them, none is misunderstood.
            assert reply.status in (303, 409) or b"nothing left" in reply.body, (action, reply.body)
