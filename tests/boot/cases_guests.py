"""Guests of the complete PC that are no installed Linux: the EFI shell, memtest86+, a boot sector,
CDs."""
import re
import time

import character_grid
import console
import machine
import pixels
from case import SHELL_PROMPT, case, check, check_equal
from cases_firmware import OVMF, digest, need
from cases_network import network_initrd
from guest import kernel, media

QUIT = "\x01x"
TESTER = "console=ttyS0,115200 nobench nopause keyboard=legacy"


def start(context, *more, memory="256M", vcpus=1, **fields):
    fields.setdefault("cmdline", None)
    return context.start(machine.Spec(memory=memory, vcpus=vcpus, **fields,
                                      more=("--machine", "pc", "--network", "none", *more)))


def efi_disk(context, script, **files):
    """A disk whose only program is a script for the EFI shell."""
    need(OVMF / "OVMF_CODE_4M.fd")
    path = context.directory / "startup.nsh"
    path.write_text("\r\n".join(script) + "\r\n")
    return media.fat_disk(context.directory / "efi.img", {"startup.nsh": path, **files})


@case("guests-efi-shell", own=True, fast=True)
def efi_shell(context):
    """The shell runs a script from a disk, which looks about, writes a file and powers off."""
    disk = efi_disk(context, ("@echo -off", "fs0:", "echo @@ the shell runs @@", "pci", "mkdir new",
                              "echo a line of the script > new\\file.txt",
                              "cp new\\file.txt new\\copy.txt", "type new\\copy.txt",
                              "if exist new\\copy.txt then", "echo @@ copied @@", "endif",
                              "reset -s"))
    guest = start(context, "--boot", "uefi", "--disk", f"path={disk},bus=sata", vcpus=2)
    guest.expect("@@ the shell runs @@")
    guest.expect("Vendor 8086 Device 29C0")
    guest.expect("Vendor 8086 Device 2922")
    guest.expect("@@ copied @@")
    check_equal(guest.wait(120), 0, "status after the shell powered off")
    text = media.read_fat(disk, "new/copy.txt")
    check("a line of the script" in text.decode("utf-16", "replace"), f"the file holds {text!r}")


def look_at_tester(guest, mebibytes):
    """memtest86+ shows the memory and the processors, then the end of a pass without an error. Its
    last test waits for minutes by the clock, so that these tests are none of the fast ones."""
    shown = wait_for_screen(guest, re.compile(r"Pass:\s*([1-9]\d*)\s"), 1800)
    text = "\n".join(shown)
    check(re.search(r"Errors:\s*0\b", text), f"memtest86+ found errors:\n{text}")
    check(re.search(r"SMP: 2T", text), f"memtest86+ does not use two processors:\n{text}")
    found = re.search(r"Memory\s*:\s*([\d.]+)([MG])B", text)
    check(found, f"memtest86+ shows no memory:\n{text}")
    size = float(found[1]) * (1024 if found[2] == "G" else 1)
    check(mebibytes * 0.9 <= size <= mebibytes, f"memtest86+ finds {size} of {mebibytes} MiB")
    guest.send(QUIT)
    check_equal(guest.wait(60), 0, "status after the operator quit")


def wait_for_screen(guest, pattern, seconds):
    """What the terminal shows once `pattern` is on it."""
    deadline = time.monotonic() + seconds * console.load_factor()
    while True:
        guest.expect(r"[\s\S]*\x1b\[[0-9;]*H")  # all that came, so that the next is new
        shown = character_grid.lines(guest.text())
        if pattern.search("\n".join(shown) + "\n"):
            return shown
        if time.monotonic() > deadline:
            raise console.ConsoleError(f"{pattern.pattern!r} did not appear:\n" + "\n".join(shown))
        time.sleep(1)


@case("guests-memtest", own=True)
def memtest(context):
    """Started as a kernel by BIOS."""
    guest = start(context, "--boot", "hd", kernel=media.memtest() / "memtest86+x64.bin",
                  cmdline=TESTER, memory="16M", vcpus=2)
    look_at_tester(guest, 16)


