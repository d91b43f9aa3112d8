"""Words in templates for why somebody may not decide, and why an event was given up."""

from __future__ import annotations

import re

from django import template

register = template.Library()
# How the queue keeps an exception: the name of its class, a colon, its text.
KEPT_CLASS = re.compile(r"^[A-Z]\w*[a-z]\w*: (?=\S)")
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
def reason_first(error: object) -> str:
    """ "StructuralMismatch: no such payout" → "no such payout"; a bare class name stays."""
    return KEPT_CLASS.sub("", str(error), count=1)
