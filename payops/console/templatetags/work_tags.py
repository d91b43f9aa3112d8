"""Words for roles in templates: `{{ "finance_manager"|role_word }}` → "Finance manager"."""

from __future__ import annotations

from django import template

from payops.core.roles import LABELS, Role

register = template.Library()


@register.filter
def role_word(value: object) -> str:
    try:
        return LABELS[Role(str(value))]
    except ValueError:
        return str(value)
