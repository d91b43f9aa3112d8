"""The first visible sheet of an XLSX workbook, row by row, as texts (F18, D17).

Reads the XML itself: a number stays the digits that stand in the file (a float never comes near
money), nothing is held but one row and the table of texts, and a document type, an external
part, a formula or a sheet that claims a million columns does nothing but get refused or marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Protocol
from xml.parsers import expat

from payops.formats.unpacking import CHUNK, Archive, FileRefused, Limits, Unpacked

WORKBOOK, RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
TEXTS, STYLES = "xl/sharedStrings.xml", "xl/styles.xml"
DEPTH_MAX = 32
TOKEN_MAX = 1024 * 1024
STYLES_MAX = 70_000
SHEETS_MAX = 1_000
ROWS_MAX = 1_048_576
DIGITS_KEPT = 15
FIRST_DAY, FIRST_DAY_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001
DAYS_MAX = 2_958_466
SECONDS = 24 * 60 * 60
REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
DATE_STYLES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
UNSAID = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
DATE_LETTERS = re.compile(r"[ymdhs]", re.IGNORECASE)
NUMBER = re.compile(r"-?[0-9]{0,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")

Attributes = dict[str, str]


class Formula(str):
    """The text of a cell a spreadsheet would have computed; it is a text here and never run."""

    __slots__ = ()


class Handler(Protocol):
    def begin(self, name: str, attributes: Attributes) -> None: ...
    def end(self, name: str) -> None: ...
    def text(self, piece: str) -> None: ...


def parsed(stream: Unpacked, handler: Handler) -> Iterator[None]:
    """Feeds XML piece by piece; a turn after each. Raises FileRefused."""
    parser, depth, given = expat.ParserCreate(), 0, 0
    parser.buffer_text = True

    def begin(name: str, attributes: Attributes) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise FileRefused("the workbook is nested deeper than any spreadsheet writes")
        handler.begin(name.rpartition(":")[2], attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(name.rpartition(":")[2])

    def refuse(*_: object) -> int:
        raise FileRefused("the workbook declares a document type; no spreadsheet does")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        while piece := stream.read(CHUNK):
            given += len(piece)
            parser.Parse(piece, False)
            if given - max(0, parser.CurrentByteIndex) > TOKEN_MAX + CHUNK:
                raise FileRefused("the workbook holds a part no spreadsheet writes")
            yield
        parser.Parse(b"", True)
    except expat.ExpatError:
        raise FileRefused("the workbook is damaged; save it again as XLSX, or as CSV") from None
    yield


class SheetRows:
    """`rows` once; `notes` of what was assumed afterwards, as (code, words)."""

    def __init__(self, archive: Archive, limits: Limits) -> None:
        self.archive, self.limits = archive, limits
        self.notes: list[tuple[str, str]] = []
        self.formulas = self.cut_numbers = 0
        book = _Book()
        self._run(WORKBOOK, book)
        links = _Links()
        self._run(RELATIONS, links)
        self.target = _target(book, links)
        self.first_day = FIRST_DAY_1904 if book.from_1904 else FIRST_DAY
        styles = _Styles()
        self._run(STYLES, styles)
        self.dates = styles.dates
        texts = _Texts(limits)
        self._run(TEXTS, texts)
        self.texts = texts.found
        self.hidden = len(book.sheets) - 1

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        stream = self.archive.part(self.target)
        if stream is None:
            raise FileRefused("the workbook has no sheet to read; save it again as XLSX")
        sheet = _Sheet(self)
        for _ in parsed(stream, sheet):
            if sheet.done:
                yield from sheet.done
                sheet.done = []
        if self.formulas:
            words = f"{self.formulas:,} cells are formulas; they were not computed"
            self.notes.append(("cell.formula", words))
        if self.cut_numbers:
            words = (
                f"{self.cut_numbers:,} numbers have more than {DIGITS_KEPT} digits, which a"
                " spreadsheet loses; take the CSV of the report where references matter"
            )
            self.notes.append(("cell.digits", words))
        if self.hidden:
            words = f"the first visible sheet was read; the workbook has {self.hidden} more"
            self.notes.append(("sheet.others", words))

    def value(self, kind: str, text: str, style: str) -> str:
        if kind == "s":
            try:
                return self.texts[int(text)]
            except (ValueError, IndexError):
                raise FileRefused("the workbook refers to a text it does not hold") from None
        if kind in ("str", "inlineStr", "e", "d"):
            return text
        if kind == "b":
            return "TRUE" if text.strip() == "1" else "FALSE"
        return self.number(text.strip(), style)

    def number(self, text: str, style: str) -> str:
        if not text or not NUMBER.fullmatch(text):
            return text
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        if style.isdecimal() and len(style) < 7 and int(style) in self.dates:
            return self.moment(number)
        digits = number.as_tuple().digits
        if len(digits) > DIGITS_KEPT:
            if number == number.to_integral_value():
                self.cut_numbers += 1
            else:
                number = number.quantize(
                    Decimal(1).scaleb(number.adjusted() - DIGITS_KEPT + 1)
                ).normalize()
        if abs(number.adjusted()) > 30:
            return text
        plain = format(number, "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain

    def moment(self, days: Decimal) -> str:
        if not 0 <= days <= DAYS_MAX:
            return str(days)
        seconds = int((days * SECONDS).to_integral_value())
        at = self.first_day + timedelta(seconds=seconds)
        if seconds < SECONDS:
            return f"{at:%H:%M:%S}"
        return f"{at:%Y-%m-%d}" if seconds % SECONDS == 0 else f"{at:%Y-%m-%d %H:%M:%S}"

    def _run(self, part: str, handler: Handler) -> None:
        stream = self.archive.part(part)
        if stream is not None:
            for _ in parsed(stream, handler):
                pass


class _Sheet:
    """Cells become rows; a row is as wide as its last cell."""

    def __init__(self, book: SheetRows) -> None:
        self.book, self.done = book, list[tuple[int, list[str]]]()
        self.row, self.cells = 0, list[str]()
        self.kind = self.style = self.place = ""
        self.pieces: list[str] = []
        self.length = 0
        self.is_open = self.has_formula = False

    def begin(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            self.kind, self.style = attributes.get("t", ""), attributes.get("s", "")
            self.place, self.has_formula = attributes.get("r", ""), False
            self.pieces, self.length = [], 0
        elif name == "v" or name == "t":
            self.is_open = True
        elif name == "f":
            self.has_formula = self.is_open = True
            self.pieces, self.length = ["="], 0
        elif name == "row":
            told = attributes.get("r", "")
            number = int(told) if told.isdecimal() and len(told) < 9 else self.row + 1
            if number <= self.row:
                raise FileRefused(f"row {self.row} of the workbook is followed by a smaller one")
            rows_max = min(self.book.limits.rows_max, ROWS_MAX)
            if number > rows_max:
                raise FileRefused(f"the sheet has more than {rows_max:,} rows; split it")
            self.row, self.cells = number, []

    def end(self, name: str) -> None:
        if name in ("v", "t", "f"):
            self.is_open = False
        elif name == "c":
            self._put()
        elif name == "row" and any(self.cells):
            self.done.append((self.row, self.cells))

    def text(self, piece: str) -> None:
        if not self.is_open or (self.has_formula and self.pieces[1:]):
            return
        self.length += len(piece)
        if self.length > self.book.limits.cell_max:
            raise FileRefused(
                f"row {self.row}: a cell has more than {self.book.limits.cell_max:,} characters"
            )
        self.pieces.append(piece)

    def _put(self) -> None:
        column = len(self.cells)
        match = REFERENCE.fullmatch(self.place)
        if match:
            column = 0
            for letter in match[1]:
                column = column * 26 + ord(letter) - 64
            column -= 1
        columns_max = self.book.limits.columns_max
        if column >= columns_max:
            raise FileRefused(
                f"row {self.row} of the sheet has a cell in column {column + 1:,}; at most"
                f" {columns_max} are read"
            )
        if column < len(self.cells):
            raise FileRefused(f"row {self.row} of the sheet has two cells in one place")
        self.cells.extend([""] * (column - len(self.cells)))
        text = "".join(self.pieces)
        if self.has_formula:
            self.book.formulas += 1
            self.cells.append(Formula(text))
        else:
            self.cells.append(self.book.value(self.kind, text, self.style))


class _Plain:
    """A part of which only elements with attributes matter."""

    def begin(self, name: str, attributes: Attributes) -> None: ...
    def end(self, name: str) -> None: ...
    def text(self, piece: str) -> None: ...


class _Book(_Plain):
    def __init__(self) -> None:
        self.sheets: list[tuple[bool, str]] = []
        self.from_1904 = False

    def begin(self, name: str, attributes: Attributes) -> None:
        if name == "workbookPr":
            self.from_1904 = attributes.get("date1904", "") in ("1", "true")
        elif name == "sheet" and len(self.sheets) < SHEETS_MAX:
            link = next((v for k, v in attributes.items() if k.endswith(":id")), "")
            self.sheets.append((attributes.get("state", "visible") == "visible", link))


class _Links(_Plain):
    def __init__(self) -> None:
        self.targets: dict[str, str] = {}

    def begin(self, name: str, attributes: Attributes) -> None:
        inside = attributes.get("TargetMode", "Internal") == "Internal"
        if name == "Relationship" and inside and len(self.targets) < SHEETS_MAX:
            self.targets[attributes.get("Id", "")] = attributes.get("Target", "")


class _Styles(_Plain):
    def __init__(self) -> None:
        self.formats: dict[str, bool] = {}
        self.dates: set[int] = set()
        self.count = 0
        self.is_inside = False

    def begin(self, name: str, attributes: Attributes) -> None:
        if name == "numFmt" and len(self.formats) < STYLES_MAX:
            said = UNSAID.sub("", attributes.get("formatCode", ""))
            known = bool(DATE_LETTERS.search(said)) and "General" not in said
            self.formats[attributes.get("numFmtId", "")] = known
        elif name == "cellXfs":
            self.is_inside = True
        elif name == "xf" and self.is_inside and self.count < STYLES_MAX:
            number = attributes.get("numFmtId", "")
            own = self.formats.get(number)
            by_number = number.isdecimal() and len(number) < 6 and int(number) in DATE_STYLES
            if own if own is not None else by_number:
                self.dates.add(self.count)
            self.count += 1

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self.is_inside = False


class _Texts(_Plain):
    """The table of texts; without the reading aids of East Asian names."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.found, self.characters = limits, list[str](), 0
        self.pieces: list[str] = []
        self.is_open, self.aside = False, 0

    def begin(self, name: str, attributes: Attributes) -> None:
        if name == "t":
            self.is_open = not self.aside
        elif name == "rPh":
            self.aside += 1

    def end(self, name: str) -> None:
        if name == "t":
            self.is_open = False
        elif name == "rPh":
            self.aside -= 1
        elif name == "si":
            self.found.append("".join(self.pieces))
            self.pieces = []
            if len(self.found) > self.limits.texts_max:
                raise FileRefused("the workbook holds too many texts; take the report as CSV")

    def text(self, piece: str) -> None:
        if self.is_open:
            self.characters += len(piece)
            if self.characters > self.limits.text_characters_max:
                raise FileRefused("the workbook holds too many texts; take the report as CSV")
            self.pieces.append(piece)


def _target(book: _Book, links: _Links) -> str:
    link = next((link for visible, link in book.sheets if visible), "")
    target = links.targets.get(link, "xl/worksheets/sheet1.xml")
    return (
        target.lstrip("/")
        if target.startswith("/")
        else (target if target.startswith("xl/") else f"xl/{target}")
    )
