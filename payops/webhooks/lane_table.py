"""Where the edge gets a book's table of lanes from: a setting, loaded once (WH-23).

The table is a policy of the book, and policies are not this package's to read. Owns nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache

from django.conf import settings
from django.core.checks import Error, register
from django.utils.module_loading import import_string

from payops.core.models import Book
from payops.webhooks.lanes import LaneRules


@cache
def lane_reader() -> Callable[[Book, datetime], LaneRules]:
    reader: Callable[[Book, datetime], LaneRules] = import_string(settings.PAYOPS_LANES)
    return reader


@register()
def lanes_load(app_configs: object, **kwargs: object) -> list[Error]:
    try:
        lane_reader()
    except ImportError as error:
        return [Error(f"the reader of the lane policy does not load: {error}", id="payops.E002")]
    return []
