"""Words in templates for roles and for why somebody may not decide."""

from __future__ import annotations

from django import template

from payops.core.roles import LABELS, Role

register = template.Library()
WHY_NOT = {
    "seat_needed": "Not your seat",
    "requester_barred": "You asked for it",
    "person_barred": "You are barred",
    "one_decision_per_person": "You decided",
    "seat_taken": "Your seat is filled",
    "request_closed": "Closed",
}


@register.filter
def why_not(rule: object) -> str:
    return WHY_NOT.get(str(rule), "Not yours")


@register.filter
def role_word(value: object) -> str:
    """ "finance_manager" → "Finance manager"; what is no role stays as it is."""
    try:
        return LABELS[Role(str(value))]
    except ValueError:
        return str(value)
