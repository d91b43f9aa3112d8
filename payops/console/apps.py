from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AppConfig):
    name = "payops.console"
    label = "console"


class InspectionConfig(AdminConfig):
    """Django's admin, with our own site in its place."""

    default_site = "payops.console.inspection.InspectionSite"
