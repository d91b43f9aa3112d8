"""A worker that dies by kill -9 in the middle of a batch that holds a message with key "poison"."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from datetime import datetime

import django

django.setup()

from payops.core.models import Message  # noqa: E402
from payops.core.outbox import outbox_queue  # noqa: E402
from payops.core.queues import drain_once  # noqa: E402


def run(messages: list[Message], now: datetime) -> None:
    if any(message.key == "poison" for message in messages):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    queue = replace(outbox_queue(), run=run, own_steps=None, attempts_max=lambda message: 3)
    while drain_once(queue, lane=sys.argv[1]).claimed:
        pass
