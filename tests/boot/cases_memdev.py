"""Memory by devices: plugged while the machine runs, and files of the host as memory."""
import contextlib
import hashlib
import pathlib

from case import SHELL_PROMPT, case, check, check_equal, run_tool
from cases_balloon import MIB, Qmp, resident, wait_until
from cases_disk import log_in
from cases_pc import UEFI, power_off, start_pc
from guest import disk, rootfs
from modules import with_modules

PC = ("--machine", "pc")


def total(guest):
    """MiB of memory that the guest's kernel has."""
    return int(guest.command("sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo")) >> 10


def start_mem(context, *options, flavour="stock"):
    words = context.emulator.command(context.spec(
        flavour=flavour, initrd=with_modules(context, flavour, ("virtio_mem", "virtio_pci")),
        more=("--name", "mem", *options)))
    guest = context.start_command(["env", f"XDG_RUNTIME_DIR={context.directory}", *words])
    guest.expect(SHELL_PROMPT)
    guest.command("dmesg -n 1; echo online_movable >/sys/devices/system/memory/auto_online_blocks")
    guest.command("sh /etc/modules-load", status=None, quiet=60)
    return guest


def grow_and_shrink(context, *board):
    guest = start_mem(context, "--memdev", "virtio-mem,size=1G,requested=256M,id=extra", *board)
    wait_until(lambda: total(guest) > 600, "256 MiB more")
    with contextlib.closing(Qmp(context.directory, "mem")) as qmp:
        def plugged():
            return qmp.execute("query-memory-devices")[0]["data"]["size"] // MIB

        def ask(mebibytes):
            qmp.execute("qom-set", path="/machine/peripheral/extra", property="requested-size",
                        value=mebibytes * MIB)
        check_equal(plugged(), 256, "MiB plugged at the start")
        before = total(guest)
        ask(768)
        wait_until(lambda: plugged() == 768 and total(guest) >= before + 500, "512 MiB more")
        # Used, by programs and as the page cache; what was used goes back to the host.
        guest.command("mkdir -p /tmp/big; mount -t tmpfs -o size=900M none /tmp/big; "
                      "dd if=/dev/urandom of=/tmp/big/f bs=1M count=700 2>/dev/null; "
                      "sha256sum /tmp/big/f >/tmp/sum && sha256sum -c /tmp/sum >/dev/null", quiet=300)
        used = resident(guest)
        check(used > 700, f"{used} MiB resident when the guest uses 700")
        guest.command("rm /tmp/big/f")
        ask(0)
        wait_until(lambda: plugged() == 0, "all unplugged", 120)
        wait_until(lambda: total(guest) < 520, "the guest's memory as at its start")
        left = resident(guest)
        check(left < used - 200, f"{left} of {used} MiB still resident")
        ask(128)
        wait_until(lambda: plugged() == 128, "128 MiB plugged again")
    context.power_off(guest)


@case("memdev-mem", fast=True, own=True)
def mem(context):
    """The guest's memory grows and shrinks as the operator says, and the host's use with it."""
    grow_and_shrink(context)


@case("memdev-mem-pc", own=True)
def mem_pc(context):
    grow_and_shrink(context, *PC)


PMEM = ("virtio_pmem", "nd_virtio", "nd_pmem", "virtio_pci")


def start_pmem(context, path, *options):
    guest = context.boot_to_shell(initrd=with_modules(context, "stock", PMEM),
                                  more=("--memdev", f"virtio-pmem,path={path}", *options))
    guest.command("sh /etc/modules-load", status=None, quiet=60)
    guest.command("for i in $(seq 100); do [ -b /dev/pmem0 ] && break; sleep 0.1; done; "
                  "[ -b /dev/pmem0 ]", quiet=60)
    return guest


def in_file(path, name):
    """The bytes of a file in an ext4 image."""
    out = path.with_suffix(".out")
    run_tool("debugfs", "-R", f"dump {name} {out}", path)
    return hashlib.sha256(out.read_bytes()).hexdigest()


def persist(context, *board):
    path = context.blank_disk(64)
    run_tool("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", path)  # DAX needs whole pages
    guest = start_pmem(context, path, *board)
    guest.command("mount -t ext4 -o dax /dev/pmem0 /mnt && grep -q dax /proc/mounts")
    guest.command("dd if=/dev/urandom of=/mnt/bulk bs=1M count=16 conv=fsync 2>/dev/null")
    wanted = guest.command("sha256sum /mnt/bulk").split()[0]
    # A program in mapped memory: processors run what lies in the file.
    guest.command("cp /bin/busybox /mnt/busybox && sync && /mnt/busybox true")
    # While the machine runs.
    check_equal(in_file(pathlib.Path(path), "bulk"), wanted, "sha256 in the host's file")
    guest.command("umount /mnt")
    context.power_off(guest)
    guest = start_pmem(context, path, *board)
    guest.command("mount -t ext4 /dev/pmem0 /mnt")
    check_equal(guest.command("sha256sum /mnt/bulk").split()[0], wanted, "after another start")
    guest.command("umount /mnt")
    context.power_off(guest)
    run_tool("e2fsck", "-fn", path)


@case("memdev-pmem", fast=True, own=True)
def pmem(context):
    """A file as persistent memory: a file system on it with DAX, and the data is in the file."""
    persist(context)


@case("memdev-pmem-pc", own=True)
def pmem_pc(context):
    persist(context, *PC)


def under_firmware(name, *firmware):
    @case(name, own=True)
    def body(context):
        """Firmware puts PCI devices behind this memory; Debian's own drivers find it."""
        path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
        pages = context.blank_disk(64, "pmem.img")
        guest = start_pc(context, path, "scsi", "--memdev",
                         "virtio-mem,size=1G,requested=512M", "--memdev",
                         f"virtio-pmem,path={pages}", *firmware)
        log_in(guest)
        guest.command("echo online_movable >/sys/devices/system/memory/auto_online_blocks; "
                      "modprobe -r virtio_mem; modprobe virtio_mem virtio_pmem nd_pmem")
        wait_until(lambda: "pmem0" in guest.command("ls /dev"), "/dev/pmem0")
        where = guest.command("grep -iE 'virtio.*mem|Persistent' /proc/iomem")
        check("Persistent" in where or "virtio" in where, f"/proc/iomem:\n{where}")
        before = total(guest)
        guest.command("for f in /sys/devices/system/memory/memory*/state; do "
                      "grep -q offline $f && echo online_movable >$f; done; true")
        check(total(guest) >= before, "memory was lost")
        check(total(guest) > 1300, f"{total(guest)} MiB in all")
        guest.command("dd if=/dev/urandom of=/dev/pmem0 bs=1M count=8 oflag=direct 2>/dev/null; sync")
        wanted = guest.command("dd if=/dev/pmem0 bs=1M count=8 2>/dev/null | sha256sum").split()[0]
        check_equal(hashlib.sha256(pages.read_bytes()[:8 << 20]).hexdigest(), wanted,
                    "sha256 in the host's file")
        power_off(context, guest)


under_firmware("memdev-bios")
under_firmware("memdev-uefi", *UEFI)
