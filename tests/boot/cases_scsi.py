"""virtio-scsi: disks and CD drives behind a SCSI host, on both boards."""
import os
import pathlib

from case import case, check, check_equal
from cases_disk import sha256
from cases_media import change, make_cd
from cases_pc import grub, UEFI
from cases_virtio import holds_open, mynah, wait_for
from modules import with_modules

# Linux shows units from 256 on with the bits of their addressing method.
FLAT = 0x4000 | 300

MODULES = ("virtio_scsi", "sd_mod", "sr_mod", "isofs", "virtio_pci")


def boot(context, *options, flavour="stock", **fields):
    guest = context.boot_to_shell(initrd=with_modules(context, flavour, MODULES), flavour=flavour,
                                  more=options, **fields)
    guest.command("/etc/modules-load", quiet=60, status=None)
    return guest


def node(guest, address):
    """The block device at HOST:CHANNEL:TARGET:LUN, once it is there."""
    place = f"/sys/bus/scsi/devices/{address}/block"
    wait_for(guest, f"[ -n \"$(ls {place} 2>/dev/null)\" ]", f"a disk at {address}")
    return guest.command(f"ls {place}")


def attribute(guest, address, name):
    return guest.command(f"cat /sys/bus/scsi/devices/{address}/{name}").strip()


def page(guest, address, name):
    """A page of vital product data, as the kernel read it with INQUIRY."""
    return bytes.fromhex(guest.command(
        f"hexdump -ve '1/1 \"%02x\"' /sys/bus/scsi/devices/{address}/{name}"))


def blocks(path):
    return os.stat(path).st_blocks * 512


