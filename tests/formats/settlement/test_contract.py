"""The contract every reader keeps: closed words, no float, no content at length, flat memory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payops.formats.files import FileRefused
from payops.formats.settlement import base, paypal_codes, registry, values
from payops.formats.settlement.base import (
    CODES,
    FINDINGS_PER_CODE_MAX,
    REFUSING,
    Finding,
    LineKind,
    Severity,
)
from tests.formats.settlement import (
    test_adyen,
    test_paypal_activity,
    test_paypal_stl,
    test_stripe,
)
from tests.formats.settlement.reading import by_name, reading, table

FOLDER = Path(base.__file__).parent
READERS = sorted(FOLDER.glob("*.py"))
LINES, GROWTH_MAX_MB = 40_000, 40
CHILD = """
import sys
from payops.formats.settlement.registry import read
head = "batch,type,currency,net,transaction_ref,occurred_at\\n"
row = "31,capture,EUR,{}.10,t{},2026-03-30T14:03:11+02:00\\n"
content = (head + "".join(row.format(n, n) for n in range(int(sys.argv[1])))).encode()
def high():
    told = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(told.split()[1]) // 1024
before, count = high(), 0
for event in read(source=content):
    count += 1
print(count, high() - before)
"""


def test_every_finding_has_a_code_of_the_table_and_every_code_is_used() -> None:
    text = "".join(path.read_text() for path in READERS)
    sources = text + (FOLDER.parent / "files.py").read_text()
    sources += (FOLDER.parent / "sheets.py").read_text()
    named = set(re.findall(r'"([a-z]+\.[a-z_]+)"', sources))

    assert set(CODES) <= named
    for code in re.findall(r'Finding\(\s*"([a-z._]+)"', text):
        assert code in CODES


def test_what_refuses_a_file_is_a_break() -> None:
    assert {CODES[code] for code in REFUSING} == {Severity.BREAK}
    assert Finding("file.truncated", "file", "cut").refuses
    assert not Finding("batch.difference", "file", "off").refuses


def test_amounts_are_whole_and_rates_are_exact() -> None:
    hints = get_type_hints(base.Line) | get_type_hints(base.Batch) | get_type_hints(base.Fee)

    assert all("float" not in str(hint) for hint in hints.values())
    assert [
        name for name, hint in hints.items() if name.endswith("_minor") and "int" not in str(hint)
    ] == []
    for path in READERS:
        assert not re.search(r"\bfloat\(", path.read_text()), path


def test_events_cannot_be_changed() -> None:
    found = test_stripe.of(test_stripe.BATCH)

    for event in (found.lines[0], found.batch, found.findings[0], found.summary):
        name = next(iter(get_type_hints(type(event))))
        with pytest.raises(AttributeError):
            setattr(event, name, 1)


def test_the_same_line_in_another_file_has_the_same_fingerprint_wherever_it_stands() -> None:
    rows = test_adyen.BATCH
    first, turned = test_adyen.of(rows), test_adyen.of(rows[::-1])

    assert [line.fingerprint for line in first.lines] == [
        line.fingerprint for line in turned.lines[::-1]
    ]
    changed = test_adyen.of([rows[0] | {"Net Credit (NC)": "97.11"}])
    assert changed.lines[0].fingerprint != first.lines[0].fingerprint
    assert re.fullmatch("[0-9a-f]{32}", first.lines[0].fingerprint)


def test_too_many_findings_of_one_kind_are_counted() -> None:
    rows = [
        test_adyen.settled(number, **{"Commission (NC)": "1.00"})
        for number in range(FINDINGS_PER_CODE_MAX + 7)
    ]
    found = test_adyen.of(rows)

    assert found.codes.count("fee.difference") == FINDINGS_PER_CODE_MAX
    assert found.words("findings.more") == "7 more findings of fee.difference"


def test_a_batch_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payops.formats.settlement.checks.BATCHES_MAX", 1)

    with pytest.raises(FileRefused, match="more than 1 batches"):
        test_adyen.of([*test_adyen.BATCH, test_adyen.payout("1.00", "42")])


def test_memory_stays_flat_over_many_lines() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(LINES)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    count, growth = map(int, run.stdout.split())

    assert count == LINES + 3  # the batch, that it is unpaid, the summary
    assert growth < GROWTH_MAX_MB


def test_every_code_of_paypal_ends_in_the_closed_vocabulary() -> None:
    for pair in (*paypal_codes.GROUPS.values(), *paypal_codes.CODES.values()):
        assert all(type(kind) is LineKind for kind in pair)
    assert paypal_codes.by_code("", comes_in=True) is None
    assert paypal_codes.by_words("", comes_in=True) is None


@pytest.mark.parametrize(
    ("content", "key", "line"),
    [
        (by_name(test_adyen.COLUMNS, test_adyen.BATCH), "adyen", 1),
        (b"Report of March\n\n" + by_name(test_adyen.COLUMNS, test_adyen.BATCH), "adyen", 3),
        (by_name(test_stripe.COLUMNS, test_stripe.BATCH), "stripe", 1),
        (test_paypal_stl.report(), "paypal_stl", 1),
        (table(test_paypal_activity.GERMAN, test_paypal_activity.DAY_FIRST, ";"),
         "paypal_activity", 1),
        (b"batch,type,currency,net\n", "generic", 1),
    ],
)  # fmt: skip
def test_a_file_is_recognised_by_its_header_alone(content: bytes, key: str, line: int) -> None:
    found = registry.recognise(source=content)

    assert (found.format.key, found.line) == (key, line)
    assert found.columns


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_bytes_changed_anywhere_are_rejected_refused_or_read(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from((
        test_paypal_stl.report(),
        by_name(test_stripe.COLUMNS, test_stripe.BATCH),
        table(test_paypal_activity.ENGLISH, test_paypal_activity.MONTH_FIRST),
    ))))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))

    try:
        found = reading(bytes(content))
    except FileRefused as refused:
        assert 0 < len(str(refused)) < 400
    else:
        assert found.summary.lines == len(found.lines)
        assert all(len(each.words) < 400 for each in found.findings)


@pytest.mark.parametrize(
    ("name", "offset"),
    [("CET", "+02:00"), ("CEST", "+02:00"), ("PDT", "-07:00"), ("Europe/Lisbon", "+01:00"),
     ("GMT+2", "+02:00"), ("-0330", "-03:30"), ("UTC", "+00:00")],
)  # fmt: skip
def test_zones_go_by_many_names(name: str, offset: str) -> None:
    at = values.moment("2026-07-01 12:00:00", values.zone(name), "At")

    assert at is not None
    assert at.isoformat() == f"2026-07-01T12:00:00{offset}"


@pytest.mark.parametrize("name", ["", "MOON", "localtime", "../../etc/passwd", "+15:00", "CST"])
def test_a_zone_that_means_nothing_here_or_too_much_is_none(name: str) -> None:
    assert values.zone(name) is None


def test_formats_have_keys_of_their_own() -> None:
    assert list(registry.BY_KEY) == [each.key for each in registry.FORMATS]
    assert {each.provider for each in registry.FORMATS} == {"adyen", "stripe", "paypal", ""}
