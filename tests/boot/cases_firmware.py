"""Firmware of the complete PC: kernels it starts, resets through it, what it may not be."""
import hashlib
import pathlib

import machine
from case import Skipped, SHELL_PROMPT, case, check, check_equal
from guest import disk, rootfs

OVMF = pathlib.Path("/usr/share/OVMF")
LINUX_ROM = pathlib.Path("/usr/share/qemu/linuxboot_dma.bin")


def need(path):
    if not path.exists():
        raise Skipped(f"{path} is not installed")


def through_firmware(name, *boot, fast=False, needs=()):
    """A kernel that is handed to firmware, or entered directly on the same board."""
    @case(name, fast=fast, own=True)
    def body(context):
        for path in needs:
            need(path)
        guest = context.boot_to_shell(vcpus=2, more=("--machine", "pc", *boot))
        check_equal(guest.command("nproc"), "2", "number of processors")
        functions = guest.command("cut -f2 /proc/bus/pci/devices").split()
        for wanted in ("808629c0", "80862918", "80862922"):
            check(wanted in functions, f"no PCI function {wanted}: {functions}")
        check("Q35" in guest.command("cat /sys/class/dmi/id/product_name"), "no DMI")
        check("pcieport" in guest.command("cat /proc/bus/pci/devices"), "no PCI Express ports")
        log = guest.command("dmesg")
        for complaint in ("ACPI Error", "ACPI BIOS Error", "Firmware Bug", "nobody cared",
                          "can't assign", "no space for"):
            check(complaint not in log, f"the kernel says: {complaint}")
        guest.send("poweroff\n")
        check_equal(guest.wait(120), 0, "status after the guest powered off")


through_firmware("firmware-none", fast=True)
through_firmware("firmware-bios-kernel", "--boot", "hd", needs=(LINUX_ROM,))
through_firmware("firmware-uefi-kernel", "--boot", "uefi", fast=True,
                 needs=(OVMF / "OVMF_CODE_4M.fd",))


def reset_by(name, way, *boot):
    """Linux resets the machine in this way; firmware, if there is any, starts it anew."""
    @case(name, own=True)
    def body(context):
        if boot:
            need(LINUX_ROM)
        guest = context.boot_to_shell(cmdline=f"console=ttyS0 reboot={way}",
                                      more=("--machine", "pc", *boot))
        guest.send("reboot -f\n")
        guest.expect("mynah-init: up")
        guest.expect(SHELL_PROMPT)
        guest.send("poweroff\n")
        check_equal(guest.wait(120), 0, "status after the guest powered off")


for each, letter in (("keyboard", "k"), ("triple-fault", "t"), ("acpi", "a"), ("cf9", "p")):
    reset_by(f"firmware-reset-{each}", letter, "--boot", "hd")
reset_by("firmware-none-reset", "p")


@case("firmware-secure-boot", own=True, fast=True)
def secure_boot(context):
    """GRUB without a signature is refused; variables are kept, and changed in SMM only."""
    need(OVMF / "OVMF_CODE_4M.secboot.fd")
    template = OVMF / "OVMF_VARS_4M.ms.fd"
    path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
    variables = context.directory / "nvram.fd"
    for _ in range(2):
        guest = context.start(machine.Spec(
            memory="512M", vcpus=2, cmdline=None,
            more=("--boot", f"secure=on,nvram={variables}", "--disk", f"path={path},format=raw")))
        guest.expect("failed to load Boot[0-9]+ .*Access Denied")
        guest.send("\x01x")
        guest.wait(60)
    check_equal(variables.stat().st_size, template.stat().st_size, "size of the variable store")
    check(digest(variables) != digest(template), "nothing was written to the variable store")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@case("firmware-bad-files", own=True, fast=True)
def bad_files(context):
    """A firmware or a variable store that cannot be one: a line that names it, and status 1."""
    small = context.directory / "small"
    small.write_bytes(b"x" * 1000)
    for more, said in (
            (("--firmware", context.directory / "none"), "--firmware"),
            (("--firmware", context.directory), "is a directory"),
            (("--firmware", small), "expected a firmware image"),
            (("--boot", f"uefi,nvram={small}"), "1000 bytes; expected"),
            (("--boot", f"uefi,nvram={context.directory}"), "nvram="),
            (("--cdrom", context.directory), "is a directory")):
        guest = context.start(machine.Spec(cmdline=None, more=("--machine", "pc", *more)))
        check_equal(guest.wait(60), 1, f"status with {more}")
        check(said in guest.text(), f"{said!r} is not in {guest.text()!r}")
