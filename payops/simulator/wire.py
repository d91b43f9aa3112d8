"""Requests, answers and refusals as the simulator's parts pass them around.

Owns the parsing of bodies within limits and the plain error shape (manners.py has the others).
Knows no socket and no table.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

FIELDS_MAX = 200
DEPTH_MAX = 5
DIGITS_MAX = 15
ANSWER, CLOSE, RESET = "answer", "close", "reset"

Params = dict[str, Any]
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Request:
    """One HTTP request with its body already read."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def is_form(self) -> bool:
        """Whether the body came from an HTML form (or a form-encoded API call)."""
        kind = self.headers.get("content-type", "")
        return kind.split(";")[0].strip().lower() == "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Response:
    """One answer; `ending` says whether it is really sent or the connection dies instead.

    `byte_s` is how long each byte of the body takes; `padding` how many blanks follow the body.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: str = ANSWER
    pause_s: float = 0.0
    byte_s: float = 0.0
    padding: int = 0


class Refused(Exception):
    """A request is refused. `stored` refusals are results of execution and kept under the key."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        kind: str = "invalid_request_error",
        param: str | None = None,
        stored: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.stored = status, stored
        self.error = {"type": kind, "code": code, "message": message, "param": param}

    def response(self, *, headers: Mapping[str, str] | None = None) -> Response:
        """The refusal as an answer, without the members that say nothing."""
        error = {name: value for name, value in self.error.items() if value is not None}
        return json_response({"error": error}, status=self.status, headers=headers)


def json_response(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`value` as a JSON answer."""
    body = json.dumps(value, indent=2, ensure_ascii=False).encode()
    return Response(status=status, body=body, headers=dict(headers or {}))


def json_params(body: bytes) -> Params:
    """A JSON object out of a body; {} for an empty one; refuses anything else."""
    if not body:
        return {}
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is not valid JSON.", code="invalid_json") from None
    if not isinstance(value, dict):
        raise Refused(400, "The body must be a JSON object.", code="invalid_json")
    return value


def form_params(text: str) -> Params:
    """Form or query text with bracketed names as nested dicts: a[b]=c gives {"a": {"b": "c"}}."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        raise Refused(400, "The parameters cannot be read.", code="parameter_invalid") from None
    params: Params = {}
    for name, value in pairs:
        _put(params, name, value)
    return params


def form_body(body: bytes) -> Params:
    """Parameters of a form-encoded body."""
    try:
        return form_params(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused(400, "The body is not UTF-8.", code="parameter_invalid") from None


def whole(params: Params, name: str, *, default: int | None = None, low: int = 0, high: int) -> int:
    """A whole number within bounds; text digits count, floats and booleans do not."""
    value = params.get(name)
    if value is None or value == "":
        if default is None:
            raise Refused(
                400, f"Missing required param: {name}.", code="parameter_missing", param=name
            )
        return default
    if isinstance(value, str) and re.fullmatch(rf"-?[0-9]{{1,{DIGITS_MAX}}}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(400, f"Invalid integer: {name}", code="parameter_invalid", param=name)
    if not low <= value <= high:
        text = f"{name} must lie between {low} and {high}, got {value}."
        raise Refused(400, text, code="parameter_invalid", param=name)
    return value


def seconds(params: Params, name: str, *, default: float = 0.0, high: float) -> float:
    """A span of time in seconds, not negative, within `high`."""
    value = params.get(name)
    if value is None or value == "":
        return default
    try:
        span = float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError):
        span = -1.0
    if not 0 <= span <= high:
        text = f"{name} must be a number of seconds from 0 to {high:g}."
        raise Refused(400, text, code="parameter_invalid", param=name)
    return span


def text(
    params: Params, name: str, *, default: str | None = None, pattern: str = r"(?s).{1,500}"
) -> str:
    """A string matching `pattern`; `default` when absent or empty."""
    value = params.get(name)
    if value is None or value == "":
        if default is None:
            raise Refused(
                400, f"Missing required param: {name}.", code="parameter_missing", param=name
            )
        return default
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise Refused(400, f"Invalid value for {name}.", code="parameter_invalid", param=name)
    return value


def flag(params: Params, name: str) -> bool | None:
    """A switch: true, false, or None when it was not named."""
    value = params.get(name)
    if value is None:
        return None
    if value in (True, "true", "1", "on"):
        return True
    if value in (False, "false", "0", "off", ""):
        return False
    raise Refused(400, f"{name} must be true or false.", code="parameter_invalid", param=name)


def only(params: Params, allowed: frozenset[str]) -> None:
    """Refuse a parameter nobody knows: a misspelt one must not pass silently."""
    for name in params:
        if name not in allowed:
            raise Refused(
                400,
                f"Received unknown parameter: {name[:80]}",
                code="parameter_unknown",
                param=name[:80],
            )


def _put(params: Params, name: str, value: str) -> None:
    head, _, _ = name.partition("[")
    path = [head, *_BRACKETS.findall(name[len(head) :])]
    if len(path) > DEPTH_MAX:
        raise Refused(400, "A parameter is nested too deeply.", code="parameter_invalid")
    place = params
    for part in path[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise Refused(400, f"Invalid parameter: {head}", code="parameter_invalid")
    place[path[-1]] = value


def _no_constant(name: str) -> None:
    raise ValueError(name)
