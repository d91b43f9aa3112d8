"""A batch lasts as long as it may, whatever the machine does (SC-3)."""

from __future__ import annotations

from payops.core.pace import BATCH_MIN, FIRST, Pace
from payops.core.queues import BATCH_MAX


def test_quick_batches_grow_at_most_twofold_up_to_the_largest() -> None:
    pace, sizes = Pace(batch_s=0.2), []

    for _ in range(5):
        pace.learn(claimed=pace.size, spent_s=0.01)
        sizes.append(pace.size)

    assert sizes == [2 * FIRST, 4 * FIRST, BATCH_MAX, BATCH_MAX, BATCH_MAX]


def test_a_slow_batch_makes_the_next_one_fit_at_once() -> None:
    pace = Pace(batch_s=0.1)
    pace.learn(claimed=100, spent_s=0.05)

    pace.learn(claimed=200, spent_s=0.25)

    assert pace.size == 80


def test_it_never_falls_below_the_smallest() -> None:
    pace = Pace(batch_s=0.1)

    pace.learn(claimed=50, spent_s=30.0)

    assert pace.size == BATCH_MIN


def test_a_nearly_empty_batch_says_nothing_unless_it_was_slow() -> None:
    pace = Pace(batch_s=0.1)

    pace.learn(claimed=1, spent_s=0.001)
    assert pace.size == FIRST
    pace.learn(claimed=0, spent_s=0.001)
    assert pace.size == FIRST
    pace.learn(claimed=20, spent_s=0.5)
    assert pace.size == BATCH_MIN
