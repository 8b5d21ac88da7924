"""mynah doctor: guests that say what is wrong with them, by pvpanic, serial line and screen."""
import os
import signal
import time

from case import Failed, case, check, check_equal
from cases_crash import tiny
from cases_doctor import causes, doctor, expect, forget, fresh_name

# mov dx, 0x505; mov al, 1; out dx, al [pvpanic: a guest panicked]; jmp to itself
PANIC = bytes.fromhex("66ba0505b001eeebfe")


@case("doctor-pvpanic", own=True, fast=True)
def pvpanic(context):
    name = fresh_name()
    guest = context.start(tiny(context, PANIC, "--machine", "pc", "--name", name))
    check_equal(guest.wait(60), 2, "status")
    expect(causes(context, name), "guest-panic", "through pvpanic")
    forget(name)


@case("doctor-panic", own=True, fast=True)
def panic(context):
    """A kernel that crashes in its initial RAM disk and stays there: seen while it runs."""
    name = fresh_name()
    guest = context.boot_to_shell(flavour="cloud", more=("--name", name))
    guest.send("echo c > /proc/sysrq-trigger\n")
    guest.expect("end Kernel panic")
    expect(causes(context, name), "guest-panic", "in the initial RAM disk",
           "Kernel panic - not syncing: sysrq triggered crash")
    guest.send("\x01x")
    guest.wait(60)


@case("doctor-screen", own=True, fast=True)
def screen(context):
    """What firmware says on a screen in text mode: of a running machine, and of one that was
    killed."""
    name = fresh_name()
    spec = context.spec(kernel=None, initrd=None, cmdline=None, memory="128M",
                        more=("--machine", "pc", "--name", name, "--serial", "none"))
    guest = context.start(spec)
    shown = ""
    for _ in range(60):
        time.sleep(0.5)
        try:
            shown = doctor(context, name)[1]["screen"]
        except Failed:  # it has no name yet
            continue
        if "SeaBIOS" in shown and "oot" in shown:
            break
    check("SeaBIOS" in shown, f"the screen of a running machine: {shown!r}")
    time.sleep(3)  # it is written down every other second
    guest.process.send_signal(signal.SIGKILL)
    guest.wait(60)
    status, report = doctor(context, name)
    check_equal(status, 2, "status")
    check("SeaBIOS" in report["screen"], f"the screen of a killed one: {report!r}")
    forget(name)


@case("doctor-disk-error", own=True, fast=True)
def disk_error(context):
    """A disk whose file was cut short under the machine: what is gone cannot be read."""
    name = fresh_name()
    disk = context.blank_disk(64)
    guest = context.boot_to_shell(flavour="cloud", disks=(disk,), more=("--name", name))
    os.truncate(disk, 1 << 20)
    guest.send("dd if=/dev/vda of=/dev/null bs=1M skip=32 count=1; echo dd=$?\n")
    guest.expect("dd=1")
    expect(causes(context, name), "disk-errors", "cannot read or write", "disk.img")
    guest.send("\x01x")
    guest.wait(60)
