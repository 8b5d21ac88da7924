"""KVM's paravirtual interface on our own engines: a stock kernel takes it for what it knows, keeps time
by it, is told what the host takes from it, and computes right with it."""
import os
import re
import signal
import subprocess
import sys
import time

from case import case, check, check_equal
from cases_bad_input import Trial
from cases_clock import SYSTEM, keeps_time
from cases_disk import log_in
from cases_engine import Mover, moves_and_checks
from cases_pc import start_pc
from guest import disk, rootfs

KVM = ("--hypervisor", "kvm")
# With an invariant TSC, which every model has, Linux rates the TSC above kvmclock.
ONLY_KVMCLOCK = ("--cpu", "max,-invtsc")
SAYS = ("Hypervisor detected: KVM", "kvm-clock: Using msrs 4b564d01 and 4b564d00",
        "Booting paravirtualized kernel on KVM")
SAYS_WITH_SEVERAL = ("kvm-guest: KVM setup pv remote TLB flush", "kvm-guest: setup PV sched yield",
                     "kvm-guest: PV spinlocks enabled", "kvm-guest: setup PV IPIs")
# Seconds; a clock that went by the wrong frequency or lost a pause is off by far more.
CLOCK_MAY_BE_OFF = 0.05
STEAL_SECONDS = 4


def looks_like_kvm(guest, several):
    log = guest.command("dmesg --notime 2>/dev/null || dmesg")
    for line in SAYS + (SAYS_WITH_SEVERAL if several else ()):
        check(line in log, f"the kernel does not say {line!r}")
    check(not re.search("async|asynchronous page fault", log), "asynchronous page faults")


def runs_by_kvmclock(guest):
    check_equal(guest.command(f"cat {SYSTEM}/current_clocksource"), "kvm-clock", "clock source")
    check_equal(guest.command("dmesg | grep -ciE 'clocksource.*(unstable|skewed)|soft lockup|"
                              "detected stall|Oops' || true"), "0", "complaints of the kernel")


def counted(guest, what):
    """What --verbose says at the end."""
    found = re.search(f"{what}: (\\d+)", guest.text())
    check(found, f"the summary does not tell {what}")
    return int(found.group(1))


@case("hypervisor-kvm", own=True, fast=True)
def finds_kvm(context):
    guest = context.boot_to_shell(vcpus=2, more=(*KVM, *ONLY_KVMCLOCK, "--verbose"))
    looks_like_kvm(guest, several=True)
    runs_by_kvmclock(guest)
    # Processors that wake each other, and timers.
    guest.command("for i in 1 2 3 4; do (for j in $(seq 200); do echo; done | while read x; do "
                  "true; done) & done; wait; sleep 1", quiet=300)
    context.power_off(guest)
    check(counted(guest, "hypercalls") > 0, "no hypercall was made")
    check(counted(guest, "interrupts ended by a flag") > 50, "interrupts end by registers")


@case("hypervisor-kvm-pc", own=True, fast=True)
def finds_kvm_on_pc(context):
    """The TSC is the better clock there, as on any host with an invariant one; both are offered."""
    guest = context.boot_to_shell(more=(*KVM, "--machine", "pc"))
    looks_like_kvm(guest, several=False)
    check_equal(guest.command(f"cat {SYSTEM}/current_clocksource"), "tsc", "clock source")
    guest.command(f"echo kvm-clock > {SYSTEM}/current_clocksource")
    runs_by_kvmclock(guest)
    context.power_off(guest)


@case("hypervisor-none", own=True)
def finds_none(context):
    guest = context.boot_to_shell()
    log = guest.command("dmesg")
    check("kvm" not in log.lower(), "the kernel found KVM without being given it")
    context.power_off(guest)


@case("hypervisor-kvm-refused", own=True, fast=True)
def refuses(context):
    trial = Trial(context)
    for value in ("kwm", "", "hyperv"):
        trial.refuses(f"--hypervisor {value!r}", [*trial.base(), "--hypervisor", value],
                      "--hypervisor", "expected none or kvm")
    trial.refuses("a processor that hides it", [*trial.base(), *KVM, "--cpu", "max,-hypervisor"],
                  "--hypervisor kvm", "--cpu")
    trial.verdict()


def uptime_minus_host(guest):
    """Seconds; a reading can only come late, so that the largest difference is the best one."""
    return max(float(guest.command("cat /proc/uptime").split()[0]) - time.monotonic()
               for _ in range(15))


@case("hypervisor-kvm-clock", own=True, fast=True)
def clock(context):
    """Through a stop of the whole program, moves between engines and load."""
    mover = Mover(context)
    guest = context.boot_to_shell(vcpus=2,
                                  more=(*KVM, *ONLY_KVMCLOCK, "--name", mover.name))
    before = uptime_minus_host(guest)

    def still_right(after):
        wrong = uptime_minus_host(guest) - before
        check(abs(wrong) < CLOCK_MAY_BE_OFF, f"after {after} the clock is off by {wrong:.3f} s")

    guest.process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    guest.process.send_signal(signal.SIGCONT)
    still_right("a stop")
    guest.command("for i in 1 2; do (while :; do :; done) & done")
    for engine in ("interpreter", "jit", "interpreter", "jit"):
        mover.move_to(engine)
        still_right(f"a move to {engine}")
    guest.command("kill $(jobs -p)")
    runs_by_kvmclock(guest)
    context.power_off(guest)


