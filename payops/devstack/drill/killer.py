"""Kills the processes of a running stack with signal 9, and wipes its broker, under traffic.

What is killed, and in which order, follows from the seed alone; who it is (the pid) is read from
stack.json at that moment. A kill counts only when the process was alive, and is watched until what
was killed works again.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import redis

from payops.devstack.drill.retrying import Troubles
from payops.devstack.leftovers import is_alive
from payops.devstack.privatefiles import read_json
from payops.devstack.stackfile import FILE

TICK_S = 0.1
PROBE_TIMEOUT_S = 2.0
BACK_WITHIN_S = 120.0
JITTER = 0.4
NOT_YET = (OSError, ValueError, KeyError, psycopg.Error, redis.RedisError, httpx.HTTPError)


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing to do to one process; `child`: one of its children instead; `wipes`: FLUSHALL."""

    process: str
    child: bool = False
    wipes: bool = False

    @property
    def words(self) -> str:
        if self.wipes:
            return f"{self.process}: FLUSHALL"
        return f"{self.process}: a child" if self.child else self.process


BROKER, WIPE = Blow("broker"), Blow("broker", wipes=True)
BLOWS = (
    Blow("web"),
    Blow("web", child=True),
    Blow("worker-high"),
    Blow("worker-high", child=True),
    Blow("worker-standard"),
    Blow("worker-standard", child=True),
    Blow("worker-calls"),
    Blow("worker-calls", child=True),
    Blow("worker-outside"),
    Blow("worker-housekeeping"),
    Blow("scheduler"),
    Blow("database"),
    Blow("database", child=True),
    Blow("simulator"),
    BROKER,
)


@dataclass(slots=True)
class Struck:
    """A blow that landed, `at_s` after the start of the drill."""

    blow: Blow
    at_s: float
    pid: int | None
    landed_s: float
    back_after_s: float | None = None


def plan(*, seed: int, kills: int, wipes: int) -> list[Blow]:
    """Every kind once before any comes twice; the wipes are strewn in between."""
    dice = random.Random(f"{seed} blows")
    chosen: list[Blow] = []
    while len(chosen) < kills:
        chosen += dice.sample(BLOWS, len(BLOWS))
    chosen = chosen[:kills]
    for _ in range(wipes):
        chosen.insert(dice.randint(0, len(chosen)), WIPE)
    return chosen


class Killer:
    """Strikes the processes of the stack over one data directory."""

    def __init__(self, *, directory: Path, seed: int, troubles: Troubles) -> None:
        self.struck: list[Struck] = []
        self._directory = directory
        self._dice = random.Random(f"{seed} moments")
        self._troubles = troubles
        self._started_s = time.monotonic()

    def kills(self) -> int:
        return sum(not struck.blow.wipes for struck in self.struck)

    def strike(self, blows: Sequence[Blow], *, seconds: float) -> None:
        """All the blows, spread over the time; longer only when something takes long to return."""
        pause_s = seconds / max(1, len(blows))
        for blow in blows:
            self._wait(pause_s * self._dice.uniform(1 - JITTER, 1 + JITTER))
            self._land(blow)

    def wait_until_all_are_back(self) -> None:
        until = time.monotonic() + BACK_WITHIN_S
        while self._look() and time.monotonic() < until:
            time.sleep(TICK_S)
        for struck in self.struck:
            if struck.back_after_s is None:
                self._troubles.add(f"{struck.blow.words} was not back in {BACK_WITHIN_S:.0f} s")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._look()
            time.sleep(TICK_S)

    def _look(self) -> bool:
        """Note what works again; True while something does not."""
        missing = [struck for struck in self.struck if struck.back_after_s is None]
        for struck in missing:
            if self._is_back(struck):
                struck.back_after_s = round(time.monotonic() - struck.landed_s, 1)
        return any(struck.back_after_s is None for struck in missing)

    def _land(self, blow: Blow) -> None:
        until = time.monotonic() + BACK_WITHIN_S
        while time.monotonic() < until:
            with contextlib.suppress(*NOT_YET, psutil.Error):
                pid = self._strike(blow)
                now = time.monotonic()
                self.struck.append(Struck(blow, round(now - self._started_s, 1), pid, now))
                return
            self._look()
            time.sleep(TICK_S)
        self._troubles.add(f"nobody to strike at {blow.words} for {BACK_WITHIN_S:.0f} s")

    def _strike(self, blow: Blow) -> int | None:
        """The pid killed; None of a wipe, which kills nobody."""
        if not blow.wipes:
            return self._kill(blow)
        self._wipe()
        return None

    def _wipe(self) -> None:
        with redis.Redis.from_url(
            self._stack()["broker"], socket_timeout=PROBE_TIMEOUT_S
        ) as client:
            client.flushall()

    def _kill(self, blow: Blow) -> int:
        process = psutil.Process(self._stack()["pids"][blow.process])
        if not is_alive(process):
            raise psutil.NoSuchProcess(process.pid)
        if blow.child:
            living = _living_children(process)
            if not living:
                raise psutil.NoSuchProcess(process.pid)
            process = self._dice.choice(living)
        process.send_signal(signal.SIGKILL)
        return process.pid

    def _is_back(self, struck: Struck) -> bool:
        try:
            told = self._stack()
            process = psutil.Process(told["pids"][struck.blow.process])
            if not is_alive(process) or (process.pid == struck.pid):
                return False
            if struck.blow.child and not _living_children(process, without=struck.pid):
                return False
            probe = PROBES.get(struck.blow.process)
            return probe is None or probe(told)
        except (*NOT_YET, psutil.Error):
            return False

    def _stack(self) -> dict[str, Any]:
        return read_json(path=self._directory / FILE)


def _living_children(
    process: psutil.Process, *, without: int | None = None
) -> list[psutil.Process]:
    return [child for child in process.children() if child.pid != without and is_alive(child)]


def _is_healthy(address: str) -> bool:
    answer = httpx.get(f"{address}/healthz", timeout=PROBE_TIMEOUT_S, trust_env=False)
    return answer.status_code == 200


def _database_answers(told: dict[str, Any]) -> bool:
    with psycopg.connect(told["database"]["app"], connect_timeout=2) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def _broker_answers(told: dict[str, Any]) -> bool:
    with redis.Redis.from_url(told["broker"], socket_timeout=PROBE_TIMEOUT_S) as client:
        return bool(client.ping())


PROBES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "web": lambda told: _is_healthy(told["web"]),
    "simulator": lambda told: _is_healthy(told["simulator"]),
    "database": _database_answers,
    "broker": _broker_answers,
}
