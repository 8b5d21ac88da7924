"""From power-on to a shell, and what the shell says about the machine."""
import hashlib
import re
import time

from case import Skipped, case, check, check_equal
from guest import initrd, kernel

KERNEL_BANNER = r"Linux version [0-9.]+"


def look_around(context, guest, flavour, vcpus):
    """What every booted machine is asked."""
    check(re.search(KERNEL_BANNER, guest.text()), "the kernel's log did not appear")
    check_equal(guest.command("uname -r"), kernel.kernel(flavour).release, "kernel release")
    check_equal(guest.command("nproc"), str(vcpus), "number of processors")
    program = initrd.busybox(kernel.kernel(flavour).architecture)
    wanted = hashlib.sha256(program.read_bytes()).hexdigest()
    got = guest.command("sha256sum /bin/busybox").split()[0]
    check_equal(got, wanted, "sha256 of a file of the initrd")


def guest_mebibytes(guest):
    return int(re.search(r"MemTotal:\s+(\d+)", guest.command("cat /proc/meminfo"))[1]) >> 10


def boots(name, fast=False, flavour="stock", vcpus=1, memory="512M", mebibytes=512):
    @case(name, fast=fast)
    def body(context):
        guest = context.boot_to_shell(flavour=flavour, vcpus=vcpus, memory=memory)
        look_around(context, guest, flavour, vcpus)
        # The kernel keeps some for itself and says how much is left.
        seen = guest_mebibytes(guest)
        check(mebibytes * 0.6 - 64 <= seen <= mebibytes, f"{seen} MiB of memory, not {mebibytes}")
        context.power_off(guest)


boots("boot-stock", fast=True)
boots("boot-cloud", fast=True, flavour="cloud", vcpus=4)
boots("boot-stock-4-vcpus", vcpus=4)
boots("boot-cloud-1-vcpu", flavour="cloud")
boots("boot-stock-128M", memory="128M", mebibytes=128)
boots("boot-cloud-128M", flavour="cloud", memory="128M", mebibytes=128)
boots("boot-stock-8G-4-vcpus", memory="8G", mebibytes=8192, vcpus=4)
# 32-bit kernels: two-level paging, and with PAE three-level and more memory than 4 GiB.
boots("boot-686", fast=True, flavour="686", vcpus=2)
boots("boot-686-pae-6G", flavour="686-pae", memory="6G", mebibytes=6144)
boots("boot-cloud-8G", fast=True, flavour="cloud", memory="8G", mebibytes=8192)


@case("boot-elf-by-pvh")
def boot_elf(context):
    """The ELF image from inside the bzImage, entered by its PVH note."""
    guest = context.boot_to_shell(kernel=kernel.kernel("stock").elf)
    look_around(context, guest, "stock", 1)
    context.power_off(guest)


@case("boot-compressed-initrd")
def boot_compressed_initrd(context):
    chosen = kernel.kernel("cloud")
    guest = context.boot_to_shell(flavour="cloud", initrd=initrd.initrd(chosen).compressed)
    look_around(context, guest, "cloud", 1)
    context.power_off(guest)


@case("boot-unpacking-itself", own=True)
def boot_unpacking_itself(context):
    """The bzImage by its own entry, as a boot loader would start it: it unpacks and relocates
    itself in the guest."""
    guest = context.boot_to_shell(more=("--unpack-kernel", "off"))
    look_around(context, guest, "stock", 1)
    context.power_off(guest)


@case("boot-reboot", fast=True)
def boot_reboot(context):
    """A reset starts the machine again inside the same program."""
    guest = context.boot_to_shell(flavour="cloud")
    guest.send("reboot\n")
    guest.expect(KERNEL_BANNER)
    guest.expect("mynah-init: up")
    guest.expect("mynah:[^\r\n]*# ")
    check(guest.process.poll() is None, "the program ended at a reboot")
    context.power_off(guest)


@case("clock", fast=True)
def clock(context):
    """The guest's clocks run with the host's: wall time, and the passing of time."""
    guest = context.boot_to_shell(flavour="cloud")
    before = time.time()
    seen = int(guest.command("date +%s"))
    after = time.time()
    # The real-time clock counts whole seconds, and the kernel may round either way.
    check(before - 3 <= seen <= after + 3, f"date says {seen}, the host {before:.0f}")

    def uptime():
        began = time.monotonic()
        value = float(guest.command("cat /proc/uptime").split()[0])
        return began, value, time.monotonic()

    first = uptime()
    began = time.monotonic()
    guest.command("sleep 5")
    slept = time.monotonic() - began
    check(slept >= 4.9, f"sleep 5 took {slept:.2f} s")
    second = uptime()
    passed = second[1] - first[1]
    least, most = second[0] - first[2], second[2] - first[0]
    check(least - 0.5 <= passed <= most + 0.5,
          f"the guest saw {passed:.2f} s pass, the host {least:.2f} to {most:.2f}")
    context.power_off(guest)


@case("processor-flags", own=True, fast=True)
def processor_flags(context):
    """The guest is offered what the engine promises as far as the host has it, and never more."""
    from_host = ("sse3", "ssse3", "sse4_1", "sse4_2", "aes", "pclmulqdq", "sha_ni", "avx", "avx2",
                 "fma", "bmi1", "bmi2", "f16c", "movbe", "rdrand", "popcnt", "abm", "cx16")
    always = ("fpu", "de", "pse", "tsc", "msr", "pae", "cx8", "apic", "sep", "pge", "cmov", "pat",
              "mmx", "fxsr", "sse", "sse2", "syscall", "nx", "lm", "pcid", "smep", "smap",
              "fsgsbase", "xsave", "rdtscp", "x2apic", "tsc_deadline_timer", "invpcid")
    with open("/proc/cpuinfo", encoding="utf-8") as handle:
        host = flags_of(handle.read())
    if not host:
        raise Skipped("the host's /proc/cpuinfo has no flags")
    guest = context.boot_to_shell(flavour="cloud")
    seen = flags_of(guest.command("cat /proc/cpuinfo"))
    # The kernel calls SSE3 by its code name.
    rename = {"sse3": "pni"}
    wanted = {rename.get(flag, flag) for flag in from_host} & host | set(always)
    check(wanted <= seen, f"missing in the guest: {sorted(wanted - seen)}")
    # RDSEED is left out: Linux hides it where its short forms are broken, which no engine uses.
    arithmetic = {flag for flag in seen if re.match(r"(avx|sse|ssse|fma|bmi|sha_|vaes|gfni|adx|"
                                                    r"rdrand|f16c|movbe|aes|pclmul)", flag)}
    check(arithmetic <= host, f"offered though the host has it not: {sorted(arithmetic - host)}")
    context.power_off(guest)


def flags_of(text):
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(match[1].split()) if match else set()
