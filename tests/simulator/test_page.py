"""The control page: works as plain forms, escapes what it shows, obeys the strict policy."""

import re
from urllib.parse import urlencode

from tests.simulator.process import Process, Receiver

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOSTILE = "<script>alert(1)</script>"


def press(simulator: Process, path: str, **headers: str) -> str:
    """Press a button of the page and give back where the browser is sent."""
    action, _, text = path.partition("?")
    reply = simulator.call("POST", action, body=text.encode(), headers=FORM | headers)
    assert reply.status == 303, (reply.status, reply.body)
    return reply.headers["location"]


def test_page_shows_the_payout_and_what_can_be_done(simulator: Process) -> None:
    payout = simulator.payout()

    page = simulator.call("GET", "/").body.decode()

    assert "P-10492" in page
    assert "12,400.00 USD" in page
    actions = re.findall(r'formaction="/control/payouts/([^"]+)"', page)
    assert actions == [f"{payout['id']}/{act}" for act in ("fail", "pay", "cancel", "resend")]
    assert "<option>account_closed</option>" in page


def test_fail_this_payout_now_works_without_javascript(
    simulator: Process, receiver: Receiver
) -> None:
    payout = simulator.payout()
    simulator.control("POST", "/payouts/po_1/pay")
    simulator.quiet()
    fields = urlencode({"failure_code": "no_account", "copies": 12})

    location = press(simulator, f"/control/payouts/{payout['id']}/fail?{fields}")
    simulator.quiet()

    assert location == f"/?did=failed&about={payout['id']}"
    assert "Payout failed" in simulator.call("GET", location).body.decode()
    assert receiver.types().count("payout.failed") == 12


def test_person_chooses_how_the_standard_provider_tells_a_failure(
    simulator: Process, receiver: Receiver
) -> None:
    """S0-a: the provider's own word for a late failure is settlementFailed."""
    asked = {
        "reference": "po_2",
        "amount": 1_240_000,
        "currency": "EUR",
        "destination": {"token": "dest_1"},
        "description": "P-10492",
    }
    payout = simulator.standard("POST", "/payouts", asked).json
    simulator.control("POST", f"/payouts/{payout['id']}/pay")
    simulator.quiet()
    page = simulator.call("GET", "/").body.decode()
    fields = urlencode({"failure_code": "no_account", "event": "settlementFailed", "copies": 1})

    press(simulator, f"/control/payouts/{payout['id']}/fail?{fields}")
    press(simulator, f"/control/payouts/{payout['id']}/resend?{fields}")
    simulator.quiet()

    assert '<option value="settlementFailed">settlementFailed</option>' in page
    assert receiver.types().count("settlementFailed") == 2


def test_last_value_of_a_shared_field_wins(simulator: Process, receiver: Receiver) -> None:
    payout = simulator.payout()
    simulator.quiet()

    # The form's own field says 1, the pressed button's value 12 follows it.
    fields = "failure_code=no_account&copies=1&copies=12"
    press(simulator, f"/control/payouts/{payout['id']}/resend?{fields}")
    simulator.quiet()

    assert len(receiver.received) == 13


def test_refused_act_says_why_on_the_page(simulator: Process) -> None:
    payout = simulator.payout()
    path = f"/control/payouts/{payout['id']}/reverse"

    reply = simulator.call("POST", path, body=b"", headers=FORM)

    assert reply.status == 400
    assert "Refused: Payouts with status pending cannot be reversed." in reply.body.decode()


def test_forms_of_the_page_are_accepted(simulator: Process) -> None:
    flat = urlencode({"fault": "503", "provider": "stripe", "operation": "*", "reference": "*"})
    press(simulator, f"/control/faults?{flat}&times=2")
    press(simulator, "/control/delivery?drop_next=3&lateness_s=0&stale_s=-5")
    press(simulator, "/control/delivery?hold=true")
    buyer = {"provider": "stripe", "reference": "pa_1", "seller": "be_1", "amount": "100"}
    press(simulator, f"/control/payments?{urlencode(buyer)}&currency=EUR&fee=0&copies=1")

    state = simulator.control("GET", "/state")
    assert (state["faults"], state["delivery"]["stale_s"], state["events"]) == (1, -5, 1)
    assert (state["delivery"]["drop_next"], state["delivery"]["hold"]) == (2, True)
    press(simulator, "/control/faults/clear?")
    press(simulator, "/control/reset?")
    assert simulator.control("GET", "/state")["events"] == 0


