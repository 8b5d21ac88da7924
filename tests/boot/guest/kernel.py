"""Debian's kernels: the compressed image, the ELF file inside it and the modules."""
import lzma
import pathlib
import re
import shutil
import struct
import subprocess

from . import cache, packages

FLAVOURS = {"stock": ("linux-image-amd64", r"linux-image-[0-9].*-amd64"),
            "cloud": ("linux-image-cloud-amd64", r"linux-image-[0-9].*-cloud-amd64"),
            "686": ("linux-image-686:i386", r"linux-image-[0-9].*-686"),
            "686-pae": ("linux-image-686-pae:i386", r"linux-image-[0-9].*-686-pae")}


class Kernel:
    """One unpacked kernel package below `directory`."""

    def __init__(self, flavour, directory):
        self.flavour = flavour
        self.directory = pathlib.Path(directory)

    @property
    def architecture(self):
        return packages.architecture(FLAVOURS[self.flavour][0])

    @property
    def image(self):
        """The bzImage as packaged."""
        return self.directory / "vmlinuz"

    @property
    def release(self):
        """What `uname -r` says."""
        return (self.directory / "release").read_text().strip()

    @property
    def elf(self):
        """The ELF image from inside the bzImage, with the PVH entry in its notes."""
        return self.directory / "vmlinux"

    def module_file(self, name):
        """The file of module `name`, or None: built in, or not in this flavour."""
        pattern = re.sub("[-_]", "[-_]", name) + ".ko*"
        return next(iter((self.directory / "modules").rglob(pattern)), None)

    def module_order(self, names):
        """Files of the modules and of everything they depend on, each after what it needs."""
        ordered = {}

        def add(name):
            file = self.module_file(name)
            if file is None or name in ordered:
                return
            for dependency in _dependencies(_module_bytes(file)):
                add(dependency)
            ordered[name] = file

        for name in names:
            add(name.replace("-", "_"))
        return list(ordered.values())


def kernel(flavour="stock"):
    """Debian's current kernel of one flavour; without a network the one used last."""
    meta, pattern = FLAVOURS[flavour]
    try:
        name = packages.real_package(meta, pattern)
        key = packages.file_name(name, packages.version(name))
    except packages.PackageError:
        directory = cache.newest(f"kernel-{flavour}")
        if directory is None:
            raise
        return Kernel(flavour, directory)
    return Kernel(flavour, cache.artefact(f"kernel-{flavour}", key,
                                          lambda where: _build(name, where)))


def read_module(file):
    """A module's ELF bytes; newer kernels compress the files."""
    return _module_bytes(file)


def _build(name, where):
    tree = where / "tree"
    packages.unpack(name, tree)
    image = next((tree / "boot").glob("vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    modules = next(tree.glob(f"**/lib/modules/{release}"))
    image.rename(where / "vmlinuz")
    modules.rename(where / "modules")
    (where / "release").write_text(release + "\n")
    shutil.rmtree(tree)
    (where / "vmlinux").write_bytes(unpack_image((where / "vmlinuz").read_bytes()))


def unpack_image(image):
    """The ELF file inside a bzImage [Linux boot protocol, payload_offset and payload_length]."""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start:start + length]
    if payload.startswith(b"\xfd7zXZ\0"):
        # Four bytes of uncompressed size follow the stream.
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    if payload.startswith(b"\x02\x21\x4c\x18"):
        return _filter(["lz4", "-d", "-c"], payload[:-4])
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        return _filter(["zstd", "-d", "-c"], payload[:-4])
    raise packages.PackageError(f"kernel image: payload format {payload[:4].hex()} is unknown")


def _filter(command, data):
    answer = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if answer.returncode != 0:
        raise packages.PackageError(f"{command[0]}: {answer.stderr.decode().strip()}")
    return answer.stdout


def _module_bytes(file):
    data = pathlib.Path(file).read_bytes()
    return lzma.decompress(data) if file.name.endswith(".xz") else data


def _dependencies(module):
    """Names from the `depends=` record of a module's .modinfo section; the package carries no
    modules.dep, which the installer would make."""
    match = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in match[1].decode().split(",") if name] \
        if match else []
