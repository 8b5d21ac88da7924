"""A Debian root file system with systemd in an ext4 image, made without mounting anything."""
import hashlib
import os
import pathlib
import shutil
import subprocess

from . import cache, packages

SCRIPT = pathlib.Path(__file__).with_name("make-rootfs.sh")
SIZE = "600M"
# Packages beyond the minimal base, and whose versions make the key.
INCLUDE = ("systemd", "systemd-sysv", "udev", "login", "passwd", "util-linux", "kmod")


def rootfs():
    """The image file. It is shared and must not be written: boot a copy()."""
    try:
        address, suite = packages.debian_source()
        key = _key(suite)
    except packages.PackageError:
        directory = cache.newest("rootfs")
        if directory is None:
            raise
        return directory / "root.img"
    directory = cache.artefact("rootfs", key, lambda where: _build(address, suite, where))
    return directory / "root.img"


def copy(image, destination):
    """A private, sparse copy of an image."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(destination)],
                   check=True)
    return pathlib.Path(destination)


def _key(suite):
    versions = " ".join(f"{name}={packages.version(name)}"
                        for name in (*INCLUDE, "libc6", "base-files", "apt"))
    text = SCRIPT.read_text() + versions + SIZE
    return packages.file_name(suite, packages.version("base-files"),
                              hashlib.sha256(text.encode()).hexdigest()[:12])


def _build(address, suite, where):
    cache.say("making a Debian root file system (about a minute)")
    command = ["bash", str(SCRIPT), str(where), address, suite, ",".join(INCLUDE), SIZE]
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
