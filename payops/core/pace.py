"""How many rows a batch takes, so that it lasts no longer than it may (SC-3).

A batch is the unit that a lane of higher value waits for. Its size is learned from the batches
before it: no machine is assumed to be fast, and a slow minute makes the next batch smaller.
"""

from __future__ import annotations

from payops.core.queues import BATCH_MAX

# Below this, what a batch costs whatever its size outweighs its rows, and a busy machine would
# only get busier.
BATCH_MIN = 50
FIRST = 100
GROWTH_MAX = 2.0


class Pace:
    """`size` is the next batch's; `learn` tells how long the last one took."""

    def __init__(self, *, batch_s: float) -> None:
        assert batch_s > 0, "a batch takes some time"
        self._batch_s = batch_s
        self.size = FIRST

    def learn(self, *, claimed: int, spent_s: float) -> None:
        """A half-full batch says little about a full one: unless slow, it changes nothing."""
        if claimed <= 0 or spent_s <= 0:
            return
        fits = int(claimed * self._batch_s / spent_s)
        if fits > self.size and claimed * 2 < self.size:
            return
        grown = min(fits, int(self.size * GROWTH_MAX))
        self.size = max(BATCH_MIN, min(BATCH_MAX, grown))
