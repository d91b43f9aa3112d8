"""Failures that are alike have one cause: an error's text without what differs from row to row.

Owns the signature alone: pure, no Django. Ids, numbers, times and quoted values become an ellipsis,
so that a thousand dead letters of one fault are one group. Serves WH-18, WH-20 and WH-21.
"""

from __future__ import annotations

import re

CAUSE_CHARS_MAX = 160
NO_ERROR_KEPT = "no error kept"
_CLASS = re.compile(r"^[A-Z]\w*[a-z]\w*: (?=\S)")
_QUOTED = re.compile(r"'[^']{1,200}'|\"[^\"]{1,200}\"|“[^”]{1,200}”")
# A word with a digit in it is an id, a number, an amount or a time; a path such as data.items[0]
# keeps its names.
_NUMBERED = re.compile(r"(?<![\w.\[])[\w.:+#/-]*\d[\w.:+#/-]*")
_REPEATED = re.compile(r"(?:…[\s,]*){2,}")
_BLANKS = re.compile(r"\s+")


def signature(error: str) -> str:
    """ "StructuralMismatch: payout po_01… has 5 lines" → "payout … has … lines"."""
    alike = _alike(_CLASS.sub("", error, count=1))
    if alike == "…":
        alike = _alike(error)
    return alike[:CAUSE_CHARS_MAX].rstrip() or NO_ERROR_KEPT


def _alike(text: str) -> str:
    text = _NUMBERED.sub("…", _QUOTED.sub("…", text))
    return _BLANKS.sub(" ", _REPEATED.sub("… ", text)).strip()
