"""A version of the table of lanes as an approval leaves it, written by the schema's owner."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from approvals.hashing import hash_of

INSERT = """
INSERT INTO approvals_policyversion
  (id, created_at, book_id, name, version, rules, content_hash, approval_id, active_from)
SELECT gen_random_uuid(), now(), b.id, 'lanes',
  1 + (SELECT max(version) FROM approvals_policyversion WHERE book_id = b.id AND name = 'lanes'),
  %s, %s, '', now() FROM core_book b WHERE b.code = 'meridian'
"""


def install(
    owner: psycopg.Connection[Any], rows: list[dict[str, Any]], *, content_hash: str = ""
) -> None:
    rules = {"kind": "lanes", "rows": rows}
    owner.execute(INSERT, [json.dumps(rules), content_hash or hash_of(rules)])
