"""/api/schema/ is valid OpenAPI 3, says what is needed, and the answers keep to it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests import builders
from tests.api.calling import PAYOUTS, facts, get, post
from tests.stories import paid_payout

ADDRESSES = {
    "/api/payouts/": {"get", "post"},
    "/api/payouts/{public_id}/": {"get"},
    "/api/refund-requests/": {"get", "post"},
    "/api/refund-requests/{public_id}/": {"get"},
    "/api/payments/{public_id}/refundable/": {"get"},
    "/api/cases/{public_id}/": {"get"},
    "/api/approvals/{public_id}/": {"get"},
    "/api/ledger/entries/": {"post"},
    "/api/ledger/entries/{public_id}/": {"get"},
    "/api/trace/{text}/": {"get"},
}


def published() -> dict[str, Any]:
    answer = Client().get("/api/schema/")
    assert answer.status_code == 200
    return yaml.safe_load(answer.content)


def test_the_schema_is_valid_and_made_without_a_warning() -> None:
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)

    validate_schema(schema)
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache


def test_the_schema_names_every_address_and_no_other() -> None:
    schema = published()

    assert schema["openapi"].startswith("3.")
    assert {path: set(methods) for path, methods in schema["paths"].items()} == ADDRESSES


def test_every_operation_needs_the_bearer_key_and_answers_problems() -> None:
    schema = published()

    assert schema["components"]["securitySchemes"]["apiKey"]["type"] == "http"
    assert schema["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, methods in ADDRESSES.items():
        for method in methods:
            operation = schema["paths"][path][method]
            assert operation["security"] == [{"apiKey": []}]
            refusals = {s: r for s, r in operation["responses"].items() if s >= "400"}
            assert {"401", "403", "500", "503"} <= set(refusals)
            for refusal in refusals.values():
                assert list(refusal["content"]) == ["application/problem+json"]


def test_the_key_header_is_documented_as_required() -> None:
    operation = published()["paths"]["/api/payouts/"]["post"]

    header = next(each for each in operation["parameters"] if each["name"] == "Idempotency-Key")
    assert (header["in"], header["required"], header["schema"]["maxLength"]) == (
        "header",
        True,
        255,
    )
    assert set(operation["responses"]["201"]["headers"]) == {"Idempotent-Replayed", "Location"}
    amount = published()["components"]["schemas"]["PayoutRequest"]["properties"]["amount"]
    assert amount["type"] == "string"
    assert "number" not in str(published()["components"]["schemas"])


@pytest.mark.django_db(transaction=True)
def test_the_answers_keep_to_the_schema() -> None:
    schema = published()
    payout = paid_payout("12400.00", merchant_ref="P-10492")
    said = builders.payout_object(payout, "failed", failure_code="account_closed")
    assert builders.post_standard(builders.standard_event("settlementFailed", said)) == 200
    builders.drain()
    chain = get(f"/api/trace/{payout.public_id}/").json()
    case_id = next(node["id"] for node in chain["nodes"] if node["id"].startswith("cs_"))

    for name, answer in (
        ("PayoutAnswer", post(facts())),
        ("PayoutAnswer", get(f"/api/payouts/{payout.public_id}/")),
        ("PayoutsAnswer", get(PAYOUTS, merchant_ref="P-10492")),
        ("ApprovalAnswer", get(f"/api/approvals/{payout.approval_id}/")),
        ("CaseAnswer", get(f"/api/cases/{case_id}/")),
        ("TraceAnswer", get(f"/api/trace/{payout.public_id}/")),
        ("ProblemAnswer", post(facts(amount=1))),
        ("ProblemAnswer", post(facts(), key=None)),
        ("ProblemAnswer", get("/api/nothing/")),
    ):
        _hold_against(schema, name, answer.json())


def _hold_against(schema: dict[str, Any], name: str, body: dict[str, Any]) -> None:
    components = _without_nullable(schema["components"])
    rule = {"$ref": f"#/components/schemas/{name}", "components": components}
    jsonschema.validate(body, rule)
    known = set(components["schemas"][name]["properties"])
    assert set(body) <= known, f"{name} tells {set(body) - known}, which is not in the schema"


def _without_nullable(value: Any) -> Any:
    """OpenAPI 3.0 says nullable where JSON Schema says that null is one of the types."""
    if isinstance(value, list):
        return [_without_nullable(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {name: _without_nullable(each) for name, each in value.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if value.get("nullable") is True else plain
