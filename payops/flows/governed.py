"""What a governed change is: who may ask, what is checked first, what puts it in force (D5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest
from payops.core.actors import Actor
from payops.core.models import Book
from payops.core.roles import Act


class ChangeRefused(ValueError):
    """The change cannot be asked for or made; the text names the field and the rule."""


@dataclass(frozen=True, slots=True)
class Governed:
    """One kind of change.

    `check` answers the facts as they are approved, or raises ChangeRefused. `apply` runs once, in
    the transaction that marks the approval executed. `ended` runs when it was not granted.
    """

    kind: str
    act: Act
    check: Callable[[dict[str, Any]], dict[str, Any]]
    apply: Callable[[ApprovalRequest, Actor, datetime], None]
    in_system_book: bool = False
    ended: Callable[[ApprovalRequest, Actor, datetime], None] | None = None


def only_book() -> Book:
    """The operating book of a one-book installation; the system book while there is none."""
    return Book.objects.filter(is_system=False).order_by("created_at").first() or (
        Book.objects.get(is_system=True)
    )
