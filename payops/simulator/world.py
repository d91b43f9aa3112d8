"""What every part of the simulator shares: settings, store, keys, the clock and the stop signal."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from payops.simulator.certificates import Signer, open_signer
from payops.simulator.config import PAYPAL, Config
from payops.simulator.idempotency import KeyRing
from payops.simulator.store import Database, Store, setting_get


@dataclass
class World:
    """One running simulator. `wake` nudges the courier and the job runner after a commit."""

    config: Config
    store: Store
    keys: KeyRing
    signer: Signer | None = None
    address: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    wake: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.time
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def paypal_base(self) -> str:
        """Where PayPal's face is reached; known once the server listens."""
        return f"{self.address}/paypal"

    def settle_s(self, db: Database) -> float:
        """Seconds from created to paid; negative means payouts move only by hand."""
        return float(setting_get(db, "settle_s", self.config.settle_s))


def open_world(*, config: Config) -> World:
    """Open the store in the data directory and build the world around it."""
    store = Store(path=config.directory / "simulator.sqlite3")
    signer = open_signer(config.directory) if PAYPAL in config.endpoints else None
    return World(
        config=config,
        store=store,
        keys=KeyRing(window_s=config.key_window_s),
        signer=signer,
    )
