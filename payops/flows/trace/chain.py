"""Trace: from any id to the whole chain of one payment or payout (AU-1 to AU-4, AU-7, F20).

Reads across nouns and writes nothing. One box takes every kind of id; the answer is the chain as
nodes and edges, as one chronological list, and as short answers to what auditors ask. Shows masked
ids, logins and internal ids, never names or bank details (AU-8). The screens decide who may look.

`trace.find` knows where an id can stand, `trace.records` reads a chain's rows in a fixed number of
queries, `trace.picture` and `trace.story` put them into words.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from payops.flows.trace import find as trace_find
from payops.flows.trace import picture as trace_picture
from payops.flows.trace import records as trace_records
from payops.flows.trace import story as trace_story
from payops.flows.trace.parts import Answer, Edge, Line, Node

__all__ = ["Answer", "Chain", "Choice", "Edge", "Line", "Node", "search", "trace"]

QUERY_MAX = 600
CHOICES_MAX = 20
SEARCH_MIN = 2
T = TypeVar("T", Node, Line, Answer)


@dataclass(frozen=True, slots=True)
class Choice:
    """One object an ambiguous text may mean; trace its `id` next."""

    kind: str
    id: str
    label: str
    how: str


@dataclass(frozen=True, slots=True)
class Chain:
    """What was found for `text`.

    Exactly one of three: a chain (`nodes`), a list to choose from (`choices`), or nothing.
    `focus` is the node id of what was asked for. `left_out` says which limits cut what.
    """

    text: str
    focus: str = ""
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    lines: tuple[Line, ...] = ()
    answers: tuple[Answer, ...] = ()
    choices: tuple[Choice, ...] = ()
    left_out: tuple[str, ...] = ()
    records: trace_records.Records | None = field(default=None, repr=False, compare=False)

    @property
    def found(self) -> bool:
        return bool(self.nodes)

    def as_json(self) -> dict[str, Any]:
        """The chain in plain values, for the evidence pack and for other systems."""
        return {
            "text": self.text,
            "focus": self.focus,
            "nodes": [_plain(node) for node in self.nodes],
            "edges": [_plain(edge) for edge in self.edges],
            "lines": [_plain(line) for line in self.lines],
            "answers": [_plain(answer) for answer in self.answers],
            "left_out": list(self.left_out),
        }


def trace(text: str) -> Chain:
    """Follow one id, reference or key. Never raises for what a person may type."""
    wanted = text.strip()
    if not wanted or len(wanted) > QUERY_MAX or "\x00" in wanted:
        return Chain(text=wanted[:QUERY_MAX])
    hits = trace_find.find(wanted)
    if not hits:
        return Chain(text=wanted)
    first = _chain_of(wanted, hits[0])
    strangers = [hit for hit in hits[1:] if not _is_part(hit, first)]
    if not strangers:
        return first
    return Chain(text=wanted, choices=tuple(_choice(hit) for hit in hits[:CHOICES_MAX]))


def search(text: str) -> tuple[Choice, ...]:
    """Objects whose merchant reference, seller or ticket number begins with the text."""
    wanted = text.strip()
    if not SEARCH_MIN <= len(wanted) <= QUERY_MAX or "\x00" in wanted:
        return ()
    return tuple(_choice(hit) for hit in trace_find.search(wanted)[:CHOICES_MAX])


def _chain_of(text: str, hit: trace_find.Hit) -> Chain:
    records = trace_records.read(trace_find.follow(hit))
    nodes, edges = trace_picture.picture(records)
    focus = trace_picture.node_of(hit.id, records, nodes)
    return Chain(
        text=text,
        focus=focus,
        nodes=_masked(nodes, records),
        edges=edges,
        lines=_masked(trace_story.story(records), records),
        answers=_masked(trace_story.answers(records), records),
        left_out=tuple(records.left_out),
        records=records,
    )


def _masked(rows: tuple[T, ...], records: trace_records.Records) -> tuple[T, ...]:
    """A seller's name in a title or a reason becomes the seller's reference (AU-8)."""
    masked = list(rows)
    for seller in records.beneficiaries:
        for i, row in enumerate(masked):
            said = {name: getattr(row, name) for name in ("label", "words") if hasattr(row, name)}
            told = {name: t.replace(seller.name, seller.reference) for name, t in said.items()}
            if told != said:
                masked[i] = replace(row, **told)
    return tuple(masked)


def _is_part(hit: trace_find.Hit, chain: Chain) -> bool:
    assert chain.records is not None
    return hit.id in chain.records.public_ids()


def _choice(hit: trace_find.Hit) -> Choice:
    return Choice(kind=hit.words, id=hit.id, label=hit.label, how=hit.how)


def _plain(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__}
    return {
        name: value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
        for name, value in values.items()
    }
