"""Pictures are well-formed, told in words, free of styles, and safe with hostile text (F20)."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from payops.console import svg
from payops.console.svg import Bar, TraceEdge, TraceNode

HOSTILE = "</text><script>alert(1)</script>\"' onload=x \u202egnp \x00\x1b"


def parsed(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)


def texts(root: ElementTree.Element, css_class: str) -> list[str]:
    return [e.text or "" for e in root.iter("text") if e.get("class") == css_class]


def chain(nodes: list[TraceNode], edges: list[TraceEdge]) -> ElementTree.Element:
    return parsed(svg.trace_chain(nodes=nodes, edges=edges, title="Trace of P-10492"))


def boxes(root: ElementTree.Element) -> list[tuple[int, int]]:
    rects = [r for r in root.iter("rect") if r.get("class") == "box"]
    return [(int(r.get("x", "")), int(r.get("y", ""))) for r in rects]


def all_pictures(text: str) -> list[str]:
    bars = [Bar(text, 3, text, text), Bar("b", 0, "0"), Bar("c", -9, "-9", "bad")]
    nodes = [TraceNode(text, text, text, text, text, text), TraceNode("b", "Event", "e")]
    return [
        svg.trace_chain(nodes=nodes, edges=[TraceEdge(text, "b", text)], title=text),
        svg.ageing_bars(bars=bars, title=text),
        svg.histogram(bars=bars, title=text),
        svg.sparkline(values=[3, 1, 2], title=text),
        svg.meter(percent=40, tone=text, label=text),
    ]


@pytest.mark.parametrize("index", range(5))
def test_hostile_text_stays_text_and_nothing_is_styled_inline(index):
    markup = all_pictures(HOSTILE)[index]

    root = parsed(markup)
    tags = {element.tag for element in root.iter()}

    assert not tags & {"script", "style", "foreignObject", "a"}
    for element in root.iter():
        assert "style" not in element.attrib
        assert not any(name.startswith("on") for name in element.attrib)
    assert not re.search(r"[\x00-\x08\x1b\u202e]", markup)


@pytest.mark.parametrize("index", range(5))
def test_every_picture_has_a_name(index):
    root = parsed(all_pictures("Open by age")[index])

    titles = [e.text for e in root if e.tag == "title"]

    assert (titles or [root.get("aria-label")])[0] == "Open by age"


def test_chain_stands_in_lanes_by_kind_trimmed_to_its_first_node():
    kinds = ("ERP export", "Event", "Payout", "Decision", "Receipts", "Case", "Journal entry")
    root = chain([TraceNode(kind, kind, kind) for kind in kinds], [])

    places = dict(zip(kinds, boxes(root), strict=True))

    lanes = ["Request", "Approval", "Provider events", "Case and runbook", "Journal"]
    assert texts(root, "lane") == [*lanes, "Match and export"]
    columns = sorted({x for x, _ in places.values()})
    assert [columns.index(places[kind][0]) for kind in kinds] == [5, 2, 0, 1, 2, 3, 4]
    assert {y for _, y in places.values()} == {24, 24 + 56 + 10}
    assert places["Event"][1] < places["Receipts"][1]


def test_a_chain_of_every_lane_fits_the_page_and_unknown_kinds_stand_last():
    kinds = [lane_kinds[0] for lane_kinds in svg.LANES.values() if lane_kinds]

    root = chain([TraceNode(kind, kind, "x") for kind in ["Comet", *kinds]], [])

    assert texts(root, "lane")[-1] == "Other"
    assert int(chain([TraceNode(k, k, "x") for k in kinds], []).get("width", "")) == 1136
    assert max(boxes(root))[0] == boxes(root)[0][0]


def test_edges_are_drawn_before_the_boxes_that_cover_them():
    nodes = [TraceNode(key, kind, key) for key, kind in (("a", "Case"), ("b", "Payout"))]

    root = chain(nodes, [TraceEdge("a", "b"), TraceEdge("b", "a")])

    drawn = [g.get("class") for g in root if g.tag == "g"]
    assert drawn == ["edge", "edge", "node", "node"]


def test_cycle_and_dangling_edges_do_not_hang_or_break_the_picture():
    nodes = [TraceNode(key, key, key) for key in "abc"]
    edges = [
        TraceEdge("a", "b"),
        TraceEdge("b", "a"),
        TraceEdge("c", "c"),
        TraceEdge("a", "gone"),
    ]

    root = chain(nodes, edges)

    assert len(boxes(root)) == 3
    assert len([g for g in root if g.get("class") == "edge"]) == 2


def test_chain_is_cut_at_its_limit_and_empty_chain_is_a_picture():
    many = [TraceNode(str(i), "Event", str(i)) for i in range(svg.NODES_MAX + 5)]

    assert len(boxes(chain(many, []))) == 200
    assert boxes(chain([], [])) == []


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        ("/cases/cs_1/", True),
        ("javascript:alert(1)", False),
        ("//elsewhere.example/", False),
        ("/\\elsewhere.example/", False),
        ("https://elsewhere.example/", False),
    ],
)
def test_only_links_into_this_site_are_kept(href, kept):
    root = chain([TraceNode("a", "Case", "x", href=href)], [])

    assert [a.get("href") for a in root.iter("a")] == ([href] if kept else [])


def test_state_is_a_word_and_a_shape():
    root = chain([TraceNode("a", "Payout", "P-10492", state="AWAITING_APPROVAL")], [])

    assert texts(root, "state") == ["Awaiting approval"]
    assert [g.get("class") for g in root.iter("g") if "tone" in (g.get("class") or "")] == [
        "tone-warn"
    ]


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("P-10492", ["P-10492"]),
        ("Release P-10492", ["Release P-10492"]),
        (
            "Very long beneficiary name that goes on",
            ["Very long", "beneficiary name\u2026"],
        ),
        ("re_1234567890123456789", ["re_12345678901\u2026"]),
    ],
)
def test_long_labels_break_once_are_cut_and_whole_in_the_title(label: str, lines: list[str]):
    root = chain([TraceNode("a", "Payout", label)], [])

    assert texts(root, "label") == lines
    assert label in "".join(e.text or "" for e in root.iter("title"))


@pytest.mark.parametrize(
    ("text", "columns", "cut"),
    [("abc", 3, "abc"), ("abcd", 3, "ab\u2026"), ("漢字漢字", 5, "漢字\u2026"), ("", 3, "")],
)
def test_clean_counts_wide_characters_twice(text, columns, cut):
    assert svg.clean(text, columns=columns) == cut


def test_bars_are_proportional_and_small_values_do_not_vanish():
    bars = [Bar("a", 1000, "1,000"), Bar("b", 500, "500"), Bar("c", 1, "1"), Bar("d", 0, "0")]

    root = parsed(svg.ageing_bars(bars=bars, title="t"))

    widths = [int(r.get("width", "")) for r in root.iter("rect") if r.get("class") != "track"]
    assert widths == [148, 74, 1, 0]
    assert texts(root, "figure") == ["1,000", "500", "1", "0"]


def test_sparkline_of_flat_and_of_no_values():
    flat = parsed(svg.sparkline(values=[5, 5], title="t")).find("polyline")

    assert flat is not None and flat.get("points") == "2,14 118,14"
    assert parsed(svg.sparkline(values=[], title="t")).find("circle") is None


@pytest.mark.parametrize(("percent", "width"), [(-5, "0"), (40, "40"), (400, "100")])
def test_meter_stays_within_its_track(percent, width):
    root = parsed(svg.meter(percent=percent, tone="warn", label="t"))

    assert [r.get("width") for r in root.iter("rect")] == ["100", width]


def test_a_record_without_a_state_says_its_time_where_the_state_would_stand():
    plain = chain([TraceNode("a", "Ticket", "T-1", time="11-20 12:10")], [])
    stated = chain([TraceNode("a", "Case", "C", state="OPEN", time="11-20 12:10")], [])

    assert (texts(plain, "kind"), texts(plain, "time")) == (["Ticket", "11-20 12:10"], [])
    assert (texts(stated, "kind"), texts(stated, "time")) == (["Case"], ["11-20 12:10"])
