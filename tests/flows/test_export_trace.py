"""One entry followed field by field into the payload (ERP-3, AU-3)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ledger.models import Export, ExportItem
from payops.core import clock
from payops.flows import export, export_trace
from payops.flows.export_trace import EntryTrace
from payops.flows.trace.chain import trace
from payops.formats.journals.registry import TARGETS
from tests import stories
from tests.flows.exporting import granted, made, meridian, posted, rules_of
from tests.people import actor

pytestmark = pytest.mark.django_db(transaction=True)


def traced(batch: Export, place: int = 0) -> EntryTrace:
    item = (
        ExportItem.objects.select_related("entry")
        .filter(export=batch)
        .order_by("entry__posting_on", "entry_id")[place]
    )
    whole = Export.objects.select_related("book").get(pk=batch.pk)
    return export_trace.traced(export=whole, item=item, entry=item.entry)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mode", ["detailed", "summarised"])
def test_every_document_stands_in_the_file_byte_for_byte(target: str, mode: str) -> None:
    """ERP-3: the page shows what the file has, not what it might have."""
    book = meridian()
    posted(book, 2)
    posted(book, 2, currency="USD", gross=33_333)

    told = traced(made(target, mode), 1)

    assert told.documents
    assert [document.in_file for document in told.documents] == [True] * len(told.documents)


def test_each_value_names_its_source_its_rule_and_what_it_became() -> None:
    """ERP-3: source field → rule → target field → value."""
    scene = posted(meridian(), 1)
    granted("netsuite", rules_of("netsuite", parties={scene.seller: "V-1001 Atelier"}))

    told = traced(made())

    said = {(step.place, step.field): step for step in told.documents[0].steps}
    date = said["Document", "Date"]
    assert (date.source, date.rule, date.value) == ("posting day", "computed", "03/04/2026")
    account = said["Line 2", "Account"]
    assert (account.rule, account.value) == ("table of accounts", "2000 Seller payable")
    entity = said["Line 2", "Name"]
    assert (entity.rule, entity.value) == ("table of parties", "V-1001 Atelier")
    assert said["Line 1", "Name"].rule == "not in the table of parties, left out"
    assert said["Line 2", "Credit"].value == "90.00" and said["Line 2", "Debit"].value == ""
    subsidiary = said["Document", "Subsidiary"]
    assert (subsidiary.source, subsidiary.value) == (
        "name of the book",
        "Meridian Marketplace GmbH",
    )
    assert told.documents[0].fragment.count("\r\n") == 3


def test_a_summary_tells_which_line_took_each_line_of_the_entry() -> None:
    book = meridian()
    posted(book, 1)
    posted(book, 1)

    told = traced(made(mode="summarised"))

    assert told.entries == 2
    assert [(each.line.account, each.line.amount_minor, each.row) for each in told.summed] == [
        ("1100", 10_000, 1),
        ("2000", -9_000, 2),
        ("4000", -1_000, 3),
    ]
    assert told.summed[0].document == "MER-NS-2026-03-0001-1"


def test_a_file_keeps_the_mapping_it_was_made_with() -> None:
    """A later version changes no file and no trace of it; the next attempt has it."""
    posted(meridian(), 1)
    batch = made()
    granted("netsuite", rules_of("netsuite", accounts={"1100": "11000 Stripe clearing"}))

    before = traced(batch)
    told = {"actor": actor("priya"), "now": clock.utc_now()}
    export.reject(export_id=batch.public_id, words="no such account", **told)
    export.rebuild(export_id=batch.public_id, **told)
    after = traced(batch)

    assert "1100 PSP clearing" in before.documents[0].fragment
    assert before.documents[0].in_file is True
    assert "11000 Stripe clearing" in after.documents[0].fragment
    assert (after.file.attempt, after.documents[0].in_file) == (2, True)


def test_the_chain_of_a_payout_goes_on_to_the_export_of_its_entries() -> None:
    """AU-1, AU-3: what was exported, by whom, as which document."""
    payout = stories.paid_payout("1200.00", merchant_ref="P-77001")
    today = clock.business_day(clock.utc_now(), time_zone=meridian().time_zone)

    before = trace("P-77001")
    batch = made(from_on=today - timedelta(days=3), to_on=today)
    chain = trace("P-77001")

    answers = [{a.question: a for a in each.answers} for each in (before, chain)]
    assert answers[0]["What was exported?"].words == "nothing yet: no export has been made"
    told = answers[1]["What was exported?"]
    items = ExportItem.objects.select_related("entry").filter(
        export=batch, entry__subject_id=payout.public_id
    )
    for item in items:
        assert f"{batch.reference} as document {item.document_no} (ready)" in told.words
        assert item.entry.public_id in told.refers_to
    assert items.count() == 2
    node = next(node for node in chain.nodes if node.id == batch.public_id)
    assert (node.kind, node.label, node.state) == ("ERP export", batch.reference, "READY")
    assert [line.who for line in chain.lines if "export.made" in line.words] == ["priya"]
    assert "not exported yet" not in [node.label for node in chain.nodes]
