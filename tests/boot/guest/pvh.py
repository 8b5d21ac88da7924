"""Tiny guests: a few bytes of 32-bit code in an ELF file with a PVH entry note.

Layout [ELF-64], note type 18 of owner "Xen" holding the entry's physical address
[Xen public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY]; entered in 32-bit protected mode without paging
[Xen docs/misc/pvh].
"""
import struct

LOAD_ADDRESS = 0x100000

# lidt with a limit of zero, then an exception no handler can take: it cannot be delivered, nor can
# the double fault that follows [SDM 3A 6.15].
TRIPLE_FAULT = bytes.fromhex("0f011d") + struct.pack("<I", LOAD_ADDRESS + 16) + bytes.fromhex(
    "0f0b") + b"\xf4" * 7 + b"\0" * 8

# cli; hlt; jmp to the hlt
HALT_FOREVER = bytes.fromhex("faf4ebfd")

# jmp to itself
LOOP_FOREVER = bytes.fromhex("ebfe")

_HEADER, _SEGMENT = 64, 56
_PT_LOAD, _PT_NOTE = 1, 4
_CODE_OFFSET = 0x1000


def image(code):
    """An ELF file that runs `code`."""
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", LOAD_ADDRESS)
    note_offset = _HEADER + 2 * _SEGMENT
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, LOAD_ADDRESS,
                         _HEADER, 0, 0, _HEADER, _SEGMENT, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", _PT_LOAD, 7, _CODE_OFFSET, LOAD_ADDRESS, LOAD_ADDRESS,
                       len(code), len(code), 0x1000)
    notes = struct.pack("<IIQQQQQQ", _PT_NOTE, 4, note_offset, 0, 0, len(note), len(note), 4)
    front = header + load + notes + note
    return front.ljust(_CODE_OFFSET, b"\0") + code
