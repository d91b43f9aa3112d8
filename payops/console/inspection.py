"""The plain Django admin as the product has it: for inspection, entered through our own sign-in.

Who may look is decided by the permission view_audit of a person's roles, not by Django's staff
flag; nothing can be written (`payops.core.admin.ReadOnlyAdmin`).
"""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from payops.console import auth, errors
from payops.core.roles import Act


class InspectionSite(AdminSite):
    site_header = site_title = "PayOps inspection"
    index_title = "Tables, read only"
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        return Act.VIEW_AUDIT in getattr(request, "acts", ())

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:
        """Whoever is signed in and still comes here lacks the permission."""
        if getattr(request, "actor", None) is not None:
            return errors.forbidden_act(request, Act.VIEW_AUDIT)
        return auth.sign_in(request)

    def logout(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:
        return auth.sign_out(request)
