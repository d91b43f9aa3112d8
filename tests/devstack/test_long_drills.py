"""What the soak and the provider-down drill measure, and that each of them can fail."""

from __future__ import annotations

import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from payops.core import clock
from payops.devstack.drill import letters, sender, soak
from payops.devstack.drill.memory import MB, flat, slope_per_minute
from payops.devstack.drill.outage import busiest_second, calls_allowed
from payops.psp.adyen.adapter import AdyenAdapter
from payops.psp.base import AccountFacts, Authentication, EventRefused, SecretValue
from payops.psp.standard.adapter import StandardAdapter
from payops.psp.stripe.adapter import StripeAdapter

ADAPTERS = {"stripe": StripeAdapter(), "standard": StandardAdapter(), "adyen": AdyenAdapter()}
SECRETS = {
    "stripe": "whsec_drill",
    "standard": "whsec_" + "QUJD" * 8,
    "adyen": "0A" * 32,
}


def _verdict(letter: letters.Letter) -> Authentication:
    now = clock.utc_now()
    given = letters.headers(letter, at=int(now.timestamp()), secrets=SECRETS)
    account = AccountFacts(
        provider=letter.provider,
        slug="demo",
        live=False,
        settings={"merchant_account": letters.MERCHANT_ACCOUNT},
    )
    return ADAPTERS[letter.provider].authenticate(
        raw=letter.body,
        headers={name.lower(): value for name, value in given.items()},
        secrets=[SecretValue(id="1", value=SECRETS[letter.provider])],
        now=now,
        account=account,
    )


def test_good_letters_are_authentic_payments_of_three_providers() -> None:
    """WH-1: each is verified by its adapter, under the names the soak counts it by."""
    dice, at = random.Random(1), int(clock.utc_now().timestamp())
    seen = set()
    for number in range(60):
        letter = letters.good(prefix="SKn", number=number, at=at, secrets=SECRETS, dice=dice)
        verdict = _verdict(letter)

        assert verdict.ok and verdict.parse_error is None
        assert tuple(item.provider_event_id for item in verdict.items) == letter.names
        assert all(item.amount_minor == letter.amount_minor for item in verdict.items)
        adapter = ADAPTERS[letter.provider]
        kinds = [adapter.parse(letter.body, index).kind for index in range(len(letter.names))]
        assert kinds[-1] == "payment.captured"
        seen.add(letter.provider)
    assert seen == {"stripe", "standard", "adyen"}


def test_poison_is_authentic_and_can_never_be_read() -> None:
    """WH-14: signed, so it must be kept; impossible, so it must end as a dead letter."""
    dice, torn = random.Random(1), 0
    for number in range(60):
        letter = letters.poison(prefix="SKn", number=number, at=1, dice=dice)
        verdict = _verdict(letter)

        assert verdict.ok and not letter.reference
        if verdict.parse_error is not None:
            torn += 1
            assert letter.names == (f"unparseable:{letter.sha256}",)
            continue
        assert (verdict.items[0].provider_event_id,) == letter.names
        with pytest.raises(EventRefused):
            ADAPTERS["standard"].parse(letter.body)
    assert 0 < torn < 60


class _Moody(BaseHTTPRequestHandler):
    """Answers every third attempt 503 and the others 200."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    attempts = 0
    bodies: list[bytes] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with _Moody.lock:
            _Moody.attempts += 1
            refused = _Moody.attempts % 3 == 0
            if not refused:
                _Moody.bodies.append(body)
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_sender_repeats_until_acknowledged_and_tells_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SC-4: what it says was answered is what the other side answered."""
    monkeypatch.setattr(sender, "BACKOFF_S", (0.05,))
    monkeypatch.setattr(sender, "CONNECTIONS", 4)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Moody)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        told = sender.Sender(
            {
                "web": f"http://127.0.0.1:{server.server_port}",
                "secrets": SECRETS,
                "rate": 100,
                "seconds": 2,
                "seed": 1,
                "prefix": "SKn",
                "duplicates": 0.2,
                "poison": 0.05,
            }
        ).run()
    finally:
        server.shutdown()
        server.server_close()

    assert (told["deliveries"], told["answered"], told["unacknowledged"]) == (200, 200, 0)
    assert told["failed_attempts"]["503"] == _Moody.attempts - 200
    assert len(_Moody.bodies) == 200
    assert len(told["bodies"]) == len(set(_Moody.bodies))
    assert 20 <= 200 - len(told["bodies"]) <= 60
    assert sum(answered for _, _, answered, _, _ in told["bodies"]) == 200


def test_amount_that_changed_on_the_way_is_found() -> None:
    assert soak.wrong_amounts({"O-1": 500}, {"O-1": 500}) == []
    assert soak.wrong_amounts({"O-1": 500, "O-2": 7}, {"O-1": 501}) == [
        "O-1: 500 minor units were sent, 501 were captured",
        "O-2: 7 minor units were sent, None were captured",
    ]


def test_memory_that_grows_is_found_and_its_warm_up_is_not() -> None:
    """SC-1: a process that grows by 3 MB a minute after its warm-up is not flat."""
    steady = [(float(s), 100 * MB + min(s, 20) * MB) for s in range(240)]
    leaking = [(float(s), 100 * MB + s * MB // 20) for s in range(240)]
    young = [(float(s), 50 * MB + s * MB) for s in range(200, 240)]
    samples = {("web", 1): steady, ("worker-high", 2): leaking, ("worker-calls", 3): young}

    check, figures = flat(samples, since_s=0.0, until_s=240.0, at_least_s=48.0)

    assert len(check.breaks) == 1 and check.breaks[0].startswith("worker-high 2 grows")
    assert set(figures) == {"memory of web 1", "memory of worker-high 2"}
    assert round(slope_per_minute(leaking) / MB, 1) == 3.0


def test_memory_that_nobody_watched_is_not_called_flat() -> None:
    check, _ = flat({}, since_s=0.0, until_s=60.0, at_least_s=12.0)

    assert not check.ok


def test_busiest_second_rolls() -> None:
    """WH-22: twenty calls around the turn of a second are twenty, not ten and ten."""
    around = [0.5 + n * 0.05 for n in range(20)]

    assert busiest_second(around) == 20
    assert busiest_second([*around, 1.5]) == 20
    assert busiest_second([]) == 0
    assert (calls_allowed(20), calls_allowed(1)) == (25, 2)
