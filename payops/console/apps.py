from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "payops.console"
    label = "console"
