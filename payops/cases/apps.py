from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "payops.cases"
    label = "cases"
