"""Opening what people and providers upload, whatever it turns out to be (F18).

Owns limits, unpacking, encodings, lines and rows; the hash of the original is made while it is
read. Knows no format and no money. A file is opened by what it holds, never by its name; names
inside an archive are not used either. Memory stays flat: nothing is held beyond one record (a
workbook holds its table of texts, which has limits of its own). What cannot be read, or attacks
its reader, raises `FileRefused` in a sentence that shows at most a few escaped characters of it;
what was read with an assumption is a `Note`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from payops.formats.sheets import Formula, SheetRows
from payops.formats.unpacking import (
    CHUNK,
    LIMITS,
    Archive,
    FileRefused,
    Gunzip,
    Limits,
    Original,
    Unpacked,
    too_large,
)

__all__ = [
    "LIMITS",
    "FileRefused",
    "Formula",
    "Kind",
    "Limits",
    "Note",
    "OpenedFile",
    "excerpt",
    "is_formula",
    "opened",
]

Source = bytes | Path
EXCERPT_MAX = 32
HEAD = 64 * 1024
RECORD_LINES_MAX = 200
DELIMITERS = ",;\t|"
FORMULA_STARTS = "=+-@|%\t\r\uff1d\uff0b\uff0d\uff20"
SIGNED_NUMBER = re.compile(r"[+-][0-9 ().,/-]*")
LONG_NUMBER = re.compile(r"[0-9A-Z]*[0-9]{5,}(?=[0-9]{4})")
CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
CONTROL_BYTES = bytes(each for each in range(1, 128) if CONTROLS.match(chr(each)))
OTHER_BYTES = bytes(each for each in range(256) if each not in CONTROL_BYTES)
BLANKED = bytes.maketrans(CONTROL_BYTES, b" " * len(CONTROL_BYTES))
ESCAPED = re.compile("[\udc80-\udcff]")
AS_WINDOWS = {0xDC00 + each: bytes([each]).decode("cp1252", "replace") for each in range(128, 256)}
UTF_8, UTF_16_LE, UTF_16_BE = "utf-8", "utf-16-le", "utf-16-be"
ENCODINGS = (
    *(UTF_8, UTF_16_LE, UTF_16_BE, "cp1252", "latin-1", "iso8859-15", "cp1250", "cp1251"),
    *("cp1253", "cp1254", "cp1257", "cp850"),
)
MARKS = (
    (codecs.BOM_UTF32_LE, ""),
    (codecs.BOM_UTF32_BE, ""),
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, UTF_16_LE),
    (codecs.BOM_UTF16_BE, UTF_16_BE),
)
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
UNREAD = (
    (b"PK\x05\x06", "an empty zip archive; pack the file again"),
    (b"\xd0\xcf\x11\xe0", "an old or a protected workbook; save it as XLSX without a password"),
    (b"%PDF", "a PDF; download the report as CSV"),
    (b"7z\xbc\xaf", "a 7z archive; send the file itself, or a zip"),
    (b"Rar!", "a RAR archive; send the file itself, or a zip"),
    (b"BZh", "a bzip2 archive; send the file itself, or a zip"),
    (b"\xfd7zXZ", "an xz archive; send the file itself, or a zip"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; send the file itself, or a zip"),
)


class Kind(StrEnum):
    TEXT = "TEXT"
    WORKBOOK = "WORKBOOK"


@dataclass(frozen=True, slots=True)
class Note:
    """Something assumed while reading: encoding, controls, digits, member."""

    code: str
    words: str


def excerpt(text: str) -> str:
    """At most 32 characters of content for a message, escaped; long numbers keep their tail."""
    shown = ascii(LONG_NUMBER.sub("...", text[: 4 * EXCERPT_MAX]))[1:-1]
    return f'"{shown[:EXCERPT_MAX]}{"..." if len(shown) > EXCERPT_MAX else ""}"'


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run it; a signed number is none."""
    if not text or text[0] not in FORMULA_STARTS:
        return isinstance(text, Formula)
    return isinstance(text, Formula) or not SIGNED_NUMBER.fullmatch(text)


def check_plain(head: bytes) -> None:
    """Refuses what is not text by its first bytes. Raises FileRefused."""
    for mark, words in UNREAD:
        if head.startswith(mark):
            raise FileRefused(f"this is {words}")


