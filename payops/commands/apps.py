from typing import Any

from celery.signals import worker_init
from django.apps import AppConfig

# Every Django process sends its wake-ups through our Celery application, not through a default one.
from payops import celery

__all__ = ["CommandsConfig", "celery"]


class CommandsConfig(AppConfig):
    name = "payops.commands"
    label = "commands"

    def ready(self) -> None:
        worker_init.connect(_worker_starts, dispatch_uid="payops.restored")


def _worker_starts(**_: Any) -> None:
    """Before a worker's processes exist; models can be imported by now."""
    from payops.commands import restored

    restored.refuse_start()
