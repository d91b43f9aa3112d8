"""Mapping sets: approved as a whole table, each value checked before it leaves (ERP-2, LJ-19)."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.models import ApprovalRequest, PolicyVersion
from ledger.models import Account, Export, ExportItem
from payops.core import clock
from payops.flows import export, export_mapping, governance
from payops.flows.export import ExportRefused
from payops.flows.governed import ChangeRefused
from payops.formats.journals import mapping
from payops.formats.journals.mapping import MappingError
from payops.formats.journals.registry import TARGETS
from tests.flows.exporting import ask, granted, made, meridian, posted, rules_of
from tests.ledger.scene import refused
from tests.people import actor

pytestmark = pytest.mark.django_db(transaction=True)


def proposed(target: str, rules: dict[str, Any]) -> ApprovalRequest:
    return governance.propose(
        kind="policy_change",
        facts={"policy": f"erp.{target}", "rules": rules},
        title="",
        reason="the chart of the ERP",
        actor=actor("marco"),
        now=clock.utc_now(),
    )


def looked_at(target: str, rules: dict[str, Any]) -> export.Look:
    """What another mapping would make of the waiting entries, without asking anybody."""
    parsed = mapping.parse(TARGETS[target], rules)
    return export.look(ask=ask(target), now=clock.utc_now(), mapping=parsed)


@pytest.mark.parametrize("target", TARGETS)
def test_every_seeded_set_is_whole_and_exports_at_once(target: str) -> None:
    posted(meridian(), 2)

    export_mapping.check(TARGETS[target], rules_of(target), meridian())

    assert made(target).entries == 2


@pytest.mark.parametrize("target", TARGETS)
def test_a_partial_mapping_is_not_even_asked_for(target: str) -> None:
    """LJ-19: every account of the chart has a row."""
    refusal = refused(
        ChangeRefused, lambda: proposed(target, rules_of(target, accounts={"5950": "", "1100": ""}))
    )

    assert "2 of " in str(refusal) and "accounts have no account at" in str(refusal)
    assert "1100 PSP clearing, 5950 Penny differences" in str(refusal)
    assert ApprovalRequest.objects.count() == 0


def test_a_set_is_in_force_once_finance_and_treasury_granted_it() -> None:
    """D5: asked for with the whole table; the next file is made with version 1, then 2."""
    posted(meridian(), 1)

    approval = granted("netsuite", rules_of("netsuite", accounts={"1100": "11000 Stripe"}))

    version = PolicyVersion.objects.get(name="erp.netsuite")
    assert (version.version, version.approval_id) == (1, approval.public_id)
    assert approval.title == "New mapping for NetSuite"
    granted("netsuite", rules_of("netsuite", accounts={"1100": "11001 Stripe"}))
    assert made().files.get().mapping_version == 2
    nothing = refused(
        ChangeRefused,
        lambda: proposed("netsuite", rules_of("netsuite", accounts={"1100": "11001 Stripe"})),
    )
    assert "nothing differs from erp.netsuite v2" in str(nothing)


def test_an_account_that_came_after_the_set_keeps_its_entries_back_and_all_others_too() -> None:
    """ERP-2: nothing leaves while one value is missing."""
    book = meridian()
    posted(book, 2)
    rules = rules_of("netsuite")
    del rules["accounts"]["2000"]

    seen = looked_at("netsuite", rules)

    assert seen.problem_count == 2 and len(seen.problems) == 2
    assert seen.problems[0].entry_id.startswith("je_")
    assert (seen.problems[0].field, seen.problems[0].value, seen.problems[0].wrong) == (
        "Account",
        "2000 Seller payable",
        "has no account at NetSuite",
    )
    assert "give the account a row in the mapping" in seen.problems[0].to_do
    assert Account.objects.filter(book=book, code="2000").exists()


@pytest.mark.parametrize(
    ("changes", "field", "wrong"),
    [
        ({"settings": {"currencies": "USD GBP"}}, "Currency", "is not a currency of NetSuite"),
        ({"settings": {"first_day": "2026-03-05"}}, "Date", "lies before 2026-03-05"),
        ({"settings": {"unmapped_party": "refuse"}}, "Party", "is not known at NetSuite"),
        (
            {"fields": {"Subsidiary": {"from": "entry.case_id", "default": ""}}},
            "Subsidiary",
            "is needed and empty",
        ),
    ],
)
def test_each_kind_of_problem_names_entry_field_value_and_what_to_do(
    changes: dict[str, Any], field: str, wrong: str
) -> None:
    """ERP-2: required fields, dates, currencies, parties."""
    posted(meridian(), 1)

    seen = looked_at("netsuite", rules_of("netsuite", **changes))

    assert seen.problems[0].field == field
    assert seen.problems[0].wrong.startswith(wrong)
    assert seen.problems[0].to_do
    assert seen.problems[0].entry_id.startswith("je_")


def test_dinars_do_not_fit_where_two_decimals_are_taken_and_nothing_is_made() -> None:
    """NetSuite takes two decimals; KWD 1,000.001 has three and would lose one."""
    posted(meridian(), 1, currency="KWD", gross=1_000_001)
    posted(meridian(), 1)

    refusal = refused(ExportRefused, made)

    assert refusal.problems[0].value.endswith("KWD")
    assert refusal.problems[0].wrong == "has 3 decimals; NetSuite takes 2"
    assert Export.objects.count() == ExportItem.objects.count() == 0
    assert made("quickbooks").entries == 2


def test_a_value_that_is_too_long_is_a_problem_where_nobody_wrote_it_for_people() -> None:
    """A code is never cut: 35 characters of an entry's id do not fit where 25 are taken."""
    posted(meridian(), 1)
    rules = rules_of("oracle", fields={"SEGMENT3": {"from": "entry.id", "default": ""}})

    seen = looked_at("oracle", rules)

    assert {(p.field, p.wrong) for p in seen.problems} == {
        ("Segment 3", "has 35 characters; Oracle Fusion takes 25")
    }
    assert seen.problems[0].to_do == "change the rule of this field in the mapping"


