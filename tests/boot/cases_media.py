"""CDs that are put in, read, locked, taken out and changed while the guest runs."""
import os
import random
import subprocess

from case import case, check, check_equal
from cases_disk import log_in
from cases_pc import power_off, start_pc
from console import load_factor
from guest import disk, rootfs

PATIENCE = 120


def make_cd(path, text):
    tree = path.with_suffix(".tree")
    tree.mkdir()
    (tree / "word").write_text(text)
    (tree / "bulk").write_bytes(random.Random(text).randbytes(3 << 20))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", str(path), str(tree)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def read_cd(guest):
    """The CD's word, and whether all of it can be read; the drive may take a moment to notice."""
    return guest.command("for i in $(seq 30); do mount -o ro /dev/sr0 /mnt && break; sleep 1; done;"
                         "cat /mnt/word && cat /mnt/bulk > /dev/null", quiet=120).split("\n")[-1]


def change(name, bus):
    @case(name, own=True)
    def body(context):
        first = make_cd(context.directory / "first.iso", "first")
        second = make_cd(context.directory / "second.iso", "second")
        machine = f"media-{os.getpid()}-{random.randrange(1 << 30):x}"

        def mynah(*words):
            answer = subprocess.run([str(context.emulator.program), *map(str, words)], text=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, timeout=PATIENCE * load_factor())
            return answer.returncode, answer.stdout.strip()

        path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
        guest = start_pc(context, path, "sata", "--name", machine, "--disk",
                         f"path={first},device=cdrom,bus={bus}")
        log_in(guest)
        check_equal(read_cd(guest), "first", "what is on the CD")
        guest.command("umount -A /dev/sr0")
        # The guest's udev locks every CD in, and opens the tray when it is asked to.
        check_equal(mynah("insert", machine, second), (0, ""), "mynah insert")
        check_equal(read_cd(guest), "second", "what is on the new CD")
        guest.command("umount -A /dev/sr0; eject /dev/sr0")
        check_equal(mynah("insert", machine, first), (0, ""), "mynah insert into the open tray")
        check_equal(read_cd(guest), "first", "what is on the CD after the tray closed")
        # One that leaves it locked is not overruled.
        guest.command("umount -A /dev/sr0; systemctl stop systemd-udevd-kernel.socket "
                      "systemd-udevd-control.socket systemd-udevd; mount -o ro /dev/sr0 /mnt",
                      status=None)
        status, text = mynah("insert", machine, second)
        check_equal(status, 1, "status while the tray is locked")
        check("locked the tray" in text, text)
        check_equal(guest.command("cat /mnt/word"), "first", "what is on the CD that stayed")
        check_equal(mynah("eject", machine, "cd0", "--force"), (0, ""), "mynah eject --force")
        guest.command("umount -A /dev/sr0", status=None)
        check("no medium" in guest.command("mount /dev/sr0 /mnt 2>&1", status=None),
              "a CD that was taken out by force can be mounted")
        status, text = mynah("insert", machine, "/nowhere.iso")
        check_equal(status, 1, "status for an image that is not there")
        check("/nowhere.iso" in text, text)
        presses = "cat /sys/firmware/acpi/interrupts/ff_pwr_btn"
        check_equal(mynah("stop", machine), (0, ""), "mynah stop")
        guest.command(f"for i in $(seq 50); do [ $({presses} | awk '{{print $1}}') = 1 ] && break; "
                      "sleep 0.1; done")
        check_equal(int(guest.command(presses).split()[0]), 1, "presses of the power button")
        power_off(context, guest)


change("media-change", "sata")
change("media-change-ide", "ide")