class Hogs:
    """Programs that want one of the host's processors for themselves."""

    def __init__(self, cpu, count):
        code = f"import os; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"
        # Each in a session of its own, as the host may share by sessions.
        self.processes = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
                          for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def thread_of_processor(process, number):
    for task in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{task}/comm", encoding="utf-8") as handle:
            if handle.read().strip() == f"vcpu{number}":
                return task
    raise AssertionError(f"no thread vcpu{number}")


def stolen(guest, task):
    """Seconds in which the guest's processor was ready and did not run: as the guest was told, as the
    host counts it; and what time it is."""
    ticks = int(guest.command("grep '^cpu0' /proc/stat").split()[8])
    with open(f"/proc/{guest.process.pid}/task/{task}/schedstat", encoding="utf-8") as handle:
        delay = int(handle.read().split()[1]) / 1e9
    return ticks / 100, delay, time.monotonic()


def share_stolen(guest, task):
    guest_before, host_before, began = stolen(guest, task)
    time.sleep(STEAL_SECONDS)
    guest_after, host_after, ended = stolen(guest, task)
    told, real = guest_after - guest_before, host_after - host_before
    check(abs(told - real) <= 0.15 * real + 0.2,
          f"the guest was told of {told:.2f} s stolen, the host counts {real:.2f} s")
    return told / (ended - began)


@case("hypervisor-kvm-steal", own=True, fast=True)
def steals(context):
    """A guest that computes on a processor of the host's which others want as well."""
    cpu = min(os.sched_getaffinity(0))
    guest = context.start(context.spec(vcpus=f"1,pin={cpu}", more=KVM))
    guest.expect(r"mynah:[^\r\n]*# ")
    guest.command("dmesg -n 1; (while :; do :; done) & true")
    task = thread_of_processor(guest.process.pid, 0)
    alone = share_stolen(guest, task)
    with Hogs(cpu, 4):
        beside_others = share_stolen(guest, task)
    check(beside_others > alone and beside_others > 0.2,
          f"stolen: {alone:.0%} alone, {beside_others:.0%} beside four others")
    context.power_off(guest)


@case("hypervisor-kvm-smp", own=True)
def four_processors(context):
    """More processors than the host has, moved between engines while they compute and check
    themselves: kicks, IPIs and flushes by hypercall carry them."""
    mover = Mover(context)
    guest = context.boot_to_shell(vcpus=4, memory="1G",
                                  more=(*KVM, *ONLY_KVMCLOCK, "--verbose", "--name", mover.name))
    looks_like_kvm(guest, several=True)
    moves_and_checks(guest, mover, 2)
    runs_by_kvmclock(guest)
    context.power_off(guest)
    check(counted(guest, "hypercalls") > 10, "hardly any hypercall was made")


@case("hypervisor-kvm-32-bit", own=True)
def finds_kvm_in_32_bits(context):
    """Hypercalls with 32-bit registers."""
    guest = context.boot_to_shell(flavour="686-pae", vcpus=2, more=(*KVM, *ONLY_KVMCLOCK, "--verbose"))
    log = guest.command("dmesg")
    check("Hypervisor detected: KVM" in log and "setup PV IPIs" in log, "no KVM found")
    runs_by_kvmclock(guest)
    context.power_off(guest)
    check(counted(guest, "hypercalls") > 0, "no hypercall was made")


@case("hypervisor-kvm-debian", own=True)
def debian(context):
    """Debian with systemd by GRUB and firmware; processors that go away and come again are told anew."""
    path = rootfs.copy(disk.bootable(), context.directory / "disk.img")
    guest = start_pc(context, path, "sata", *KVM, *ONLY_KVMCLOCK, vcpus=4)
    log_in(guest)
    looks_like_kvm(guest, several=True)
    check_equal(guest.command("systemd-detect-virt"), "kvm", "what systemd takes the machine for")
    guest.command("for i in 1 2 3; do for c in 1 2 3; do "
                  "echo 0 > /sys/devices/system/cpu/cpu$c/online; "
                  "echo 1 > /sys/devices/system/cpu/cpu$c/online; done; done", quiet=600)
    check_equal(guest.command("nproc"), "4", "processors")
    keeps_time(guest, "kvm-clock", 30)
    guest.command("for i in 1 2 3 4 5 6; do sha256sum /usr/bin/* >/tmp/s$i 2>/dev/null & done; wait; "
                  "cmp /tmp/s1 /tmp/s6", quiet=900)
    runs_by_kvmclock(guest)
    guest.send("poweroff\n")
    check_equal(guest.wait(900), 0, "status after the guest powered off")