@pytest.mark.parametrize(
    ("part", "rows", "words"),
    [
        ("settings", {"prefix": "me"}, "Begins every reference"),
        ("settings", {"amounts": "both"}, "none of entered, reporting"),
        ("settings", {"first_day": "1.3.2026"}, "is not a day such as"),
        ("settings", {"currencies": "EURO"}, "EURO"),
        ("settings", {"nobody": "x"}, "there is no setting nobody"),
        ("accounts", {"1100": "x" * 121}, "has 121 characters; NetSuite takes 120"),
        ("accounts", {"1100": "=cmd"}, "begins with =, which a spreadsheet takes"),
        ("accounts", {"1100": "a\u202eb"}, "holds a character nobody sees"),
        ("parties", {"be_x": "@x"}, "begins with @"),
        ("fields", {"Debit": {"value": "1"}}, "has no field Debit to map"),
        ("fields", {"Memo": {"from": "line.party"}}, "stands once in a document"),
        ("fields", {"Memo": {"from": "entry.secret"}}, "there is no source “entry.secret”"),
        ("fields", {"Memo": {"from": "entry.id", "value": "x"}}, "not both"),
        ("fields", {"Subsidiary": {"value": ""}}, "it is needed; map it or give it a value"),
        ("fields", {"Memo": "entry.id"}, "a rule names a source"),
    ],
)
def test_a_set_that_cannot_be_applied_is_refused_with_the_place(
    part: str, rows: dict[str, Any], words: str
) -> None:
    error = refused(
        MappingError,
        lambda: mapping.parse(TARGETS["netsuite"], rules_of("netsuite", **{part: rows})),
    )

    assert words in str(error)


def test_a_set_for_an_account_the_book_does_not_have_is_refused() -> None:
    refusal = refused(
        ChangeRefused, lambda: proposed("xero", rules_of("xero", accounts={"8888": "1"}))
    )
    assert "the book has no account 8888" in str(refusal)


def test_xero_takes_its_own_currency_alone() -> None:
    error = refused(
        MappingError,
        lambda: mapping.parse(TARGETS["xero"], rules_of("xero", settings={"amounts": "entered"})),
    )
    assert "Xero takes journals in reporting amounts only" in str(error)


def test_beancount_accounts_are_written_as_beancount_needs_them() -> None:
    error = refused(
        MappingError,
        lambda: mapping.parse(
            TARGETS["beancount"], rules_of("beancount", accounts={"1100": "Assets:psp clearing"})
        ),
    )
    assert "is not written as beancount needs it: a root such as Assets" in str(error)
