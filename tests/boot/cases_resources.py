"""What the program costs the host."""
import os
import time

from case import Skipped, case, check
from memory import beyond_guest

# The interpreter's, and with a translator's code cache of the default size.
LIMIT_MEBIBYTES = {"interpreter": 30}
TRANSLATOR_LIMIT_MEBIBYTES = 64


def processor_seconds(process):
    with open(f"/proc/{process}/stat", encoding="utf-8") as handle:
        fields = handle.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case("resources-memory", own=True, fast=True)
def memory(context):
    guest = context.boot_to_shell(memory="1G")
    guest.command("find / -xdev -type f | xargs cat >/dev/null")
    used = beyond_guest(guest.process.pid, "mynah", 1 << 20) / 1024
    limit = LIMIT_MEBIBYTES.get(context.emulator.accel, TRANSLATOR_LIMIT_MEBIBYTES)
    check(used <= limit, f"{used:.1f} MiB resident beyond the guest's memory, not {limit}")
    context.power_off(guest)


@case("resources-idle", fast=True)
def idle(context):
    """A guest that waits uses almost no processor time: the calmest of several windows counts,
    since the kernel has housekeeping of its own."""
    guest = context.boot_to_shell(flavour="cloud", vcpus=2)
    windows = []
    for _ in range(10):
        before = processor_seconds(guest.process.pid)
        time.sleep(3)
        windows.append(processor_seconds(guest.process.pid) - before)
        if windows[-1] <= 0.06:
            break
    check(min(windows) <= 0.15, f"an idle guest used {min(windows):.2f} s in 3 s")
    context.power_off(guest)


def free_huge_pages():
    try:
        with open("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
                  encoding="utf-8") as handle:
            return int(handle.read())
    except OSError:
        return 0


def shared_mebibytes(process):
    with open(f"/proc/{process}/status", encoding="utf-8") as handle:
        for line in handle:
            if line.startswith("RssShmem:"):
                return int(line.split()[1]) / 1024
    return 0


@case("resources-backing", own=True, fast=True)
def backing(context):
    """Memory that is allocated beforehand, on a node."""
    guest = context.boot_to_shell(memory="192M,prealloc=on,host-nodes=0,policy=bind")
    used = shared_mebibytes(guest.process.pid)
    check(used >= 192, f"{used:.1f} MiB of memory are there, not 192")
    context.power_off(guest)


@case("resources-huge-pages", own=True)
def huge_pages(context):
    """Memory of huge pages where the host has them, which its pool shows."""
    free = free_huge_pages()
    if free < 96:
        raise Skipped(f"{free} free huge pages of 2 MiB, 96 are needed")
    guest = context.boot_to_shell(memory="192M,hugepages=2M,prealloc=on")
    left = free_huge_pages()
    check(left <= free - 96, f"{free} huge pages were free, {left} are left")
    guest.command("cat /bin/* | md5sum")
    context.power_off(guest)
    check(free_huge_pages() > left, "the huge pages are not free again")
