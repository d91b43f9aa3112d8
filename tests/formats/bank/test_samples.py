"""Real files of banks, where they are at hand: what adds up and what does not (D16).

The samples are not part of the product. They are looked for beside the checkout, in
../shared/samples, or where PAYOPS_SAMPLES points; without them these tests are skipped, saying so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from payops.formats.bank.base import ReadOptions, Severity
from payops.formats.bank.checks import Edge, continuity
from payops.formats.bank.csv_preview import preview
from payops.formats.bank.registry import sniff
from tests.formats.bank.reading import Read, read_file

BESIDE = Path(__file__).parents[3].parent / "shared" / "samples"
SAMPLES = Path(os.environ.get("PAYOPS_SAMPLES") or BESIDE)
FILES = sorted(
    path.relative_to(SAMPLES).as_posix()
    for folder in ("camt", "mt940", "bai2", "ofx", "csv")
    for path in SAMPLES.glob(f"{folder}/**/*")
    if path.is_file() and path.suffix != ".xsd"
)
# What each file says that does not add up, by the codes of the breaks; all others say nothing.
BREAKS = {
    "camt/genkgo/camt053.v2.all-balance-types.xml": {"balance.difference"},
    "camt/genkgo/camt053.v2.five.decimals.xml": {"balance.difference"},
    "camt/genkgo/camt053.v4.xml": {"balance.currency"},
    "camt/genkgo/camt053.v8.xml": {"balance.currency"},
    "mt940/knab-unbalanced.sta": {"balance.difference", "continuity.gap"},
    "mt940/triodos-unbalanced.sta": {"balance.difference"},
    "mt940/sepa_snippet.sta": {"balance.difference"},
    "bai2/citi_example.bai2": {"balance.difference"},
    "bai2/moov-sample4-continuations.txt": {
        *("balance.difference", "control.amount", "control.count"),
    },
    "ofx/decimal_error.ofx": {"entry.rejected"},
}

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"no sample files in {BESIDE}, and PAYOPS_SAMPLES is not set"
)


def sample(name: str) -> Read:
    content = (SAMPLES / name).read_bytes()
    options = ReadOptions()
    fmt = sniff(content[:65536])
    if fmt == "csv":
        with (SAMPLES / name).open("rb") as source:
            options = ReadOptions(mapping=preview(source, currency="EUR").mapping.values())
    return read_file(content, fmt, options)


@pytest.mark.parametrize("name", FILES)
def test_every_sample_is_read_and_only_what_does_not_add_up_is_flagged(name: str) -> None:
    found = sample(name)

    breaks = {each.code for each in found.findings if each.severity == Severity.BREAK}
    assert breaks == BREAKS.get(name, set())
    assert len(found.rejects) == (1 if name == "ofx/decimal_error.ofx" else 0)


def test_the_real_days_of_one_institution_are_a_continuous_chain() -> None:
    days = [
        sample(f"camt/lt-emi/camt053-2024-03-{day}.xml") for day in ("07", "08", "11", "12", "13")
    ]
    edges: dict[str, Edge] = {}
    compared = 0

    for statement in [each for day in days for each in day.statements]:
        own = statement.account.identifier
        if own in edges:
            compared += 1
            assert continuity(edges[own], statement) == []
        edges[own] = Edge.of(statement)

    assert (compared, len(edges)) == (8, 2)
    assert not any(found.severity == Severity.BREAK for day in days for found in day.findings)


def test_a_net_of_mixed_payments_makes_its_entry_and_its_twins_are_flagged() -> None:
    found = sample("camt/lt-emi/camt054-2024-03-18.xml")

    (entry,) = found.entries
    assert (entry.amount_minor, len(entry.children)) == (-19467225, 41)
    assert {child.amount_minor > 0 for child in entry.children} == {True, False}
    assert sum(child.amount_minor for child in entry.children) == entry.amount_minor
    assert found.codes.count("entry.identical") == 1


def test_a_value_date_of_30_february_and_three_messages_in_one_file_are_read() -> None:
    assert sample("mt940/february_30.sta").entries[0].value_on is not None
    assert len(sample("mt940/cmxl-3-statements.sta").statements) == 3
