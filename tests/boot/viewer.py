"""A small VNC viewer [RFC 6143]: types, and takes the whole picture without compression."""
import socket
import struct

from case import check
from console import load_factor
from picture import Picture

SHIFT, ENTER = 0xFFE1, 0xFF0D
SHIFTED = frozenset('~!@#$%^&*()_+{}|:"<>?ABCDEFGHIJKLMNOPQRSTUVWXYZ')


class Viewer:
    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), 60 * load_factor())
        self._stream = self._socket.makefile("rb")
        check(self._read(12) == b"RFB 003.008\n", "the server speaks another protocol")
        self._socket.sendall(b"RFB 003.008\n")
        kinds = self._read(self._read(1)[0])
        check(1 in kinds, f"the server wants a password: {kinds}")
        self._socket.sendall(b"\x01")
        check(self._read(4) == bytes(4), "the server refuses")
        self._socket.sendall(b"\x01")
        self.width, self.height = struct.unpack(">HH", self._read(4))
        self._read(16)
        self.name = self._read(struct.unpack(">I", self._read(4))[0]).decode()
        # 32 bits a pixel, 24 of them used, little-endian: blue first. Raw, and both ways to be told
        # of sizes.
        self._socket.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255,
                                         16, 8, 0))
        self._socket.sendall(struct.pack(">BxHiii", 2, 3, 0, -223, -308))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _read(self, size):
        data = self._stream.read(size)
        check(len(data) == size, "the VNC server closed the connection")
        return data

    def _key(self, symbol, down):
        self._socket.sendall(struct.pack(">BBxxI", 4, down, symbol))

    def type(self, text):
        for letter in text:
            keys = [ENTER if letter == "\n" else ord(letter)]
            if letter in SHIFTED:
                keys.insert(0, SHIFT)
            for key in keys:
                self._key(key, 1)
            for key in reversed(keys):
                self._key(key, 0)

    def wish(self, width, height):
        """Ask for a screen of another size."""
        self._socket.sendall(struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0, 0, 0, width,
                                         height, 0))

    def picture(self):
        """The whole screen as it is now; its size may have changed."""
        while True:
            size = self.width, self.height
            self._socket.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, *size))
            found = self._update()
            if found is not None and size == (self.width, self.height):
                return found

    def _update(self):
        kind = self._read(1)[0]
        if kind == 3:  # text for the clipboard
            self._read(struct.unpack(">xxxI", self._read(7))[0])
            return None
        check(kind == 0, f"message {kind} of the VNC server")
        canvas, painted = bytearray(3 * self.width * self.height), 0
        for _ in range(struct.unpack(">xH", self._read(3))[0]):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self._read(12))
            if encoding == -308:
                self._read(4 + 16 * self._read(1)[0] - 1)
                if x == 1 or (width, height) == (self.width, self.height):
                    continue
            if encoding in (-223, -308):
                self.width, self.height = width, height
                canvas, painted = bytearray(3 * width * height), 0
                continue
            check(encoding == 0, f"encoding {encoding} was not asked for")
            data, rgb = self._read(4 * width * height), bytearray(3 * width * height)
            for colour in range(3):
                rgb[colour::3] = data[2 - colour::4]
            for row in range(height):
                at = 3 * (self.width * (y + row) + x)
                canvas[at:at + 3 * width] = rgb[3 * width * row:3 * width * (row + 1)]
            painted += width * height
        whole = painted >= self.width * self.height
        return Picture(self.width, self.height, bytes(canvas)) if whole else None
