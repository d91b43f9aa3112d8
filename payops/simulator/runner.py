"""Puts the parts together and keeps them running: server, courier, clockwork.

Owns start, stop and the lock that keeps a second simulator off the same data. A part that dies
takes the process with it, so that whoever supervises it sees and restarts it.
"""

import fcntl
import os
import threading
from pathlib import Path

from payops.simulator import delivery
from payops.simulator.clockwork import jobs_run
from payops.simulator.config import Config
from payops.simulator.delivery import Courier
from payops.simulator.server import Server
from payops.simulator.world import World, open_world

LOOK_S = 0.5
PRUNE_S = 60.0
LEAVE_S = 3.0


class AlreadyRunning(Exception):
    """Another simulator holds this data directory."""


class Clockwork(threading.Thread):
    """Makes payouts move when their time has come, and prunes what is too old."""

    def __init__(self, *, world: World) -> None:
        super().__init__(name="clockwork", daemon=True)
        self._world = world
        self._nudge = threading.Event()

    def wake(self) -> None:
        """Look at the clock now."""
        self._nudge.set()

    def run(self) -> None:
        """Run until the world stops."""
        pruned_at = 0.0
        while not self._world.stop.is_set():
            self._nudge.clear()
            following = jobs_run(self._world)
            now = self._world.clock()
            if now - pruned_at >= PRUNE_S:
                pruned_at = now
                with self._world.store.transaction() as db:
                    self._world.keys.prune(db, now=self._world.key_clock())
                    delivery.prune(db)
            pause_s = LOOK_S if following is None else min(LOOK_S, max(0.0, following - now))
            self._nudge.wait(pause_s)


class Simulator:
    """A whole simulator in this process."""

    def __init__(self, *, config: Config, port: int) -> None:
        config.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _only_one(config.directory)
        self.world = open_world(config=config)
        self._courier = Courier(world=self.world)
        self._clockwork = Clockwork(world=self.world)
        self.world.wake = self._wake
        self._server = Server(world=self.world, port=port, healthy=self._healthy)
        self.world.address = f"http://127.0.0.1:{self.port}"
        self._listener = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="server", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer, send and move."""
        for part in (self._courier, self._clockwork, self._listener):
            part.start()

    def stop(self) -> None:
        """End politely within a few seconds; what is unfinished goes on at the next start."""
        self.world.stop.set()
        self._wake()
        self._server.shutdown()
        self._server.server_close()
        for part in (self._listener, self._clockwork, self._courier):
            part.join(LEAVE_S)
        self.world.store.close()
        os.close(self._lock)

    def _wake(self) -> None:
        self._courier.wake()
        self._clockwork.wake()

    def _healthy(self) -> bool:
        return self._courier.is_alive() and self._clockwork.is_alive()


def _only_one(directory: Path) -> int:
    """The descriptor of the lock file, locked for as long as it stays open."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise AlreadyRunning(f"another simulator is running over {directory}") from None
    return lock
