"""Pictures of a screen: PNG files read without a library, and how alike two pictures are."""
import dataclasses
import re
import struct
import zlib

from case import check, run_tool


@dataclasses.dataclass
class Picture:
    """Rows of pixels, three bytes each, from the top down."""

    width: int
    height: int
    pixels: bytes

    def part(self, x, y, width, height):
        begins = (3 * (self.width * row + x) for row in range(y, y + height))
        rows = (self.pixels[at:at + 3 * width] for at in begins)
        return Picture(width, height, b"".join(rows))

    def ink(self):
        """How many pixels are not nearly black."""
        bright = bytes(value > 64 for value in range(256))
        red, green, blue = (self.pixels[shift::3].translate(bright) for shift in range(3))
        return sum(map(max, red, green, blue))


def difference(one, other):
    """The share of pixels that clearly differ; 1 for pictures of different sizes."""
    if (one.width, one.height) != (other.width, other.height):
        return 1.0
    # Compressed pictures differ a little everywhere.
    far = sum(max(abs(a - b) for a, b in zip(one.pixels[at:at + 3], other.pixels[at:at + 3])) > 80
              for at in _unlike(one.pixels, other.pixels))
    return far / (one.width * one.height)


def _unlike(one, other):
    """Where pixels are that are not the same to the bit."""
    row = 3 * 64
    for begin in range(0, len(one), row):
        if one[begin:begin + row] == other[begin:begin + row]:
            continue
        for at in range(begin, min(begin + row, len(one)), 3):
            if one[at:at + 3] != other[at:at + 3]:
                yield at


def read_png(data):
    """8 bits a colour, with or without transparency, not interlaced: what screenshots are."""
    check(data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG file")
    at, packed, header = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        (crc,) = struct.unpack_from(">I", data, at + 8 + size)
        check(crc == zlib.crc32(kind + body), f"PNG: checksum of {kind}")
        header = struct.unpack(">IIBBBBB", body) if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    width, height, depth, colour, *_, interlaced = header
    check(depth == 8 and colour in (2, 6) and not interlaced, f"PNG of another kind: {header}")
    size = 3 if colour == 2 else 4
    pixels = _unfilter(zlib.decompress(packed), width * size, size)
    if size == 4:
        rgb = bytearray(3 * width * height)
        for shift in range(3):
            rgb[shift::3] = pixels[shift::4]
        pixels = bytes(rgb)
    return Picture(width, height, pixels)


def _unfilter(data, row, size):
    out, above = bytearray(), bytearray(row)
    for begin in range(0, len(data), row + 1):
        kind, line = data[begin], bytearray(data[begin + 1:begin + 1 + row])
        dark = not any(line) and (kind == 1 or not any(above))  # most of a text screen is
        if kind == 2:
            line = bytearray((a + b) & 255 for a, b in zip(line, above))
        elif not dark and kind in (1, 3, 4):
            for at in range(row):
                left = line[at - size] if at >= size else 0
                corner = above[at - size] if at >= size else 0
                line[at] = (line[at] + _predict(kind, left, above[at], corner)) & 255
        out += line
        above = line
    return bytes(out)


def _predict(kind, left, up, corner):
    if kind == 1:
        return left
    if kind == 3:
        return (left + up) // 2
    near = left + up - corner
    return min((left, up, corner), key=lambda value: abs(near - value))


def read_jpeg(path):
    """By djpeg, as a PPM file."""
    plain = path.with_suffix(".ppm")
    run_tool("djpeg", "-pnm", "-outfile", plain, path)
    data = plain.read_bytes()
    header = re.match(rb"P6\s(\d+)\s(\d+)\s255\s", data)
    check(header, f"djpeg wrote {data[:20]!r}")
    return Picture(int(header[1]), int(header[2]), data[header.end():])