@case("scsi-disks", fast=True, own=True)
def disks(context):
    """Several targets and units: who they say they are, data both ways, storage given back."""
    first, second = context.blank_disk(16, "a.img"), context.ext4_disk(32, "b.img")
    third = context.blank_disk(8, "c.img")
    guest = boot(context, "--controller", "scsi,queues=2", "--disk",
                 f"path={first},bus=scsi,serial=first-disk", "--disk",
                 f"path={second},bus=scsi,target=5,lun=3", "--disk",
                 f"path={third},bus=scsi,target=5,lun=300,readonly=on", vcpus=2)
    a, b, c = node(guest, "0:0:0:0"), node(guest, "0:0:5:3"), node(guest, f"0:0:5:{FLAT}")
    check_equal(attribute(guest, "0:0:0:0", "vendor"), "MYNAH", "vendor")
    check_equal(attribute(guest, "0:0:0:0", "model"), "DISK", "product")
    check_equal(page(guest, "0:0:0:0", "vpd_pg80")[4:], b"first-disk", "serial number")
    check(b"first-disk" in page(guest, "0:0:0:0", "vpd_pg83"), "no designator has the serial")
    check_equal(page(guest, "0:0:0:0", "vpd_pgb1")[4:6], b"\0\1", "rotation rate")
    check_equal(page(guest, "0:0:0:0", "vpd_pgb2")[5] & 0xe0, 0xe0, "ways to unmap")
    check_equal(guest.command(f"cat /sys/block/{a}/size /sys/block/{c}/ro").split(),
                [str((16 << 20) // 512), "1"], "size, and read-only")
    check_equal(guest.command(f"ls /sys/block/{a}/mq | wc -l"), "2", "queues")
    mode = guest.command("cat /sys/class/scsi_disk/0:0:0:0/provisioning_mode "
                         "/sys/class/scsi_disk/0:0:0:0/cache_type").split("\n")
    check_equal([line.strip() for line in mode], ["unmap", "write back"], "how the driver sees it")

    # Data both ways, by several processes at once, and a file system.
    guest.command(f"for i in 0 1 2 3; do dd if=/dev/urandom of=/tmp/r$i bs=64k count=16 2>/dev/null; "
                  f"(dd if=/tmp/r$i of=/dev/{a} bs=4k seek=$((i*256)) conv=notrunc,fsync "
                  "2>/dev/null) & done; wait")
    wanted = guest.command("cat /tmp/r0 /tmp/r1 /tmp/r2 /tmp/r3 | sha256sum").split()[0]
    got = guest.command(f"echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/{a} bs=64k count=64 "
                        "2>/dev/null | sha256sum").split()[0]
    check_equal(got, wanted, "sha256 of what was written")
    guest.command(f"mount /dev/{b} /mnt && dd if=/dev/urandom of=/mnt/bulk bs=1M count=20 "
                  "2>/dev/null && sync", quiet=60)
    before = blocks(second)
    guest.command("rm /mnt/bulk && sync && fstrim /mnt", quiet=60)
    check(blocks(second) < before - (16 << 20),
          f"fstrim left {blocks(second)} of {before} bytes in the image")
    # Zeroes without data: WRITE SAME.
    guest.command(f"umount /mnt; blkdiscard -z -o 1048576 -l 1048576 /dev/{a} 2>/dev/null || "
                  f"dd if=/dev/zero of=/dev/{a} bs=1M seek=1 count=1 conv=notrunc,fsync 2>/dev/null")
    # A cache that the guest switches off and on.
    cache = "/sys/class/scsi_disk/0:0:0:0/cache_type"
    check_equal(guest.command(f"echo 'write through' >{cache}; cat {cache}; echo 'write back' "
                              f">{cache}; cat {cache}").split("\n"),
                ["write through", "write back"], "the cache's type")
    guest.command("sync")
    context.power_off(guest)
    check_equal(pathlib.Path(first).read_bytes()[1 << 20:2 << 20].count(0), 1 << 20, "zeroes")


@case("scsi-hotplug", own=True, fast=True)
def hotplug(context):
    """Disks come and go on the board without slots; what was written before they went is there."""
    name = f"scsi-{context.directory.name[-8:].lower()}"
    path = context.blank_disk(4)
    guest = boot(context, "--controller", "scsi,id=box", "--name", name, flavour="cloud")
    wanted = None
    for round_ in range(2):
        mynah(context, "attach", name, "disk1", "--disk",
              f"path={path},bus=scsi,target=2,lun={round_},serial=round{round_}")
        at = node(guest, f"0:0:2:{round_}")
        check_equal(page(guest, f"0:0:2:{round_}", "vpd_pg80")[4:], f"round{round_}".encode(),
                    "serial")
        if wanted is not None:
            check_equal(guest.command(f"sha256sum /dev/{at}").split()[0], wanted,
                        "what was written before the disk went")
        # Not flushed: the guest writes it when it is told that the disk goes.
        guest.command(f"dd if=/dev/urandom of=/dev/{at} bs=64k count=64 2>/dev/null")
        wanted = guest.command(f"sha256sum /dev/{at}").split()[0]
        mynah(context, "detach", name, "disk1")
        check(not holds_open(guest.process.pid, path), "the file is still open")
        check_equal(sha256(path), wanted, "sha256 of the disk")
        wait_for(guest, f"[ ! -e /dev/{at} ]", "the disk went")
    context.power_off(guest)


@case("scsi-cd", own=True, fast=True)
def cd(context):
    """A CD drive behind a SCSI host of the small board: read, emptied, changed by the operator."""
    name = f"scsi-{context.directory.name[-8:].lower()}"
    first = make_cd(context.directory / "first.iso", "first")
    second = make_cd(context.directory / "second.iso", "second")
    guest = boot(context, "--name", name, "--disk", f"path={first},device=cdrom,bus=scsi")
    wait_for(guest, "[ -b /dev/sr0 ]", "the drive")
    read = "mount -t iso9660 -o ro /dev/sr0 /mnt && cat /mnt/word && cat /mnt/bulk >/dev/null"
    check_equal(guest.command(read), "first", "what is on the CD")
    guest.command("umount /mnt")
    mynah(context, "insert", name, second)
    check_equal(guest.command(read, quiet=60), "second", "what is on the new CD")
    guest.command("umount /mnt")
    mynah(context, "eject", name)
    check_equal(guest.command("dd if=/dev/sr0 count=1 2>/dev/null | wc -c", status=None), "0",
                "bytes of no CD")
    mynah(context, "insert", name, first)
    check_equal(guest.command(read, quiet=60), "first", "what is on the CD put in last")
    guest.command("umount /mnt")
    context.power_off(guest)


grub("pc-scsi", "scsi")
grub("pc-scsi-uefi", "scsi", firmware=UEFI)
change("media-scsi", "scsi")
