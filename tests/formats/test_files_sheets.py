"""A workbook is read as texts: no float, no formula run, no bomb (F18, D17)."""

from __future__ import annotations

import io
from datetime import date, datetime, time

import openpyxl
import pytest

from payops.formats.files import FileRefused, Formula, Kind, Limits, opened
from tests.formats.test_files import rows, zipped

BOOK = b'<workbook xmlns:r="r"><sheets><sheet name="a" r:id="rId1"/></sheets></workbook>'
LINKS = b'<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>'


def workbook(table: list[list[object]], *, hidden: bool = False) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    if hidden:
        sheet.append(["not this one"])
        sheet.sheet_state = "hidden"
        sheet = book.create_sheet("second")
    for row in table:
        sheet.append(row)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def by_hand(sheet: str, *, texts: str = "") -> bytes:
    body = f"<worksheet><sheetData>{sheet}</sheetData></worksheet>".encode()
    return zipped(
        ("xl/workbook.xml", BOOK),
        ("xl/_rels/workbook.xml.rels", LINKS),
        ("xl/worksheets/sheet1.xml", body),
        ("xl/sharedStrings.xml", f"<sst>{texts}</sst>".encode()),
    )


def test_numbers_days_and_texts_come_as_they_were_meant() -> None:
    told = [
        ["Net", "On", "At", "Clock", "Done", "Text"],
        [1234.5, date(2026, 3, 31), datetime(2026, 3, 31, 23, 59, 59), time(8, 30), True, "Ü & <x>"],  # noqa: DTZ001, E501
        [454331.9, None, None, None, False, "00012"],
        [0.1 + 0.2, None, None, None, None, " "],
    ]  # fmt: skip

    assert rows(workbook(told)) == [
        (1, ["Net", "On", "At", "Clock", "Done", "Text"]),
        (2, ["1234.5", "2026-03-31", "2026-03-31 23:59:59", "08:30:00", "TRUE", "Ü & <x>"]),
        (3, ["454331.9", "", "", "", "FALSE", "00012"]),
        (4, ["0.3", "", "", "", "", " "]),
    ]


def test_a_formula_is_its_own_text_and_counted() -> None:
    with opened(workbook([["Net"], ["=1+1"], ['=HYPERLINK("http://evil.example")']])) as file:
        found = list(file.rows())

    assert file.kind == Kind.WORKBOOK
    assert [type(cells[0]) for _, cells in found] == [str, Formula, Formula]
    assert found[1][1] == ["=1+1"]
    assert [(note.code, note.words) for note in file.notes] == [
        ("cell.formula", "2 cells are formulas; they were not computed")
    ]


def test_a_value_that_was_computed_before_is_not_taken_for_the_cell() -> None:
    sheet = '<row r="1"><c r="A1"><f>B1*2</f><v>999</v></c></row>'

    assert rows(by_hand(sheet)) == [(1, ["=B1*2"])]


def test_digits_a_spreadsheet_lost_are_said() -> None:
    with opened(by_hand('<row r="1"><c r="A1"><v>8835123456789012345</v></c></row>')) as file:
        assert list(file.rows()) == [(1, ["8835123456789012345"])]
        assert [note.code for note in file.notes] == ["cell.digits"]


def test_the_first_visible_sheet_is_read_and_the_others_are_counted() -> None:
    with opened(workbook([["a"], ["b"]], hidden=True)) as file:
        assert list(file.rows()) == [(1, ["a"]), (2, ["b"])]
        assert file.notes[0].words == "the first visible sheet was read; the workbook has 1 more"


def test_gaps_between_rows_and_cells_stay_gaps() -> None:
    sheet = (
        '<row r="3"><c r="C3" t="inlineStr"><is><t>x</t></is></c></row>'
        '<row r="900000"><c r="A900000" t="s"><v>0</v></c></row>'
    )

    texts = "<si><r><t>rich</t></r><r><t> text</t></r><rPh><t>no</t></rPh></si>"
    assert rows(by_hand(sheet, texts=texts)) == [(3, ["", "", "x"]), (900_000, ["rich text"])]


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        ('<row r="1"><c r="XFD1"><v>1</v></c></row>', "column 16,384; at most 512 are read"),
        ('<row r="5"/><row r="4"/>', "row 5 of the workbook is followed by a smaller one"),
        ('<row r="9999999"/>', "the sheet has more than 1,048,576 rows"),
        ('<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>2</v></c></row>', "two cells in one place"),
        ('<row r="1"><c r="A1" t="s"><v>7</v></c></row>', "refers to a text it does not hold"),
        ("<row>" + "<x>" * 40, "nested deeper"),
        ("<row r='1'>", "the workbook is damaged"),
        (f'<row r="1"><c r="A1"><v>{"1" * 40_000}</v></c></row>', "more than 32,767 characters"),
        (f'<row r="1" x="{"y" * 3_000_000}"/>', "a part no spreadsheet writes"),
    ],
)
def test_a_sheet_no_spreadsheet_writes_is_refused(sheet: str, words: str) -> None:
    limits = Limits(ratio_max=10_000)

    with pytest.raises(FileRefused, match=words):
        rows(by_hand(sheet), limits=limits)


@pytest.mark.parametrize(
    "attack",
    [
        '<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;&x;&x;">]><worksheet>&y;</worksheet>',
        '<!DOCTYPE a SYSTEM "http://evil.example/x.dtd"><worksheet/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><worksheet>&x;</worksheet>',
    ],
)
@pytest.mark.parametrize(
    "part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/sharedStrings.xml", "xl/styles.xml"]
)
def test_a_document_type_is_refused_in_every_part(attack: str, part: str) -> None:
    parts = {
        "xl/workbook.xml": BOOK,
        "xl/_rels/workbook.xml.rels": LINKS,
        "xl/worksheets/sheet1.xml": b"<worksheet/>",
    } | {part: attack.encode()}

    with pytest.raises(FileRefused, match="declares a document type"):
        rows(zipped(*parts.items()))


def test_a_table_of_texts_has_its_limits() -> None:
    many = "<si><t>x</t></si>" * 60

    with pytest.raises(FileRefused, match="too many texts"):
        rows(by_hand("", texts=many), limits=Limits(texts_max=50))
    with pytest.raises(FileRefused, match="too many texts"):
        rows(by_hand("", texts=many), limits=Limits(text_characters_max=50))


def test_a_workbook_without_its_sheet_or_with_one_outside_is_refused() -> None:
    outside = LINKS.replace(b'Target="', b'TargetMode="External" Target="http://evil.example/')

    with pytest.raises(FileRefused, match="no sheet to read"):
        rows(zipped(("xl/workbook.xml", BOOK), ("xl/_rels/workbook.xml.rels", outside)))
