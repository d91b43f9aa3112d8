"""The packing of screenshots: colours kept exactly up to 256, the nearest beyond that."""

from __future__ import annotations

import struct
import zlib

import pytest

from payops.devstack import palette

RED, BLUE = b"\xff\x00\x00", b"\x00\x00\xff"


def png(rows: list[list[bytes]], *, kind: int = palette.RGB, filters: bytes = b"") -> bytes:
    """A PNG as a browser writes it; `filters` names the filter of each row."""
    step = palette.CHANNELS[kind]
    above, packed = bytes(len(rows[0]) * step), b""
    for number, row in enumerate(rows):
        line = b"".join(pixel + b"\xff" * (step - 3) for pixel in row)
        name = filters[number] if filters else 0
        packed += bytes([name]) + _filtered(name, line, above, step)
        above = line
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(packed)), (b"IEND", b""))
    return palette.SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _filtered(name: int, line: bytes, above: bytes, step: int) -> bytes:
    """As PNG's specification writes it down, by a reading of its own."""
    out = []
    for x, value in enumerate(line):
        a = line[x - step] if x >= step else 0
        b, c = above[x], above[x - step] if x >= step else 0
        p = a + b - c
        paeth = min((abs(p - each), order, each) for order, each in enumerate((a, b, c)))[2]
        out.append((value - (0, a, b, (a + b) // 2, paeth)[name]) % 256)
    return bytes(out)


def colours(quantised: bytes) -> list[list[bytes]]:
    """The picture behind a palette PNG whose rows have no filter."""
    at, parts = len(palette.SIGNATURE), {}
    while at < len(quantised):
        (size,) = struct.unpack_from(">I", quantised, at)
        parts[quantised[at + 4 : at + 8]] = quantised[at + 8 : at + 8 + size]
        at += size + 12
    width, height, depth, kind = struct.unpack(">IIBB", parts[b"IHDR"][:10])
    assert (depth, kind) == (8, palette.PALETTE)
    table, flat = parts[b"PLTE"], zlib.decompress(parts[b"IDAT"])
    rows = [flat[y * (width + 1) : (y + 1) * (width + 1)] for y in range(height)]
    assert all(row[0] == 0 for row in rows)
    return [[table[3 * n : 3 * n + 3] for n in row[1:]] for row in rows]


@pytest.mark.parametrize("kind", [palette.RGB, palette.RGBA])
def test_few_colours_are_kept_exactly_through_every_filter(kind: int) -> None:
    rows = [[bytes((x * 40, y * 50, (x * y) % 7)) for x in range(5)] for y in range(5)]

    packed = palette.quantised(png(rows, kind=kind, filters=bytes(range(5))))

    assert colours(packed) == rows


def test_rare_mark_keeps_its_colour_and_a_shade_becomes_its_neighbour() -> None:
    shades = [[bytes((n, 0, 0)), bytes((n, 0, 0))] for n in range(256)]

    shown = colours(palette.quantised(png([*shades, [BLUE, RED]])))

    assert shown[256] == [BLUE, RED]
    changed = [(n, row[0][0]) for n, row in enumerate(shown[:256]) if row != shades[n]]
    assert changed == [(254, 255)]


def test_anything_else_is_refused() -> None:
    with pytest.raises(palette.NotAScreenshot):
        palette.quantised(b"GIF89a")
    with pytest.raises(palette.NotAScreenshot):
        palette.quantised(palette.quantised(png([[RED]])))
