"""Tickets as Jira and ServiceNow send them, signed by hand as their documents say."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from payops.psp.base import AccountFacts, Authentication, NormalizedEvent
from payops.psp.registry import adapter
from tests.psp.signed import fixture, named

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "a-shared-secret-of-both-sides-0001"
OTHER_SECRET = "a-shared-secret-of-both-sides-0002"
JIRA_SETTINGS = {
    "field_charge": "customfield_10041",
    "field_amount": "customfield_10042",
    "field_currency": "customfield_10043",
    "field_reason": "customfield_10044",
    "field_request": "customfield_10045",
    "evidence": "tracking_number=customfield_10050, photo=customfield_10051",
    "issue_type": "Refund",
}
ISSUE = fixture("jira", "issue_created")
RECORD = fixture("servicenow", "refund_requested")


def mac(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def issue(*, event: str = "jira:issue_created", key: str = "REF-12", **fields: Any) -> bytes:
    """The issue with other fields, by what the settings call them."""
    told = json.loads(ISSUE)
    told["webhookEvent"], told["issue"]["key"] = event, key
    for name, value in fields.items():
        told["issue"]["fields"][JIRA_SETTINGS.get(f"field_{name}", name)] = value
    return json.dumps(told).encode()


def record(**members: Any) -> bytes:
    return json.dumps(json.loads(RECORD) | members).encode()


def facts(provider: str, **settings: str) -> AccountFacts:
    own = JIRA_SETTINGS if provider == "jira" else {}
    return AccountFacts(provider=provider, slug="desk", live=False, settings=own | settings)


def read(
    provider: str,
    raw: bytes,
    headers: dict[str, str] | None = None,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    **settings: str,
) -> Authentication:
    own = {
        "jira": {"x-hub-signature": f"sha256={mac(raw)}"},
        "servicenow": {"x-servicenow-token": SECRET},
    }
    return adapter(provider).authenticate(
        raw=raw,
        headers=own[provider] if headers is None else headers,
        secrets=named(secrets),
        now=NOW,
        account=facts(provider, **settings),
    )


def parse(provider: str, raw: bytes, **settings: str) -> NormalizedEvent:
    return adapter(provider).parse(raw, 0, facts(provider, **settings).settings)
