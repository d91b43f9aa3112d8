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
    """One running simulator. `wake` nudges the courier and the job runner after a commit.

    `ahead_s` is how far its clock runs before the real one, `keys_ahead_s` how much further the
    one that keys grow old by.
    """

    config: Config
    store: Store
    keys: KeyRing
    signer: Signer | None = None
    address: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    wake: Callable[[], None] = lambda: None
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    ahead_s: float = 0.0
    keys_ahead_s: float = 0.0

    def clock(self) -> float:
        """Now, as every provider of this world takes it."""
        return time.time() + self.ahead_s

    def key_clock(self) -> float:
        """Now, as the memory of idempotency keys takes it."""
        return self.clock() + self.keys_ahead_s

    @property
    def paypal_base(self) -> str:
        """Where PayPal's face is reached; known once the server listens."""
        return f"{self.address}/paypal"

    def settle_s(self, db: Database) -> float:
        """Seconds from created to paid; negative means payouts move only by hand."""
        return float(setting_get(db, "settle_s", self.config.settle_s))

    def restart(self) -> None:
        """As at the first start, the store included."""
        self.store.reset()
        self.dice.seed(1)
        self.ahead_s = self.keys_ahead_s = 0.0


def open_world(*, config: Config) -> World:
    """Open the store in the data directory and build the world around it."""
    store = Store(path=config.directory / "simulator.sqlite3")
    signer = open_signer(config.directory) if PAYPAL in config.endpoints else None
    with store.transaction() as db:
        ahead_s = float(setting_get(db, "ahead_s", 0.0))
        keys_ahead_s = float(setting_get(db, "keys_ahead_s", 0.0))
    return World(
        config=config,
        store=store,
        keys=KeyRing(windows_s=config.key_windows_s),
        signer=signer,
        ahead_s=ahead_s,
        keys_ahead_s=keys_ahead_s,
    )
