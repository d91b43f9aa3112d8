from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class MonitoringConfig(AppConfig):
    name = "payops.monitoring"
    label = "monitoring"

    def ready(self) -> None:
        if settings.OTLP_ENDPOINT:
            # Loaded only when a collector is named: the library costs start-up time and memory.
            import_module("payops.monitoring.spans").started()
