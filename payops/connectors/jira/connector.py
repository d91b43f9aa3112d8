"""Jira Cloud, REST API 3: one issue per correlation id by its label, comments, a transition.

Address: https://email:api_token@company.atlassian.net/?project=OPS (the @ of the e-mail written
%40). Options: project, type (Task), resolved (the status of a finished issue). Their search lags
behind their writes by seconds to minutes, so whoever creates after an unknown outcome waits first.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from payops.connectors.address import read_address
from payops.connectors.base import (
    AddressMalformed,
    Comment,
    ConnectorOutcome,
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

OPTIONS = frozenset({"project", "type", "resolved"})
PROJECT = re.compile(r"[A-Z][A-Z0-9_]{1,29}")
ISSUE_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,29}-[1-9][0-9]{0,9}")
ID = re.compile(r"[0-9]{1,20}")
CORRELATION_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
LABEL_PREFIX = "payops-"
SUMMARY_CHARS_MAX = 255
TEXT_CHARS_MAX = 20_000
PARAGRAPHS_MAX = 200


class JiraConnector:
    """See `payops.connectors.base.TicketConnector`."""

    name = "jira"

    def __init__(self, address: str, http: HttpClient) -> None:
        self._at = read_address(address, system="Jira", known=OPTIONS)
        self._http = http
        self._project = self._at.options.get("project", "")
        if not PROJECT.fullmatch(self._project):
            raise AddressMalformed("the address of Jira needs ?project=KEY")
        if not (self._at.user and self._at.secret):
            raise AddressMalformed("the address of Jira has no email:api_token")

    def find(self, *, correlation_id: str, deadline_s: float) -> TicketSearch:
        label = _label(correlation_id)
        jql = f'project = "{self._project}" AND labels = "{label}" ORDER BY created ASC'
        body = {"jql": jql, "fields": ["labels", "status"], "maxResults": 2}
        masked = {"label": label}
        said = self._call("POST", "search/jql", body, deadline_s, masked)
        issues = child(said.body, "issues")
        if said.kind is not None or said.status != 200 or not isinstance(issues, list):
            return said.unanswered("answer_unreadable")
        if not issues:
            return TicketAbsent(correlation_id=correlation_id)
        first, fields = issues[0], child(issues[0], "fields")
        key = _key_or_none(first)
        labels = child(fields, "labels")
        if key is None or not isinstance(labels, list) or label not in labels:
            return said.unanswered("answer_unreadable")
        return TicketFound(
            external_ref=key,
            external_url=self._page(key),
            status=word(child(child(fields, "status"), "name")),
        )

    def create(self, *, ticket: Ticket, deadline_s: float) -> ConnectorOutcome:
        text = f"{text_of(ticket.body, TEXT_CHARS_MAX)}\n\nPriority: {ticket.priority}"
        fields = {
            "project": {"key": self._project},
            "issuetype": {"name": self._at.options.get("type", "Task")},
            "summary": line_of(ticket.title, SUMMARY_CHARS_MAX),
            "description": adf(text, link=ticket.deep_link),
            "labels": [_label(ticket.correlation_id)],
        }
        masked = {"label": _label(ticket.correlation_id)}
        said = self._call("POST", "issue", {"fields": fields}, deadline_s, masked)
        if said.kind is not None:
            return said.outcome()
        key = _key_or_none(said.body)
        if said.status != 201 or key is None:
            return said.outcome("unknown", "answer_unreadable")
        return said.sent(ref=key, url=self._page(key))

    def update(self, *, update: TicketUpdate, deadline_s: float) -> ConnectorOutcome:
        """The transition first, for it may be repeated; a comment may not."""
        if not ISSUE_KEY.fullmatch(update.external_ref):
            raise ValueError("an issue key looks like OPS-1")
        issue = f"issue/{quote(update.external_ref, safe='')}"
        moved = ""
        if update.status and (wanted := self._at.options.get("resolved")):
            moved = self._move(issue, wanted, deadline_s / 3)
        masked = {"issue": update.external_ref, "transition": moved}
        return self._say(update.external_ref, update.comment, deadline_s / 3, masked)

    def comment(self, *, comment: Comment, deadline_s: float) -> ConnectorOutcome:
        ref = comment.external_ref
        if not ISSUE_KEY.fullmatch(ref):
            raise ValueError("an issue key looks like OPS-1")
        return self._say(ref, comment.text, deadline_s, {"issue": ref})

    def _say(
        self, key: str, text: str, deadline_s: float, masked: Mapping[str, object]
    ) -> ConnectorOutcome:
        body = {"body": adf(text_of(text, TEXT_CHARS_MAX), link="")}
        path = f"issue/{quote(key, safe='')}/comment"
        said = self._call("POST", path, body, deadline_s, masked)
        if said.kind is not None:
            return said.outcome()
        if said.status != 201 or not isinstance(child(said.body, "id"), str):
            return said.outcome("unknown", "answer_unreadable")
        return said.sent(ref=key, url=self._page(key))

    def _move(self, issue: str, wanted: str, deadline_s: float) -> str:
        """Take the issue to the status, when its workflow offers it; answers what came of it."""
        said = self._call("GET", f"{issue}/transitions", None, deadline_s, {})
        offered = child(said.body, "transitions")
        if said.kind is not None or not isinstance(offered, list):
            return said.reason or "answer_unreadable"
        for each in offered:
            to, number = child(child(each, "to"), "name"), child(each, "id")
            if to == wanted and isinstance(number, str) and ID.fullmatch(number):
                body = {"transition": {"id": number}}
                done = self._call("POST", f"{issue}/transitions", body, deadline_s, {})
                return done.reason or "moved"
        return "not offered"

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        deadline_s: float,
        masked: Mapping[str, object],
    ) -> Exchanged:
        call = Call(
            method=method,
            url=f"{self._at.base_url}/rest/api/3/{path}",
            headers={"Authorization": basic(self._at.user, self._at.secret)},
            json_body=body,
            masked=masked,
        )
        return exchange(http=self._http, call=call, deadline_s=deadline_s, error_words=_words)

    def _page(self, key: str) -> str:
        return f"{self._at.base_url}/browse/{key}"


def adf(text: str, *, link: str) -> dict[str, object]:
    """Plain text as an Atlassian document: nothing in it is markup, the link alone is a link."""
    content: list[dict[str, object]] = []
    for paragraph in text.split("\n\n")[:PARAGRAPHS_MAX]:
        nodes: list[dict[str, object]] = []
        for line in paragraph.split("\n"):
            if nodes:
                nodes.append({"type": "hardBreak"})
            if line:
                nodes.append({"type": "text", "text": line})
        if nodes:
            content.append({"type": "paragraph", "content": nodes})
    if link:
        mark = {"type": "link", "attrs": {"href": link}}
        node = {"type": "text", "text": "Open in PayOps", "marks": [mark]}
        content.append({"type": "paragraph", "content": [node]})
    return {"type": "doc", "version": 1, "content": content}


def _label(correlation_id: str) -> str:
    if not CORRELATION_ID.fullmatch(correlation_id):
        raise ValueError("a correlation id has letters, digits, _ and - only")
    return f"{LABEL_PREFIX}{correlation_id}"


def _key_or_none(issue: Any) -> str | None:
    key = child(issue, "key")
    return key if isinstance(key, str) and ISSUE_KEY.fullmatch(key) else None


def _words(body: Any, text: str) -> str:
    """Names of the fields they did not take, and their first sentence."""
    fields, said = child(body, "errors"), child(body, "errorMessages")
    named = ", ".join(sorted(fields)[:5]) if isinstance(fields, dict) else ""
    first = said[0] if isinstance(said, list) and said else ""
    return line_of(" ".join(filter(None, [named, word(first)])), 160)
