"""The initial file system of the test guests: busybox, a few modules and our /init."""
import gzip
import hashlib
import pathlib
import subprocess

from . import cache, cpio, kernel as kernels, packages

# crc32c_generic comes first: ext4 asks the kernel for that checksum by name, which no dependency
# record tells. The PCI transport is for the machines with a PCI bus.
MODULES = ("crc32c_generic", "virtio_mmio", "virtio_pci", "virtio_blk", "virtio_rng", "ext4")

INIT = pathlib.Path(__file__).with_name("init.sh")
SHELL = pathlib.Path(__file__).with_name("shell.sh")

# busybox's init answers the signals of its own poweroff and reboot. It runs the shell as a program
# in the foreground of nobody, so that Ctrl-C is not ignored as it is below a script's "&".
INITTAB = b"""::once:/etc/shell
::shutdown:umount /mnt 2>/dev/null
"""

# For scripts: what is on disk is safe, then the end at once.
POWER = """#!/bin/busybox sh
sync
umount /mnt 2>/dev/null
exec /bin/busybox {name} -f
"""


class Initrd:
    """Two files of the same content."""

    def __init__(self, directory):
        self.plain = directory / "initrd.cpio"
        self.compressed = directory / "initrd.cpio.gz"


def busybox(architecture="amd64"):
    """The static busybox, as a file."""
    package = f"busybox-static:{architecture}"
    kind = "busybox" if architecture == "amd64" else f"busybox-{architecture}"
    try:
        key = packages.file_name("busybox-static", packages.version(package))
    except packages.PackageError:
        directory = cache.newest(kind)
        if directory is None:
            raise
        return directory / "busybox"
    return cache.artefact(kind, key, lambda where: _build_busybox(package, where)) / "busybox"


def initrd(kernel):
    """The initrd for one kernel; made anew when kernel, busybox or our part of it changed."""
    program = busybox(kernel.architecture)
    ours = hashlib.sha256()
    for source in (INIT, SHELL, pathlib.Path(__file__), pathlib.Path(cpio.__file__)):
        ours.update(source.read_bytes())
    key = f"{kernel.directory.name.split('_', 1)[1]}+{program.parent.name.split('_', 1)[1]}" \
          f"+{ours.hexdigest()[:12]}"
    return Initrd(cache.artefact(f"initrd-{kernel.flavour}", key,
                                 lambda where: _build(kernel, program, where)))


def overlay(files):
    """An archive to append to an initrd: {path: (bytes, mode)}."""
    archive = cpio.Archive()
    for path, (data, mode) in sorted(files.items()):
        archive.file(path, data, mode)
    return archive.data()


def _build_busybox(package, where):
    packages.unpack(package, where / "tree")
    found = [path for path in (where / "tree").rglob("busybox") if path.is_file()
             and path.read_bytes()[:4] == b"\x7fELF"]
    found[0].rename(where / "busybox")


def _build(kernel, program, where):
    archive = cpio.Archive()
    for path in ("dev", "proc", "sys", "run", "mnt", "root", "etc", "tmp", "sbin", "usr/bin",
                 "usr/sbin"):
        archive.directory(path)
    archive.file("init", INIT.read_bytes(), 0o755)
    archive.file("etc/shell", SHELL.read_bytes(), 0o755)
    archive.file("etc/inittab", INITTAB)
    archive.file("bin/busybox", program.read_bytes(), 0o755)
    # Of the host's architecture: the host need not run 32-bit programs.
    applets = subprocess.run([busybox(), "--list"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.split()
    for name in applets:
        if name not in ("busybox", "poweroff", "reboot", "halt"):
            archive.link(f"bin/{name}", "/bin/busybox")
    for name in ("poweroff", "reboot", "halt"):
        archive.file(f"sbin/{name}", POWER.format(name=name).encode(), 0o755)
    archive.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\n")
    order = kernel.module_order(MODULES)
    for file in order:
        archive.file(f"lib/modules/{module_name(file)}", kernels.read_module(file))
    names = "".join(module_name(file) + "\n" for file in order)
    archive.file("lib/modules/order", names.encode())
    data = archive.data()
    (where / "initrd.cpio").write_bytes(data)
    (where / "initrd.cpio.gz").write_bytes(gzip.compress(data, 6, mtime=0))


def module_name(file):
    return file.name.removesuffix(".xz")
