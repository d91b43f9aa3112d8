"""ServiceNow through its Table API: one incident per correlation id, work notes, a closing state.

Address: https://user:password@instance.service-now.com/?table=incident, or https://:token@… for a
bearer token. Options: table, assignment_group, caller_id, category, close_state, close_code. An
encoded query that the instance does not understand answers with every row there is, so a row
counts as found only when it repeats our id itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from payops.connectors.address import read_address
from payops.connectors.base import (
    AddressMalformed,
    Comment,
    ConnectorOutcome,
    Priority,
    SearchUnanswered,
    Ticket,
    TicketAbsent,
    TicketFound,
    TicketSearch,
    TicketUpdate,
)
from payops.connectors.exchange import (
    Call,
    Exchanged,
    basic,
    child,
    exchange,
    line_of,
    text_of,
    word,
)
from payops.core.http import HttpClient

OPTIONS = frozenset(
    {"table", "assignment_group", "caller_id", "category", "close_state", "close_code"}
)
SENT_ALONG = ("assignment_group", "caller_id", "category")
TABLE = re.compile(r"[a-z][a-z0-9_]{0,79}")
# What may stand in an encoded query: no caret, no operator.
CORRELATION_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
SYS_ID = re.compile(r"[0-9a-f]{32}")
NUMBER = re.compile(r"[A-Z]{2,10}[0-9]{1,20}")
SUMMARY_CHARS_MAX = 160
TEXT_CHARS_MAX = 4000
ROW_FIELDS = "sys_id,number,state,correlation_id"
NO_RECORD = "No Record found"
# Their priority is computed from impact and urgency: 1 high, 2 medium, 3 low.
IMPACT_URGENCY: Mapping[Priority, tuple[str, str]] = {
    "urgent": ("1", "1"),
    "high": ("2", "1"),
    "normal": ("2", "2"),
    "low": ("3", "3"),
}


@dataclass(frozen=True, slots=True)
class _Search:
    said: Exchanged
    found: TicketSearch
    row: Mapping[str, str] = field(default_factory=dict)


class ServiceNowConnector:
    """See `payops.connectors.base.TicketConnector`."""

    name = "servicenow"

    def __init__(self, address: str, http: HttpClient) -> None:
        self._at = read_address(address, system="ServiceNow", known=OPTIONS)
        self._http = http
        self._table = self._at.options.get("table", "incident")
        if not TABLE.fullmatch(self._table):
            raise AddressMalformed("the table of ServiceNow must be the name of a table")
        if not self._at.secret:
            raise AddressMalformed("the address of ServiceNow has no user:password or :token")

    def find(self, *, correlation_id: str, deadline_s: float) -> TicketSearch:
        return self._search(correlation_id, deadline_s).found

    def create(self, *, ticket: Ticket, deadline_s: float) -> ConnectorOutcome:
        impact, urgency = IMPACT_URGENCY[ticket.priority]
        body = {
            "short_description": line_of(ticket.title, SUMMARY_CHARS_MAX),
            "description": f"{text_of(ticket.body, TEXT_CHARS_MAX)}\n\n{ticket.deep_link}",
            "correlation_id": ticket.correlation_id,
            "correlation_display": "PayOps",
            "impact": impact,
            "urgency": urgency,
            **{name: self._at.options[name] for name in SENT_ALONG if name in self._at.options},
        }
        said = self._call("POST", "", body, deadline_s, {"correlation_id": ticket.correlation_id})
        if said.kind is not None:
            return said.outcome()
        row = child(said.body, "result")
        if said.status != 201 or not _is_ours(row, ticket.correlation_id):
            return said.outcome("unknown", "answer_unreadable")
        return said.sent(ref=row["number"], url=self._page(row["sys_id"]))

    def update(self, *, update: TicketUpdate, deadline_s: float) -> ConnectorOutcome:
        search = self._search(update.correlation_id, deadline_s / 2)
        found, row = search.found, search.row
        if isinstance(found, SearchUnanswered):
            ended = search.said.outcome("failed")
            return replace(ended, kind="failed", reason=f"search_{found.reason}")
        if isinstance(found, TicketAbsent):
            return search.said.outcome("refused", "ticket_gone")
        note = text_of(update.comment, TEXT_CHARS_MAX)
        body = {"work_notes": note}
        if update.status and self._at.options.get("close_state"):
            body |= {"state": self._at.options["close_state"], "close_notes": note}
            if code := self._at.options.get("close_code"):
                body["close_code"] = code
        masked = {"correlation_id": update.correlation_id}
        said = self._call("PATCH", f"/{row['sys_id']}", body, deadline_s / 2, masked)
        if said.kind is not None:
            return said.outcome()
        if not _is_ours(child(said.body, "result"), update.correlation_id):
            return said.outcome("unknown", "answer_unreadable")
        return said.sent(ref=row["number"], url=self._page(row["sys_id"]))

    def comment(self, *, comment: Comment, deadline_s: float) -> ConnectorOutcome:
        """A work note on a ticket of theirs, found by the number its people know."""
        ref = comment.external_ref
        if not NUMBER.fullmatch(ref):
            raise ValueError("the number of a ticket looks like INC0000001")
        query = {"sysparm_query": f"number={ref}", "sysparm_limit": "2"}
        asked = self._call("GET", "", None, deadline_s / 2, {"number": ref}, query)
        rows = child(asked.body, "result")
        if asked.status == 404 and child(child(asked.body, "error"), "message") == NO_RECORD:
            rows = []
        elif asked.kind is not None or asked.status != 200 or not isinstance(rows, list):
            ended = asked.outcome("failed")
            return replace(ended, kind="failed", reason=f"search_{ended.reason or 'unreadable'}")
        if not rows:
            return asked.outcome("refused", "ticket_gone")
        row = rows[0]
        if not _is_whole(row) or row["number"] != ref:
            return asked.outcome("refused", "query_not_understood")
        body = {"work_notes": text_of(comment.text, TEXT_CHARS_MAX)}
        said = self._call("PATCH", f"/{row['sys_id']}", body, deadline_s / 2, {"number": ref})
        if said.kind is not None:
            return said.outcome()
        if child(child(said.body, "result"), "sys_id") != row["sys_id"]:
            return said.outcome("unknown", "answer_unreadable")
        return said.sent(ref=ref, url=self._page(row["sys_id"]))

    def _search(self, correlation_id: str, deadline_s: float) -> "_Search":
        if not CORRELATION_ID.fullmatch(correlation_id):
            raise ValueError("a correlation id has letters, digits, _ and - only")
        query = {
            "sysparm_query": f"correlation_id={correlation_id}^ORDERBYsys_created_on",
            "sysparm_limit": "2",
        }
        said = self._call("GET", "", None, deadline_s, {"correlation_id": correlation_id}, query)
        rows = child(said.body, "result")
        if said.status == 404 and child(child(said.body, "error"), "message") == NO_RECORD:
            rows = []
        elif said.kind is not None or said.status != 200 or not isinstance(rows, list):
            return _Search(said, said.unanswered("answer_unreadable"))
        if not rows:
            return _Search(said, TicketAbsent(correlation_id=correlation_id))
        row = rows[0]
        if not _is_ours(row, correlation_id):
            return _Search(said, said.unanswered("query_not_understood"))
        url = self._page(row["sys_id"])
        found = TicketFound(external_ref=row["number"], external_url=url, status=word(row["state"]))
        return _Search(said, found, row)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        deadline_s: float,
        masked: Mapping[str, object],
        query: Mapping[str, str] | None = None,
    ) -> Exchanged:
        asked = {
            **(query or {}),
            "sysparm_fields": ROW_FIELDS,
            "sysparm_exclude_reference_link": "true",
        }
        at = self._at
        sign = basic(at.user, at.secret) if at.user else f"Bearer {at.secret}"
        call = Call(
            method=method,
            url=f"{at.base_url}/api/now/table/{self._table}{path}?{urlencode(asked)}",
            headers={"Authorization": sign},
            json_body=body,
            masked=masked,
        )
        return exchange(http=self._http, call=call, deadline_s=deadline_s, error_words=_words)

    def _page(self, sys_id: str) -> str:
        uri = urlencode({"uri": f"{self._table}.do?sys_id={sys_id}"})
        return f"{self._at.base_url}/nav_to.do?{uri}"


def _is_ours(row: Any, correlation_id: str) -> bool:
    return _is_whole(row) and row.get("correlation_id") == correlation_id


def _is_whole(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("sys_id"), str)
        and SYS_ID.fullmatch(row["sys_id"]) is not None
        and bool(word(row.get("number"), 60))
        and isinstance(row.get("state"), str)
    )


def _words(body: Any, text: str) -> str:
    return word(child(child(body, "error"), "message"))
