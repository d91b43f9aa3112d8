"""The tables of a stack: its processes, and the commands that prepare it, in their order.

Tests hand in tables of their own; nothing else in this package knows a process by its command.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from payops.devstack.datadir import CHECKOUT
from payops.devstack.environment import (
    SIMULATOR_DATA,
    Addresses,
    simulator_environment,
    starts_simulator,
)
from payops.devstack.supervisor import Program

Command = tuple[str, ...]
WEB, SIMULATOR = "web", "simulator"


@dataclass(frozen=True)
class Setting:
    """What a process table is made from."""

    addresses: Addresses
    environment: Mapping[str, str]
    var: Path


@dataclass(frozen=True)
class Recipe:
    migrate: Command
    seed_people: Command
    seed_books: Command
    demo_day: Command
    programs: Callable[[Setting], list[Program]]


def _manage(*arguments: str) -> Command:
    return (sys.executable, str(CHECKOUT / "manage.py"), *arguments)


def _programs(setting: Setting) -> list[Program]:
    addresses, environment = setting.addresses, setting.environment
    commands = {
        WEB: (
            *("granian", "--interface", "wsgi", "payops.wsgi:application", "--no-ws"),
            *("--host", addresses.host, "--port", str(addresses.web_port)),
            *("--workers", "2", "--blocking-threads", "4", "--backlog", "1024"),
            *("--respawn-failed-workers", "--workers-kill-timeout", "10s"),
        ),
        "worker-high": _worker("high", queues="high"),
        "worker-standard": _worker("standard", queues="standard,bulk"),
        "worker-calls": _worker("calls", queues="calls", processes=2),
        "worker-outside": _worker("outside", queues="outside"),
        "worker-housekeeping": _worker("housekeeping", queues="housekeeping"),
        "scheduler": (
            *("celery", "--quiet", "-A", "payops.celery", "beat", "--loglevel", "warning"),
            *("--schedule", str(setting.var / "beat" / "schedule"), "--pidfile="),
        ),
    }
    programs = [
        Program(
            name=name,
            command=(sys.executable, "-m", *command),
            env=environment,
            cwd=CHECKOUT,
        )
        for name, command in commands.items()
    ]
    if starts_simulator(product=environment, addresses=addresses):
        programs.append(_simulator(setting))
    return programs


def _worker(lane: str, *, queues: str, processes: int = 1) -> Command:
    return (
        *("celery", "--quiet", "-A", "payops.celery", "worker", "--hostname", f"{lane}@%h"),
        *("--queues", queues, "--concurrency", str(processes), "--loglevel", "warning"),
        # One worker per lane and database; they have nothing to tell one another.
        *("--without-gossip", "--without-mingle"),
    )


def _simulator(setting: Setting) -> Program:
    port, data = str(setting.addresses.simulator_port), str(setting.var / SIMULATOR_DATA)
    return Program(
        name=SIMULATOR,
        command=(sys.executable, "-m", "payops.simulator", "--port", port, "--data", data),
        env=simulator_environment(product=setting.environment, addresses=setting.addresses),
        cwd=CHECKOUT,
    )


PRODUCT = Recipe(
    migrate=_manage("migrate", "--verbosity", "0"),
    seed_people=_manage("seed_demo", "--json"),
    seed_books=_manage("seed_books"),
    demo_day=_manage("demo_day"),
    programs=_programs,
)
