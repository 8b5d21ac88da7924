"""Guests that crash or never end, and what the program says of them by its exit status."""
import re
import time

from case import case, check, check_equal
from guest import pvh


def tiny(context, code, *more):
    path = context.directory / "guest.elf"
    path.write_bytes(pvh.image(code))
    return context.spec(kernel=path, initrd=None, memory="64M", more=more)


@case("crash-triple-fault", own=True, fast=True)
def triple_fault(context):
    guest = context.start(tiny(context, pvh.TRIPLE_FAULT))
    check_equal(guest.wait(60), 2, "status after a triple fault")
    check_equal(guest.attributes(), guest.attributes_before, "the terminal's attributes")
    check("triple fault" in guest.text().lower(), f"says not why it ended: {guest.text()!r}")


@case("crash-register-dump", own=True, fast=True)
def register_dump(context):
    guest = context.start(tiny(context, pvh.TRIPLE_FAULT, "--verbose"))
    check_equal(guest.wait(60), 2, "status after a triple fault")
    text = guest.text().lower()
    for register in ("rip", "rsp", "rax", "cr0", "cr3", "idt"):
        check(re.search(rf"\b{register}", text), f"the dump lacks {register}: {text}")


@case("crash-kernel-panic", own=True)
def kernel_panic(context):
    """A kernel told to reset when it panics resets; the machine then starts anew."""
    guest = context.boot_to_shell(flavour="cloud", cmdline="console=ttyS0 panic=1")
    guest.send("echo c > /proc/sysrq-trigger\n")
    guest.expect("Kernel panic")
    guest.expect("mynah-init: up")
    guest.send("\x01x")
    guest.wait()


@case("limit-time", own=True, fast=True)
def time_limit(context):
    for code in (pvh.LOOP_FOREVER, pvh.HALT_FOREVER):
        guest = context.start(tiny(context, code, "--time-limit", "1"))
        check_equal(guest.wait(60), 3, "status at a time limit")


@case("limit-instructions", own=True, fast=True)
def instruction_limit(context):
    guest = context.start(tiny(context, pvh.LOOP_FOREVER, "--instruction-limit", "1000000"))
    check_equal(guest.wait(60), 3, "status at an instruction limit")


@case("halted-for-ever", own=True, fast=True)
def halted(context):
    """A guest that halts with interrupts off can only be quit; it costs nothing meanwhile."""
    guest = context.start(tiny(context, pvh.HALT_FOREVER))
    time.sleep(2)
    check(guest.process.poll() is None, f"ended by itself: {guest.tail()}")
    guest.send("\x01x")
    check_equal(guest.wait(60), 0, "status after Ctrl-A X")