def encoding_of(head: bytes) -> tuple[str, int]:
    """The encoding, and how many bytes its mark has. Raises FileRefused."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            if not encoding:
                raise FileRefused("the file is UTF-32, which nobody sends; save it as UTF-8")
            return encoding, len(mark)
    sample = head[:1024]
    if b"\0" in sample:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if odd > len(sample) // 4 and not even:
            return UTF_16_LE, 0
        if even > len(sample) // 4 and not odd:
            return UTF_16_BE, 0
    return UTF_8, 0


def known_encoding(name: str) -> str:
    """An encoding by any usual name. Raises FileRefused."""
    try:
        found = codecs.lookup(name.strip()).name
    except (LookupError, ValueError):
        found = ""
    found = {"utf-16": UTF_16_LE, "utf-8-sig": UTF_8, "ascii": UTF_8}.get(found, found)
    found = "latin-1" if found == "iso8859-1" else found
    if found not in ENCODINGS:
        raise FileRefused(f"the encoding is not known here; choose one of {', '.join(ENCODINGS)}")
    return found


class Bytes:
    """The beginning that was looked at, and what follows."""

    def __init__(self, first: bytes, rest: Original | Unpacked) -> None:
        self.first, self.rest = first, rest

    def read(self, size: int = CHUNK) -> bytes:
        if self.first:
            found, self.first = self.first[:size], self.first[size:]
            return found
        return self.rest.read(size)


class OpenedFile:
    """One report, to be read once: `lines`, or `rows`. `head` is its beginning as text.

    `notes` and `sha256` are whole when everything was read.
    """

    def __init__(self, source: BinaryIO, limits: Limits, encoding: str) -> None:
        self.limits, self.notes, self.head, self.encoding = limits, [], "", ""
        self.kind = Kind.TEXT
        self._original = Original(source, limits.bytes_max)
        self._odd = self._controls = 0
        self._archive: Archive | None = None
        first = source.read(len(ZIP))
        source.seek(0)
        if first == ZIP:
            self._original.drain()
            self._archive = Archive(source, limits)
            if self._archive.is_workbook:
                self.kind = Kind.WORKBOOK
                return
            self._stream: Original | Unpacked = self._archive.only()
        elif first.startswith(GZIP):
            unzip = Gunzip(self._original).read
            self._stream = Unpacked(unzip, packed=lambda: self._original.given, limits=limits)
        else:
            self._stream = self._original
        self._begin(encoding)

    notes: list[Note]

    @property
    def sha256(self) -> str:
        """Of the file as uploaded, packed or not."""
        return self._original.drain()

    @property
    def bytes_read(self) -> int:
        return self._original.given

    def stream(self) -> Bytes:
        """The bytes unpacked, with the limits, for a format that decodes itself (XML)."""
        if self.kind == Kind.WORKBOOK:
            raise FileRefused("this is a workbook; save it in the format of the report")
        return Bytes(self._raw, self._stream)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Every line with its number from one, without its end."""
        number, tail, line_max = 0, "", self.limits.line_max
        end = "\r" if "\r" in self.head and "\n" not in self.head else "\n"
        for text in self._texts():
            pieces = (tail + text).split(end)
            tail = pieces.pop()
            for each in pieces:
                number += 1
                if len(each) > line_max:
                    raise self._long(number)
                yield number, each.rstrip("\r")
            if len(tail) > line_max:
                raise self._long(number + 1)
            if number > self.limits.rows_max:
                raise FileRefused(
                    f"the file has more than {self.limits.rows_max:,} lines; split it"
                )
        if tail:
            yield number + 1, tail.rstrip("\r")

    def rows(self, delimiter: str = "") -> Iterator[tuple[int, list[str]]]:
        """The rows of a table, CSV or workbook, each with the number of its first line.

        Lines with nothing in them are left out. `delimiter` is found in the first line when it
        is not told.
        """
        if self.kind == Kind.WORKBOOK:
            yield from self._sheet()
            return
        last = 0

        def fed() -> Iterator[str]:
            for number, line in self.lines():
                if number - last > RECORD_LINES_MAX:
                    raise FileRefused(
                        f"line {last + 1}: one row goes over more than {RECORD_LINES_MAX} lines;"
                        " a quote is never closed"
                    )
                yield line + "\n" if "\r" not in line else line.replace("\r", " ") + "\n"

        reader = csv.reader(fed(), delimiter=delimiter or delimiter_of(self.head))
        columns_max = self.limits.columns_max
        try:
            for cells in reader:
                number, last = last + 1, reader.line_num
                if not cells:
                    continue
                if len(cells) > columns_max:
                    raise FileRefused(
                        f"line {number} has {len(cells):,} columns; at most {columns_max} are read"
                    )
                yield number, cells
        except csv.Error:
            raise FileRefused(
                f"line {last + 1} has a cell of more than {csv.field_size_limit():,} characters;"
                " a quote is never closed"
            ) from None

    def _sheet(self) -> Iterator[tuple[int, list[str]]]:
        assert self._archive is not None
        sheet = SheetRows(self._archive, self.limits)
        yield from sheet.rows()
        for code, words in sheet.notes:
            self.notes.append(Note(code, words))

    def _begin(self, encoding: str) -> None:
        head = bytearray()
        while len(head) < HEAD and (found := self._stream.read(HEAD - len(head))):
            head += found
        if not head:
            raise FileRefused("the file is empty")
        check_plain(bytes(head))
        if not isinstance(self._stream, Original) and head.startswith((ZIP, GZIP)):
            raise FileRefused("an archive within an archive; upload the report itself")
        found_encoding, mark = encoding_of(bytes(head))
        self.encoding = known_encoding(encoding) if encoding and not mark else found_encoding
        self._raw, self._rest = bytes(head), bytes(head[mark:])
        width = 1 if self.encoding not in (UTF_16_LE, UTF_16_BE) else 2
        self.head = self._rest[: len(self._rest) // width * width].decode(self.encoding, "replace")

    def _texts(self) -> Iterator[str]:
        """The text in pieces: NUL refused, controls blanked, odd bytes read as Windows-1252."""
        wide = self.encoding in (UTF_16_LE, UTF_16_BE)
        lenient = self.encoding == UTF_8
        decoder = codecs.getincrementaldecoder(self.encoding)(
            "surrogateescape" if lenient else "strict"
        )
        piece = self._rest
        while True:
            is_last = not piece
            if not wide:
                piece = self._screened(piece)
            try:
                text = decoder.decode(piece, is_last)
            except UnicodeDecodeError:
                raise FileRefused(
                    f"the bytes are not {self.encoding} throughout; choose the encoding the file"
                    " was written in"
                ) from None
            if wide:
                if "\0" in text:
                    raise self._zero()
                text, count = CONTROLS.subn(" ", text)
                self._controls += count
            elif lenient and not text.isascii() and ESCAPED.search(text):
                self._odd += len(ESCAPED.findall(text))
                text = text.translate(AS_WINDOWS)
            if text:
                yield text
            if is_last:
                break
            piece = self._stream.read(CHUNK)
        self._conclude()

    def _screened(self, piece: bytes) -> bytes:
        if b"\0" in piece:
            raise self._zero()
        found = piece.translate(None, OTHER_BYTES)
        if found:
            self._controls += len(found)
            return piece.translate(BLANKED)
        return piece

    def _conclude(self) -> None:
        if self._odd:
            words = f"{self._odd:,} bytes are not UTF-8 and were read as Windows-1252"
            self.notes.append(Note("text.encoding", words))
        if self._controls:
            words = f"{self._controls:,} control characters were read as blanks"
            self.notes.append(Note("text.controls", words))

    def _zero(self) -> FileRefused:
        return FileRefused(
            "the file holds zero bytes; it is not a text file, or it was damaged on its way"
        )

    def _long(self, number: int) -> FileRefused:
        return FileRefused(
            f"line {number} is longer than {self.limits.line_max:,} characters; this is not a"
            " report of lines"
        )


def delimiter_of(head: str) -> str:
    """The mark that stands most often in the first line with something in it."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return max(DELIMITERS, key=first.count)


@contextmanager
def opened(source: Source, *, limits: Limits = LIMITS, encoding: str = "") -> Iterator[OpenedFile]:
    """Opens a path or bytes; `encoding` where a person chose one. Raises FileRefused."""
    if isinstance(source, bytes):
        if len(source) > limits.bytes_max:
            raise too_large(limits.bytes_max)
        yield OpenedFile(io.BytesIO(source), limits, encoding)
        return
    found = source.stat()
    if not stat.S_ISREG(found.st_mode):
        raise FileRefused("this is no ordinary file")
    if found.st_size > limits.bytes_max:
        raise too_large(limits.bytes_max)
    with source.open("rb") as handle:
        yield OpenedFile(handle, limits, encoding)