@case("guests-memtest-uefi", own=True)
def memtest_uefi(context):
    """Started as a program by the EFI shell; OVMF itself wants more memory."""
    disk = efi_disk(context, ("fs0:", f"memtest.efi {TESTER}"),
                    **{"memtest.efi": media.memtest() / "memtest86+x64.efi"})
    guest = start(context, "--boot", "uefi", "--disk", f"path={disk},bus=sata", memory="160M",
                  vcpus=2)
    look_at_tester(guest, 160)


@case("guests-boot-sector", own=True, fast=True)
def boot_sector(context):
    """A program of 512 bytes in text mode and in mode 13h; a viewer sees what it drew."""
    source = machine.ROOT / "tests/boot/guest/modes.asm"
    sector = media.assemble(source, context.directory / "disk.img")
    with open(sector, "r+b") as handle:
        handle.truncate(1 << 20)
    screen = context.directory / "screen"
    guest = start(context, "--disk", f"path={sector},bus=ide", "--graphics",
                  f"vnc,socket={screen}", "--no-reboot", memory="16M")
    guest.expect("text: Hello from 19813\r")
    picture = pixels.capture(screen)
    check_equal((picture.width, picture.height), (720, 400), "size of 80 by 25 characters")
    close(picture.at(0.3, 20.5 / 25), (170, 0, 0), "a row of red blocks")
    close(picture.at(0.999, 20.5 / 25), (170, 0, 0), "the last red block")
    close(picture.at(40.06 / 80, 10.03 / 25), (0, 170, 0), "the background of the greeting")
    close(picture.at(0.3, 23.5 / 25), (0, 0, 0), "an empty row")
    guest.send("\r")
    guest.expect("graphics: AA\r")
    picture = pixels.capture(screen)
    check_equal((picture.width % 320, picture.height % 200), (0, 0), "size of mode 13h")
    for number in range(32):
        place = ((number % 16 * 20 + 10) / 320, (50 if number < 16 else 150) / 200)
        wanted = tuple(part << 2 | part >> 4 for part in (2 * number, 63 - 2 * number, number))
        close(picture.at(*place), wanted, f"colour {number}")
    guest.send("\r")
    check_equal(guest.wait(60), 0, "status after the reset")


def close(got, wanted, what):
    """Viewers may be told 6-bit colours with their low bits zero or repeated."""
    check(all(abs(a - b) <= 4 for a, b in zip(got, wanted)), f"{what}: {got}, not {wanted}")


def cd(name, bus, *boot, fast=False):
    """Debian's kernel, which GRUB reads from a CD, finds that CD and reads from it."""
    @case(name, own=True, fast=fast)
    def body(context):
        if boot:
            need(OVMF / "OVMF_CODE_4M.fd")
        initrd = network_initrd(context, "stock", ("ahci", "ata_piix", "sr_mod", "isofs"))
        entry = "linux /vmlinuz console=ttyS0 from=cd\ninitrd /initrd\nboot\n"
        image = media.grub_cd(context.directory / "cd.iso", entry,
                              {"vmlinuz": kernel.kernel("stock").image, "initrd": initrd})
        guest = start(context, "--disk", f"path={image},device=cdrom,bus={bus}", *boot,
                      memory="512M", vcpus=2)
        guest.expect(SHELL_PROMPT)
        guest.command("dmesg -n 1; sh /etc/net")
        check("from=cd" in guest.command("cat /proc/cmdline"), "another kernel was started")
        guest.command("for i in $(seq 30); do [ -b /dev/sr0 ] && break; sleep 1; done; "
                      "mkdir -p /cd && mount -t iso9660 -o ro /dev/sr0 /cd", quiet=120)
        guest.command("sha256sum /cd/vmlinuz > /tmp/sum", quiet=300)
        wanted = digest(kernel.kernel("stock").image)
        check_equal(guest.command("cut -c1-64 /tmp/sum"), wanted, "sha256 of the CD's kernel")
        guest.send("poweroff\n")
        check_equal(guest.wait(120), 0, "status after the guest powered off")


cd("guests-cd-sata", "sata", fast=True)
cd("guests-cd-sata-uefi", "sata", "--boot", "uefi")
cd("guests-cd-ide", "ide")
cd("guests-cd-ide-uefi", "ide", "--boot", "uefi")
