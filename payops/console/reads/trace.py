"""What the trace screen shows: a chain as picture, list and answers, or what the text may mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.safestring import SafeString

from payops.console import svg
from payops.console.filters import clean
from payops.console.formats import address_of
from payops.flows.trace import Chain, Choice, Line, search, trace

TITLE = "Chain of records"


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
    return TracePage(
        wanted, chain, (), nodes, picture, tuple(_story_line(line) for line in chain.lines)
    )


def _node(node, focus: str) -> svg.TraceNode:
    return svg.TraceNode(
        key=node.id,
        kind=node.kind,
        label=node.label,
        state=node.state,
        time=f"{timezone.localtime(node.at):%m-%d %H:%M}" if node.at else "",
        href=address_of(node.id) if not address_of(node.id).startswith("/trace/") else "",
        current=node.id == focus,
    )


def _story_line(line: Line) -> StoryLine:
    return StoryLine(
        at=line.at,
        title=line.words,
        actor=line.who,
        evidence=(line.id,) if line.id else (),
        href=address_of(line.id),
    )
