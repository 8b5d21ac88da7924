"""Disks: what is read and written, across boots and across a sudden end."""
import hashlib
import os
import random
import subprocess
import time

from case import SHELL_PROMPT, case, check, check_equal, run_tool

LOGIN, DEBIAN_PROMPT = r"guest login: ", r"root@guest:[^\r\n]*# "


def sha256(path):
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@case("disk-raw-blocks", fast=True)
def raw_blocks(context):
    """What the host wrote the guest reads, and the other way round, to the byte."""
    path = context.directory / "disk.img"
    path.write_bytes(random.Random(1).randbytes(8 << 20))
    guest = context.boot_to_shell(flavour="cloud", disks=(path,), vcpus=2)
    check_equal(guest.command("blockdev --getsize64 /dev/vda"), str(8 << 20), "size of the disk")
    got = guest.command("dd if=/dev/vda bs=64k 2>/dev/null | sha256sum").split()[0]
    check_equal(got, sha256(path), "sha256 of what the guest read")
    # Odd offsets and sizes: one sector, and a run that no larger block divides.
    guest.command("dd if=/dev/urandom of=/tmp/data bs=512 count=4095 2>/dev/null")
    guest.command("dd if=/tmp/data of=/dev/vda bs=512 seek=17 conv=notrunc,fsync 2>/dev/null")
    written = guest.command("dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum || true")
    context.power_off(guest)
    check_equal(sha256(path), written.split()[0], "sha256 of what the guest wrote")


@case("disk-several")
def several_disks(context):
    """Disks appear in the order they were named, with the sizes they have."""
    sizes = (4, 6, 10)
    paths = tuple(context.blank_disk(size, f"disk{size}.img") for size in sizes)
    guest = context.boot_to_shell(flavour="cloud", disks=paths)
    for letter, size in zip("abc", sizes):
        check_equal(guest.command(f"blockdev --getsize64 /dev/vd{letter}"), str(size << 20),
                    f"size of /dev/vd{letter}")
    context.power_off(guest)


@case("disk-file-system")
def file_system(context):
    path = context.ext4_disk(64)
    guest = context.boot_to_shell(flavour="cloud", disks=(path,), vcpus=4,
                                  cmdline="console=ttyS0 mount=/dev/vda")
    wanted = guest.command("cp /bin/busybox /mnt/a && sync && sha256sum /mnt/a").split()[0]
    guest.command("for i in 1 2 3 4; do cp /mnt/a /mnt/b$i & done; wait; rm /mnt/b2; sync")
    guest.command("fstrim /mnt", status=None)
    context.power_off(guest)
    run_tool("e2fsck", "-fn", path)
    copy = context.directory / "copy"
    run_tool("debugfs", "-R", f"dump /b4 {copy}", path)
    check_equal(sha256(copy), wanted, "sha256 of a file taken from the disk")


def log_in(guest):
    guest.expect(LOGIN, total=2400)
    guest.send("root\n")
    guest.expect(DEBIAN_PROMPT)
    guest.command("dmesg -n 1; bind 'set enable-bracketed-paste off'")


def debian(context, vcpus, flavour):
    """systemd to a login prompt; what was written is there after the next boot."""
    path = context.debian_disk()
    fields = dict(flavour=flavour, disks=(path,), vcpus=vcpus, memory="1G",
                  cmdline="console=ttyS0 root=/dev/vda")
    token = f"written-{random.randrange(1 << 60):x}"
    guest = context.start(context.spec(**fields))
    log_in(guest)
    check_equal(guest.command("nproc"), str(vcpus), "number of processors")
    check_equal(guest.command("cat /proc/1/comm"), "systemd", "process 1")
    guest.command(f"echo {token} > /var/token")
    failed = guest.command("systemctl --failed --no-legend --plain", status=None)
    check("vda" not in failed, f"failed units: {failed}")
    guest.send("poweroff\n")
    check_equal(guest.wait(900), 0, "status after the guest powered off")
    run_tool("e2fsck", "-fn", path)

    guest = context.start(context.spec(**fields))
    log_in(guest)
    check_equal(guest.command("cat /var/token"), token, "what was written in the boot before")
    guest.send("poweroff\n")
    check_equal(guest.wait(900), 0, "status after the guest powered off")


@case("debian-systemd", fast=True)
def debian_cloud(context):
    debian(context, 1, "cloud")


@case("debian-systemd-stock-4-vcpus", fast=True)
def debian_stock(context):
    debian(context, 4, "stock")


def killed(context, vcpus, seed):
    """Killing the program is a power cut: what the guest had synchronised is on the disk, and the
    file system's journal brings the rest in order."""
    path = context.ext4_disk(64)
    guest = context.boot_to_shell(flavour="cloud", disks=(path,), vcpus=vcpus,
                                  cmdline="console=ttyS0 mount=/dev/vda")
    guest.command("echo kept > /mnt/kept; sync")
    guest.send("i=0; while :; do i=$((i+1)); cp /bin/busybox /mnt/f$((i % 9)); "
               "mkdir -p /mnt/d$i; [ $((i % 5)) = 0 ] && sync; rm -rf /mnt/d$((i-20)); "
               "echo @@round-$i; done\n")
    guest.expect(r"@@round-3\b")
    time.sleep(random.Random(seed).uniform(0.1, 3))
    guest.process.kill()
    guest.process.wait()
    answer = subprocess.run(["e2fsck", "-fp", str(path)], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.STDOUT,
                            env=dict(os.environ, PATH="/usr/sbin:/sbin:" + os.environ["PATH"]))
    # 1: the journal was replayed and everything is in order now.
    check(answer.returncode in (0, 1), f"e2fsck: status {answer.returncode}\n{answer.stdout}")
    run_tool("e2fsck", "-fn", path)
    check_equal(run_tool("debugfs", "-R", "cat /kept", path).split("\n")[-2], "kept",
                "what was synchronised before")
    guest = context.boot_to_shell(flavour="cloud", disks=(path,),
                                  cmdline="console=ttyS0 mount=/dev/vda")
    check_equal(guest.command("cat /mnt/kept"), "kept", "what the next boot reads")
    context.power_off(guest)


@case("disk-killed", fast=True)
def killed_one(context):
    killed(context, 1, time.time())


@case("disk-killed-4-vcpus")
def killed_four(context):
    killed(context, 4, time.time())
