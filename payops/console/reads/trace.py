"""What the trace screen shows: a chain as picture, list and answers, or what the text may mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils import timezone
from django.utils.safestring import SafeString

from payops.console import svg
from payops.console.filters import clean
from payops.console.formats import address_of
from payops.console.templatetags.console_links import ONE_OF_OURS
from payops.console.templatetags.payops_tags import short_id
from payops.flows.trace.chain import Chain, Choice, Line, Node, search, trace

TITLE = "Chain of records"
EVIDENCE_SHOWN = 20


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One thing that happened, as `parts/timeline.html` shows it."""

    at: datetime
    title: str
    actor: str
    evidence: tuple[str, ...]
    href: str
    state: str = ""
    text: str = ""
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class TracePage:
    """`chain` found or not; `choices` when the text means several things or begins some."""

    text: str
    chain: Chain
    choices: tuple[Choice, ...]
    nodes: tuple[svg.TraceNode, ...] = ()
    picture: SafeString | str = ""
    lines: tuple[StoryLine, ...] = ()


def page(text: str) -> TracePage:
    wanted = clean(text)
    chain = trace(wanted)
    if not chain.found:
        return TracePage(wanted, chain, chain.choices or search(wanted))
    nodes = tuple(_node(node, chain.focus) for node in chain.nodes)
    edges = [svg.TraceEdge(edge.source, edge.target, edge.words) for edge in chain.edges]
    picture = svg.trace_chain(nodes=nodes, edges=edges, title=f"{TITLE} of {wanted}")
    return TracePage(wanted, chain, (), nodes, picture, _story(chain.lines))


def _node(node: Node, focus: str) -> svg.TraceNode:
    return svg.TraceNode(
        key=node.id,
        kind=node.kind,
        label=node.label,
        state=node.state,
        time=f"{timezone.localtime(node.at):%m-%d %H:%M}" if node.at else "",
        href=address_of(node.id) if not address_of(node.id).startswith("/trace/") else "",
        current=node.id == focus,
    )


def _story(lines: Sequence[Line]) -> tuple[StoryLine, ...]:
    """Neighbours that say the same (twelve receipts of one event) are told once, counted."""
    grouped = groupby(lines, key=lambda line: (line.kind, line.words, line.who))
    return tuple(_story_line(list(same)) for _, same in grouped)


def _story_line(same: Sequence[Line]) -> StoryLine:
    first = same[0]
    return StoryLine(
        at=first.at,
        title=ONE_OF_OURS.sub(lambda found: short_id(found[0]), first.words),
        actor=first.who,
        evidence=tuple(line.id for line in same if line.id)[:EVIDENCE_SHOWN],
        href=address_of(first.id) if len(same) == 1 else "",
        repeat=len(same),
    )
