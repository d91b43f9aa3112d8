"""The addresses django-ledger asks for; no page of it is opened."""

from django.urls import include, path

urlpatterns = [path("ledger/", include("django_ledger.urls", namespace="django_ledger"))]
