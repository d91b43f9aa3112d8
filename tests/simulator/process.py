"""A simulator process and a webhook receiver that tests start for real; no Django, no database."""

import atexit
import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from payops.simulator.certificates import ROOT_FILE, SIGNER_FILE, open_signer

ROOT = Path(__file__).resolve().parents[2]
API_KEY = "sk_test_simulator"
STRIPE_SECRET = "whsec_stripe_demo"
STANDARD_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ADYEN_SECRET = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
PAYPAL_CLIENT = "client-1"
WEBHOOK_ID = "8PT597110X687430L"
BALANCE_ACCOUNT = "BA00000000000000000000001"
PATIENCE_S = 15.0
COMMAND = (sys.executable, "-m", "payops.simulator")


def until(true: Callable[[], Any], *, what: str) -> Any:
    """The first truthy result; fails with `what` when the deadline passes."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if result := true():
            return result
        time.sleep(0.01)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")


@cache
def _made_once() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="payops-certificates-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    open_signer(directory)
    return directory


@dataclass(frozen=True)
class Received:
    """One webhook as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def type(self) -> str:
        return str(self.event["type"])


class Receiver:
    """Answers webhooks with the next planned status (200 when none is planned) and keeps them."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.plan: list[int] = []
        self.barrier: threading.Barrier | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def types(self) -> list[str]:
        return [webhook.type for webhook in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, webhook: Received) -> int:
        if self.barrier:
            self.barrier.wait(PATIENCE_S)
        with self._lock:
            self.received.append(webhook)
            return self.plan.pop(0) if self.plan else 200

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # The sender was killed while it spoke; nothing has arrived.
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.take(Received(self.path, headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@dataclass(frozen=True)
class Reply:
    """One answer of the simulator."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Process:
    """A simulator as its own operating-system process."""

    directory: Path
    target: str
    environ: dict[str, str] = field(default_factory=dict)
    port: int = 0
    child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environ = {
            **os.environ,
            "SIM_TARGET": self.target,
            "SIM_STRIPE_ACCOUNT": "demo",
            "SIM_STRIPE_SECRET": STRIPE_SECRET,
            "SIM_STANDARD_ACCOUNT": "demo",
            "SIM_STANDARD_SECRET": STANDARD_SECRET,
            "SIM_ADYEN_ACCOUNT": "demo",
            "SIM_ADYEN_SECRET": ADYEN_SECRET,
            "SIM_PAYPAL_ACCOUNT": "demo",
            "SIM_PAYPAL_WEBHOOK_ID": WEBHOOK_ID,
            "SIM_PAYPAL_KEY": f"{PAYPAL_CLIENT}:{API_KEY}",
            "SIM_API_KEY": API_KEY,
            "SIM_SETTLE_S": "-1",
            "SIM_BACKOFF_S": "0.05,0.1",
            **self.environ,
        }
        if environ["SIM_PAYPAL_WEBHOOK_ID"]:
            self._certificates()
        self.child = subprocess.Popen(
            [*COMMAND, "--port", str(self.port), "--data", str(self.directory)],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, f"the simulator did not start: {line!r}"
        self.port = int(found[1])

    def _certificates(self) -> None:
        """Those of the whole test run: making them takes longer than most tests."""
        if not (self.directory / ROOT_FILE).exists():
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in (SIGNER_FILE, ROOT_FILE):
                shutil.copy(_made_once() / name, self.directory / name)

    def kill(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(PATIENCE_S)
        self.child.stdout.close()  # type: ignore[union-attr]

    def terminate(self) -> int:
        assert self.child is not None
        self.child.terminate()
        code = self.child.wait(PATIENCE_S)
        self.child.stdout.close()  # type: ignore[union-attr]
        return code

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> Reply:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            link.request(method, path, body=body, headers=headers or {})
            answer = link.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            link.close()

    def stripe(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        timeout_s: float = 10.0,
    ) -> Reply:
        headers = {"Authorization": f"Bearer {API_KEY}"}
        headers |= {"Idempotency-Key": key} if key else {}
        text = urlencode(params or {})
        if method == "GET":
            path = f"{path}?{text}"
            return self.call("GET", f"/stripe/v1{path}", headers=headers, timeout_s=timeout_s)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.call(
            method,
            f"/stripe/v1{path}",
            body=text.encode(),
            headers=headers,
            timeout_s=timeout_s,
        )

    def standard(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> Reply:
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        body = json.dumps(params).encode() if params is not None else None
        return self.call(method, f"/standard{path}", body=body, headers=headers)

    def adyen(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        timeout_s: float = 10.0,
    ) -> Reply:
        headers = {"X-API-Key": API_KEY, "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        if method == "GET" and params:
            path = f"{path}?{urlencode(params)}"
        body = json.dumps(params).encode() if method != "GET" else None
        return self.call(method, f"/adyen{path}", body=body, headers=headers, timeout_s=timeout_s)

    def transfer(self, *, reference: str = "po_1", key: str | None = None, **more: Any) -> Any:
        """A payout by Adyen; the answer's JSON."""
        params = {
            "amount": {"value": 1_240_000, "currency": "EUR"},
            "balanceAccountId": BALANCE_ACCOUNT,
            "category": "bank",
            "counterparty": {"transferInstrumentId": "SE1"},
            "reference": reference,
            "referenceForBeneficiary": "P-10492",
            **more,
        }
        reply = self.adyen("POST", "/btl/v4/transfers", params, key=key)
        assert reply.status == 202, (reply.status, reply.body)
        return reply.json

    def token(self) -> str:
        """A new access token of PayPal."""
        credential = base64.b64encode(f"{PAYPAL_CLIENT}:{API_KEY}".encode()).decode()
        reply = self.call(
            "POST",
            "/paypal/v1/oauth2/token",
            body=b"grant_type=client_credentials",
            headers={
                "Authorization": f"Basic {credential}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        assert reply.status == 200, (reply.status, reply.body)
        return str(reply.json["access_token"])

    def paypal(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | bytes | None = None,
        *,
        key: str | None = None,
        token: str | None = None,
        timeout_s: float = 10.0,
        **headers: str,
    ) -> Reply:
        sent = {"Authorization": f"Bearer {token or self.token()}", **headers}
        sent |= {"PayPal-Request-Id": key} if key else {}
        if method == "GET" and isinstance(params, dict):
            path = f"{path}?{urlencode(params)}"
        body = None
        if method != "GET":
            sent["Content-Type"] = "application/json"
            body = params if isinstance(params, bytes) else json.dumps(params or {}).encode()
        return self.call(method, f"/paypal{path}", body=body, headers=sent, timeout_s=timeout_s)

    def batch(self, *, reference: str = "po_1", key: str | None = None, **more: Any) -> Any:
        """A payout by PayPal, one item; the answer's JSON."""
        params = {
            "sender_batch_header": {"sender_batch_id": f"batch-{reference}"},
            "items": [
                {
                    "recipient_type": "PAYPAL_ID",
                    "receiver": "dest_1",
                    "amount": {"value": "12400.00", "currency": "EUR"},
                    "note": "P-10492",
                    "sender_item_id": reference,
                }
            ],
            **more,
        }
        reply = self.paypal("POST", "/v1/payments/payouts", params, key=key)
        assert reply.status == 201, (reply.status, reply.body)
        return reply.json

    def pay_in(self, provider: str, **more: Any) -> Any:
        """A buyer pays; the answer's JSON."""
        params = {
            "provider": provider,
            "reference": "ORDER-1",
            "seller": "S-1",
            "amount": 3_000,
            "currency": "EUR",
            "fee": 87,
            "platform_fee": 300,
            **more,
        }
        return self.control("POST", "/payments", params)

    def control(self, method: str, path: str, params: dict[str, Any] | None = None) -> Any:
        body = json.dumps(params or {}).encode() if method != "GET" else None
        headers = {"Content-Type": "application/json"}
        reply = self.call(method, f"/control{path}", body=body, headers=headers)
        assert reply.status == 200, (reply.status, reply.body)
        return reply.json

    def payout(self, *, reference: str = "po_1", key: str | None = None, **more: Any) -> Any:
        params = {
            "amount": 1_240_000,
            "currency": "usd",
            "metadata[payops_reference]": reference,
            "metadata[merchant_reference]": "P-10492",
            **more,
        }
        reply = self.stripe("POST", "/payouts", params, key=key)
        assert reply.status == 200, (reply.status, reply.body)
        return reply.json

    def movements(self) -> list[tuple[str, str, int, str, str | None]]:
        """Every movement as (kind, reference, amount, currency, key)."""
        return [
            (row["kind"], row["reference"], row["amount"], row["currency"], row["idempotency_key"])
            for row in self.control("GET", "/movements")["movements"]
        ]

    def quiet(self) -> None:
        """Wait until nothing is queued, under way or on the clock."""
        until(lambda: self.control("GET", "/state")["idle"], what="an idle simulator")
