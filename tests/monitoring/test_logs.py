"""Structured logs: the trace, the event and the lane are there; personal data never is (SE-5)."""

from __future__ import annotations

import ast
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from payops.core import ids, logs, tracing
from payops.core.models import Person

ROOTS = ("payops", "ledger", "approvals", "reconciliation", "compliance")
PERSONAL = frozenset(
    {"email", "body", "raw", "payload", "ciphertext", "headers", "content", "password"}
    | {"bank_masked", "destination_token", "secret", "remote_ip", "first_name", "last_name"}
)
# A queue has a name too; these are people's.
PEOPLE = frozenset({"person", "owner", "beneficiary", "seller", "user", "payee", "recipient"})
SECRETS = {
    "e-mail": "jane.o'neil+x@mail.example.co.uk",
    "iban": "DE89 3704 0044 0532 0130 00",
    "iban without blanks": "GB29NWBK60161331926819",
    "card": "4242 4242 4242 4242",
    "card with dashes": "5555-5555-5555-4444",
    "card without blanks": "378282246310005",
    "webhook secret": "whsec_c3RhbmRhcmQtdGVzdHMtb25seQ==",
    "API key": "sk_live_51Hxyz0123456789",
    "bearer": "Bearer eyJhbGciOi.J9.abc",
    "password in an address": "postgresql://payops:hunter2@127.0.0.1/payops",
    "quoted name": 'seller "Jane Doe" is unknown',
    "payload": '{"customer": {"name": "Jane Doe", "iban": 1}}',
    "detail of a constraint": "duplicate key DETAIL: Key (name)=(Jane Doe) already exists.",
    "key file": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
}
TRACES_OF = ("jane", "o'neil", "3704", "NWBK", "4242 4242", "5555-5555", "3782822463", "c3RhbmRh")
TRACES_OF += ("51Hxyz", "eyJ", "hunter2", "MIIEvQ", "Jane Doe")


def line(formatter: logging.Formatter, message: str, *args: Any, **more: Any) -> str:
    record = logging.LogRecord("payops.test", logging.ERROR, "x.py", 1, message, args, None)
    for name, value in more.items():
        setattr(record, name, value)
    return formatter.format(record)


@pytest.fixture(params=[logs.Line(), logs.Json()], ids=["line", "json"])
def formatter(request: pytest.FixtureRequest) -> logging.Formatter:
    return request.param


@pytest.mark.parametrize("kind", SECRETS)
def test_nothing_personal_or_secret_passes_as_a_value(
    formatter: logging.Formatter, kind: str
) -> None:
    shown = line(formatter, "refused: %s", SECRETS[kind])

    assert not [trace for trace in TRACES_OF if trace in shown]
    assert "refused: " in shown


@pytest.mark.parametrize("kind", SECRETS)
def test_nor_in_an_exception_or_its_traceback(formatter: logging.Formatter, kind: str) -> None:
    try:
        raise ValueError(SECRETS[kind])
    except ValueError as error:
        shown = line(formatter, "failed: %s", error, exc_info=sys.exc_info())

    assert not [trace for trace in TRACES_OF if trace in shown]
    assert "ValueError" in shown and "test_logs.py" in shown


def test_records_bodies_and_mappings_are_named_never_shown(formatter: logging.Formatter) -> None:
    person = Person(name="Jane Doe", email="jane@example.com")

    shown = line(formatter, "%s %s %s %s", person, b'{"a": 1}', {"iban": "x"}, ["Jane Doe"])

    assert "Jane" not in shown and "iban" not in shown
    assert f"Person {person.pk}" in shown
    assert "(8 bytes) (dict of 1) (list of 1)" in shown


def test_what_is_needed_to_find_the_work_stays(formatter: logging.Formatter) -> None:
    event = ids.render("ev", ids.uuid7())

    shown = line(formatter, "%s of %s in %d ms: %s", event, "stripe/demo", 12, "signature_mismatch")

    assert f"{event} of stripe/demo in 12 ms: signature_mismatch" in shown


def test_one_json_object_a_line_with_trace_event_and_lane() -> None:
    event, trace_id = ids.render("ev", ids.uuid7()), tracing.begin()
    try:
        with logs.about(lane="high", shoe_size="42"):
            said = json.loads(line(logs.Json(), "%s failed:\nnext", event))
    finally:
        tracing.go_on("")

    assert said["text"] == f"{event} failed:\nnext"
    assert (said["event_id"], said["lane"], said["trace_id"]) == (event, "high", trace_id)
    assert (said["level"], said["logger"]) == ("ERROR", "payops.test")
    assert "shoe_size" not in said
    assert "lane" not in json.loads(line(logs.Json(), "later"))


def test_a_value_cannot_begin_a_line_of_its_own() -> None:
    shown = line(logs.Line(), "refused %s", "x\n2026-01-01 ERROR root forged")

    assert "\n" not in shown


def test_a_line_that_cannot_be_filled_in_is_still_written(formatter: logging.Formatter) -> None:
    assert "%d rows (with 1 values that do not fit)" in line(formatter, "%d rows", "many")


def test_a_huge_text_is_cut(formatter: logging.Formatter) -> None:
    assert len(line(formatter, "%s", "word " * 100_000)) < 1_000


def test_no_log_call_is_given_what_is_personal() -> None:
    """The mask cannot know a name when it sees one; so no log call may be handed one."""
    found = []
    for root in ROOTS:
        for path in Path(root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if _is_log_call(node):
                    found += [
                        f"{path}:{node.lineno} {each.attr}"
                        for argument in node.args
                        for each in ast.walk(argument)
                        if isinstance(each, ast.Attribute) and _is_personal(each)
                    ]

    assert found == []


def _is_personal(read: ast.Attribute) -> bool:
    if read.attr == "name":
        holder = read.value
        base = holder.attr if isinstance(holder, ast.Attribute) else getattr(holder, "id", "")
        return base in PEOPLE
    return read.attr in PERSONAL


def _is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("log", "logger", "logging")
    )
