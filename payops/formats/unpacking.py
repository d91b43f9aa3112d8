"""Bytes as uploaded and bytes out of an archive, with the limits of a bomb (F18).

Knows gzip and zip; names of members are never used but to find the parts of a workbook. What is
declared about sizes is not believed: what comes out is counted.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

MEGABYTE = 1024 * 1024
CHUNK = 64 * 1024
RATIO_FREE = MEGABYTE
DIRECTORY_MAX = 256 * 1024
END_RECORD, END_SIZE, END_TAIL = b"PK\x05\x06", 22, 65_557
LOCATOR, LOCATOR_SIZE = b"PK\x06\x07", 20
GZIP_WINDOW = 31
ENCRYPTED = 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
WORKBOOK = "xl/workbook.xml"
# All that zipfile and zlib say about bytes that are not what they should be.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError),
    *(ValueError, RuntimeError, IndexError, OverflowError),
)
# What a Mac packs beside the file it was asked to pack.
UNASKED = ("__MACOSX/",)
UNASKED_NAMES = (".DS_Store", "Thumbs.db", "desktop.ini")


class FileRefused(ValueError):
    """A file that is not read on; the text says what was found, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`bytes_max` as uploaded, `unpacked_max` after unpacking (`sheet_max` for a part of a
    workbook), `ratio_max` between the two. Lines, rows and columns are those of a table."""

    bytes_max: int = 64 * MEGABYTE
    unpacked_max: int = 512 * MEGABYTE
    sheet_max: int = 256 * MEGABYTE
    ratio_max: int = 250
    members_max: int = 64
    line_max: int = 64 * 1024
    rows_max: int = 5_000_000
    columns_max: int = 512
    cell_max: int = 32_767
    texts_max: int = 1_000_000
    text_characters_max: int = 24 * MEGABYTE


LIMITS = Limits()


class Original:
    """The bytes as uploaded, counted and hashed on their way."""

    def __init__(self, handle: BinaryIO, bytes_max: int) -> None:
        self.handle, self.bytes_max, self.given = handle, bytes_max, 0
        self.hash = hashlib.sha256()

    def read(self, size: int = CHUNK) -> bytes:
        found = self.handle.read(size)
        self.given += len(found)
        if self.given > self.bytes_max:
            raise too_large(self.bytes_max)
        self.hash.update(found)
        return found

    def drain(self) -> str:
        """The hash of the whole, whatever a reader left unread."""
        while self.read(MEGABYTE):
            pass
        return self.hash.hexdigest()


class Unpacked:
    """What comes out of an archive, counted against what went in."""

    def __init__(
        self, read: Callable[[int], bytes], *, packed: Callable[[], int], limits: Limits
    ) -> None:
        self.source, self.packed, self.limits, self.given = read, packed, limits, 0

    def read(self, size: int = CHUNK) -> bytes:
        try:
            found = self.source(size)
        except FileRefused:
            raise
        except DAMAGE:
            raise damaged() from None
        self.given += len(found)
        limits = self.limits
        if self.given > limits.unpacked_max:
            raise too_much(limits.unpacked_max)
        if self.given > RATIO_FREE + limits.ratio_max * self.packed():
            raise too_dense(limits)
        return found


class Gunzip:
    """Reads gzip piece by piece, one member after the other."""

    def __init__(self, original: Original) -> None:
        self.original = original
        self.member = zlib.decompressobj(GZIP_WINDOW)

    def read(self, size: int) -> bytes:
        while True:
            if self.member.eof:
                rest = (self.member.unused_data or self.original.read()).lstrip(b"\0")
                if not rest:
                    if not self.original.read():
                        return b""
                    raise EOFError
                self.member = zlib.decompressobj(GZIP_WINDOW)
            else:
                rest = self.member.unconsumed_tail or self.original.read()
                if not rest:
                    raise EOFError
            found = self.member.decompress(rest, size)
            if found:
                return found


class Archive:
    """A zip whose directory was found harmless before it was read. Raises FileRefused."""

    def __init__(self, handle: BinaryIO, limits: Limits) -> None:
        self.limits = limits
        _check_directory(handle)
        try:
            self.zip = zipfile.ZipFile(handle)
        except DAMAGE:
            raise damaged() from None
        self.members = [each for each in self.zip.infolist() if each.filename[-1:] != "/"]
        if len(self.members) > limits.members_max:
            raise FileRefused(
                f"the archive holds {len(self.members):,} files, at most {limits.members_max} are"
                " read; upload the report itself"
            )
        self.names = {each.filename: each for each in self.members}

    @property
    def is_workbook(self) -> bool:
        return WORKBOOK in self.names

    def only(self) -> Unpacked:
        """The one file of the archive, whatever it is called. Raises FileRefused."""
        asked = [each for each in self.members if not _is_unasked(each.filename)]
        if len(asked) != 1:
            raise FileRefused(
                f"the archive holds {len(asked)} files; upload one report at a time, or each in"
                " an archive of its own"
            )
        return self.member(asked[0])

    def part(self, name: str) -> Unpacked | None:
        found = self.names.get(name)
        return None if found is None else self.member(found)

    def member(self, member: zipfile.ZipInfo) -> Unpacked:
        if member.flag_bits & ENCRYPTED:
            raise FileRefused("the archive has a password; upload the file without one")
        if member.compress_type not in METHODS:
            raise FileRefused("the archive is packed in an unusual way; pack it as a plain zip")
        self._check_size(member)
        try:
            stream = self.zip.open(member)
        except DAMAGE:
            raise damaged() from None
        return Unpacked(stream.read, packed=lambda: member.compress_size, limits=self.limits)

    def _check_size(self, member: zipfile.ZipInfo) -> None:
        """No more than the declared size ever comes out of a member, so a bomb shows here."""
        limits = self.limits
        most = limits.sheet_max if self.is_workbook else limits.unpacked_max
        if member.file_size > min(most, limits.unpacked_max):
            raise too_much(min(most, limits.unpacked_max))
        if member.file_size > RATIO_FREE + limits.ratio_max * member.compress_size:
            raise too_dense(limits)


def too_large(bytes_max: int) -> FileRefused:
    return FileRefused(
        f"the file has more than {bytes_max // MEGABYTE:,} MB; split it, or ask for a shorter"
        " period"
    )


def too_much(unpacked_max: int) -> FileRefused:
    return FileRefused(
        f"unpacked, the file has more than {unpacked_max // MEGABYTE:,} MB; split it, or ask for"
        " a shorter period"
    )


def too_dense(limits: Limits) -> FileRefused:
    return FileRefused(
        f"the archive unpacks to more than {limits.ratio_max} times its size, as no report does;"
        " upload the file unpacked"
    )


def damaged() -> FileRefused:
    return FileRefused("the archive is damaged or cut off; upload the file again")


def _is_unasked(name: str) -> bool:
    return name.startswith(UNASKED) or name.rpartition("/")[2] in UNASKED_NAMES


def _check_directory(handle: BinaryIO) -> None:
    """The directory is held in memory as a whole, so its size is looked at before."""
    size = handle.seek(0, 2)
    handle.seek(max(0, size - END_TAIL - LOCATOR_SIZE))
    tail = handle.read()
    place = tail.rfind(END_RECORD)
    if place < 0 or len(tail) - place < END_SIZE:
        raise damaged()
    record = tail[place : place + END_SIZE]
    if tail[max(0, place - LOCATOR_SIZE) : place].startswith(LOCATOR):
        raise FileRefused("the archive is in the form for huge files; upload the file itself")
    if int.from_bytes(record[12:16], "little") > DIRECTORY_MAX:
        raise FileRefused("the archive holds too many files; upload the report itself")
    handle.seek(0)
