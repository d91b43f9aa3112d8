"""Log lines for machines and people: with their trace, without personal data (SE-5, OB-2).

Two formats over one mask. Text of a record's template is ours and stays; what is filled in is not:
a record of the database is named by its id, a mapping or a body by its size, text loses e-mail
addresses, account and card numbers, secrets and whatever stands in quotation marks. Lines of a
traceback stay, their messages are masked too. The mask is a net under the rule that no log call is
given personal data in the first place; a test reads every log call for that.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from payops.core import tracing

TEXT_MAX = 400
READ_MAX = 4_000
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
TRACEBACK_MAX = 8_000
MASKS = (
    (re.compile(r"(?is)\bDETAIL:.*"), "DETAIL: (masked)"),
    (re.compile(r"-----BEGIN.*?(?:-----END[^-]*-----|\Z)", re.S), "(key)"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 (secret)"),
    (re.compile(r"\b(?:whsec|sk|pk|rk|tok|pm|src|ba|card)_[\w+/=-]{6,}"), "(secret)"),
    (re.compile(r"(?i)\b(password|secret|token|api[_-]?key)\s*[=:]\s*\S+"), r"\1=(secret)"),
    (re.compile(r"://[^/\s@]+@"), "://(secret)@"),
    (re.compile(r"[^\s@<>\"]{1,64}@[\w-]+(?:\.[\w-]+)+"), "(e-mail)"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), "(iban)"),
    (re.compile(r"(?<![\w-])\d(?:[ -]?\d){11,18}(?![\w-])"), "(number)"),
    (re.compile(r"\"[^\"]*\"|'[^']*'|“[^”]*”|\{.*\}", re.S), "(text)"),
)
PUBLIC_ID = re.compile(r"\b[a-z]{2}_[0-9a-f]{32}\b")
EVENT_ID = re.compile(r"\bev_[0-9a-f]{32}\b")
PLAIN = (bool, int, float, UUID, datetime, date, timedelta, Decimal, Path, type(None))
_about: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("payops_log_about", default=())
# What a record may carry beside its text; anything else given as `extra` is left out.
FIELDS = ("event_id", "lane", "job_id", "case_id", "task")


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Every line of the block carries these; only FIELDS are taken."""
    kept = tuple((name, value) for name, value in fields.items() if name in FIELDS and value)
    mark = _about.set((*_about.get(), *kept))
    try:
        yield
    finally:
        _about.reset(mark)


def mask(text: str) -> str:
    """Text somebody else may have had a hand in, fit for a log."""
    text = CONTROLS.sub(" ", text[:READ_MAX])
    ids = PUBLIC_ID.findall(text)
    for place, found in enumerate(ids):
        text = text.replace(found, f"<<{place}>>")
    for pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    for place, found in enumerate(ids):
        text = text.replace(f"<<{place}>>", found)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}…"


def named(value: Any) -> Any:
    """What stands in a line for a value: numbers, times and ids as they are, the rest masked."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {mask(str(value))}"
    if hasattr(value, "_meta"):
        return f"{type(value).__name__} {getattr(value, 'pk', None)}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"({len(value)} bytes)"
    if isinstance(value, Mapping) or hasattr(value, "__len__"):
        return f"({type(value).__name__} of {len(value)})"
    return f"({type(value).__name__})"


class Line(logging.Formatter):
    """One line for people: time, level, logger, text; the trace at the end where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        at = self.formatTime(record)
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{at} {record.levelname} {record.name} {_text(record)}{fields}"
        trace = _traceback(record)
        return f"{line}\n{trace}" if trace else line


class Json(logging.Formatter):
    """One JSON object a line: at, level, logger, text, and trace_id, event_id, lane when known."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "text": _text(record),
            "process": record.process,
            **_fields(record),
        }
        trace = _traceback(record)
        return json.dumps(said | {"traceback": trace} if trace else said, ensure_ascii=False)


def _text(record: logging.LogRecord) -> str:
    args = record.args
    template = str(record.msg)
    if not args:
        # Nothing was filled in by us, so that the text itself may be somebody else's.
        return mask(template) if not isinstance(record.msg, str) else _unquoted(template)
    shown = (
        {name: named(value) for name, value in args.items()}
        if isinstance(args, Mapping)
        else tuple(named(value) for value in args)
    )
    try:
        return template % shown
    except (TypeError, ValueError):
        return f"{template} (with {len(args)} values that do not fit)"


def _unquoted(text: str) -> str:
    """A line without arguments: ours or a library's; quotation marks are kept."""
    for pattern, instead in MASKS[:-1]:
        text = pattern.sub(instead, text)
    return text


def _fields(record: logging.LogRecord) -> dict[str, str]:
    fields = dict(_about.get())
    for name in FIELDS:
        given = getattr(record, name, "")
        if isinstance(given, str) and given:
            fields[name] = mask(given)
    trace_id = getattr(record, "trace_id", "") or tracing.current()
    if trace_id:
        fields["trace_id"] = str(trace_id)
    if "event_id" not in fields:
        for value in record.args if isinstance(record.args, tuple) else ():
            found = EVENT_ID.search(value) if isinstance(value, str) else None
            if found:
                fields["event_id"] = found[0]
                break
    return fields


def _traceback(record: logging.LogRecord) -> str:
    """Where it happened in full; what was said there masked."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    kind, error, place = record.exc_info
    lines = "".join(traceback.format_tb(place))
    return f"{lines}{kind.__name__}: {mask(str(error))}"[-TRACEBACK_MAX:]
