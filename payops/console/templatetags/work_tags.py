"""Words in templates for why somebody may not decide."""

from __future__ import annotations

from django import template

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
