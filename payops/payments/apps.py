from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payops.payments"
    label = "payments"
