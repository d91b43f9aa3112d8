"""The columns of the schema `facts` in docs/interfaces.md, read from facts.sql; a test keeps it.

Reads the statements as text: a view is `CREATE VIEW facts.<name> AS SELECT <columns> FROM`, and a
column's name is the last word of its expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent / "facts.sql"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "interfaces.md"
BEGIN, END = "<!-- facts: written by manage.py docs -->", "<!-- end of facts -->"
_VIEW = re.compile(r"^CREATE VIEW facts\.(\w+) AS\s+SELECT\s(.*?);$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*")
_NAME = re.compile(r"(\w+)\s*$")


def columns(sql: str) -> dict[str, list[str]]:
    """View name -> its column names, in their order."""
    plain = _COMMENT.sub("", sql)
    return {name: list(_names(rest)) for name, rest in _VIEW.findall(plain)}


def table() -> str:
    lines = ["| view | columns |", "|---|---|"]
    for name, found in columns(SOURCE.read_text()).items():
        lines.append(f"| `{name}` | {', '.join(f'`{column}`' for column in found)} |")
    return "\n".join(lines)


def render() -> str:
    """The page with its table of columns made anew."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{PAGE.name} needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _names(select: str) -> Iterator[str]:
    for expression in _split(select):
        found = _NAME.search(expression)
        if found is None:
            raise ValueError(f"this column has no name: {expression.strip()}")
        yield found.group(1)


def _split(select: str) -> Iterator[str]:
    """The expressions before the statement's own FROM, at the commas outside brackets."""
    depth, start = 0, 0
    for mark in re.finditer(r"[(),]|\bFROM\b", select):
        if mark.group() == "(":
            depth += 1
        elif mark.group() == ")":
            depth -= 1
        elif depth == 0:
            yield select[start : mark.start()]
            start = mark.end()
            if mark.group() == "FROM":
                return
    raise ValueError("a view without FROM")
