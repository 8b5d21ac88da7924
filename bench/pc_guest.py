"""What the machines in bench/pc boot: a sector and an EFI program that say they run, and disks."""
import pathlib
import shutil
import struct
import subprocess

MARK = "PC-RUNS"
COM1 = 0x3F8
_SECTOR = 512
# The EFI program's place in memory and in its file [PE 3.4, UEFI 2.10 2.1.1].
_SECTION_AT, _FILE_AT = 0x1000, 0x200
_AMD64, _EFI_APPLICATION = 0x8664, 10


def _say(bits):
    """Machine code that writes MARK and a newline to the serial port and stands still."""
    code = bytearray(b"\xfa")                                   # cli
    code += (b"\xba" if bits == 16 else b"\x66\xba") + struct.pack("<H", COM1)
    for byte in f"{MARK}\n".encode():
        code += b"\xb0" + bytes([byte]) + b"\xee"               # mov al, byte; out dx, al
    return bytes(code + b"\xf4\xeb\xfd")                        # hlt; jmp back


def boot_sector(path):
    """A disk whose first sector says MARK."""
    path.write_bytes(_say(16).ljust(_SECTOR - 2, b"\0") + b"\x55\xaa" + bytes(_SECTOR * 2047))
    return path


def _efi_program():
    code = _say(64)
    optional = struct.pack("<HBBIIIII", 0x20B, 0, 0, _FILE_AT, 0, 0, _SECTION_AT, _SECTION_AT)
    optional += struct.pack("<QII6HIIIIHH", 0, _SECTION_AT, _FILE_AT, 0, 0, 0, 0, 0, 0, 0,
                            2 * _SECTION_AT, _FILE_AT, 0, _EFI_APPLICATION, 0)
    optional += struct.pack("<QQQQII", 0, 0, 0, 0, 0, 16) + bytes(16 * 8)
    coff = struct.pack("<HHIIIHH", _AMD64, 1, 0, 0, 0, len(optional), 0x22)
    section = struct.pack("<8sIIIIIIHHI", b".text", len(code), _SECTION_AT, _FILE_AT, _FILE_AT,
                          0, 0, 0, 0, 0x60000020)
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + coff + optional
    return (head + section).ljust(_FILE_AT, b"\0") + code.ljust(_FILE_AT, b"\0")


def efi_disk(path):
    """A FAT disk with an EFI program that says MARK where firmware looks for one."""
    program = path.with_suffix(".efi")
    program.write_bytes(_efi_program())
    with open(path, "wb") as handle:
        handle.truncate(64 << 20)
    for command in (["/sbin/mkfs.vfat", "-F", "16", path], ["mmd", "-i", path, "::EFI"],
                    ["mmd", "-i", path, "::EFI/BOOT"],
                    ["mcopy", "-i", path, program, "::EFI/BOOT/BOOTX64.EFI"]):
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return path


def noise_disk(path, mebibytes):
    """A disk of bytes that are not zero, so that no part of it is a hole; it ends up cached."""
    with open("/dev/urandom", "rb") as noise, open(path, "wb") as handle:
        for _ in range(mebibytes):
            handle.write(noise.read(1 << 20))
    return path


OVMF = pathlib.Path("/usr/share/OVMF")


def variables(path):
    """A variable store of its own for a UEFI machine."""
    shutil.copy(OVMF / "OVMF_VARS_4M.fd", path)
    return path
