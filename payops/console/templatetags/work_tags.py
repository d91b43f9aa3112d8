"""Words in templates for why somebody may not decide, and why an event was given up."""

from __future__ import annotations

import re

from django import template
from django.utils.safestring import SafeString

from payops.console import wording
from payops.console.templatetags.payops_tags import pill

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
    return wording.plain(KEPT_CLASS.sub("", str(error), count=1))


@register.filter
def plainly(text: object) -> str:
    """A kept text with its codes as words."""
    return wording.plain(text)


@register.simple_tag
def gate_pill(state: object) -> SafeString:
    """Whether calls go out to a provider, in one wording everywhere."""
    words, tone = wording.GATE.get(str(state), (str(state), "quiet"))
    return pill(state, label=words, tone=tone)
