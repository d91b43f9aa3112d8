"""XML from a hostile hand, as small trees that are let go one by one (F18).

Expat reads; a document type is refused at its first sign, so that no entity can be declared,
expanded or fetched. Depth, the length of a text, and what is held at one time have limits. An
element without children is its text, one with children a dict by local name, a repeated one a
list; text beside attributes stands under TEXT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.parsers import expat

from payops.formats.bank.base import FileRefused, Source
from payops.formats.bank.lines import Bounded

TEXT = "#"
DEPTH_MAX = 64
HELD_MAX = 50_000
TEXT_CHARACTERS_MAX = 1024 * 1024
CHUNK = 64 * 1024

Node = dict[str, Any]
Enter = Callable[[str, Node], None]
Leave = Callable[[list[Node], Node | str], bool]


class Tree:
    """Feeds a source to expat; `leave[name]` sees an element when it ends and says whether it
    has used it up (True: it is not kept in its parent). `enter[name]` sees one begin."""

    def __init__(self, *, leave: Mapping[str, Leave], enter: Mapping[str, Enter]) -> None:
        self.leave, self.enter = leave, enter
        self.stack: list[Node] = [{}]
        self.pieces: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._handlers()
        self.parser.CharacterDataHandler = self.pieces.append
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self.parser.ExternalEntityRefHandler = self._external
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    @property
    def line(self) -> int:
        return self.parser.CurrentLineNumber

    def feed(self, source: Source, *, bytes_max: int) -> Iterator[None]:
        """One turn per chunk, so that the reader can hand on what it has. Raises FileRefused."""
        bounded, is_last = Bounded(source, bytes_max), False
        try:
            while not is_last:
                chunk = bounded.chunk(CHUNK)
                is_last = not chunk
                self.parser.Parse(chunk, is_last)
                if sum(map(len, self.pieces)) > TEXT_CHARACTERS_MAX:
                    raise FileRefused(f"line {self.line}: one text is longer than any bank writes")
                yield
        except expat.ExpatError as error:
            raise FileRefused(
                f"line {error.lineno}: the XML is broken ({expat.ErrorString(error.code)});"
                " fetch the file from the bank again"
            ) from None
        except (LookupError, ValueError) as error:
            if isinstance(error, FileRefused):
                raise
            raise FileRefused("the encoding the XML declares is not known here") from None

    def _handlers(self) -> tuple[Callable[[str, Node], None], Callable[[str], None]]:
        """Called for every element of the file; closures, because each look-up counts."""
        stack, pieces, leave, enter = self.stack, self.pieces, self.leave, self.enter
        push, pop = stack.append, stack.pop
        marks: list[int] = []
        held = 0

        def begin(name: str, attributes: Node) -> None:
            nonlocal held
            if ":" in name:
                name = name.partition(":")[2]
            push(attributes)
            held += 1
            if pieces:
                pieces.clear()
            if held > HELD_MAX or len(stack) > DEPTH_MAX:
                self._too_much()
            if name in leave:
                marks.append(held - 1)
            if name in enter:
                enter[name](name, attributes)

        def end(name: str) -> None:
            nonlocal held
            node: Node | str = pop()
            if pieces:
                text = (pieces[0] if len(pieces) == 1 else "".join(pieces)).strip()
                pieces.clear()
                if not node:
                    node = text
                elif text:
                    node[TEXT] = text  # type: ignore[index]
            elif not node:
                node = ""
            if ":" in name:
                name = name.partition(":")[2]
            if name in leave:
                mark = marks.pop()
                if leave[name](stack, node):
                    held = mark
                    return
            parent = stack[-1]
            known = parent.get(name)
            if known is None:
                parent[name] = node
            elif type(known) is list:
                known.append(node)
            else:
                parent[name] = [known, node]

        return begin, end

    def _too_much(self) -> None:
        if len(self.stack) > DEPTH_MAX:
            raise FileRefused(
                f"line {self.line}: elements are nested more than {DEPTH_MAX} deep; no bank does"
            )
        raise FileRefused(
            f"line {self.line}: one part of the file has more than {HELD_MAX:,} elements"
        )

    def _doctype(self, *_: object) -> None:
        raise FileRefused(
            f"line {self.line}: the XML declares a document type or entities, which no bank file"
            " needs and an attack does; it was not read"
        )

    def _external(self, *_: object) -> int:
        return self._doctype() or 0  # type: ignore[func-returns-value]


def text(node: object, *path: str) -> str:
    """The text at a path, or nothing; of a repeated element the first."""
    for name in path:
        if type(node) is list:
            node = node[0]
        if type(node) is not dict:
            return ""
        node = node.get(name)
        if node is None:
            return ""
    if type(node) is list:
        node = node[0]
    if type(node) is str:
        return node
    return node.get(TEXT, "") if type(node) is dict else ""


def at(node: object, *path: str) -> Any:
    """The node at a path, or None."""
    for name in path:
        if type(node) is list:
            node = node[0]
        if type(node) is not dict:
            return None
        node = node.get(name)
    return node[0] if type(node) is list else node


def every(node: object, *path: str) -> list[Any]:
    """All nodes of the last name of a path."""
    parent = at(node, *path[:-1])
    found = parent.get(path[-1]) if type(parent) is dict else None
    if found is None:
        return []
    return found if type(found) is list else [found]
