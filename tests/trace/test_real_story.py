"""The late failure through the real flows: invariants hold, the chain is whole, the pack fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from payops.commands import verify_pack
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import as_json, check_all
from payops.core import clock
from payops.core.models import AuditEvent
from payops.flows import evidence_pack
from payops.flows.payouts import exception as payout_exception
from payops.flows.trace.chain import trace
from payops.payments.models import Payout
from tests import builders
from tests.audit.sealing import seal_everything
from tests.builders import decide, drain, post_standard, standard_event
from tests.people import actor
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def payout() -> Payout:
    """P-10492 paid, failed late and told three times, decided by two, executed."""
    payout = paid_payout("12400.00", merchant_ref="P-10492")
    told = builders.payout_object(payout, "failed", failure_code="account_closed")
    body = standard_event("settlementFailed", told)
    assert [post_standard(body) for _ in range(3)] == [200] * 3
    drain()
    case_key = trace("P-10492").records.cases[0].pk  # type: ignore[union-attr]
    approval = payout_exception.propose(
        case_id=case_key,
        resolution="request_details",
        hold_beneficiary=True,
        reason="the account is closed",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    assert decide(approval, "marco").kind == "recorded"
    assert decide(approval, "chen").kind == "approved"
    drain()
    seal_everything()
    return payout


def test_every_invariant_holds_after_the_story(payout: Payout) -> None:
    told = as_json(check_all(Moment(now=clock.utc_now())))

    breaks = {key: row["breaks"] for key, row in told["invariants"].items() if row["breaks"]}
    assert breaks == {}
    checked = {key: row["checked"] for key, row in told["invariants"].items()}
    assert (checked["I1"], checked["I7"], checked["I9"], checked["I13"]) == (4, 1, 2, 1)


def test_the_chain_answers_what_auditors_ask(payout: Payout) -> None:
    chain = trace("P-10492")

    answers = {answer.question: answer for answer in chain.answers}
    failed = next(e for e in chain.records.events if e.type == "settlementFailed")  # type: ignore[union-attr]
    changed = answers["Which event changed its state?"]
    assert answers["Who triggered it?"].words.endswith("by amara")
    assert f"PAID to EXCEPTION by {failed.public_id}" in changed.words
    assert "payout.returned" in answers["What was posted?"].words
    assert answers["Why this status?"].words.startswith("RETURNED since ")
    lines = [line for line in chain.lines if line.kind == "decision"]
    assert [line.who for line in lines][-2:] == ["marco", "chen"]
    assert sum(line.kind == "receipt" for line in chain.lines) == 4
    reached, waiting = set(), {payout.public_id}
    while waiting:
        reached |= waiting
        waiting = {e.target for e in chain.edges if e.source in reached} - reached
    loose = {node.id for node in chain.nodes if node.id not in reached}
    assert loose <= {node.id for node in chain.nodes if node.kind in ("Beneficiary", "Hold")}
    assert chain.left_out == ()
    assert payout.beneficiary.name not in json.dumps(chain.as_json(), ensure_ascii=False)


def test_its_evidence_pack_verifies_and_is_audited(payout: Payout, tmp_path: Path) -> None:
    pack = evidence_pack.export(
        chain=trace(payout.provider_ref), actor=actor("audrey"), now=clock.utc_now()
    )
    path = tmp_path / pack.filename
    path.write_bytes(pack.content)

    assert verify_pack.verify(path).problems == []
    row = AuditEvent.objects.get(action="evidence_pack.made")
    assert row.evidence["manifest_sha256"] == pack.manifest_sha256
