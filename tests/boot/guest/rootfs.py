"""A Debian root file system with systemd in an ext4 image, made without mounting anything."""
import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess

from . import cache, packages

SCRIPT = pathlib.Path(__file__).with_name("make-rootfs.sh")
# Packages beyond the minimal base; their versions make the key.
INCLUDE = ("systemd", "systemd-sysv", "udev", "login", "passwd", "util-linux", "kmod")
# What a machine of its own has: Debian's kernel and initrd, and programs that look at hardware.
OWN = ("linux-image-amd64", "initramfs-tools", "zstd", "pciutils", "usbutils", "dmidecode",
       "acpica-tools", "wget", "iproute2", "eject", "smartmontools", "nvme-cli", "fio",
       "iperf3", "ethtool")
TOOLS = ("gcc", "libc6-dev", "python3", "openssl", "sqlite3")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What an image holds and how large its file system is."""

    include: tuple
    size: str


    def packages(self):
        """Python's own tests come with the package of its current minor version."""
        if "python3" not in self.include:
            return self.include
        python = packages.real_package("python3", r"python3\.\d+")
        return (*self.include, f"lib{python}-testsuite")


KINDS = {"rootfs": Kind(INCLUDE, "600M"), "work": Kind((*INCLUDE, *TOOLS), "1500M"),
         "bootable": Kind((*INCLUDE, *OWN), "1400M")}


def rootfs(name="rootfs"):
    """The image file of one kind. It is shared and must not be written: boot a copy()."""
    kind = KINDS[name]
    try:
        address, suite = packages.debian_source()
        key = _key(suite, kind)
    except packages.PackageError:
        directory = cache.newest(name)
        if directory is None:
            raise
        return directory / "root.img"
    directory = cache.artefact(name, key, lambda where: _build(address, suite, kind, where))
    return directory / "root.img"


def copy(image, destination):
    """A private, sparse copy of an image."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(destination)],
                   check=True)
    return pathlib.Path(destination)


def _key(suite, kind):
    versions = " ".join(f"{name}={packages.version(name)}"
                        for name in (*kind.packages(), "libc6", "base-files", "apt"))
    text = SCRIPT.read_text() + versions + kind.size
    return packages.file_name(suite, packages.version("base-files"),
                              hashlib.sha256(text.encode()).hexdigest()[:12])


def _build(address, suite, kind, where):
    cache.say("making a Debian root file system (a minute or two)")
    command = ["bash", str(SCRIPT), str(where), address, suite, ",".join(kind.packages()),
               kind.size]
    if os.geteuid() != 0:
        if not shutil.which("fakechroot") or not shutil.which("fakeroot"):
            raise packages.PackageError("a root file system needs root, or the packages "
                                        "fakechroot and fakeroot (scripts/install-deps)")
        command = ["fakechroot", "fakeroot", *command]
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    log = where / "build.log"
    with open(log, "wb") as output:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, env=environment).returncode
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise packages.PackageError(f"the root file system could not be made:\n{tail}")
