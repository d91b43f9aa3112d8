"""What the tests of the work screens share: signed-in clients and a case to work on."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.utils.html import escape

from payops.cases.models import Case
from payops.payments.models import Payout
from tests import builders, stories
from tests.builders import drain
from tests.conftest import PASSWORD
from tests.people import login

HOSTILE = '"><script>alert(1)</script>\u202e'


def browser(username: str) -> Client:
    """A client signed in as this login, without the cost of a password."""
    client = Client()
    client.force_login(login(username))
    return client


def failed_payout(
    amount: str = "12400.00", code: str = "account_closed", **asked: Any
) -> tuple[Payout, Case]:
    """A payout that was PAID and then failed, with the case that its failure opened."""
    payout = stories.paid_payout(amount, **asked)
    said = builders.payout_object(payout, "failed", failure_code=code)
    assert builders.post_standard(builders.standard_event("payout.failed", said)) == 200
    drain()
    return builders.reload(payout), Case.objects.get(subject_id=payout.public_id)


def proposed(case: Case, *, by: str = "amara", resolution: str = "hold") -> str:
    """Propose through the page; answers the approval's public id."""
    answer = browser(by).post(
        f"/cases/{case.public_id}/propose/",
        {"resolution": resolution, "hold_beneficiary": "1", "reason": "the bank closed it"},
    )
    assert answer.status_code == 302, text_of(answer)
    return str(answer.headers["Location"]).strip("/").split("/")[-1]


def decision(approval: Any, **changes: str) -> dict[str, str]:
    """What the decision form posts when everything is typed right."""
    said = {
        "verdict": "approve",
        "reason": "checked against the bank's letter",
        "password": PASSWORD,
        "content_hash": approval.content_hash,
        "confirm": "12400.00",
    }
    return {**said, **changes}


def text_of(answer: Any) -> str:
    return answer.content.decode()


def shows(answer: Any, words: str) -> bool:
    return escape(words) in text_of(answer) or words in text_of(answer)
