"""Trace: any id leads to the whole chain, in few queries, with masked ids only (AU-1 to AU-8)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payops.core.models import AuditEvent
from payops.flows.trace.chain import Chain, search, trace
from payops.flows.trace.records import LIMITS
from tests.audit.story import Story, receipt, reissue, tell

pytestmark = pytest.mark.usefixtures("owners_world")
QUERIES_MAX = 25


@pytest.fixture
def story(owners_world: None) -> Story:
    return tell()


IDS: dict[str, Callable[[Story], str]] = {
    "payout": lambda s: s.payout.public_id,
    "merchant reference": lambda s: s.payout.merchant_ref,
    "provider reference": lambda s: s.payout.provider_ref,
    "request key": lambda s: s.payout.request_key,
    "release approval": lambda s: s.release.public_id,
    "resolution approval": lambda s: s.resolution.public_id,
    "decision": lambda s: s.resolution.decisions.get(seat="compliance").public_id,
    "gate decision": lambda s: s.gate.public_id,
    "intent": lambda s: s.intent.public_id,
    "idempotency key": lambda s: s.intent.idempotency_key,
    "provider call": lambda s: s.call.public_id,
    "event": lambda s: s.event.public_id,
    "provider event id": lambda s: s.event.provider_event_id,
    "receipt": lambda s: s.receipts[7].public_id,
    "trace id": lambda s: s.trace_id,
    "case": lambda s: s.case.public_id,
    "hold": lambda s: s.hold.public_id,
    "hold key": lambda s: s.hold.key,
    "ticket": lambda s: s.ticket.public_id,
    "ticket number": lambda s: "T-77",
    "entry": lambda s: s.entries[2].public_id,
    "line": lambda s: s.entries[2].lines.all()[0].public_id,
    "posting key": lambda s: s.entries[2].idempotency_key,
    "audit row": lambda s: AuditEvent.objects.get(to_state="PAID").public_id,
    "bare id": lambda s: str(s.payout.pk),
    "bare hex": lambda s: s.case.pk.hex,
    "upper case, with spaces": lambda s: f"  {s.payout.public_id.upper()} ",
}


@pytest.mark.parametrize("kind", IDS)
def test_any_id_leads_to_the_same_chain(story: Story, kind: str) -> None:
    chain = trace(IDS[kind](story))

    whole = trace(story.payout.public_id)
    assert {node.id for node in chain.nodes} == {node.id for node in whole.nodes}
    assert chain.lines == whole.lines
    assert chain.focus in {node.id for node in chain.nodes}
    assert chain.choices == ()


def test_the_chain_has_every_link_of_au_1(story: Story) -> None:
    chain = trace("P-10492")

    kinds = [node.kind for node in chain.nodes]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "Beneficiary": 1,
        "Payout": 1,
        "Approval": 2,
        "Decision": 4,
        "Gate decision": 1,
        "Intent": 1,
        "Provider call": 1,
        "Provider reference": 1,
        "Receipts": 1,
        "Event": 1,
        "Case": 1,
        "Hold": 1,
        "Runbook step": 1,
        "Ticket": 1,
        "Message": 1,
        "Journal entry": 3,
        "Match status": 1,
        "ERP export": 1,
    }
    states = {node.kind: node.state for node in chain.nodes}
    assert (states["Match status"], states["ERP export"]) == ("NOT_YET", "NOT_YET")
    entry = next(n for n in chain.nodes if n.id == story.entries[2].public_id)
    assert entry.facts["posting_request"] == story.entries[2].idempotency_key
    assert entry.facts["lines"] == ["Dr 1200 12,400.00 EUR", "Cr 2200 12,400.00 EUR"]
    assert chain.left_out == ()


def test_the_picture_is_connected_from_the_request_to_the_export(story: Story) -> None:
    chain = trace(story.payout.public_id)

    reached, waiting = set(), {story.payout.public_id}
    while waiting:
        reached |= waiting
        waiting = {e.target for e in chain.edges if e.source in reached} - reached
    unreached = {node.id for node in chain.nodes} - reached
    assert unreached == {story.seller.public_id}
    words = {(e.source, e.words) for e in chain.edges}
    assert (story.event.public_id, "opened") in words
    assert (story.release.public_id, "gates checked") in words


def test_the_story_tells_all_twelve_receipts_in_order_and_who_did_what(story: Story) -> None:
    lines = trace("P-10492").lines

    assert [line.at for line in lines] == sorted(line.at for line in lines)
    receipts = [line.words for line in lines if line.kind == "receipt"]
    assert len(receipts) == 12
    assert sum("a duplicate" in words for words in receipts) == 11
    decided = [(line.who, line.words) for line in lines if line.kind == "decision"]
    assert decided[-1] == (
        "fatima",
        f"approve as Compliance on {story.resolution.public_id}: checked against the order",
    )
    posted = [line.words for line in lines if line.kind == "entry"]
    assert posted[-1].startswith("posted payout.returned on ")


def test_the_answers_are_those_auditors_ask_for(story: Story) -> None:
    answers = {a.question: a for a in trace("P-10492").answers}

    assert answers["Who triggered it?"].words == "payout.requested by amara"
    changed = answers["Which event changed its state?"]
    assert changed.words.startswith("DRAFT (new) by amara; ")
    assert f"PAID to EXCEPTION by {story.event.public_id}" in changed.words
    assert changed.refers_to == (story.event.public_id,)
    assert answers["What was posted?"].refers_to == tuple(e.public_id for e in story.entries)
    assert answers["What was exported?"].words == "nothing yet: no export has been made"
    assert answers["Why this status?"].words.startswith("EXCEPTION since ")
    assert answers["Why this status?"].words.endswith("by PayOps, payouts")


def test_a_reissue_and_its_original_are_one_chain(story: Story) -> None:
    again = reissue(story)

    chain = trace("P-10492")

    assert [n.id for n in chain.nodes if n.kind == "Payout"] == [
        story.payout.public_id,
        again.public_id,
    ]
    assert (story.payout.public_id, again.public_id, "re-issued as") in {
        (e.source, e.target, e.words) for e in chain.edges
    }
    assert trace(again.public_id).lines == chain.lines


def test_a_reference_of_two_chains_is_a_choice(story: Story) -> None:
    other = tell(merchant_ref="P-20000")

    chain = trace("T-77")

    assert chain.nodes == ()
    assert {(c.kind, c.id) for c in chain.choices} == {
        ("Case", story.case.public_id),
        ("Case", other.case.public_id),
    }
    assert {c.how for c in chain.choices} == {"ticket number"}
    assert trace(other.case.public_id).found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "nothing-like-it",
        "po_" + "0" * 32,
        "xx_" + "0" * 32,
        "po_zz",
        "a\x00b",
        "'; DROP TABLE payments_payout; --",
        "%",
        "x" * 700,
        "0" * 32,
    ],
)
def test_what_is_in_no_place_is_found_nowhere(story: Story, text: str) -> None:
    assert trace(text) == Chain(text=text.strip()[:600])
    assert not trace(text).found


def test_search_finds_by_beginning_and_takes_wildcards_literally(story: Story) -> None:
    assert [(c.kind, c.label) for c in search("P-104")] == [("Payout", "P-10492")]
    assert {c.label for c in search("Polder")} == {"Polder Bikes"}
    assert search("%0") == ()
    assert search("__") == ()
    assert search("P") == ()
    assert search("a\x00b") == ()


def test_the_number_of_queries_does_not_grow_with_the_chain(story: Story) -> None:
    with CaptureQueriesContext(connection) as small:
        trace("P-10492")
    for i in range(40):
        receipt(story, key=story.event.dedupe_key, body=b"%d" % i, duplicate=True)
    with CaptureQueriesContext(connection) as large:
        chain = trace("P-10492")

    assert sum(line.kind == "receipt" for line in chain.lines) == 52
    assert len(large) == len(small) <= QUERIES_MAX


def test_a_limit_is_told_never_silent(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "receipts", 5)

    chain = trace("P-10492")

    assert sum(line.kind == "receipt" for line in chain.lines) == 5
    assert chain.left_out == ("only the first 5 receipts are shown",)


def test_the_chain_holds_no_name_and_no_bank_details(story: Story) -> None:
    text = json.dumps(trace("P-10492").as_json(), ensure_ascii=False)

    assert story.seller.name not in text
    assert story.seller.bank_hash not in text
    assert story.payout.requested_by.name not in text
    assert story.seller.bank_masked in text


def test_a_beneficiary_is_traced_with_its_holds(story: Story) -> None:
    chain = trace("S-1003")

    assert chain.focus == story.seller.public_id
    assert [node.kind for node in chain.nodes] == ["Beneficiary"]
