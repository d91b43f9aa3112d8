from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "payops.webhooks"
    label = "webhooks"
