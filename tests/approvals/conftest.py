"""The topic of decided approvals exists in these tests, whatever the wiring table holds."""

from __future__ import annotations

from datetime import datetime

import pytest

from payops.core.models import Message
from payops.core.topics import Run, Topic, topic_table


def _unused(batch: list[Message], now: datetime) -> None:
    raise AssertionError("these tests read the outbox, they do not drain it")


@pytest.fixture(autouse=True)
def approval_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    if "approval.decided" not in topic_table():
        topic = Topic("approval.decided", _unused, "high", 8, Run.IN_TRANSACTION, "decided")
        monkeypatch.setitem(topic_table(), topic.name, topic)
