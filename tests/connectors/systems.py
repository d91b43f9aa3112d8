"""Fakes of the four systems outside: each checks the documented shape and answers as documented.

ServiceNow: Table API. Jira Cloud: REST API 3 with search/jql and the Atlassian document format.
Teams: a workflow that starts with a webhook request, Adaptive Cards 1.4. Slack: chat.postMessage
and incoming webhooks.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from tests.connectors.http_server import Answer, Asked, System

PASSWORD = "p@ss/w0rd"


@dataclass
class ServiceNow(System):
    rows: list[dict[str, str]] = field(default_factory=list)
    understands_queries: bool = True

    @property
    def url(self) -> str:
        return (
            f"http://payops.api:p%40ss%2Fw0rd@{self.netloc}/?assignment_group=abc123"
            "&close_state=6&close_code=Resolved"
        )

    def answer(self, asked: Asked) -> Answer:
        expected = "Basic " + base64.b64encode(f"payops.api:{PASSWORD}".encode()).decode()
        if asked.headers.get("authorization") != expected:
            detail = "Required to provide Auth information"
            error = {"message": "User Not Authenticated", "detail": detail}
            return Answer(401, {"error": error, "status": "failure"})
        self.want(asked.headers.get("accept") == "application/json", "Accept is not JSON")
        if asked.method == "GET":
            return self._search(asked)
        self.want(asked.headers.get("content-type") == "application/json", "no JSON content type")
        return self._create(asked) if asked.method == "POST" else self._update(asked)

    def _search(self, asked: Asked) -> Answer:
        self.want(asked.path == "/api/now/table/incident", f"searched at {asked.path}")
        self.want(asked.query["sysparm_limit"].isdigit(), "sysparm_limit is no number")
        told = re.fullmatch(
            r"correlation_id=([A-Za-z0-9_-]{1,100})\^ORDERBYsys_created_on",
            asked.query["sysparm_query"],
        )
        self.want(told is not None, f"query {asked.query['sysparm_query']}")
        wanted = told.group(1) if told else ""
        found = [row for row in self.rows if row["correlation_id"] == wanted]
        return Answer(200, {"result": found if self.understands_queries else self.rows})

    def _create(self, asked: Asked) -> Answer:
        said = asked.json
        self.want(asked.path == "/api/now/table/incident", f"created at {asked.path}")
        self.want(0 < len(said["short_description"]) <= 160, "short_description too long")
        self.want("\n" not in said["short_description"], "short_description has lines")
        self.want(0 < len(said["correlation_id"]) <= 100, "correlation_id too long")
        self.want(said["impact"] in "123" and said["urgency"] in "123", "impact or urgency")
        self.want(said["assignment_group"] == "abc123", "assignment_group was not sent along")
        number = len(self.rows) + 1
        row = {
            "sys_id": f"{number:032x}",
            "number": f"INC{number:07d}",
            "state": "1",
            "correlation_id": said["correlation_id"],
        }
        self.rows.append(row)
        return Answer(201, {"result": row}, {"Location": f"/api/now/table/incident/{number}"})

    def _update(self, asked: Asked) -> Answer:
        sys_id = asked.path.removeprefix("/api/now/table/incident/")
        for row in self.rows:
            if row["sys_id"] == sys_id:
                row["work_notes"] = asked.json["work_notes"]
                row["state"] = asked.json.get("state", row["state"])
                self.want("close_notes" in asked.json or row["state"] == "1", "no close_notes")
                kept = ("sys_id", "number", "state", "correlation_id")
                return Answer(200, {"result": {name: row[name] for name in kept}})
        return Answer(404, {"error": {"message": "No Record found"}, "status": "failure"})


@dataclass
class Jira(System):
    issues: list[dict[str, Any]] = field(default_factory=list)
    # How many of the newest issues the search does not show yet.
    lag: int = 0

    @property
    def url(self) -> str:
        return f"http://payops%40example.com:tok%3Aen@{self.netloc}/?project=OPS&resolved=Done"

    def answer(self, asked: Asked) -> Answer:
        expected = "Basic " + base64.b64encode(b"payops@example.com:tok:en").decode()
        if asked.headers.get("authorization") != expected:
            return Answer(401, b"Client must be authenticated to access this resource.")
        if asked.method == "POST":
            sent = asked.headers.get("content-type")
            self.want(sent == "application/json", f"content type {sent}")
        path = asked.path.removeprefix("/rest/api/3/")
        self.want(path != asked.path, f"asked at {asked.path}")
        if path == "search/jql":
            return self._search(asked.json)
        if path == "issue":
            return self._create(asked.json["fields"])
        _, key, act = path.split("/")
        issue = next((each for each in self.issues if each["key"] == key), None)
        if issue is None:
            words = "Issue does not exist or you do not have permission to see it."
            return Answer(404, {"errorMessages": [words], "errors": {}})
        return (
            self._transitions(asked, issue)
            if act == "transitions"
            else self._comment(asked.json, issue)
        )

    def _search(self, said: dict[str, Any]) -> Answer:
        self.want(set(said) <= {"jql", "fields", "maxResults"}, f"search of {sorted(said)}")
        told = re.fullmatch(
            r'project = "OPS" AND labels = "(payops-[A-Za-z0-9_-]+)" ORDER BY created ASC',
            said["jql"],
        )
        self.want(told is not None, f"JQL {said['jql']}")
        self.want(1 <= said["maxResults"] <= 5000, "maxResults")
        label = told.group(1) if told else ""
        shown = self.issues[: len(self.issues) - self.lag]
        found = [
            {
                "id": each["id"],
                "key": each["key"],
                "fields": {"labels": each["labels"], "status": {"name": each["status"]}},
            }
            for each in shown
            if label in each["labels"]
        ]
        return Answer(200, {"issues": found, "isLast": True})

    def _create(self, fields: dict[str, Any]) -> Answer:
        known = {"project", "issuetype", "summary", "description", "labels"}
        self.want(set(fields) == known, f"fields {sorted(fields)}")
        self.want(fields["project"] == {"key": "OPS"}, "project")
        self.want(fields["issuetype"] == {"name": "Task"}, "issuetype")
        self.want(0 < len(fields["summary"]) <= 255 and "\n" not in fields["summary"], "summary")
        self.want(all(" " not in label for label in fields["labels"]), "a label has a blank")
        self.want_document(fields["description"])
        number = len(self.issues) + 1
        issue = {
            "id": str(10_000 + number),
            "key": f"OPS-{number}",
            "labels": fields["labels"],
            "status": "To Do",
            "description": fields["description"],
            "comments": [],
        }
        self.issues.append(issue)
        self_url = f"http://{self.netloc}/rest/api/3/issue/{issue['id']}"
        return Answer(201, {"id": issue["id"], "key": issue["key"], "self": self_url})

    def _comment(self, said: dict[str, Any], issue: dict[str, Any]) -> Answer:
        self.want(set(said) == {"body"}, f"comment of {sorted(said)}")
        self.want_document(said["body"])
        issue["comments"].append(said["body"])
        return Answer(201, {"id": str(20_000 + len(issue["comments"])), "body": said["body"]})

    def _transitions(self, asked: Asked, issue: dict[str, Any]) -> Answer:
        offered = [
            {"id": "11", "name": "Start", "to": {"name": "In Progress"}},
            {"id": "31", "name": "Finish", "to": {"name": "Done"}},
        ]
        if asked.method == "GET":
            return Answer(200, {"transitions": offered})
        wanted = asked.json["transition"]["id"]
        issue["status"] = next(each["to"]["name"] for each in offered if each["id"] == wanted)
        return Answer(204)

    def want_document(self, doc: dict[str, Any]) -> None:
        """The document format: its root, block nodes, and no empty text."""
        self.want((doc["type"], doc["version"]) == ("doc", 1), "no document")
        self.want(bool(doc["content"]), "an empty document")
        for block in doc["content"]:
            self.want(block["type"] == "paragraph" and bool(block["content"]), f"block {block}")
            for node in block["content"]:
                if node["type"] == "text":
                    self.want(bool(node["text"]) and "\n" not in node["text"], "text node")
                    for mark in node.get("marks", []):
                        self.want(mark["type"] == "link" and "href" in mark["attrs"], "mark")
                else:
                    self.want(node == {"type": "hardBreak"}, f"node {node}")


@dataclass
class Teams(System):
    cards: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return (
            f"http://{self.netloc}/workflows/0a1b/triggers/manual/paths/invoke"
            "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=very-secret"
        )

    def answer(self, asked: Asked) -> Answer:
        if asked.query.get("sig") != "very-secret":
            code = "DirectApiAuthorizationRequired"
            return Answer(401, {"error": {"code": code, "message": "no"}})
        self.want(asked.query["sp"] == "/triggers/manual/run", "the query was written anew")
        self.want(asked.headers.get("content-type") == "application/json", "no JSON content type")
        self.want(len(asked.body) <= 28 * 1024, f"{len(asked.body)} bytes are too many")
        said = asked.json
        self.want(said["type"] == "message" and len(said["attachments"]) == 1, "envelope")
        attachment = said["attachments"][0]
        kind = attachment["contentType"]
        self.want(kind == "application/vnd.microsoft.card.adaptive", f"attachment {kind}")
        self.want(attachment["contentUrl"] is None, "contentUrl")
        card = attachment["content"]
        self.want(card["$schema"] == "http://adaptivecards.io/schemas/adaptive-card.json", "schema")
        self.want((card["type"], card["version"]) == ("AdaptiveCard", "1.4"), "card")
        for block in card["body"]:
            self.want(block["type"] == "RichTextBlock", f"block {block['type']}")
            for run in block["inlines"]:
                self.want(run["type"] == "TextRun" and bool(run["text"]), f"run {run}")
        for action in card.get("actions", []):
            self.want(action["type"] == "Action.OpenUrl", f"action {action['type']}")
        self.cards.append(card)
        return Answer(202)


@dataclass
class Slack(System):
    posts: list[dict[str, Any]] = field(default_factory=list)
    hook: bool = False

    @property
    def url(self) -> str:
        if self.hook:
            return f"http://{self.netloc}/services/T0/B0/very-secret"
        return f"http://xoxb-very-secret@{self.netloc}/api/?channel=C0123456789"

    def answer(self, asked: Asked) -> Answer:
        sent = asked.headers.get("content-type", "")
        if self.hook:
            if asked.path != "/services/T0/B0/very-secret":
                return Answer(403, b"invalid_token")
            self.want(sent == "application/json", f"content type {sent}")
        else:
            self.want(asked.path == "/api/chat.postMessage", f"asked at {asked.path}")
            if asked.headers.get("authorization") != "Bearer xoxb-very-secret":
                return Answer(200, {"ok": False, "error": "invalid_auth"})
            self.want(sent == "application/json; charset=utf-8", f"content type {sent}")
            self.want(asked.json["channel"] == "C0123456789", "channel")
        said = asked.json
        self.want(0 < len(said["text"]) <= 4000, "text")
        self.want(0 < len(said["blocks"]) <= 50, "blocks")
        for block in said["blocks"]:
            text = block["text"]
            self.want((block["type"], text["type"]) == ("section", "mrkdwn"), f"block {block}")
            self.want(0 < len(text["text"]) <= 3000, f"{len(text['text'])} characters")
        self.posts.append(said)
        if self.hook:
            return Answer(200, b"ok", {"Content-Type": "text/html"})
        stamp = f"17000000{len(self.posts):02d}.000100"
        return Answer(200, {"ok": True, "channel": "C0123456789", "ts": stamp, "message": {}})
