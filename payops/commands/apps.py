from django.apps import AppConfig


class CommandsConfig(AppConfig):
    name = "payops.commands"
    label = "commands"
