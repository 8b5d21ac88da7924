"""The machine's screen as a VNC viewer sees it: one picture over a Unix socket [RFC 6143]."""
import contextlib
import socket
import struct
import time

import console

RAW = 0
TRUE_COLOUR = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


class Picture:
    """Pixels as (red, green, blue)."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self._data = bytearray(width * height * 4)

    def put(self, left, top, width, height, data):
        for row in range(height):
            start = ((top + row) * self.width + left) * 4
            self._data[start:start + width * 4] = data[row * width * 4:(row + 1) * width * 4]

    def at(self, x, y):
        """x and y as fractions of the picture, so that doubled lines make no difference."""
        place = (int(y * self.height) * self.width + int(x * self.width)) * 4
        blue, green, red = self._data[place:place + 3]
        return red, green, blue


def capture(path, seconds=60):
    """The whole screen now, from the server at the socket `path`."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as peer:
        peer.settimeout(seconds * console.load_factor())
        deadline = time.monotonic() + seconds * console.load_factor()
        while True:
            try:
                peer.connect(str(path))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        with peer.makefile("rb") as stream:
            return _converse(peer, stream)


def _converse(peer, stream):
    take = lambda form: struct.unpack(form, stream.read(struct.calcsize(form)))  # noqa: E731
    stream.read(12)
    peer.sendall(b"RFB 003.008\n")
    offered = stream.read(take("B")[0])
    if 1 not in offered:
        raise console.ConsoleError(f"VNC: no security type 'none' among {list(offered)}")
    peer.sendall(b"\x01")
    if take(">I")[0] != 0:
        raise console.ConsoleError("VNC: refused")
    peer.sendall(b"\x01")
    width, height = take(">HH")
    stream.read(16)
    stream.read(take(">I")[0])
    peer.sendall(b"\0\0\0\0" + TRUE_COLOUR + struct.pack(">BBHi", 2, 0, 1, RAW)
                 + struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    picture, missing = Picture(width, height), width * height
    while missing > 0:
        kind = take("B")[0]
        if kind != 0:  # bells and clipboards do not come unasked to a viewer that new
            raise console.ConsoleError(f"VNC: message {kind} instead of an update")
        for _ in range(take(">xH")[0]):
            left, top, wide, high, encoding = take(">HHHHi")
            if encoding != RAW:
                raise console.ConsoleError(f"VNC: encoding {encoding} was not asked for")
            picture.put(left, top, wide, high, stream.read(wide * high * 4))
            missing -= wide * high
    return picture
