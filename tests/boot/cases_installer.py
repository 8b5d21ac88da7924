"""The Debian installer of the netboot package, unattended, onto a SATA disk of the complete PC.

The installer's system log goes to COM2, and from there beside the test's log.
It fetches its own parts and Debian from a mirror on loopback, made of cached packages.
"""
import urllib.error

import machine
from case import Failed, Skipped, case, check, check_equal
from guest import initrd, media, packages
from guest.mirror import Mirror

FILES = machine.ROOT / "tests/boot/guest"
# Scripts that the installer runs by itself, before and after it installed the base system.
HOOKS = {"usr/lib/base-installer.d/01mynah": "partitioned",
         "usr/lib/post-base-installer.d/99mynah": "base"}
# Before the first program that would wait for the end of what it started.
LOGGING = b"""(while [ ! -e /var/log/syslog ]; do sleep 1; done
tail -n +1 -f /var/log/syslog) </dev/null >/dev/ttyS1 2>/dev/null &
"""
DISK_MEBIBYTES = 3072


def answers(mirror):
    """Host and folder are of the user network's address for this machine's loopback."""
    text = (FILES / "preseed.cfg").read_text()
    for name, value in (("MIRROR_HOST", f"10.0.2.2:{mirror.port}"), ("MIRROR_FOLDER", "/debian"),
                        ("SUITE", mirror.suite), ("DISK", "/dev/sda")):
        text = text.replace(name, value)
    return text.encode()


def start_installer(context, mirror, last_stage):
    """The installer, which powers off after `last_stage`; and its disk."""
    files = {"preseed.cfg": (answers(mirror), 0o644),
             "mynah-stage": ((FILES / "installer-stage.sh").read_bytes(), 0o755),
             "lib/debian-installer-startup.d/S05mynah": (LOGGING, 0o755),
             "mynah-last-stage": (f"{last_stage}\n".encode(), 0o644)}
    for name, stage in HOOKS.items():
        files[name] = (f"#!/bin/sh\nexec sh /mynah-stage {stage}\n".encode(), 0o755)
    folder = media.installer()
    image = context.directory / "initrd"
    packed = (folder / "initrd.gz").read_bytes()
    # What follows a compressed archive begins at a multiple of four.
    image.write_bytes(packed + b"\0" * (-len(packed) % 4) + initrd.overlay(files))
    disk = context.blank_disk(DISK_MEBIBYTES)
    guest = context.start(machine.Spec(
        kernel=folder / "linux", initrd=image, memory="1G", vcpus=2,
        cmdline="console=ttyS0 auto=true priority=critical DEBIAN_FRONTEND=text TERM=dumb "
                "--- console=ttyS0",
        more=("--machine", "pc", "--disk", f"path={disk},bus=sata", "--network",
              "user,model=e1000", "--serial", "stdio", "--serial",
              f"file={context.log.with_suffix('.syslog')}")))
    return guest, disk


def watch(guest, *stages):
    """The stages come in order, each with what it must show."""
    trouble = r"(failed to download a file from the mirror)"
    for pattern in stages:
        if guest.expect(f"{pattern}|{trouble}", quiet=1200, total=5400)[1]:
            raise Failed("the installer could not fetch its parts")


def local_mirror():
    try:
        return Mirror(media.installer_parts())
    except (packages.PackageError, urllib.error.URLError) as error:
        raise Skipped(f"no mirror can be made here: {error}") from error


DISKS = (r"@@ address 10\.0\.2\.\d+", rf"@@ disk {DISK_MEBIBYTES * 2048}\r")
PARTITIONED = r"@@ root /dev/sda1 ext4\r"
BASE = r"@@ base 12\.\d+ \d+"


@case("installer-base", own=True, fast=True)
def base(context):
    """It configures the network, takes the mirror, finds the disk, partitions and formats it, and
    installs the base system; not yet a kernel."""
    with local_mirror() as mirror:
        guest, disk = start_installer(context, mirror, "base")
        watch(guest, *DISKS, PARTITIONED, BASE)
        check_equal(guest.wait(120), 0, "status after the installer powered off")
    with open(disk, "rb") as handle:
        sector = handle.read(512)
    check_equal(sector[510:], b"\x55\xaa", "signature of the partition table")
    check_equal((sector[446], sector[450]), (0x80, 0x83), "first partition: flag and type")


@case("installer-whole", own=True)
def whole(context):
    """It installs everything, and what it installed boots from its disk."""
    with local_mirror() as mirror:
        guest, disk = start_installer(context, mirror, "never")
        watch(guest, *DISKS, PARTITIONED, BASE, r"@@ installed .*vmlinuz")
        check_equal(guest.wait(600), 0, "status after the installer powered off")
    guest = context.start(machine.Spec(
        memory="512M", vcpus=2, cmdline=None,
        more=("--machine", "pc", "--disk", f"path={disk},bus=sata")))
    guest.expect("installed login: ", quiet=600)
    guest.send("root\n")
    guest.expect("Password: ")
    guest.send("mynah\n")
    guest.expect(r"root@installed:~# ")
    check("/dev/sda1" in guest.command("findmnt -no SOURCE /"), "another root file system")
    guest.send("poweroff\n")
    check_equal(guest.wait(300), 0, "status after the guest powered off")
