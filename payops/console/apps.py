from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class ConsoleConfig(AppConfig):
    name = "payops.console"
    label = "console"
    default = True


class InspectionConfig(admin_apps.AdminConfig):
    """Django's admin with our own site: see `payops/console/inspection.py`."""

    default_site = "payops.console.inspection.InspectionSite"
    default = False
