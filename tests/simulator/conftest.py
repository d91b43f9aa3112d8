"""Fixtures: a receiver and simulators for each test; no Django, no database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulator.process import Process, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def launch(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[..., Process]]:
    """Start simulators with further environment; all end with the test."""
    started: list[Process] = []

    def start(**environ: str) -> Process:
        process = Process(tmp_path / "simulator", receiver.url, environ)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        if process.child and process.child.poll() is None:
            process.kill()


@pytest.fixture
def simulator(launch: Callable[..., Process]) -> Process:
    """A simulator whose payouts move by hand only."""
    return launch()
