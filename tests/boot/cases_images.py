"""Disk images that are more than the bytes of the disk: machines that run from them."""
import json
import subprocess

from case import case, check, check_equal, run_tool
from cases_disk import log_in, sha256


def image(context, *words):
    """Run `mynah image`, which must succeed."""
    done = subprocess.run([str(context.emulator.program), "image", *map(str, words)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    check_equal(done.returncode, 0, f"mynah image {' '.join(map(str, words))}: {done.stdout}")
    return done.stdout


@case("image-debian-qcow2-backed", own=True, fast=True)
def debian_backed(context):
    """Debian with systemd from a qcow2 image over a raw one, twice; the raw one stays as it was."""
    base = context.debian_disk("base.img")
    before = sha256(base)
    overlay = context.directory / "overlay.qcow2"
    image(context, "create", "-f", "qcow2", "-b", "base.img", "-F", "raw", overlay)
    fields = dict(flavour="cloud", disks=(overlay,), vcpus=2, memory="1G",
                  cmdline="console=ttyS0 root=/dev/vda")
    for boot in (1, 2):
        guest = context.start(context.spec(**fields))
        log_in(guest)
        if boot == 2:
            check_equal(guest.command("cat /var/token"), "written", "what the boot before wrote")
        guest.command("echo written > /var/token")
        guest.send("poweroff\n")
        check_equal(guest.wait(900), 0, "status after the guest powered off")
    check_equal(sha256(base), before, "sha256 of the backing file")
    image(context, "check", overlay)
    run_tool("qemu-img", "check", "-q", overlay)
    raw = context.directory / "flat.img"
    image(context, "convert", overlay, raw)
    run_tool("e2fsck", "-fn", raw)


def reads_and_writes(context, format, options=(), extra=""):
    """What the host put in an image the guest reads, and the other way round."""
    raw = context.directory / "raw.img"
    raw.write_bytes(bytes(range(256)) * 4 * 8192)
    path = context.directory / f"disk.{format}"
    image(context, "convert", "-f", "raw", "-O", format, *options, raw, path)
    command = context.emulator.command(context.spec(flavour="cloud", vcpus=2))
    guest = context.start_command([*command, "--disk", f"path={path}{extra}"])
    guest.expect(r"mynah:[^\r\n]*# ")
    guest.command("dmesg -n 1")
    got = guest.command("dd if=/dev/vda bs=64k 2>/dev/null | sha256sum").split()[0]
    check_equal(got, sha256(raw), "sha256 of what the guest read")
    guest.command("dd if=/dev/urandom of=/tmp/data bs=512 count=4095 2>/dev/null")
    guest.command("dd if=/tmp/data of=/dev/vda bs=512 seek=17 conv=notrunc,fsync 2>/dev/null")
    written = guest.command("dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum || true")
    context.power_off(guest)
    raw.unlink()
    image(context, "convert", "-f", format, path, raw)
    if "snapshot" in extra:
        check(sha256(raw) != written.split()[0], "a disk with snapshot=on was changed")
    else:
        check_equal(sha256(raw), written.split()[0], "sha256 of what the guest wrote")


@case("image-qcow2", own=True, fast=True)
def qcow2(context):
    reads_and_writes(context, "qcow2", ("-c",))


@case("image-qcow2-no-page-cache", own=True)
def qcow2_direct(context):
    reads_and_writes(context, "qcow2", (), ",cache=none")


@case("image-snapshot-on", own=True)
def snapshot_on(context):
    reads_and_writes(context, "qcow2", (), ",snapshot=on")


@case("image-vhdx", own=True)
def vhdx(context):
    reads_and_writes(context, "vhdx")


@case("image-vhd", own=True)
def vhd(context):
    reads_and_writes(context, "vhd")


@case("image-vmdk", own=True)
def vmdk(context):
    reads_and_writes(context, "vmdk")


@case("image-vdi", own=True)
def vdi(context):
    reads_and_writes(context, "vdi")


@case("image-raw-stays-raw", own=True, fast=True)
def raw_stays_raw(context):
    """A guest that writes an image's header to its raw disk does not choose what is opened next."""
    path = context.blank_disk(8)
    for turn in (1, 2):
        guest = context.boot_to_shell(flavour="cloud", disks=(path,))
        size = guest.command("blockdev --getsize64 /dev/vda")
        check_equal(size, str(8 << 20), "size of the disk")
        guest.command(r"printf 'QFI\373\0\0\0\003' > /tmp/header")
        guest.command("dd if=/tmp/header of=/dev/vda bs=512 conv=notrunc,sync,fsync 2>/dev/null",
                      status=None)
        context.power_off(guest)
    facts = json.loads(run_tool("qemu-img", "info", "--output=json", path))
    check_equal(facts["format"], "raw", "what the disk looks like")


@case("image-locked", own=True, fast=True)
def locked(context):
    """While a machine writes an image, neither another machine nor QEMU's programs do."""
    path = context.directory / "disk.qcow2"
    image(context, "create", "-f", "qcow2", path, "16M")
    guest = context.boot_to_shell(flavour="cloud", disks=(path,))
    for words in (["qemu-io", "-c", "write 0 512", path],
                  [context.emulator.program, "image", "resize", path, "32M"]):
        done = subprocess.run(list(map(str, words)), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        check(done.returncode != 0, f"{words[0]} was let in: {done.stdout}")
    context.power_off(guest)
    run_tool("qemu-io", "-c", "write 0 512", path)
    # And the other way round.
    holder = subprocess.Popen(["qemu-io", str(path)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        holder.stdin.write("write 0 512\n")
        holder.stdin.flush()
        holder.stdout.readline()
        command = context.emulator.command(context.spec(flavour="cloud", disks=(path,)))
        done = subprocess.run(list(map(str, command)), text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        check(done.returncode == 1 and "in use by another machine" in done.stdout,
              f"a machine was let in: {done.stdout[-300:]}")
    finally:
        holder.stdin.close()
        holder.wait()
