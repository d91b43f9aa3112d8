"""Reference packs attacked past the services: no verdict or figure by hand (RP-2, D5)."""

from __future__ import annotations

import json

import pytest

from approvals.models import ApprovalRequest
from ledger.models import ReferencePack
from tests.builders import capture, decide, drain
from tests.console.test_parity import RIGHT, asked, kept
from tests.guards.approval_attacks import refused, run

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = "ledger_referencepack"
NEVER = "the figures of a reference pack never change"
OWN_REQUEST = "only through the decision of its own request"


@pytest.fixture
def pack() -> ReferencePack:
    capture(100_000, platform_minor=5_000)
    return kept(RIGHT)


def waiting(pack: ReferencePack) -> ApprovalRequest:
    asked(pack, "no difference")
    return ApprovalRequest.objects.get(subject_id=pack.public_id)


def state_of(pack: ReferencePack) -> str:
    return str(ReferencePack.objects.get(pk=pack.pk).state)


def test_nobody_accepts_or_rejects_without_the_decision(pack: ReferencePack) -> None:
    approval = waiting(pack)

    for verdict in ("ACCEPTED", "REJECTED"):
        with refused(OWN_REQUEST):
            run(f"UPDATE {TABLE} SET state = %s WHERE id = %s", verdict, pack.pk)
    assert state_of(pack) == "AWAITING_APPROVAL"
    decide(approval, "marco")
    drain()
    assert state_of(pack) == "ACCEPTED"


def test_the_request_of_another_pack_is_no_verdict(pack: ReferencePack) -> None:
    other = kept(RIGHT)
    granted = waiting(other)
    decide(granted, "marco")
    drain()
    waiting(pack)

    with refused("names its request when the verdict is asked for"):
        run(
            f"UPDATE {TABLE} SET state = 'ACCEPTED', approval_id = %s WHERE id = %s",
            granted.public_id, pack.pk,
        )  # fmt: skip
    run(f"UPDATE {TABLE} SET approval_id = %s WHERE id = %s", granted.public_id, pack.pk)
    with refused(OWN_REQUEST):
        run(f"UPDATE {TABLE} SET state = 'ACCEPTED' WHERE id = %s", pack.pk)
    assert state_of(pack) == "AWAITING_APPROVAL"


def test_a_rejected_request_never_accepts(pack: ReferencePack) -> None:
    approval = waiting(pack)
    decide(approval, "marco", verdict="reject")

    with refused(OWN_REQUEST):
        run(f"UPDATE {TABLE} SET state = 'ACCEPTED' WHERE id = %s", pack.pk)


@pytest.mark.parametrize(
    ("column", "value"),
    [("rows", json.dumps([])), ("title", "another"), ("filename", "other.csv")],
)
def test_the_figures_never_change(pack: ReferencePack, column: str, value: str) -> None:
    with refused(NEVER):
        run(f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", value, pack.pk)


def test_differences_stand_still_once_the_verdict_is_asked_for(pack: ReferencePack) -> None:
    waiting(pack)

    with refused("compared anew only while no verdict is asked for"):
        run(f"UPDATE {TABLE} SET differences = '[]' , compared_at = now() WHERE id = %s", pack.pk)


def test_a_pack_is_never_deleted_and_skips_no_state(pack: ReferencePack) -> None:
    with refused("never deleted|permission denied"):
        run(f"DELETE FROM {TABLE} WHERE id = %s", pack.pk)
    with refused("may not go from COMPARED to ACCEPTED|" + OWN_REQUEST):
        run(f"UPDATE {TABLE} SET state = 'ACCEPTED' WHERE id = %s", pack.pk)
