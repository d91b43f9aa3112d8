"""Tags that know where records live in this console: `{% linked_id payout.public_id %}`."""

from __future__ import annotations

import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from payops.console.formats import address_of
from payops.console.templatetags.payops_tags import public_id, short_id
from payops.core.roles import LABELS

register = template.Library()
ONE_OF_OURS = re.compile(r"\b([a-z]{2}_[0-9a-f]{32})\b")


@register.simple_tag
def linked_id(value: object) -> SafeString:
    """A chip for any id, linked to its page when it is one of ours."""
    return public_id(value, href=address_of(value))


@register.filter
def role_words(role: object) -> str:
    """ "finance_manager" as people say it."""
    return LABELS.get(role, str(role))  # type: ignore[call-overload]


@register.filter
def href_of(value: object) -> str:
    return address_of(value)


@register.filter
def answer_lines(words: str) -> list[SafeString]:
    """An answer of the trace line by line, every id of ours in it shortened and linked."""
    return [
        # Splitting by a group gives text and ids in turn.
        format_html_join(
            "", "{}", ((_link(part) if odd % 2 else part,) for odd, part in enumerate(parts))
        )
        for parts in map(ONE_OF_OURS.split, words.split("; "))
    ]


def _link(public_id: str) -> SafeString | str:
    href, shown = address_of(public_id), short_id(public_id)
    if not href:
        return shown
    return format_html('<a class="mono" href="{}" title="{}">{}</a>', href, public_id, shown)
