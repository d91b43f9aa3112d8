"""Who acts: a person through a login, or a named service. Never nobody (AU-5, F35)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Actor:
    """Exactly one of `person_id` and `service` is set; `login` is the verified login name."""

    channel: str
    person_id: UUID | None = None
    service: str = ""
    login: str = ""
    user_id: int | None = None
    stepped_up_at: datetime | None = None

    def __post_init__(self) -> None:
        if (self.person_id is None) == (not self.service):
            raise ValueError("an actor is one person or one service, never both or neither")

    def human(self) -> UUID:
        """The person's key, where only a person may act."""
        if self.person_id is None:
            raise PermissionError(f"the service {self.service} cannot do what a person must do")
        return self.person_id


def service(name: str, *, channel: str = "worker") -> Actor:
    return Actor(channel=channel, service=name)
