"""I15: a batch that says other sums than the ledger, or an entry that went twice, is named."""

from __future__ import annotations

import pytest

from ledger.models import ExportItem
from payops.commands.invariants.base import Finding, Moment
from payops.commands.invariants.table import check_all
from payops.core import clock
from payops.formats.journals.registry import TARGETS
from tests.audit.story import break_rule
from tests.flows.exporting import granted, made, meridian, posted, rules_of
from tests.golden import month

pytestmark = pytest.mark.usefixtures("owners_world")


def check() -> Finding:
    return check_all(Moment(now=clock.utc_now()), only=["I15"])["I15"]


@pytest.mark.parametrize("mode", ["detailed", "summarised"])
def test_i15_holds_for_every_target_of_the_textbook_month(mode: str) -> None:
    """Foreign money, a conversion and a revaluation, in entered and in reporting amounts."""
    book = month.new_book()
    month.post_month(book)
    for target in TARGETS:
        made(target, mode, book=book)
    posted(meridian(), 2)
    granted("netsuite", rules_of("netsuite", settings={"amounts": "reporting"}))
    made(mode=mode)

    finding = check()

    assert (finding.checked, finding.breaks, finding.absent) == (7, [], [])


def test_i15_names_a_batch_whose_sums_are_not_the_ledgers() -> None:
    posted(meridian(), 1)
    batch = made()
    break_rule(
        "ledger_export",
        "UPDATE ledger_export SET totals = jsonb_set(totals, '{sums,EUR,debit}', '9999')"
        " WHERE id = %s",
        [batch.pk],
    )

    assert check().breaks == [
        "export MER-NS-2026-03-0001 has debits of 9999 EUR and the ledger 10000"
    ]


def test_i15_names_an_entry_that_is_missing_from_its_batch() -> None:
    posted(meridian(), 2)
    batch = made()
    item = ExportItem.objects.filter(export=batch).order_by("pk")[0]
    break_rule("ledger_exportitem", "DELETE FROM ledger_exportitem WHERE id = %s", [item.pk])

    assert check().breaks == [
        "export MER-NS-2026-03-0001 has credits of 20000 EUR and the ledger 10000",
        "export MER-NS-2026-03-0001 has debits of 20000 EUR and the ledger 10000",
        "export MER-NS-2026-03-0001 says 2 entries and has 1",
    ]


def test_i15_names_a_file_that_is_not_the_kept_document() -> None:
    posted(meridian(), 1)
    batch = made()
    break_rule(
        "ledger_exportfile",
        "UPDATE ledger_exportfile SET sha256 = repeat('0', 64) WHERE export_id = %s",
        [batch.pk],
    )

    assert check().breaks == [
        "export MER-NS-2026-03-0001 has no file, or one that is not the kept document"
    ]
