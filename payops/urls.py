"""Addresses of the product: webhooks, health, inspection and the console.

The console comes last because it owns the root.
"""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from payops.monitoring.health import healthz
from payops.monitoring.metrics import metrics

handler400 = "payops.console.errors.bad_request"
handler403 = "payops.console.errors.permission_denied"
handler404 = "payops.console.errors.not_found"
handler500 = "payops.console.errors.server_error"

urlpatterns = [
    path("api/", include("payops.api.urls")),
    path("healthz", healthz, name="healthz"),
    path("metrics", metrics, name="metrics"),
    path("favicon.ico", RedirectView.as_view(url="/static/console/favicon.svg")),
    path("admin/", admin.site.urls),
    path("", include("payops.console.urls")),
]
