"""Plain Django admin for inspection only: nothing can be added, changed or deleted through it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from payops.core import models
from payops.core.roles import Act, acts_of


class ReadOnlyAdmin(admin.ModelAdmin):
    """Every admin class of the product inherits this; there is no write path to open."""

    actions = None
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        person = getattr(request.user, "person", None)
        if person is None or not request.user.is_active:
            return False
        return Act.VIEW_AUDIT in acts_of(person.roles_at(request.now))  # type: ignore[attr-defined]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


def inspect(model: type[Any], *columns: str, hidden: tuple[str, ...] = ()) -> None:
    """Register a model for inspection; columns with secrets or bytes go into `hidden`."""
    shown = {"list_display": columns or ("__str__",), "exclude": hidden}
    admin.site.register(model, type(f"{model.__name__}Inspection", (ReadOnlyAdmin,), shown))


inspect(models.Book, "code", "name", "reporting_currency", "time_zone")
inspect(models.Person, "name", "created_at", "left_at")
inspect(models.RoleGrant, "person", "role", "granted_at", "revoked_at")
inspect(models.ProviderAccount, "provider", "slug", "live", "book")
inspect(models.Rate, "base", "quote", "rate", "as_of")
inspect(models.AuditEvent, "created_at", "action", "subject_id", "from_state", "to_state")
inspect(models.AuditSeal, "seq", "audit_id", "hash")
inspect(models.Message, "topic", "key", "state", "attempts", "due_at")
inspect(models.ApiKey, "system", "acts", "revoked_at", hidden=("key_hash",))
