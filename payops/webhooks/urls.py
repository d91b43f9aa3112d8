"""The webhook addresses."""

from __future__ import annotations

from django.urls import path

from payops.webhooks import views

urlpatterns = [
    path("webhooks/<str:provider>/<str:account>/", views.receive, name="webhook"),
]
