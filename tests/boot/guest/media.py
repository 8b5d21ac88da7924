"""Media that foreign programs boot from: FAT disks, CD images, single boot sectors; no mounting."""
import pathlib
import re
import subprocess

from . import cache, packages

GRUB = pathlib.Path("/usr/lib/grub")
FAT_MEBIBYTES = 48
# GRUB on a CD talks over COM1 and starts its only entry at once.
GRUB_HEAD = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
"""


def _run(*command):
    answer = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if answer.returncode != 0:
        raise packages.PackageError(f"{command[0]}: {answer.stdout.strip()}")
    return answer.stdout


def fat_disk(path, files):
    """A disk that is one FAT file system without partitions; files = {path on it: host file}."""
    with open(path, "wb") as handle:
        handle.truncate(FAT_MEBIBYTES << 20)
    _run("/sbin/mkfs.vfat", "-F", "16", "-n", "GUEST", path)
    made = set()
    for name, source in files.items():
        for parent in reversed(pathlib.PurePosixPath(name).parents[:-1]):
            if parent not in made:
                _run("mmd", "-i", path, f"::{parent}")
                made.add(parent)
        _run("mcopy", "-i", path, source, f"::{name}")
    return path


def read_fat(path, name):
    """The bytes of the file `name` of a FAT disk."""
    answer = subprocess.run(["mtype", "-i", str(path), f"::{name}"], stdout=subprocess.PIPE)
    return answer.stdout


def grub_cd(path, entry, files):
    """A CD that boots by BIOS and by UEFI (El Torito): GRUB, then the lines of `entry`;
    files = {path on it: host file}."""
    tree = path.parent / (path.name + ".tree")
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "boot/grub/grub.cfg").write_text(GRUB_HEAD + entry)
    words = [f"{name}={source}" for name, source in files.items()]
    _run("grub-mkrescue", "-o", path, tree, *words)
    return path


def assemble(source, path):
    """A flat binary of `source` by nasm, such as a boot sector."""
    _run("nasm", "-f", "bin", "-o", path, source)
    return path


def memtest():
    """The folder of memtest86+: memtest86+x64.bin and memtest86+x64.efi."""
    return _package("memtest86+") / "boot"


def installer():
    """The folder of the Debian installer's kernel and initrd: linux and initrd.gz."""
    found = _package("debian-installer-12-netboot-amd64")
    return next(found.glob("usr/lib/debian-installer/images/*/amd64/text/debian-installer/amd64"))


def installer_parts():
    """Names of the parts that the installer's initrd holds already."""
    packed = subprocess.run(["gzip", "-dc", str(installer() / "initrd.gz")], check=True,
                            stdout=subprocess.PIPE)
    status = subprocess.run(["cpio", "-i", "--quiet", "--to-stdout", "*var/lib/dpkg/status"],
                            input=packed.stdout, check=True, stdout=subprocess.PIPE)
    return set(re.findall(r"^Package: (\S+)", status.stdout.decode(), re.MULTILINE))


def _package(name):
    """The unpacked files of a package; without a network those used last."""
    try:
        key = packages.file_name(packages.version(name))
    except packages.PackageError:
        directory = cache.newest(name)
        if directory is None:
            raise
        return directory
    return cache.artefact(name, key, lambda where: packages.unpack(name, where))
