"""What people and providers wrote breaks no file and runs in no spreadsheet (ERP-2)."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from payops.formats.journals import beancount
from payops.formats.journals.registry import TARGETS
from tests.formats.journals import CAPTURE, HOSTILE, filled, line, set_for, with_text, written
from tests.peers import plain_text

FORMULA = ("=", "+", "-", "@", "|", "%", "\t", "\r")


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_has_the_same_rows_and_columns_whatever_was_written(text: str) -> None:
    for key in ("netsuite", "oracle"):
        content = written(key, CAPTURE, with_text(text))
        if key == "oracle":
            content = zipfile.ZipFile(io.BytesIO(content)).read("GlInterface.csv")
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
        lines = rows[1:] if key == "netsuite" else rows
        assert len(lines) == 6 and len({len(row) for row in rows}) == 1
        assert not [cell for row in lines for cell in row if cell.startswith(FORMULA)]
        assert "\x00" not in content.decode() and content.count(b"\n") == len(rows)


@pytest.mark.parametrize("text", HOSTILE)
def test_json_holds_the_same_journals_whatever_was_written(text: str) -> None:
    for key, name in (("quickbooks", "JournalEntry"), ("xero", "ManualJournals")):
        content = written(key, with_text(text), CAPTURE)
        found = json.loads(content.decode())[name]
        assert len(found) == 2
        note = found[0].get("PrivateNote") or found[0].get("Narration") or ""
        assert "\u202e" not in note and "\x00" not in note and "\n" not in note
        assert len(note) <= 4_000 + len("N-1 ")


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_has_the_same_lines_whatever_was_written(text: str) -> None:
    for key in ("hledger", "beancount"):
        usual = written(key, with_text("Captured"), CAPTURE).decode().splitlines()
        hostile = written(key, with_text(text), CAPTURE).decode().splitlines()
        assert len(hostile) == len(usual)
        assert [one for one, two in zip(hostile, usual, strict=True) if one != two] in (
            [hostile[next(i for i, each in enumerate(usual) if "Captured" in each)]],
            [],
        )


@pytest.mark.parametrize("key", ["hledger", "beancount"])
def test_the_programs_themselves_read_every_hostile_text(key: str, tmp_path: Path) -> None:
    program = plain_text.hledger() if key == "hledger" else plain_text.bean_check()
    if reason := plain_text.skipped(program):
        pytest.skip(reason)
    file = tmp_path / f"book.{TARGETS[key].extension}"
    file.write_bytes(written(key, *(with_text(text) for text in HOSTILE)))

    read = plain_text.hledger_balances if key == "hledger" else plain_text.beancount_balances
    balances = read(program, file)

    assert sorted(balances.values()) == [
        -9_000 * len(HOSTILE),
        -1_000 * len(HOSTILE),
        10_000 * len(HOSTILE),
    ]


def test_refusing_texts_instead_of_cleaning_them_names_each() -> None:
    _, filling, _ = filled("netsuite", with_text("=1+1"), settings={"texts": "refuse"})

    assert [(p.field, p.value, p.wrong) for p in filling.problems] == [
        ("Memo", "=1+1", "begins with =, which a spreadsheet takes for a formula")
    ]
    _, long, _ = filled("netsuite", with_text("y" * 1_000), settings={"texts": "refuse"})
    assert [p.wrong for p in long.problems] == ["has 1000 characters; NetSuite takes 999"]


def test_a_cut_text_says_so_in_its_rule() -> None:
    """ERP-3: the trace tells what was done to a value."""
    documents, _, _ = filled("netsuite", with_text("y" * 1_000 + "\n"))

    cell = documents[0].cells["Memo"]
    assert (len(cell.value), cell.value[-1]) == (999, "…")
    assert cell.how == "mapped, cleaned, cut to 999 characters"
    assert cell.given == "y" * 1_000 + "\n"


def test_two_parties_that_would_get_one_name_are_told() -> None:
    """beancount has neither slashes nor underscores; two sellers never become one account."""
    one = replace(CAPTURE, lines=(line("1100", 5, party="a/b"), line("2000", -5, party="a_b")))

    _, filling, _ = filled("beancount", one)

    assert [(p.field, p.value, p.wrong) for p in filling.problems] == [
        ("Party", "a_b", "would be called A-b, as a/b is")
    ]
    assert beancount.part_of("stripe/demo") == "Stripe-demo"
    assert beancount.part_of("§x") == "P-x"


def test_a_party_that_is_no_account_at_hledger_is_told() -> None:
    one = replace(CAPTURE, lines=(line("1100", 5, party="a  b;c"), line("2000", -5)))

    _, filling, _ = filled("hledger", one)
    assert [(p.field, p.value) for p in filling.problems] == [("Sub-account", "a  b;c")]
    _, mapped, _ = filled("hledger", one, parties={"a  b;c": "shop"})
    assert mapped.problem_count == 0


def test_every_field_of_every_target_has_a_rule_that_can_be_read() -> None:
    for key, target in TARGETS.items():
        used = set_for(target)
        for field in target.fields:
            assert used.rules[field.name].words, (key, field.name)
            assert field.label and (field.rule.source or field.rule.value or not field.required)
