from django.apps import AppConfig

# Every Django process sends its wake-ups through our Celery application, not through a default one.
from payops import celery

__all__ = ["CommandsConfig", "celery"]


class CommandsConfig(AppConfig):
    name = "payops.commands"
    label = "commands"
