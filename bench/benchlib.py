"""What every bench shares: throwaway servers that really flush, web processes, load, the report.

Servers are PostgreSQL and Valkey of the embedded stack in a directory of their own, with durable
commits: a number measured without fsync would be of no use. Nothing given by the environment is
ever written to.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psycopg

from payops.devstack.datadir import CHECKOUT, DataDir
from payops.devstack.environment import Addresses, product_environment
from payops.devstack.ports import free_port
from payops.devstack.postgres import Postgres
from payops.devstack.secretfile import Secrets, load_secrets
from payops.devstack.stopping import StopRequest
from payops.devstack.supervisor import Supervisor
from payops.devstack.valkey import Valkey

STARTS_WITHIN_S = 60
NOT_OF_THE_CALLER = ("DATABASE_", "REDIS_", "PAYOPS_", "DJANGO_", "PG")
KEPT_OF_THE_CALLER = ("PAYOPS_PG_ACCOUNT", "PAYOPS_VENV")
WORKERS, THREADS = 2, 4


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the report; None where nothing was measured beside it."""

    ours: float | None
    unit: str
    peer: float | None = None
    limit: float | None = None
    correct: bool | None = None
    words: str = ""

    def told(self) -> dict[str, object]:
        ratio_to_peer, ratio_to_limit = _ratio(self.ours, self.peer), _ratio(self.ours, self.limit)
        values = asdict(self) | {"ratio_to_peer": ratio_to_peer, "ratio_to_limit": ratio_to_limit}
        del values["words"]
        return values


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator saw."""

    answers: int
    accepted: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.accepted / self.seconds


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers and the environment of a product process on them."""

    postgres: Postgres
    environment: dict[str, str]
    secrets: Secrets
    directory: Path

    def owner(self) -> psycopg.Connection:
        return psycopg.connect(self.environment["DATABASE_OWNER_URL"], autocommit=True)


def options(words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=words)
    parser.add_argument("--quick", action="store_true", help="shorter runs, under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine(link: psycopg.Connection) -> str:
    version = link.execute("SHOW server_version").fetchone()
    durable = link.execute("SELECT current_setting('fsync')").fetchone()
    assert version and durable and durable[0] == "on", "a bench runs on a database that flushes"
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((ln.split(": ")[1] for ln in lines if ln.startswith("model name")), "")
    return (
        f"{os.cpu_count()} cores {model or platform.machine()}, {platform.system()}, "
        f"PostgreSQL {version[0]} on the same machine, fsync on, "
        f"Python {platform.python_version()}, granian {WORKERS} workers x {THREADS} threads"
    )


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    directory = Path(tempfile.mkdtemp(prefix="payops-bench-"))
    datadir = DataDir(path=directory)
    datadir.acquire()
    supervisor = Supervisor(log_directory=datadir.logs, stopping=StopRequest())
    postgres = None
    try:
        secrets = load_secrets(directory=directory)
        postgres = Postgres(home=directory / "postgres", secrets=secrets)
        valkey = Valkey(home=directory / "valkey", secrets=secrets)
        postgres.start(supervisor)
        valkey.start(supervisor)
        addresses = Addresses(
            host="127.0.0.1",
            web_port=free_port(),
            simulator_port=free_port(),
            database=postgres.urls(),
            broker=valkey.url(),
        )
        base = {
            name: value
            for name, value in os.environ.items()
            if name in KEPT_OF_THE_CALLER or not name.startswith(NOT_OF_THE_CALLER)
        }
        environment = product_environment(
            base=base, var=directory, addresses=addresses, secrets=secrets
        )
        yield Servers(postgres, environment, secrets, directory)
    finally:
        supervisor.stop({"broker"})
        supervisor.stop({"database"})
        datadir.release()
        if postgres:
            postgres.throw_away()
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def web(
    application: str, environment: dict[str, str], *, python: str = sys.executable, ready: str
) -> Iterator[int]:
    """A granian of the usual size; yields its port once `ready` answers."""
    port = free_port()
    command = [python, "-m", "granian", "--interface", "wsgi", application, "--no-ws"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--backlog", "1024"]
    command += ["--workers", str(WORKERS), "--blocking-threads", str(THREADS), "--no-log"]
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment)
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            assert process.poll() is None, f"{application} ended while starting"
            assert time.monotonic() < deadline, f"{application} does not answer"
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}{ready}", trust_env=False, timeout=5)
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def load(
    port: int,
    requests: Sequence[bytes],
    *,
    directory: Path,
    seconds: float,
    connections: int = 16,
    rate: float | None = None,
) -> Load:
    """Send prepared requests from a process of its own; `rate` None means as fast as it goes."""
    path = directory / "requests.bin"
    with path.open("wb") as file:
        for request in requests:
            file.write(len(request).to_bytes(4, "big") + request)
    command = [sys.executable, str(Path(__file__).parent / "loadgen.py"), str(path), str(port)]
    command += [str(seconds), str(connections), str(rate or 0)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=CHECKOUT)
    return Load(**json.loads(told.stdout))


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def report(metrics: dict[str, Metric], *, on: str, as_json: bool) -> int:
    """Print, and answer 1 when a metric failed its own correctness check."""
    if as_json:
        print(json.dumps({name: metric.told() for name, metric in metrics.items()}, indent=1))
    say(f"\n{on}")
    say(f"{'metric':32} {'ours':>10} {'peer':>10} {'x peer':>7} {'limit':>10} {'x limit':>7}")
    for name, metric in metrics.items():
        told = metric.told()
        cells = [told["ours"], told["peer"], told["ratio_to_peer"]]
        cells += [told["limit"], told["ratio_to_limit"]]
        widths = (10, 10, 7, 10, 7)
        line = " ".join(
            f"{'-' if cell is None else f'{cell:,.2f}':>{width}}"
            for cell, width in zip(cells, widths, strict=True)
        )
        check = {True: "correct", False: "WRONG", None: "not run"}[metric.correct]
        say(f"{name:32} {line} {metric.unit:10} {check:8} {metric.words}")
    return int(any(metric.correct is False for metric in metrics.values()))


def _ratio(ours: float | None, other: float | None) -> float | None:
    return round(ours / other, 3) if ours is not None and other else None
