"""Bytes and lines of a file with limits, decoded in one pass (F18).

Nothing is read that was not asked for: a file beyond its limit, a line without an end and an
encoding nobody uses are refused as soon as they show. A byte that is none of UTF-8 is read as
Windows-1252, which is what such files are, and counted.
"""

from __future__ import annotations

import codecs
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from payops.formats.bank.base import FileRefused, Source

CHUNK = 64 * 1024
HEAD = 64 * 1024
LINE_MAX = 64 * 1024
LINES_MAX = 20_000_000
MEGABYTE = 1024 * 1024
FALLBACK = "payops.bank.windows-1252"
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii"),
    *("windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254"),
    *("windows-1257", "iso-8859-1", "iso-8859-2", "iso-8859-15", "cp437", "cp850", "cp852"),
    *("shift_jis", "gb18030", "big5", "euc-kr"),
)


class _Odd(threading.local):
    """How many bytes were read as Windows-1252; a codec can tell nobody else."""

    count = 0


_odd = _Odd()


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _odd.count += 1
    return error.object[error.start : error.end].decode("windows-1252", "replace"), error.end


codecs.register_error(FALLBACK, _as_windows)


class Bounded(io.RawIOBase):
    """A source that is refused once it has given more than `most` bytes."""

    def __init__(self, source: Source, most: int) -> None:
        self.source, self.most, self.given = source, most, 0
        if isinstance(source, io.IOBase) and source.seekable():
            now = source.tell()
            self._check(source.seek(0, io.SEEK_END) - now)
            source.seek(now)
            self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        return self._count(self.source.read(len(view)), view)

    def chunk(self, size: int = CHUNK) -> bytes:
        found = self.source.read(size)
        self._check(len(found))
        return found

    def _count(self, found: bytes, view: memoryview) -> int:
        self._check(len(found))
        view[: len(found)] = found
        return len(found)

    def _check(self, more: int) -> None:
        self.given += more
        if self.given > self.most:
            raise FileRefused(
                f"the file has more than {self.most // MEGABYTE:,} MB; ask the bank for a shorter"
                " period, or split it"
            )


@dataclass(slots=True)
class Lines:
    """Iterates (number from one, text without its end). `odd_bytes_seen` after reading."""

    source: Source
    encoding: str = ""
    bytes_max: int = 0
    line_max: int = LINE_MAX
    odd_bytes_seen: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(self.raw(), 1):
            yield number, line.rstrip("\r\n")

    def raw(self) -> Iterator[str]:
        """Lines with their ends, as the csv module wants them."""
        most = self.line_max
        for number, line in enumerate(self._read(most), 1):
            if len(line) >= most:
                raise FileRefused(
                    f"line {number} is longer than {most:,} characters; this is not a file of"
                    " lines, or a quote is never closed"
                )
            if number > LINES_MAX:
                raise FileRefused(f"the file has more than {LINES_MAX:,} lines")
            yield line

    def chunks(self) -> Iterator[str]:
        """Text as it comes, for formats that know no lines."""
        return self._read(0)

    def _read(self, line_max: int) -> Iterator[str]:
        buffered = io.BufferedReader(Bounded(self.source, self.bytes_max), CHUNK)
        encoding = known(self.encoding) if self.encoding else encoding_of(buffered.peek(HEAD))
        errors = FALLBACK if encoding in ("utf-8", "utf-8-sig", "ascii") else "strict"
        text = io.TextIOWrapper(buffered, encoding, errors=errors, newline="")
        before = _odd.count
        try:
            while piece := text.readline(line_max) if line_max else text.read(CHUNK):
                yield piece
        except UnicodeError:
            raise FileRefused(
                f"the bytes are not {encoding} throughout; choose the encoding the file was"
                " written in"
            ) from None
        finally:
            self.odd_bytes_seen = _odd.count > before
            text.detach()


def known(name: str) -> str:
    """An encoding by its usual name. Raises FileRefused."""
    try:
        found = codecs.lookup(name.strip()).name
    except (LookupError, ValueError):
        found = ""
    if found not in {codecs.lookup(each).name for each in ENCODINGS}:
        raise FileRefused(f"the encoding is not known here; choose one of {', '.join(ENCODINGS)}")
    return found


def encoding_of(head: bytes) -> str:
    """By the mark at the beginning, or by where the zero bytes stand. Raises FileRefused."""
    for mark, encoding in BOMS:
        if head.startswith(mark):
            if encoding == "utf-32":
                raise FileRefused("the file is UTF-32, which no bank sends; save it as UTF-8")
            return encoding
    sample = head[:1024]
    if b"\0" in sample:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if odd > len(sample) // 4 and even == 0:
            return "utf-16-le"
        if even > len(sample) // 4 and odd == 0:
            return "utf-16-be"
        raise FileRefused("the file holds zero bytes; it is not a text file")
    return "utf-8"
