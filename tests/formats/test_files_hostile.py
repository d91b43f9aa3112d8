"""Files that attack their reader are refused at once, in flat memory, and echo nothing (F18)."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from payops.formats.files import FileRefused, Limits, opened
from tests.formats.test_files import TEXT, rows, zipped

MEGABYTE = 1024 * 1024
SECONDS_MAX, MEMORY_MAX_MB = 10, 512
SECRET = "correct-horse-battery"
CHILD = """
import sys, time
from pathlib import Path
from payops.formats.files import FileRefused, Limits, opened
limits = Limits(bytes_max=int(sys.argv[2])) if len(sys.argv) > 2 else Limits()
count, words = 0, "read"
began = time.process_time()
try:
    with opened(Path(sys.argv[1]), limits=limits) as file:
        for _ in file.rows():
            count += 1
except FileRefused as refused:
    words = str(refused)
print(time.process_time() - began)
high = next(line for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))
print(int(high.split()[1]) // 1024)
print(count)
print(words)
"""


def in_a_process_of_its_own(path: Path, *arguments: str) -> tuple[int, str]:
    """Rows and words; seconds of work and memory are asserted here."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), *arguments],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    seconds, memory, count, words = run.stdout.strip().split("\n", 3)
    assert float(seconds) < SECONDS_MAX
    assert int(memory) < MEMORY_MAX_MB
    return int(count), words


def refusal(content: bytes, **options: object) -> str:
    with pytest.raises(FileRefused) as caught:
        rows(content, **options)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value)


def test_a_file_of_200_mb_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(200 * MEGABYTE)

    count, words = in_a_process_of_its_own(path)

    assert count == 0
    assert words == "the file has more than 64 MB; split it, or ask for a shorter period"


def test_a_file_of_200_mb_that_is_allowed_is_read_in_flat_memory(tmp_path: Path) -> None:
    path, row = tmp_path / "large.csv", (b"x" * 199 + b",") * 10 + b"12.50\n"
    count = 200 * MEGABYTE // len(row)
    with path.open("wb") as file:
        for _ in range(count // 1_000):
            file.write(row * 1_000)

    assert in_a_process_of_its_own(path, str(256 * MEGABYTE)) == (count // 1_000 * 1_000, "read")


@pytest.mark.parametrize("pack", ["gzip", "zip", "xlsx"])
def test_a_bomb_is_refused(tmp_path: Path, pack: str) -> None:
    path, piece = tmp_path / f"bomb.{pack}", b"1,2,3\n" * MEGABYTE
    if pack == "gzip":
        with gzip.open(path, "wb", compresslevel=9) as bomb:
            for _ in range(40):
                bomb.write(piece)
    else:
        name = "report.csv" if pack == "zip" else "xl/worksheets/sheet1.xml"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            if pack == "xlsx":
                archive.writestr("xl/workbook.xml", "<workbook/>")
            with archive.open(name, "w") as bomb:
                for _ in range(40):
                    bomb.write(piece)

    count, words = in_a_process_of_its_own(path)

    assert count < (4_000_000 if pack == "gzip" else 1)
    assert "unpack" in words


def test_archives_within_archives_are_refused() -> None:
    inner = zipped(("a.csv", TEXT.encode()))

    for content in (zipped(("a.zip", inner)), gzip.compress(inner),
                    gzip.compress(gzip.compress(TEXT.encode()))):  # fmt: skip
        assert refusal(content).startswith("an archive within an archive")


def test_an_archive_of_several_reports_is_not_guessed_from() -> None:
    two = zipped(("a.csv", b"a\n"), (f"{SECRET}.csv", b"b\n"))

    assert refusal(two).startswith("the archive holds 2 files")
    many = zipped(*((f"{number}.csv", b"a") for number in range(65)))
    assert refusal(many).startswith("the archive holds 65 files")
    assert refusal(zipped()).startswith("this is an empty zip archive")


def test_a_directory_of_a_million_members_is_not_even_read() -> None:
    archive = bytearray(zipped(("a.csv", TEXT.encode())))
    end = archive.rfind(b"PK\x05\x06")
    archive[end + 12 : end + 16] = struct.pack("<I", 300_000)

    assert refusal(bytes(archive)).startswith("the archive holds too many files")


def test_a_zip_for_huge_files_a_password_and_damage_are_refused() -> None:
    archive = zipped(("a.csv", TEXT.encode()))
    end = archive.rfind(b"PK\x05\x06")
    locator = b"PK\x06\x07" + b"\0" * 16
    assert "huge files" in refusal(archive[:end] + locator + archive[end:])

    locked = bytearray(archive)
    locked[6] |= 1
    locked[locked.rfind(b"PK\x01\x02") + 8] |= 1
    assert "password" in refusal(bytes(locked))

    for broken in (archive[:40], archive[:-30], gzip.compress(TEXT.encode())[:-9]):
        assert refusal(broken) == "the archive is damaged or cut off; upload the file again"
    wrong = bytearray(archive)
    wrong[45] ^= 0xFF
    assert refusal(bytes(wrong)) == "the archive is damaged or cut off; upload the file again"


def test_a_member_without_a_name_is_read_like_any_other() -> None:
    archive = zipped(("x", TEXT.encode())).replace(b"x", b"", 1)
    directory = archive.rfind(b"PK\x01\x02")
    nameless = bytearray(archive[: directory + 46] + archive[directory + 47 :])
    nameless[26:28] = nameless[directory + 28 : directory + 30] = b"\0\0"
    end = nameless.rfind(b"PK\x05\x06")
    nameless[end + 12 : end + 20] = struct.pack("<II", end - directory, directory)

    assert rows(bytes(nameless))[0] == (1, ["batch", "net"])


def test_a_zip_packed_in_an_unusual_way_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.csv", TEXT)

    assert "plain zip" in refusal(packed.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"a,b\n1,\x002\n", "zero bytes"),
        (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
        ("a\0b".encode("utf-16"), "zero bytes"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or a protected workbook"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"x" * 70_000, "line 1 is longer than 65,536 characters"),
        (b"a\n" + b"," * 10_000, "line 2 has 10,001 columns; at most 512 are read"),
        (b'a,"' + b"open\n" * 5_000, "line 1: one row goes over more than 200 lines"),
        (b'a,"' + b"x" * 65_000 + b"\n" + (b"y" * 65_000 + b"\n") * 3, "line 1 has a cell"),
        (b"\n" * 60, "more than 50 lines"),
    ],
)
def test_what_is_no_table_is_refused_with_its_reason(content: bytes, words: str) -> None:
    limits = Limits(rows_max=50) if content == b"\n" * 60 else Limits()

    assert words in refusal(content, limits=limits)


def test_a_device_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(FileRefused, match="no ordinary file"), opened(path):
            pass
