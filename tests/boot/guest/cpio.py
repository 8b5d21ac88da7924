"""Archives the kernel unpacks as its first root file system.

Format "newc": [initramfs buffer format, Documentation/driver-api/early-userspace]. Written here
because device nodes and ownership then need neither root nor a helper program.
"""
import os
import stat

_BLOCK = 4


class Archive:
    """Collects entries; every one belongs to root and carries no time, so equal input gives
    equal bytes."""

    def __init__(self):
        self._parts = []
        self._inode = 0
        self._directories = set()

    def directory(self, path, mode=0o755):
        path = path.strip("/")
        if not path or path in self._directories:
            return
        self.directory(os.path.dirname(path))
        self._directories.add(path)
        self._entry(path, stat.S_IFDIR | mode, b"")

    def file(self, path, data, mode=0o644):
        self.directory(os.path.dirname(path))
        self._entry(path.strip("/"), stat.S_IFREG | mode, data)

    def link(self, path, target):
        self.directory(os.path.dirname(path))
        self._entry(path.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def data(self):
        """The finished archive. Archives can be concatenated: later ones add and replace."""
        self._entry("TRAILER!!!", 0, b"")
        whole = b"".join(self._parts)
        return whole + b"\0" * (-len(whole) % 512)

    def _entry(self, path, mode, data):
        self._inode += 1
        name = path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self._inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self._parts += [head, b"\0" * (-len(head) % _BLOCK), data,
                        b"\0" * (-len(data) % _BLOCK)]
