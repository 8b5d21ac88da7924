"""A whole disk that a PC boots from: GPT, GRUB for BIOS and for UEFI, and a Debian of its own.

Made without mounting or running anything of it: GRUB's core image carries the modules it needs and
finds the root file system by its label; what grub-bios-setup would patch is patched here.
"""
import hashlib
import pathlib
import struct
import subprocess

from . import cache, packages, rootfs

SECTOR = 512
LABEL = "mynah-root"
GRUB = pathlib.Path("/usr/lib/grub")
MODULES = ("part_gpt", "part_msdos", "ext2", "fat", "search", "search_label", "configfile",
           "normal", "linux", "serial", "terminal", "echo", "test", "halt", "reboot", "minicmd")
EARLY = f"""search --no-floppy --label {LABEL} --set root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
"""
# Sectors of the BIOS boot partition and of the EFI system partition.
BIOS_START, BIOS_SECTORS = 2048, 4096
ESP_START, ESP_SECTORS = 8192, 65536
ROOT_START = 131072


def bootable():
    """The image file. It is shared and must not be written: boot a copy()."""
    root = rootfs.rootfs("bootable")
    ours = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:12]
    try:
        grub = packages.version("grub-pc-bin")
    except packages.PackageError:
        grub = "installed"
    key = packages.file_name(root.parent.name.split("_", 1)[1], grub, ours)
    return cache.artefact("disk", key, lambda where: _build(root, where)) / "disk.img"


def _run(*command, **more):
    answer = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **more)
    if answer.returncode != 0:
        raise packages.PackageError(f"{command[0]}: {answer.stdout.strip()}")
    return answer.stdout


def _build(root, where):
    cache.say("making a bootable disk")
    disk = where / "disk.img"
    root_sectors = root.stat().st_size // SECTOR
    with open(disk, "wb") as handle:
        handle.truncate((ROOT_START + root_sectors + 2048) * SECTOR)
    _run("/sbin/sfdisk", "-q", disk, input=f"""label: gpt
start={BIOS_START}, size={BIOS_SECTORS}, type=21686148-6449-6E6F-744E-656564454649
start={ESP_START}, size={ESP_SECTORS}, type=U
start={ROOT_START}, size={root_sectors}, type=L
""")
    early = where / "early.cfg"
    early.write_text(EARLY)
    _add_bios(disk, where, early)
    _add_efi(disk, where, early)
    _run("dd", f"if={root}", f"of={disk}", "bs=1M", f"seek={ROOT_START * SECTOR >> 20}",
         "conv=notrunc,sparse")
    for name in ("early.cfg", "core.img", "BOOTX64.EFI", "esp.img"):
        (where / name).unlink()


def _add_bios(disk, where, early):
    """boot.img in the first sector loads the first sector of core.img, which loads the rest."""
    core = where / "core.img"
    _run("grub-mkimage", "-O", "i386-pc", "-d", GRUB / "i386-pc", "-o", core, "-c", early, "-p",
         "/boot/grub", "biosdisk", *MODULES)
    boot = bytearray((GRUB / "i386-pc" / "boot.img").read_bytes()[:440])
    struct.pack_into("<Q", boot, 0x5C, BIOS_START)  # where core.img begins
    boot[0x66:0x68] = b"\x90\x90"                   # a hard disk, whatever the BIOS says
    image = bytearray(core.read_bytes())
    struct.pack_into("<Q", image, SECTOR - 12, BIOS_START + 1)  # where the rest of it does
    if len(image) > BIOS_SECTORS * SECTOR:
        raise packages.PackageError("GRUB's core image is larger than its partition")
    with open(disk, "r+b") as handle:
        handle.write(boot)
        handle.seek(BIOS_START * SECTOR)
        handle.write(image)


def _add_efi(disk, where, early):
    program = where / "BOOTX64.EFI"
    _run("grub-mkimage", "-O", "x86_64-efi", "-d", GRUB / "x86_64-efi", "-o", program, "-c", early,
         "-p", "/boot/grub", *MODULES, "efi_gop")
    esp = where / "esp.img"
    with open(esp, "wb") as handle:
        handle.truncate(ESP_SECTORS * SECTOR)
    _run("/sbin/mkfs.vfat", "-F", "16", "-n", "ESP", esp)
    _run("mmd", "-i", esp, "::EFI", "::EFI/BOOT")
    _run("mcopy", "-i", esp, program, "::EFI/BOOT/BOOTX64.EFI")
    _run("dd", f"if={esp}", f"of={disk}", "bs=512", f"seek={ESP_START}", "conv=notrunc,sparse")
