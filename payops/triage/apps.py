from django.apps import AppConfig


class TriageConfig(AppConfig):
    name = "payops.triage"
    label = "triage"
