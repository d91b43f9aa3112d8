"""The real simulator process over real HTTP, and workers that die where a test tells them to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from payops.flows import intents
from tests.conftest import STANDARD_SECRET, STRIPE_SECRET
from tests.flows.provider import Provider
from tests.flows.view import view as view
from tests.simulator.process import API_KEY, Process, Receiver


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    receiver = Receiver()
    directory: Path = tmp_path_factory.mktemp("simulator")
    secrets = {"SIM_STANDARD_SECRET": STANDARD_SECRET, "SIM_STRIPE_SECRET": STRIPE_SECRET}
    process = Process(directory / "simulator", receiver.url, environ=secrets)
    process.start()
    provider = Provider(process, receiver)
    yield provider
    provider.close()


@pytest.fixture
def provider(
    simulator_process: Provider, settings: object, monkeypatch: pytest.MonkeyPatch
) -> Provider:
    """The simulator, empty, and the product pointed at it with a short total deadline."""
    simulator_process.reset()
    address = f"127.0.0.1:{simulator_process.process.port}"
    settings.PSP = {  # type: ignore[attr-defined]
        name: {"base_url": f"http://{address}/{name}", "api_key": API_KEY}
        for name in ("stripe", "standard")
    }
    settings.HTTP_ALLOW = frozenset({address})  # type: ignore[attr-defined]
    monkeypatch.setattr(intents, "CALL_DEADLINE_S", 1.0)
    return simulator_process
