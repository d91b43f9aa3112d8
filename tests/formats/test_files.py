"""A file is opened by what it holds, and read with flat memory (F18)."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payops.formats.files import (
    FileRefused,
    Formula,
    Kind,
    Limits,
    excerpt,
    is_formula,
    opened,
)

TEXT = "batch,net\n31,12.50\n32,-0.10\n"
ROWS = [(1, ["batch", "net"]), (2, ["31", "12.50"]), (3, ["32", "-0.10"])]


def rows(content: bytes | Path, **options: object) -> list[tuple[int, list[str]]]:
    with opened(content, **options) as file:  # type: ignore[arg-type]
        return list(file.rows())


def notes(content: bytes) -> dict[str, str]:
    with opened(content) as file:
        list(file.rows())
        return {note.code: note.words for note in file.notes}


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TEXT.encode(), id="utf-8"),
        pytest.param(TEXT.encode("utf-8-sig"), id="utf-8 with a mark"),
        pytest.param(TEXT.encode("utf-16"), id="utf-16 with a mark"),
        pytest.param(TEXT.encode("utf-16-le"), id="utf-16-le without a mark"),
        pytest.param(TEXT.encode("utf-16-be"), id="utf-16-be without a mark"),
        pytest.param(TEXT.replace("\n", "\r\n").encode(), id="ends of Windows"),
        pytest.param(TEXT.replace("\n", "\r").encode(), id="ends of an old Mac"),
        pytest.param(TEXT.strip().encode(), id="no end at the end"),
        pytest.param(TEXT.replace(",", ";").encode(), id="semicolons"),
        pytest.param(TEXT.replace(",", "\t").encode(), id="tabs"),
        pytest.param(gzip.compress(TEXT.encode()), id="gzip"),
        pytest.param(gzip.compress(TEXT[:10].encode()) + gzip.compress(TEXT[10:].encode()),
                     id="gzip of two members"),
        pytest.param(zipped(("../../etc/passwd", TEXT.encode())), id="zip whatever its name says"),
        pytest.param(zipped(("a.csv", TEXT.encode()), ("__MACOSX/._a.csv", b"\0\0")),
                     id="zip of a Mac"),
    ],
)  # fmt: skip
def test_one_table_packed_and_written_in_many_ways_is_the_same_table(content: bytes) -> None:
    assert rows(content) == ROWS


def test_the_hash_is_that_of_the_upload_as_it_came_also_when_half_was_read(tmp_path: Path) -> None:
    for content in (TEXT.encode() * 9_000, gzip.compress(TEXT.encode() * 9_000)):
        path = tmp_path / "report"
        path.write_bytes(content)

        with opened(path) as file:
            next(iter(file.rows()))
            assert file.sha256 == hashlib.sha256(content).hexdigest()
            assert file.bytes_read == len(content)


def test_bytes_that_are_not_utf_8_are_read_as_windows_1252_and_said() -> None:
    content = "name\nMüller & Söhne €5\n".encode("cp1252")

    assert rows(content)[1] == (2, ["Müller & Söhne €5"])
    assert notes(content) == {
        "text.encoding": "3 bytes are not UTF-8 and were read as Windows-1252"
    }
    assert notes("name\nMüller\n".encode()) == {}


def test_a_letter_cut_by_the_end_of_a_piece_is_whole() -> None:
    name = "ü" * 50_000

    assert rows(f"x{name}"[:60_000].encode())[0][1] == [f"x{name}"[:60_000]]
    assert notes(f"x{name}"[:60_000].encode()) == {}


def test_an_encoding_that_was_chosen_is_used_and_an_unknown_one_refused() -> None:
    assert rows("Škoda\n".encode("cp1250"), encoding="windows-1250") == [(1, ["Škoda"])]
    with pytest.raises(FileRefused, match="choose one of utf-8"):
        rows(b"a\n", encoding="rot13")
    with pytest.raises(FileRefused, match="not utf-16-le throughout"):
        rows(b"a\n\xd8", encoding="utf-16")


def test_control_characters_are_blanks_and_counted() -> None:
    content = b"a,b\x1b[31m\nc\x07,d\n"

    assert rows(content) == [(1, ["a", "b [31m"]), (2, ["c ", "d"])]
    assert notes(content) == {"text.controls": "2 control characters were read as blanks"}


def test_a_cell_over_several_lines_keeps_them_and_the_next_row_its_number() -> None:
    assert rows(b'a,"one\ntwo"\n\n\nb,c\n') == [(1, ["a", "one\ntwo"]), (5, ["b", "c"])]


def test_a_formula_is_a_text_and_a_signed_number_is_none() -> None:
    assert rows(b"a,=1+1\n") == [(1, ["a", "=1+1"])]
    assert [text for text in ("=1+1", "@SUM(A1)", "+cmd", "-12.50", "+49 (0)30", "abc", "")
            if is_formula(text)] == ["=1+1", "@SUM(A1)", "+cmd"]  # fmt: skip
    assert is_formula(Formula("12"))


def test_lines_have_numbers_and_no_ends() -> None:
    with opened(b"RH,1\r\n\r\nFF,1") as file:
        assert (file.kind, file.encoding) == (Kind.TEXT, "utf-8")
        assert file.head == "RH,1\r\n\r\nFF,1"
        assert list(file.lines()) == [(1, "RH,1"), (2, ""), (3, "FF,1")]


def test_the_stream_gives_every_byte_unpacked() -> None:
    content = b"<Document>" + b"x" * 200_000 + b"</Document>"

    for packed in (content, gzip.compress(content), zipped(("a.xml", content))):
        with opened(packed) as file:
            stream, read = file.stream(), b""
            while piece := stream.read(10_000):
                read += piece
        assert read == content


@given(st.text(max_size=200))
def test_an_excerpt_is_short_and_shows_nothing_that_acts(text: str) -> None:
    shown = excerpt(text)

    assert len(shown) <= 37
    assert shown.isascii() and shown.isprintable()


def test_an_excerpt_hides_long_numbers() -> None:
    assert excerpt("card 4111111111111111") == '"card ...1111"'


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_and_nothing_else(content: bytes) -> None:
    try:
        found = rows(content, limits=Limits(columns_max=50, line_max=100))
    except FileRefused as refused:
        assert str(refused)
    else:
        assert all("\0" not in cell for _, cells in found for cell in cells)
