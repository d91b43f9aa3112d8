"""The tag for figures of statements: aligned, linked to their lines, of any size (RP-1)."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from payops.console.sums import decimal_text, grouped_text
from payops.console.templatetags.payops_tags import MINUS

register = template.Library()


@register.simple_tag
def figure(minor: int, currency: str, href: str = "", with_currency: bool = False) -> SafeString:
    """A sum in minor units; the currency stands in the head of the table unless asked for."""
    shown = format_html(
        '<data class="money{}" value="{} {}">{}{}</data>',
        " neg" if minor < 0 else "",
        decimal_text(minor, currency),
        currency,
        grouped_text(minor, currency, minus=MINUS),
        format_html(' <span class="cur">{}</span>', currency) if with_currency else "",
    )
    return format_html('<a href="{}">{}</a>', href, shown) if href and minor else shown