def test_hostile_text_is_shown_as_text(simulator: Process) -> None:
    simulator.payout(**{"metadata[merchant_reference]": HOSTILE})

    page = simulator.call("GET", "/?" + urlencode({"did": "failed", "about": HOSTILE})).body

    assert HOSTILE.encode() not in page
    assert page.count(b"&lt;script&gt;") == 6


def test_page_obeys_the_strict_policy(simulator: Process) -> None:
    simulator.payout()

    reply = simulator.call("GET", "/")
    sheet = simulator.call("GET", "/simulator.css")
    icon = simulator.call("GET", "/icon.svg")

    assert reply.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    page = reply.body.decode()
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert sheet.headers["content-type"] == "text/css; charset=utf-8"
    assert icon.headers["content-type"] == "image/svg+xml"
    assert simulator.call("GET", "/../store.py").status == 404


def test_rows_shown_are_bounded_and_older_ones_reachable(simulator: Process) -> None:
    for number in range(23):
        simulator.payout(**{"metadata[merchant_reference]": f"P-{number:03}"})

    first = simulator.call("GET", "/").body.decode()
    older = re.search(r'href="(/\?before=\d+)"', first)
    assert older
    second = simulator.call("GET", older[1]).body.decode()

    names = re.findall(r"<strong>(P-\d{3})</strong>", first + second)
    assert names == [f"P-{number:03}" for number in range(22, -1, -1)]
    assert len(re.findall(r"<strong>P-", first)) == 20


def test_search_finds_by_merchant_reference(simulator: Process) -> None:
    simulator.payout()
    simulator.payout(**{"metadata[merchant_reference]": "P-2"})

    page = simulator.call("GET", "/?q=P-2").body.decode()

    assert re.findall(r"<strong>(P-\d+)</strong>", page) == ["P-2"]
    assert "No payout has this reference." in simulator.call("GET", "/?q=zz").body.decode()


def test_another_site_cannot_press_the_buttons(simulator: Process) -> None:
    simulator.payout()
    path = "/control/payouts/po_1/fail"

    foreign = simulator.call("POST", path, headers=FORM | {"Origin": "http://evil.test"})
    rebound = simulator.call("POST", path, headers=FORM | {"Host": "evil.test"})
    own = f"http://127.0.0.1:{simulator.port}"
    allowed = simulator.call("POST", path, headers=FORM | {"Origin": own})

    assert (foreign.status, rebound.status, allowed.status) == (403, 403, 303)
    assert [kind for kind, *_ in simulator.movements()] == ["payout", "payout_failure"]


def test_outage_and_loss_are_set_shown_and_withdrawn(simulator: Process) -> None:
    press(simulator, "/control/outages?provider=adyen&kind=hang&seconds=600")
    press(simulator, "/control/losses?provider=paypal&type=*&times=2")

    page = simulator.call("GET", "/").body.decode()
    assert "<strong>adyen</strong> never answers for another" in page
    assert "The next 2 events of paypal, type any, are lost; 0 were" in page

    press(simulator, "/control/outages?provider=adyen&seconds=0")
    press(simulator, "/control/losses/clear")
    assert (
        "Every provider is up and every event is sent." in simulator.call("GET", "/").body.decode()
    )


def test_payouts_of_every_provider_offer_what_their_provider_knows(simulator: Process) -> None:
    simulator.transfer(reference="po_adyen")
    simulator.batch(reference="po_paypal", key="k1")

    page = simulator.call("GET", "/?q=P-10492").body.decode()

    acts = re.findall(r'formaction="/control/payouts/[^"]+/([a-z]+)"', page)
    assert acts == ["fail", "pay", "unclaim", "resend", "fail", "pay", "cancel", "resend"]
    assert '<option value="PAYMENT.PAYOUTS-ITEM.RETURNED">' in page
    assert '<option value="refused">refused</option>' in page
    assert "told: PAYMENT.PAYOUTSBATCH.PROCESSING" in page


def test_batch_event_is_resent_when_nothing_was_told_of_the_item(
    simulator: Process, receiver: Receiver
) -> None:
    simulator.batch()

    press(simulator, "/control/payouts/po_1/resend?copies=2")
    simulator.quiet()

    types = [webhook.event["event_type"] for webhook in receiver.received]
    assert types == ["PAYMENT.PAYOUTSBATCH.PROCESSING"] * 3
