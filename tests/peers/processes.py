"""localstripe and stripe-stateful-mock as processes of their own, and the product's web process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import stripe

from payops.devstack.ports import free_port
from tests.psp.scripted_server import Received, http

LAUNCHER = Path(__file__).with_name("localstripe_launcher.py")
CHECKOUT = LAUNCHER.parents[2]
PATIENCE_S = 40.0
API_KEY = "sk_test_localstripe"
SAID = {"content-type", "authorization", "idempotency-key", "stripe-version"}


@dataclass(frozen=True)
class LocalStripe:
    """The peer and the official client of it."""

    port: int
    client: stripe.StripeClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send_webhooks_to(self, url: str, secret: str) -> None:
        told = {"url": url, "secret": secret}
        answer = httpx.post(f"{self.url}/_config/webhooks/payops", json=told, trust_env=False)
        assert answer.status_code == 200, answer.text

    def forward(self, request: Received, *, more: bytes = b"") -> bytes:
        """The answer to a request that was meant for it, with more at the end of the form."""
        headers = {name: text for name, text in request.headers.items() if name in SAID}
        answer = httpx.request(
            request.method,
            self.url + request.target,
            content=request.body + more,
            headers=headers,
            trust_env=False,
        )
        return http(answer.status_code, answer.content)


def interpreter() -> str:
    """The Python that has localstripe; a reason to skip in brackets when there is none."""
    python = os.environ.get("PAYOPS_LOCALSTRIPE", "")
    if not python:
        return "[PAYOPS_LOCALSTRIPE does not name a Python that has localstripe]"
    asked = [python, "-c", "import importlib.util as u; print(bool(u.find_spec('localstripe')))"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        return f"[PAYOPS_LOCALSTRIPE cannot be run: {error}]"
    return python if told.stdout.strip() == "True" else f"[{python} has no localstripe]"


@contextmanager
def localstripe(python: str, directory: Path) -> Iterator[LocalStripe]:
    port = free_port()
    with _process([python, str(LAUNCHER), str(port), str(directory)], directory, {}) as process:
        _until_it_answers(f"http://127.0.0.1:{port}/v1/events", process)
        base = f"http://127.0.0.1:{port}"
        client = stripe.StripeClient(API_KEY, base_addresses={"api": base})
        yield LocalStripe(port, client)


def mock_folder() -> str:
    """Where npm put stripe-stateful-mock; a reason to skip in brackets when there is none."""
    folder = os.environ.get("PAYOPS_STRIPE_MOCK", "")
    if not folder:
        return "[PAYOPS_STRIPE_MOCK does not name a folder with stripe-stateful-mock]"
    if not (Path(folder) / "node_modules" / "stripe-stateful-mock").is_dir():
        return f"[{folder} has no stripe-stateful-mock]"
    if shutil.which("node") is None:
        return "[there is no node on the path]"
    return folder


@contextmanager
def stateful_mock(folder: str, directory: Path) -> Iterator[LocalStripe]:
    """Its own launcher listens on every address; this one on loopback alone."""
    port = free_port()
    start = (
        "require('stripe-stateful-mock').createExpressApp().listen(+process.argv[1],'127.0.0.1')"
    )
    environment = {"LOG_LEVEL": "error", "NODE_PATH": str(Path(folder) / "node_modules")}
    with _process(["node", "-e", start, str(port)], directory, environment) as process:
        _until_it_answers(f"http://127.0.0.1:{port}/v1/charges", process)
        base = f"http://127.0.0.1:{port}"
        yield LocalStripe(port, stripe.StripeClient(API_KEY, base_addresses={"api": base}))


@contextmanager
def product(directory: Path) -> Iterator[str]:
    """The web process over the database of the test run; answers its address."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "payops.wsgi:application"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-ws", "--blocking-threads", "2"]
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with _process(command, directory, environment) as process:
        _until_it_answers(f"http://127.0.0.1:{port}/webhooks/", process)
        yield f"http://127.0.0.1:{port}"


def until(true: Callable[[], Any], *, what: str) -> Any:
    """The first truthy result within a bound."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")


@contextmanager
def _process(
    command: list[str], directory: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    log = directory / "process.log"
    with log.open("ab") as said:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=20)


def _until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"the process behind {url} ended while starting"
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            return False
        return True

    until(answers, what=f"an answer of {url}")
