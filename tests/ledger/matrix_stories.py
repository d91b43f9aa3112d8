"""Amounts and predecessors for any row of the matrix, so that one test can post them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ledger.facts import Posting, Refs
from ledger.matrix import MATRIX
from ledger.matrix_row import DR, MatrixRow, Pair
from payops.core import ids
from payops.core.money import split
from tests.ledger.scene import Scene, public_id

# The journals of a person need a granted request, and a reversal needs an entry to reverse.
BY_HAND = frozenset(row.event_class for row in MATRIX.values() if row.free_lines)
BY_MATRIX: tuple[tuple[str, str], ...] = tuple(
    (row.event_class, variant)
    for row in MATRIX.values()
    for variant, pairs in row.variants.items()
    if pairs and not row.reporting_given and row.event_class not in BY_HAND
)


def net_of(pairs: Sequence[Pair]) -> dict[str, int]:
    """Per measure, how often it is debited less how often it is credited."""
    net: Counter[str] = Counter()
    for pair in pairs:
        net[pair.measure] += 1 if pair.side == DR else -1
    return dict(net)


def balanced_amounts(row: MatrixRow, variant: str, parts: Sequence[int]) -> dict[str, int]:
    """`parts` for the measures that are free; the others share the same total."""
    net = net_of(row.variants[variant])
    debits = [name for name, times in net.items() if times > 0]
    credits = [name for name, times in net.items() if times < 0]
    amounts = {name: parts[0] for name, times in net.items() if times == 0}
    if not debits:
        return amounts
    given, shared = sorted((debits, credits), key=len, reverse=True)
    values = [parts[i % len(parts)] for i in range(len(given))]
    total = sum(values) or 1
    values[0] += 0 if sum(values) else 1
    amounts |= dict(zip(given, values, strict=True))
    return amounts | dict(zip(shared, split(total, [1] * len(shared)), strict=True))


def refs_for(subject: str, payment: str) -> Refs:
    """The trace keys that a row's predecessors are looked for by."""
    return Refs(payment_id=payment, refund_id=subject, approval_id=ids.render("ap", ids.uuid7()))


def posting_of(
    scene: Scene,
    event_class: str,
    subject: str,
    *,
    variant: str = "",
    payment: str = "",
    parts: Sequence[int] = (300, 200, 100, 50),
    movement_ref: str = "mv_1",
) -> Posting:
    row = MATRIX[event_class]
    made = scene.posting(
        event_class,
        subject,
        variant=variant,
        movement_ref=movement_ref,
        refs=refs_for(subject, payment),
        **balanced_amounts(row, variant, parts),
    )
    return replace(made, template=event_class if row.template else "")


def staged(scene: Scene, event_class: str, subject: str, *, payment: str = "") -> list[Posting]:
    """What must come first, in order, each class once."""
    payment = payment or public_id("pa")
    found: dict[tuple[str, str], Posting] = {}
    _stage(scene, event_class, subject, payment, found)
    return list(found.values())


def _stage(
    scene: Scene,
    event_class: str,
    subject: str,
    payment: str,
    found: dict[tuple[str, str], Posting],
) -> None:
    for before in MATRIX[event_class].follows:
        owner = payment if before.of == "payment_id" else subject
        first = before.any_of[0]
        if (first, owner) in found:
            continue
        _stage(scene, first, owner, payment, found)
        variant = next(name for name, pairs in MATRIX[first].variants.items() if pairs)
        found[first, owner] = posting_of(scene, first, owner, variant=variant, payment=payment)
