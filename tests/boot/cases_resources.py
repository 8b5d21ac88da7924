"""What the program costs the host."""
import os
import re
import time

from case import case, check

LIMIT_KIB = 30 << 10


def resident_beyond_guest(process):
    """KiB resident outside the guest's memory, which is a memory file (memfd)."""
    total, guest = 0, False
    with open(f"/proc/{process}/smaps", encoding="utf-8", errors="replace") as handle:
        for line in handle:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                guest = "/memfd:" in line
            elif line.startswith("Rss:") and not guest:
                total += int(line.split()[1])
    return total


def processor_seconds(process):
    with open(f"/proc/{process}/stat", encoding="utf-8") as handle:
        fields = handle.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@case("resources-memory", own=True, fast=True)
def memory(context):
    guest = context.boot_to_shell(memory="1G")
    guest.command("find / -xdev -type f | xargs cat >/dev/null")
    used = resident_beyond_guest(guest.process.pid)
    check(used <= LIMIT_KIB, f"{used / 1024:.1f} MiB resident beyond the guest's memory")
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
