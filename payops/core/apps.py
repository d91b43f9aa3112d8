from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "payops.core"
    label = "core"
