"""mynah doctor: machines that end badly, and what it says of them."""
import json
import os
import random
import resource
import signal
import subprocess
import time

from case import case, check, check_equal
from cases_crash import tiny
from guest import pvh


def fresh_name():
    return f"doctor-{os.getpid()}-{random.randrange(1 << 30):x}"


def doctor(context, *words):
    """Its status, and what it says as JSON."""
    run = subprocess.run([str(context.emulator.program), "doctor", *words, "--json"],
                         capture_output=True, text=True, timeout=120)
    check(run.stdout.strip(), f"doctor said nothing: {run.stderr}")
    return run.returncode, json.loads(run.stdout)


def causes(context, name):
    status, report = doctor(context, name)
    found = {each["cause"]: each for each in report["diagnoses"]}
    check_equal(status, 2 if found else 0, "status of mynah doctor")
    return found


def expect(found, cause, *words):
    check(cause in found, f"does not know {cause}: {found}")
    text = found[cause]["text"] + found[cause]["evidence"]
    for word in words:
        check(word in text, f"{cause} without {word!r}: {text}")


def forget(name):
    """The record of a machine that ended badly stays until the name is taken again."""
    for place in (f"{os.environ.get('XDG_RUNTIME_DIR', '/nowhere')}/mynah", f"/tmp/mynah-{os.geteuid()}"):
        try:
            os.unlink(f"{place}/{name}/record")
            os.unlink(f"{place}/{name}/lock")
        except OSError:
            pass
        try:
            os.rmdir(f"{place}/{name}")
        except OSError:
            pass


@case("doctor-host", own=True, fast=True)
def host(context):
    status, report = doctor(context)
    check_equal(status, 0, "status")
    names = {each["name"] for each in report["findings"]}
    for name in ("engine jit", "engine kvm", "memory", "tun", "io_uring", "SeaBIOS", "cgroup limits"):
        check(name in names, f"says nothing of {name}")


@case("doctor-triple-fault", own=True, fast=True)
def triple_fault(context):
    name = fresh_name()
    guest = context.start(tiny(context, pvh.TRIPLE_FAULT, "--name", name))
    check_equal(guest.wait(60), 2, "status")
    expect(causes(context, name), "triple-fault", "ud2", "idtr", "rip", "lidt",
           "#UD at rip 0000000000100007 -> #GP(0x33) -> #DF(0x0) -> shutdown")
    forget(name)


@case("doctor-process-killed", own=True, fast=True)
def process_killed(context):
    for number in (signal.SIGSEGV, signal.SIGKILL):
        name = fresh_name()
        guest = context.start(tiny(context, pvh.HALT_FOREVER, "--name", name))
        time.sleep(2)
        guest.process.send_signal(number)
        guest.wait(60)
        expect(causes(context, name), "process-crashed",
               "signal 11" if number == signal.SIGSEGV else "SIGKILL")
        forget(name)


@case("doctor-interrupts-off", own=True, fast=True)
def interrupts_off(context):
    for code, word in ((b"\xfa" + pvh.LOOP_FOREVER, "runs on"), (pvh.HALT_FOREVER, "is halted")):
        name = fresh_name()
        guest = context.start(tiny(context, code, "--name", name))
        time.sleep(2)
        expect(causes(context, name), "interrupts-off", word)
        guest.send("\x01x")
        check_equal(guest.wait(60), 0, "status")


@case("doctor-memory", own=True, fast=True)
def memory(context):
    name = fresh_name()
    spec = tiny(context, pvh.HALT_FOREVER, "--name", name)
    spec.memory = "1000G"
    guest = context.start(spec)
    check_equal(guest.wait(60), 1, "status of a machine that is too large")
    expect(causes(context, name), "insufficient-memory", "1024000 MiB are wanted", "available", "committed")
    forget(name)


@case("doctor-no-root", own=True)
def no_root(context):
    name = fresh_name()
    guest = context.start(context.spec(flavour="cloud", initrd=None, cmdline="console=ttyS0 panic=0",
                                       more=("--name", name)))
    guest.expect("end Kernel panic - not syncing")
    expect(causes(context, name), "no-root", "Unable to mount root fs")
    guest.send("\x01x")
    check_equal(guest.wait(60), 0, "status")


@case("doctor-disk-full", own=True)
def disk_full(context):
    """A limit on the size of files stands in for a full file system: no root is needed for it."""
    name = fresh_name()
    disk = context.directory / "disk.raw"
    with open(disk, "wb") as file:
        file.truncate(64 << 20)
    guest = context.boot_to_shell(flavour="cloud", disks=(disk,), more=("--name", name))
    resource.prlimit(guest.process.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    guest.send("dd if=/dev/zero of=/dev/vda bs=1M count=1 seek=8 conv=fsync; echo dd=$?\n")
    guest.expect("dd=1")
    found = causes(context, name)
    expect(found, "disk-full", "no space left on the host", "disk.raw")
    guest.send("\x01x")
    guest.wait()
