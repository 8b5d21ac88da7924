"""The guest's clock beside the host's, while guest and host are busy."""
import time

from case import case, check
from cases_disk import log_in
from cases_pc import power_off, start_pc
from guest import disk, rootfs

SECONDS, SHORT_SECONDS = 300, 60
MOST_WRONG = 0.001
# What the best of many readings over a serial line may still be late by, at either end.
READING_SECONDS = 0.02
READINGS = 25
SYSTEM = "/sys/devices/system/clocksource/clocksource0"


def host_minus_guest(guest):
    """Seconds. A reading can only come late, so the smallest difference is the best one."""
    differences = []
    for _ in range(READINGS):
        then = float(guest.command("date +%s.%N").splitlines()[-1])
        differences.append(time.monotonic() - then)
    return min(differences)


def keeps_time(guest, source, seconds):
    before, began = host_minus_guest(guest), time.monotonic()
    guest.command(f"sleep {seconds}", quiet=seconds + 600, total=seconds * 4 + 1200)
    after = host_minus_guest(guest)
    passed = time.monotonic() - began
    wrong = after - before
    check(abs(wrong) <= MOST_WRONG * passed + READING_SECONDS,
          f"by {source} the guest's clock went wrong by {wrong * 1000:.1f} ms in {passed:.0f} s")
    now = guest.command(f"cat {SYSTEM}/current_clocksource")
    check(now == source, f"the kernel gave up clock source {source} for {now}")


@case("pc-keeps-time", own=True)
def clock(context):
    """Every processor of the guest computes and its disk is written, so that ticks come late and
    the host's processors have more to run than there are of them."""
    path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
    guest = start_pc(context, path, "sata")
    log_in(guest)
    guest.command("for i in $(seq $(nproc)); do sha256sum /dev/zero & done; "
                  "(while :; do dd if=/dev/zero of=/var/tmp/x bs=1M count=64 conv=fsync "
                  "2>/dev/null; done) & true")
    usual = guest.command(f"cat {SYSTEM}/current_clocksource")
    keeps_time(guest, usual, SECONDS)
    others = guest.command(f"cat {SYSTEM}/available_clocksource").split()
    check("hpet" in others and "acpi_pm" in others, f"clock sources: {others}")
    # Not the PM timer: its 24 bits pass in 4.7 s [ACPI 6.4 4.8.3.3], and a guest that a busy host
    # keeps from running for longer than that loses time by it, as it would on any host.
    guest.command(f"echo hpet > {SYSTEM}/current_clocksource")
    keeps_time(guest, "hpet", SHORT_SECONDS)
    guest.command("kill $(jobs -p)")
    guest.command(f"echo {usual} > {SYSTEM}/current_clocksource")
    guest.command("dmesg | grep -i 'clocksource.*\\(unstable\\|skewed\\)'", status=1)
    power_off(context, guest)
