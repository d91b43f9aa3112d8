"""What Stripe's reads have in common: one object, a list page by page, metadata within limits."""

import json
import re
from typing import Any

from payops.simulator.config import STRIPE
from payops.simulator.gateway import Answer, Call, resource_missing
from payops.simulator.store import Database, Record, object_get
from payops.simulator.wire import Params, Refused, text, whole

AMOUNT_MAX = 99_999_999_999
METADATA_MAX = 50
LIST = "created limit starting_after"
ID = r"[A-Za-z0-9_]{1,80}"
_COMPARE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def reader(kind: str) -> Any:
    """The operation that reads one object of a kind."""
    return lambda db, call: object_of(db, kind, call.id).body


def object_of(db: Database, kind: str, id: str, *, param: str = "id") -> Record:
    """The object with this id; refuses an id nobody gave out."""
    record = object_get(db, provider=STRIPE, kind=kind, id=id)
    if record is None:
        missing = resource_missing(kind, id)
        missing.error["param"] = param
        raise missing
    return record


def listed(db: Database, call: Call, *, where: str, values: list[Any], url: str) -> Answer:
    """A page of objects, newest first."""
    page, limit = page_of(db, call, table="objects", noun="object", where=where, values=values)
    return list_shown([json.loads(row["body"]) for row in page], limit=limit, url=url)


def page_of(
    db: Database, call: Call, *, table: str, noun: str, where: str, values: list[Any]
) -> tuple[list[Any], int]:
    """The rows of the page asked for and one more, where there is one; the page's length."""
    limit = whole(call.params, "limit", default=10, low=1, high=100)
    created = call.params.get("created", {})
    bounds = created if isinstance(created, dict) else {"gte": created, "lte": created}
    for name in bounds:
        if name not in _COMPARE:
            raise Refused(400, "Invalid created filter.", code="parameter_invalid", param="created")
        where += f" AND created {_COMPARE[name]} ?"
        values = [*values, whole(bounds, name, high=AMOUNT_MAX)]
    if after := text(call.params, "starting_after", default=""):
        row = db.execute(f"SELECT seq FROM {table} WHERE id = ?", (after,)).fetchone()
        if row is None:
            raise resource_missing(noun, after[:80])
        where, values = where + " AND seq < ?", [*values, row["seq"]]
    rows = db.execute(
        f"SELECT body FROM {table} WHERE {where} ORDER BY seq DESC LIMIT ?", (*values, limit + 1)
    ).fetchall()
    return rows, limit


def list_shown(rows: list[Any], *, limit: int, url: str) -> Answer:
    """Stripe's list object."""
    return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit, "url": url}


def check_metadata(params: Params) -> None:
    """Refuse metadata beyond Stripe's limits."""
    metadata = params.get("metadata", {})
    valid = isinstance(metadata, dict) and len(metadata) <= METADATA_MAX
    for name, value in metadata.items() if valid else ():
        valid = valid and re.fullmatch(r"[^\[\]]{1,40}", name) is not None
        valid = valid and isinstance(value, str) and len(value) <= 500
    if not valid:
        raise Refused(400, "Invalid metadata.", code="parameter_invalid", param="metadata")
