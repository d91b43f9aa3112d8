"""PNG files small enough to keep in the repository: at most 256 colours, packed tightly.

Reads what a browser writes (8 bits per channel, RGB or RGBA, not interlaced) and nothing else.
Colours that occur most and one of each kind of colour are kept exactly, so that a rare mark keeps
its own; each other colour becomes the nearest of them.
"""

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS_MAX = 256
MOST_COMMON = 64
RGB, PALETTE, RGBA = 2, 3, 6
CHANNELS = {RGB: 3, RGBA: 4}


class NotAScreenshot(ValueError):
    """The file is no PNG of the kind a browser writes; the text says what it is."""


def quantised(png: bytes) -> bytes:
    """The same picture with a palette. Raises NotAScreenshot."""
    width, rows = _pixels(png)
    counted = Counter(pixel for row in rows for pixel in row)
    palette = _palette(counted)
    index = {colour: number for number, colour in enumerate(palette)}
    for colour in counted:
        if colour not in index:
            index[colour] = _nearest(colour, palette)
    # No filter (the leading 0 of a row) packs a picture with a palette best.
    packed = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, len(rows), 8, PALETTE, 0, 0, 0)
    return SIGNATURE + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", header),
            (b"PLTE", b"".join(palette)),
            (b"IDAT", zlib.compress(packed, 9)),
            (b"IEND", b""),
        )
    )


def _palette(counted: Counter[bytes]) -> list[bytes]:
    by_count = [colour for colour, _ in counted.most_common()]
    kinds: dict[tuple[int, ...], bytes] = {}
    for colour in by_count:
        kinds.setdefault(tuple(channel >> 4 for channel in colour), colour)
    chosen = dict.fromkeys([*by_count[:MOST_COMMON], *kinds.values(), *by_count])
    return list(chosen)[:COLOURS_MAX]


def _pixels(png: bytes) -> tuple[int, list[list[bytes]]]:
    """Width, and per row the colours as three bytes each."""
    if not png.startswith(SIGNATURE):
        raise NotAScreenshot("not a PNG file")
    packed, at = [], len(SIGNATURE)
    width = height = kind = 0
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        name, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        if name == b"IHDR":
            width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            if depth != 8 or kind not in CHANNELS or interlaced:
                raise NotAScreenshot(f"depth {depth}, colour type {kind}, interlaced {interlaced}")
        elif name == b"IDAT":
            packed.append(body)
        at += size + 12
    step = CHANNELS[kind]
    stride = width * step
    flat, before, rows = zlib.decompress(b"".join(packed)), bytearray(stride), []
    for number in range(height):
        start = number * (stride + 1)
        line = _unfiltered(
            flat[start], bytearray(flat[start + 1 : start + 1 + stride]), before, step
        )
        rows.append([bytes(line[x : x + 3]) for x in range(0, stride, step)])
        before = line
    return width, rows


def _unfiltered(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    """One row as it was before the filter of its kind (PNG specification, 9.2)."""
    if kind == 0:
        return line
    for x in range(len(line)):
        left = line[x - step] if x >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = above[x]
        elif kind == 3:
            guess = (left + above[x]) // 2
        else:
            guess = _paeth(left, above[x], above[x - step] if x >= step else 0)
        line[x] = (line[x] + guess) & 255
    return line


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    by_left, by_up, by_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner


def _nearest(colour: bytes, palette: list[bytes]) -> int:
    red, green, blue = colour
    return min(
        range(len(palette)),
        key=lambda n: (
            (palette[n][0] - red) ** 2 + (palette[n][1] - green) ** 2 + (palette[n][2] - blue) ** 2
        ),
    )


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
